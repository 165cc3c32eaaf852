/*
 * The hostile plugin: tries to get out of its sandbox, and tells the log how each try ended. Built for
 * prepare and for render.
 *
 * SPDX-License-Identifier: MIT
 */
#include <clipmaker/plugin.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LEAK_STEP_BYTES (1024 * 1024)
#define THREAD_STACK_BYTES (64 * 1024)
#define THREADS_TRIED 20000
#define WORKER_FD 3

struct options {
    const char *mode;
    const char *places;  /* to be read; separated by ':' */
    const char *outside; /* a folder that is not ours, with a file "bait" */
};

static struct cm_ctx *the_ctx;
static const char *the_input, *the_bait, *the_outside;

static const char *own(const char *name)
{
    return the_ctx->host->output(the_ctx, name);
}

static const char *outside(const char *name)
{
    return the_ctx->host->format(the_ctx, "%s/%s", the_outside, name);
}

static void tell(const char *what, int error)
{
    the_ctx->host->log(the_ctx, CM_LOG_INFO, "hostile: %s = %d", what, error);
}

static int errno_of(long result)
{
    return result < 0 ? errno : 0;
}

/* ---- What must be possible ---------------------------------------------------------------------- */

static int opened(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    char byte;
    int result = fd < 0 ? errno : (flags & O_ACCMODE) == O_RDONLY && read(fd, &byte, 1) < 0 ? errno : 0;
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

static int read_input(void)
{
    return opened(the_input, O_RDONLY);
}

static int write_inside(void)
{
    return opened(own("mine"), O_WRONLY | O_CREAT);
}

static void *nothing(void *argument)
{
    return argument;
}

static int make_thread(void)
{
    pthread_t thread;
    int result = pthread_create(&thread, NULL, nothing, NULL);
    return result ? result : pthread_join(thread, NULL);
}

/* ---- Files -------------------------------------------------------------------------------------- */

static int write_outside(void)
{
    return opened(outside("new"), O_WRONLY | O_CREAT);
}

static int write_bait(void)
{
    return opened(the_bait, O_WRONLY);
}

static int write_input(void)
{
    return opened(the_input, O_WRONLY);
}

/* Leaves nothing behind where it could. */
static int written(const char *path)
{
    int result = opened(path, O_WRONLY | O_CREAT);
    if (!result) {
        unlink(path);
    }
    return result;
}

static int write_shm(void)
{
    return written("/dev/shm/hostile");
}

static int write_tmp(void)
{
    return written("/tmp/hostile");
}

static int climb_root(void)
{
    return opened(the_ctx->host->format(the_ctx, "/proc/self/root%s", the_bait), O_RDONLY);
}

static int climb_parent(void)
{
    return opened(the_ctx->host->format(the_ctx, "/proc/%d/root%s", (int)getppid(), the_bait), O_RDONLY);
}

static int list_above(void)
{
    DIR *folder = opendir("../..");
    int result = folder ? 0 : errno;
    if (folder) {
        closedir(folder);
    }
    return result;
}

static int through_symlink(void)
{
    const char *link = own("symlink");
    int result = errno_of(symlink(the_bait, link));
    return result ? result : opened(link, O_RDONLY);
}

static int make_symlink(void)
{
    return errno_of(symlink(the_bait, own("another")));
}

static int make_hardlink(void)
{
    return errno_of(link(the_bait, own("hardlink")));
}

static int link_out(void)
{
    return errno_of(link(own("mine"), outside("hardlink")));
}

static int rename_in(void)
{
    return errno_of(rename(the_bait, own("stolen")));
}

static int rename_out(void)
{
    return errno_of(rename(own("mine"), outside("moved")));
}

static int remove_bait(void)
{
    return errno_of(unlink(the_bait));
}

static int make_folder(void)
{
    return errno_of(mkdir(outside("folder"), 0700));
}

static int truncate_bait(void)
{
    return errno_of(truncate(the_bait, 0));
}

static int truncate_log(void)
{
    return errno_of(ftruncate(STDERR_FILENO, 0));
}

static int chmod_bait(void)
{
    return errno_of(chmod(the_bait, 0777));
}

static int chown_bait(void)
{
    return errno_of(chown(the_bait, getuid(), (gid_t)-1));
}

static int date_bait(void)
{
    return errno_of(utimensat(AT_FDCWD, the_bait, NULL, 0));
}

static int mark_bait(void)
{
    return errno_of(setxattr(the_bait, "user.hostile", "x", 1, 0));
}

static int make_device(void)
{
    return errno_of(mknod(own("device"), S_IFCHR | 0600, 0x103));
}

/* ---- Sockets ------------------------------------------------------------------------------------ */

static int socket_of(int family, int type)
{
    int fd = socket(family, type, 0);
    int result = errno_of(fd);
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

static int socket_inet(void)
{
    return socket_of(AF_INET, SOCK_STREAM);
}

static int socket_inet6(void)
{
    return socket_of(AF_INET6, SOCK_DGRAM);
}

static int socket_unix(void)
{
    return socket_of(AF_UNIX, SOCK_STREAM);
}

static int socket_netlink(void)
{
    return socket_of(AF_NETLINK, SOCK_RAW);
}

static int socket_packet(void)
{
    return socket_of(AF_PACKET, SOCK_RAW);
}

static int socket_alg(void)
{
    return socket_of(AF_ALG, SOCK_SEQPACKET);
}

static int socket_vsock(void)
{
    return socket_of(AF_VSOCK, SOCK_STREAM);
}

static int socket_pair(void)
{
    int pair[2];
    return errno_of(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

/* With the one socket that it has: to an abstract address, and to the daemon's own. */
static int connect_abstract(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, "\0hostile", 8);
    return errno_of(connect(WORKER_FD, (struct sockaddr *)&address, sizeof(sa_family_t) + 8));
}

static int connect_control(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "../../../control.sock");
    return errno_of(connect(WORKER_FD, (struct sockaddr *)&address, sizeof address));
}

static int bind_port(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    return errno_of(bind(WORKER_FD, (struct sockaddr *)&address, sizeof(sa_family_t)));
}

/* ---- Processes ---------------------------------------------------------------------------------- */

static int reap(long child)
{
    if (child == 0) {
        _exit(0);
    }
    return errno_of(child);
}

static int make_process(void)
{
    return reap(fork());
}

static int make_clone(void)
{
    return reap(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int make_clone3(void)
{
    long long arguments[8] = {0};
    arguments[4] = SIGCHLD;
    return reap(syscall(SYS_clone3, arguments, sizeof arguments));
}

static int become_command(void)
{
    char *arguments[] = {(char *)"true", NULL};
    return errno_of(execv("/bin/true", arguments));
}

static int kill_daemon(void)
{
    return errno_of(kill(getppid(), SIGKILL));
}

static int kill_group(void)
{
    return errno_of(kill(0, 0));
}

static int kill_all(void)
{
    return errno_of(kill(-1, 0));
}

static int tgkill_daemon(void)
{
    return errno_of(syscall(SYS_tgkill, getppid(), getppid(), SIGKILL));
}

static int tkill_daemon(void)
{
    return errno_of(syscall(SYS_tkill, getppid(), SIGKILL));
}

static int queue_signal(void)
{
    siginfo_t info = {.si_code = SI_QUEUE};
    return errno_of(syscall(SYS_rt_sigqueueinfo, getppid(), SIGKILL, &info));
}

static int open_pidfd(void)
{
    return errno_of(syscall(SYS_pidfd_open, getppid(), 0));
}

static int trace_daemon(void)
{
    return errno_of(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
}

static int read_daemon(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    return errno_of(process_vm_readv(getppid(), &here, 1, &there, 1, 0));
}

static int slow_daemon(void)
{
    return errno_of(setpriority(PRIO_PROCESS, (id_t)getppid(), 19));
}

static int limit_daemon(void)
{
    struct rlimit none = {0, 0};
    return errno_of(prlimit(getppid(), RLIMIT_NOFILE, &none, NULL));
}

static int show_itself(void)
{
    return errno_of(prctl(PR_SET_DUMPABLE, 1));
}

/* ---- The kernel --------------------------------------------------------------------------------- */

static int use_uring(void)
{
    char parameters[256] = {0};
    return errno_of(syscall(SYS_io_uring_setup, 4, parameters));
}

static int new_namespace(void)
{
    return errno_of(unshare(CLONE_NEWUSER));
}

static int mount_tmpfs(void)
{
    return errno_of(mount("none", own("."), "tmpfs", 0, NULL));
}

static int use_keys(void)
{
    return errno_of(syscall(SYS_keyctl, 0, -3, 0));
}

static int use_bpf(void)
{
    char attributes[128] = {0};
    return errno_of(syscall(SYS_bpf, 0, attributes, sizeof attributes));
}

static int use_perf(void)
{
    char attributes[128] = {0};
    return errno_of(syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0));
}

static int use_userfaultfd(void)
{
    return errno_of(syscall(SYS_userfaultfd, 0));
}

static int type_into_terminal(void)
{
    return ioctl(STDERR_FILENO, TIOCSTI, "x") < 0 && errno != ENOTTY ? errno : 0;
}

/* ---- Memory that no limit counts ---------------------------------------------------------------- */

static int more_data(void)
{
    struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
    return errno_of(setrlimit(RLIMIT_DATA, &most));
}

static int memory_file(void)
{
    return errno_of(memfd_create("hostile", 0));
}

static int shared_memory(void)
{
    void *at = mmap(NULL, LEAK_STEP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? errno : 0;
}

static int old_shared_memory(void)
{
    return errno_of(shmget(IPC_PRIVATE, LEAK_STEP_BYTES, IPC_CREAT | 0600));
}

#define TRY(function)                                                                                                  \
    {                                                                                                                  \
#function, function                                                                                            \
    }
static const struct {
    const char *name;
    int (*attempt)(void);
} tries[] = {
    TRY(read_input),         TRY(write_inside), TRY(make_thread),     TRY(write_outside), TRY(write_bait),
    TRY(write_input),        TRY(write_shm),    TRY(write_tmp),       TRY(climb_root),    TRY(climb_parent),
    TRY(list_above),         TRY(make_symlink), TRY(through_symlink), TRY(make_hardlink), TRY(link_out),
    TRY(rename_in),          TRY(rename_out),   TRY(remove_bait),     TRY(make_folder),   TRY(truncate_bait),
    TRY(truncate_log),       TRY(chmod_bait),   TRY(chown_bait),      TRY(date_bait),     TRY(mark_bait),
    TRY(make_device),        TRY(socket_inet),  TRY(socket_inet6),    TRY(socket_unix),   TRY(socket_netlink),
    TRY(socket_packet),      TRY(socket_alg),   TRY(socket_vsock),    TRY(socket_pair),   TRY(connect_abstract),
    TRY(connect_control),    TRY(bind_port),    TRY(make_process),    TRY(make_clone),    TRY(make_clone3),
    TRY(become_command),     TRY(kill_daemon),  TRY(kill_group),      TRY(kill_all),      TRY(tgkill_daemon),
    TRY(tkill_daemon),       TRY(queue_signal), TRY(open_pidfd),      TRY(trace_daemon),  TRY(read_daemon),
    TRY(slow_daemon),        TRY(limit_daemon), TRY(show_itself),     TRY(use_uring),     TRY(new_namespace),
    TRY(mount_tmpfs),        TRY(use_keys),     TRY(use_bpf),         TRY(use_perf),      TRY(use_userfaultfd),
    TRY(type_into_terminal), TRY(more_data),    TRY(memory_file),     TRY(shared_memory), TRY(old_shared_memory),
};

static void tell_open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char target[PATH_MAX];
        ssize_t bytes = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
        if (bytes > 0 && atoi(entry->d_name) != dirfd(folder)) {
            target[bytes] = '\0';
            the_ctx->host->log(the_ctx, CM_LOG_INFO, "hostile: fd %s is %s", entry->d_name, target);
        }
    }
    if (folder) {
        closedir(folder);
    }
}

static void try_all(const struct options *options)
{
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        tell(tries[i].name, tries[i].attempt());
    }
    char *places = the_ctx->host->format(the_ctx, "%s", options->places), *place;
    while ((place = strsep(&places, ":"))) {
        tell(the_ctx->host->format(the_ctx, "read %s", place), opened(place, O_RDONLY));
    }
    tell("read daemon's memory", opened(the_ctx->host->format(the_ctx, "/proc/%d/mem", (int)getppid()), O_RDONLY));
    tell("read daemon's environment",
         opened(the_ctx->host->format(the_ctx, "/proc/%d/environ", (int)getppid()), O_RDONLY));
    tell_open_files();
}

/* ---- More than it may have ---------------------------------------------------------------------- */

static void take_memory(void)
{
    long long taken = 0;
    for (char *block; (block = malloc(LEAK_STEP_BYTES)); taken++) {
        memset(block, 1, LEAK_STEP_BYTES);
    }
    the_ctx->host->log(the_ctx, CM_LOG_INFO, "hostile: took %lld MiB", taken);
}

static void *wait_for_ever(void *argument)
{
    for (;;) {
        pause();
    }
    return argument;
}

static void take_threads(void)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, THREAD_STACK_BYTES);
    for (int i = 0; i < THREADS_TRIED; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, wait_for_ever, NULL)) {
            usleep(1000);
        }
    }
    wait_for_ever(NULL);
}

/* An answer of its own, as if it were the worker: with a file of somebody else. */
static void forge_answer(void)
{
    const char *folder = own("x"), *job = strstr(folder, "/jobs/");
    char *name = the_ctx->host->format(the_ctx, "%s", job ? job + strlen("/jobs/") : "");
    /* JOB/STEP.ITEM.FENCE/x; the item of these steps is empty or has no dot. */
    char *step = strchr(name, '/'), *item = step ? strchr(step, '.') : NULL,
         *fence = item ? strchr(item + 1, '.') : NULL;
    if (!fence) {
        tell("forge", ENOENT);
        return;
    }
    *step++ = *item++ = *fence++ = '\0';
    fence[strspn(fence, "0123456789")] = '\0';
    const char *message = the_ctx->host->format(
        the_ctx,
        "{\"v\":1,\"type\":\"done\",\"attempt\":\"%s/%s/%s#%s\",\"verdict\":\"ok\",\"artifacts\":[{\"role\":\"media\","
        "\"key\":\"\",\"file\":\"%s\",\"bytes\":1,\"sha256\":\"\",\"facts\":{}}]}",
        name, step, item, fence, the_bait);
    tell("forge", 0); /* before it: there will be no time behind it */
    if (send(WORKER_FD, message, strlen(message), 0) < 0) {
        tell("forge", errno);
    }
    wait_for_ever(NULL);
}

static enum cm_verdict attack(struct cm_ctx *ctx, const char *input)
{
    const struct options *options = ctx->options;
    the_ctx = ctx;
    the_input = input;
    the_outside = options->outside;
    the_bait = outside("bait");
    if (!strcmp(options->mode, "memory")) {
        take_memory();
    } else if (!strcmp(options->mode, "threads")) {
        take_threads();
    } else if (!strcmp(options->mode, "forge")) {
        forge_answer();
    } else {
        try_all(options);
    }
    return CM_FAIL(ctx, CM_CANNOT, CM_REASON_UNSUPPORTED, "it only tries to get out");
}

static const struct cm_option options[] = {
    CM_OPT_STRING(struct options, mode, "mode", "try", "try, memory, threads or forge"),
    CM_OPT_STRING(struct options, places, "places", "", "files that it must not read, separated by ':'"),
    CM_OPT_STRING(struct options, outside, "outside", "", "a folder that is not its own, with a file named bait"),
    CM_OPT_END,
};

#ifdef HOSTILE_RENDER
static enum cm_verdict render(struct cm_ctx *ctx, const struct cm_render_request *request)
{
    return attack(ctx, request->media_path);
}

static const struct cm_render_ops ops = {.size = sizeof ops, .render = render};
CM_PLUGIN_LOCAL(CM_STAGE_RENDER, "hostile_render", "1.0", "Test only: tries to get out of its sandbox", options,
                struct options, ops);
#else
static enum cm_verdict prepare(struct cm_ctx *ctx, const struct cm_prepare_request *request)
{
    return attack(ctx, request->media_path);
}

static const struct cm_prepare_ops ops = {.size = sizeof ops, .prepare = prepare};
CM_PLUGIN_LOCAL(CM_STAGE_PREPARE, "hostile_prepare", "1.0", "Test only: tries to get out of its sandbox", options,
                struct options, ops);
#endif
