/*
 * Starting a program of ours: a clean environment, its own process group, nothing inherited but
 * what it is given.
 */
#ifndef CM_DAEMON_SPAWN_H
#define CM_DAEMON_SPAWN_H

#include <sys/types.h>

struct cm_spawn {
    const char *const *argv; /* argv[0]: absolute path */
    int control;             /* becomes descriptor 3; -1: none */
    int out, err;            /* become 1 and 2; -1: /dev/null for 1, ours for 2 */
};

/* The process id, which is also that of its group; -1 with errno. */
pid_t cm_spawn(const struct cm_spawn *what);
/* The same in words for people: "signal 11 (Segmentation fault)", "status 3". malloc'd. */
char *cm_spawn_status_words(int status);

#endif
