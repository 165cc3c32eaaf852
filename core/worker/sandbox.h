/*
 * What this process may still do, given up for good: files by Landlock, system calls by seccomp,
 * memory by a limit.
 */
#ifndef CM_WORKER_SANDBOX_H
#define CM_WORKER_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

enum cm_sandbox_kind {
    CM_SANDBOX_WARM = 1, /* writes only where told (anywhere when `write` is empty), reads anywhere */
    CM_SANDBOX_NETWORK,  /* reads and writes only where told; network and children */
    CM_SANDBOX_SEALED,   /* reads and writes only where told; no network, no children: threads only */
};

struct cm_sandbox {
    enum cm_sandbox_kind kind;
    const char *const *read; /* paths; what is not there is left out */
    size_t read_count;
    const char *const *write; /* folders (or single files such as /dev/null) */
    size_t write_count;
    int64_t memory_bytes; /* of data; 0: no limit */
};

/* NULL, or what could not be given up (malloc'd): then nothing hostile may be loaded. A kernel
 * without Landlock is said in the log and is no error. */
char *cm_sandbox_enter(const struct cm_sandbox *sandbox);

#endif
