/*
 * What this process may still do, given up for good.
 */
#include "core/worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/sanitizer.h"
#include "core/common/text.h"

/* ---- Landlock: the kernel header of Debian 12 knows its second version, kernels know more ---- */

#define FS_TRUNCATE (1ULL << 14)  /* version 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* version 5 */
#define NET_BIND_TCP (1ULL << 0)  /* version 4 */
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_SOCKET (1ULL << 0) /* version 6 */
#define SCOPE_SIGNAL (1ULL << 1)

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_RUN LANDLOCK_ACCESS_FS_EXECUTE
/* All that version 1 knows, without reading and running. */
#define FS_WRITE_V1                                                                                                    \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                  \
     LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                        \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                     \
     LANDLOCK_ACCESS_FS_MAKE_SYM)
#define FS_NEVER_GIVEN (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
/* What can be said of a single file. */
#define FS_OF_FILE (FS_RUN | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

/* struct landlock_ruleset_attr as the newest version has it; older kernels take its beginning. */
struct ruleset {
    uint64_t fs, net, scoped;
};

static size_t ruleset_bytes(int version)
{
    return version >= 6 ? 24 : version >= 4 ? 16 : 8;
}

static struct ruleset handled(const struct cm_sandbox *sandbox, int version)
{
    struct ruleset rules = {.fs = FS_WRITE_V1};
    rules.fs |= version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0;
    rules.fs |= version >= 3 ? FS_TRUNCATE : 0;
    if (sandbox->kind == CM_SANDBOX_WARM) {
        rules.fs = sandbox->write_count > 0 ? rules.fs : 0;
        return rules;
    }
    rules.fs |= FS_READ | FS_RUN;
    rules.fs |= version >= 5 ? FS_IOCTL_DEV : 0;
    rules.scoped = version >= 6 ? SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL : 0;
    if (version >= 4) {
        rules.net = sandbox->kind == CM_SANDBOX_SEALED ? NET_BIND_TCP | NET_CONNECT_TCP : NET_BIND_TCP;
    }
    return rules;
}

static char *allow(int ruleset, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access};
    struct stat info;
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0) {
        return NULL; /* what is not there needs no rule */
    }
    if (fstat(rule.parent_fd, &info) == 0 && !S_ISDIR(info.st_mode)) {
        rule.allowed_access &= FS_OF_FILE;
    }
    long result = 0;
    if (rule.allowed_access) {
        result = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }
    int why = errno;
    close(rule.parent_fd);
    return result ? cm_format("Landlock: cannot allow %s: %s", path, strerror(why)) : NULL;
}

static char *allow_all(int ruleset, const struct cm_sandbox *sandbox, uint64_t fs)
{
    uint64_t reading = FS_READ | (sandbox->kind == CM_SANDBOX_NETWORK ? FS_RUN : 0);
    uint64_t writing = (FS_WRITE_V1 & ~FS_NEVER_GIVEN) | FS_READ | LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE;
    char *error = NULL;
    for (size_t i = 0; i < sandbox->read_count && !error; i++) {
        error = reading & fs ? allow(ruleset, sandbox->read[i], reading & fs) : NULL;
    }
    for (size_t i = 0; i < sandbox->write_count && !error; i++) {
        error = allow(ruleset, sandbox->write[i], writing & fs);
    }
    return error;
}

static char *close_files(const struct cm_sandbox *sandbox)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        cm_debug("Landlock is absent here: %s", strerror(errno)); /* the daemon said so when it started */
        return NULL;
    }
    struct ruleset rules = handled(sandbox, (int)version);
    if (!rules.fs) {
        return NULL;
    }
    long ruleset = syscall(SYS_landlock_create_ruleset, &rules, ruleset_bytes((int)version), 0);
    if (ruleset < 0) {
        return cm_format("Landlock version %ld refused our rules: %s", version, strerror(errno));
    }
    char *error = allow_all((int)ruleset, sandbox, rules.fs);
    if (!error && syscall(SYS_landlock_restrict_self, (int)ruleset, 0)) {
        error = cm_format("Landlock could not be entered: %s", strerror(errno));
    }
    close((int)ruleset);
    if (!error) {
        cm_debug("Landlock version %ld keeps this process to its own files", version);
    }
    return error;
}

/* ---- seccomp ---- */

/* Younger than the libseccomp of Debian 12; from 424 on a call has one number everywhere. */
#define NR_PROCESS_MRELEASE 448
#define NR_MEMFD_SECRET 447
#define NR_FCHMODAT2 452
#define NR_SETXATTRAT 463
#define NR_REMOVEXATTRAT 466
#define NR_OPEN_TREE_ATTR 467
#define NR_FILE_SETATTR 469

/* Nobody who makes clips needs these; exploits do. */
static const int dangerous[] = {
    SCMP_SYS(add_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(request_key),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(reboot),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(personality),
    SCMP_SYS(syslog),
    SCMP_SYS(uselib),
    SCMP_SYS(vhangup),
    SCMP_SYS(nfsservctl),
    SCMP_SYS(lookup_dcookie),
    SCMP_SYS(move_pages),
    SCMP_SYS(migrate_pages),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(process_madvise),
    NR_PROCESS_MRELEASE,
    NR_OPEN_TREE_ATTR,
};

/* What a step that has its input and its folder has no use for. The worker's own socket is open
 * already, and sending on it needs none of these. */
static const int outside[] = {
    SCMP_SYS(socket),   SCMP_SYS(socketpair), SCMP_SYS(connect),   SCMP_SYS(bind),       SCMP_SYS(listen),
    SCMP_SYS(accept),   SCMP_SYS(accept4),    SCMP_SYS(fork),      SCMP_SYS(vfork),      SCMP_SYS(execve),
    SCMP_SYS(execveat), SCMP_SYS(prlimit64),  SCMP_SYS(setrlimit), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal),
};

/* What Landlock leaves open, all of it or in its older versions: changing what others own by name,
 * links to what others may open later, cutting the log that standard error is, and the user's other
 * processes. */
static const int beside_landlock[] = {
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    NR_FCHMODAT2,
    SCMP_SYS(chown),
    SCMP_SYS(lchown),
    SCMP_SYS(fchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(setxattr),
    SCMP_SYS(lsetxattr),
    SCMP_SYS(fsetxattr),
    NR_SETXATTRAT,
    SCMP_SYS(removexattr),
    SCMP_SYS(lremovexattr),
    SCMP_SYS(fremovexattr),
    NR_REMOVEXATTRAT,
    SCMP_SYS(utime),
    SCMP_SYS(utimes),
    SCMP_SYS(futimesat),
    SCMP_SYS(utimensat),
    SCMP_SYS(truncate),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(setpriority),
    SCMP_SYS(ioprio_set),
    NR_FILE_SETATTR,
    SCMP_SYS(sched_setattr),
    SCMP_SYS(sched_setparam),
    SCMP_SYS(sched_setscheduler),
    SCMP_SYS(sched_setaffinity),
};

/* Memory that RLIMIT_DATA does not count, some of which outlives the process. */
static const int uncounted_memory[] = {
    SCMP_SYS(memfd_create), NR_MEMFD_SECRET,  SCMP_SYS(shmget),  SCMP_SYS(shmat),
    SCMP_SYS(msgget),       SCMP_SYS(semget), SCMP_SYS(mq_open),
};

static int deny_all(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count && !result; i++) {
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
        result = result == -EDOM || result == -EINVAL ? 0 : result; /* not on this machine */
    }
    return result;
}

/* Threads yes, processes no; signals to oneself yes, to others no. */
static int deny_children(scmp_filter_ctx filter)
{
    uint64_t self = (uint64_t)getpid();
    uint32_t refused = SCMP_ACT_ERRNO(EPERM);
    int result = seccomp_rule_add(filter, refused, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    /* clone3 hides its flags behind a pointer: "not there" makes the C library use clone. */
    result = result ? result : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    result = result ? result : seccomp_rule_add(filter, refused, SCMP_SYS(kill), 1, SCMP_A0(SCMP_CMP_NE, self, 0));
    result = result ? result : seccomp_rule_add(filter, refused, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_NE, self, 0));
    result = result ? result
                    : seccomp_rule_add(filter, refused, SCMP_SYS(rt_sigqueueinfo), 1, SCMP_A0(SCMP_CMP_NE, self, 0));
    result = result ? result
                    : seccomp_rule_add(filter, refused, SCMP_SYS(rt_tgsigqueueinfo), 1, SCMP_A0(SCMP_CMP_NE, self, 0));
    return result ? result : seccomp_rule_add(filter, refused, SCMP_SYS(tkill), 0);
}

/* All that a step does not need that has its input and its folder. */
static int seal(scmp_filter_ctx filter)
{
    const uint64_t shared = MAP_SHARED | MAP_ANONYMOUS;
    int result = deny_all(filter, outside, sizeof outside / sizeof *outside);
    result = result ? result : deny_all(filter, beside_landlock, sizeof beside_landlock / sizeof *beside_landlock);
    result = result ? result : deny_all(filter, uncounted_memory, sizeof uncounted_memory / sizeof *uncounted_memory);
    result = result ? result
                    : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 1,
                                       SCMP_A3(SCMP_CMP_MASKED_EQ, shared, shared));
    result = result ? result
                    : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1,
                                       SCMP_A0(SCMP_CMP_EQ, PR_SET_DUMPABLE, 0));
    return result ? result : deny_children(filter);
}

static char *close_calls(const struct cm_sandbox *sandbox)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter) {
        return cm_strdup("seccomp cannot be used here");
    }
    int result = deny_all(filter, dangerous, sizeof dangerous / sizeof *dangerous);
    if (!result && !CM_UNDER_ASAN) {
        result = deny_all(filter, (const int[]){SCMP_SYS(ptrace)}, 1); /* the leak checker needs it */
    }
    /* Typing into the terminal that the operator sits at. */
    result = result ? result
                    : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                                       SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI));
    if (!result && sandbox->kind == CM_SANDBOX_SEALED) {
        result = seal(filter);
    }
    result = result ? result : seccomp_load(filter);
    seccomp_release(filter);
    return result ? cm_format("seccomp refused our filter: %s", strerror(-result)) : NULL;
}

/* ---- Limits ---- */

static void write_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "500", 3) != 3) {
            cm_debug("oom_score_adj could not be raised: %s", strerror(errno));
        }
        close(fd);
    }
}

/* Other processes of this user cannot look into this one. But a child that a plugin leaves behind
 * must be found by what it has open, or nobody could end it. */
static void become_visible(void)
{
    prctl(PR_SET_DUMPABLE, 1);
}

static void hide(void)
{
    prctl(PR_SET_DUMPABLE, 0);
    pthread_atfork(NULL, NULL, become_visible);
}

static void limit(const struct cm_sandbox *sandbox)
{
    struct rlimit none = {0, 0};
    write_oom_score();
    setrlimit(RLIMIT_CORE, &none);
    hide();
    if (sandbox->memory_bytes > 0 && !CM_UNDER_ASAN) {
        struct rlimit data = {(rlim_t)sandbox->memory_bytes, (rlim_t)sandbox->memory_bytes};
        if (setrlimit(RLIMIT_DATA, &data)) {
            cm_warn("the memory limit of %lld bytes could not be set: %s", (long long)sandbox->memory_bytes,
                    strerror(errno));
        }
    }
}

char *cm_sandbox_enter(const struct cm_sandbox *sandbox)
{
    limit(sandbox);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        return cm_format("no_new_privs was refused: %s", strerror(errno));
    }
    char *error = close_files(sandbox);
    return error ? error : close_calls(sandbox);
}
