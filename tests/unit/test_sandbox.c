/*
 * The sandbox, entered for real in a child that then tries what it may and may not do. Each try
 * answers with its errno, 0 for success.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/sanitizer.h"
#include "core/common/text.h"
#include "core/worker/sandbox.h"

#define UNPRIVILEGED 65534

static char *folder, *secret, *given;

static int try_read(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY);
    int result = fd < 0 || read(fd, &byte, 1) < 0 ? errno : 0;
    close(fd);
    return result;
}

static int read_secret(void)
{
    return try_read(secret);
}

static int read_given(void)
{
    return try_read(given);
}

static int read_system(void)
{
    return try_read("/etc/passwd");
}

static int write_inside(void)
{
    char *path = cm_path_join(folder, "new");
    int result = cm_file_write(path, "x", 1) ? errno : 0;
    free(path);
    return result;
}

static int write_outside(void)
{
    return cm_file_write("/tmp/test-sandbox-outside", "x", 1) ? errno : 0;
}

static int write_given(void)
{
    int fd = open(given, O_WRONLY);
    return fd < 0 ? errno : 0;
}

static int make_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int make_udp_socket(void)
{
    return socket(AF_INET6, SOCK_DGRAM, 0) < 0 ? errno : 0;
}

static int make_process(void)
{
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    return child < 0 ? errno : 0;
}

static int run_command(void)
{
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    int status = 0;
    return child < 0 || waitpid(child, &status, 0) != child ? errno : status;
}

static int is_hidden(void)
{
    return prctl(PR_GET_DUMPABLE) == 0 ? 0 : 1;
}

/* A child must be found by what it has open, whoever looks. */
static int child_is_visible(void)
{
    pid_t child = fork();
    if (child == 0) {
        _exit(prctl(PR_GET_DUMPABLE) == 1 ? 0 : 1);
    }
    int status = 0;
    return child < 0 || waitpid(child, &status, 0) != child ? errno : status;
}

static int become_command(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno;
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

static int signal_parent(void)
{
    return kill(getppid(), 0) ? errno : 0;
}

static int unshare_all(void)
{
    return syscall(SYS_unshare, 0x10000000) ? errno : 0;
}

static int use_keys(void)
{
    return syscall(SYS_keyctl, 0, -3, 0) < 0 ? errno : 0;
}

static int take_memory(void)
{
    size_t bytes = 200u * 1024 * 1024;
    char *volatile memory = malloc(bytes); /* or the compiler makes it disappear */
    int result = memory ? 0 : ENOMEM;
    free(memory);
    return result;
}

/* The errno of a try inside of a sandbox, in a child, unprivileged where we are root. */
static int inside(enum cm_sandbox_kind kind, int (*attempt)(void))
{
    pid_t child = fork();
    if (child == 0) {
        const char *read[] = {"/usr", "/lib", "/lib64", "/bin", "/etc", "/proc/self", given};
        const char *write[] = {folder, "/dev/null"};
        struct cm_sandbox sandbox = {.kind = kind,
                                     .read = read,
                                     .read_count = 7,
                                     .write = write,
                                     .write_count = 2,
                                     .memory_bytes = 100 * 1024 * 1024};
        if (geteuid() == 0 && (setgid(UNPRIVILEGED) || setuid(UNPRIVILEGED))) {
            _exit(250);
        }
        cm_log_open("test", CM_LOG_PLAIN, 4);
        char *error = cm_sandbox_enter(&sandbox);
        _exit(error ? 251 : attempt());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

static int set_up(void **state)
{
    (void)state;
    char name[] = "/tmp/test-sandbox-XXXXXX";
    char *top = mkdtemp(name);
    if (!top || chmod(top, 0777)) {
        return -1;
    }
    folder = cm_path_join(top, "own");
    secret = cm_path_join(top, "secret");
    given = cm_path_join(top, "given");
    int failed = cm_folder_make(folder) || chmod(folder, 0777) || cm_file_write(secret, "s", 1) ||
                 cm_file_write(given, "g", 1) || chmod(secret, 0666) || chmod(given, 0666);
    return failed ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    char *top = cm_strndup(folder, strlen(folder) - strlen("/own"));
    int result = cm_folder_remove(top);
    free(top);
    free(folder);
    free(secret);
    free(given);
    return result;
}

static void test_files(void **state)
{
    (void)state;
    if (!has_landlock()) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    for (int kind = CM_SANDBOX_NETWORK; kind <= CM_SANDBOX_SEALED; kind++) {
        assert_int_equal(inside(kind, read_secret), EACCES);
        assert_int_equal(inside(kind, read_given), 0);
        assert_int_equal(inside(kind, read_system), 0);
        assert_int_equal(inside(kind, write_inside), 0);
        assert_int_equal(inside(kind, write_outside), EACCES);
        assert_int_equal(inside(kind, write_given), EACCES);
    }
    assert_int_equal(inside(CM_SANDBOX_WARM, read_secret), 0);
    assert_int_equal(inside(CM_SANDBOX_WARM, write_inside), 0);
    assert_int_equal(inside(CM_SANDBOX_WARM, write_outside), EACCES);
}

static void test_sealed(void **state)
{
    (void)state;
    assert_int_equal(inside(CM_SANDBOX_SEALED, make_socket), EPERM);
    assert_int_equal(inside(CM_SANDBOX_SEALED, make_udp_socket), EPERM);
    assert_int_equal(inside(CM_SANDBOX_SEALED, make_process), EPERM);
    assert_int_equal(inside(CM_SANDBOX_SEALED, become_command), EPERM);
    assert_int_equal(inside(CM_SANDBOX_SEALED, signal_parent), EPERM);
    assert_int_equal(inside(CM_SANDBOX_SEALED, make_thread), 0);
}

static void test_open_kinds(void **state)
{
    (void)state;
    for (int kind = CM_SANDBOX_WARM; kind <= CM_SANDBOX_NETWORK; kind++) {
        assert_int_equal(inside(kind, make_socket), 0);
        assert_int_equal(inside(kind, run_command), 0);
        assert_int_equal(inside(kind, make_thread), 0);
        assert_int_equal(inside(kind, is_hidden), 0);
        assert_int_equal(inside(kind, child_is_visible), 0);
    }
}

static void test_dangerous_calls(void **state)
{
    (void)state;
    for (int kind = CM_SANDBOX_WARM; kind <= CM_SANDBOX_SEALED; kind++) {
        assert_int_equal(inside(kind, unshare_all), EPERM);
        assert_int_equal(inside(kind, use_keys), EPERM);
    }
}

static void test_memory(void **state)
{
    (void)state;
#if CM_UNDER_ASAN
    print_message("skipped: no memory limit under the address sanitizer\n");
    skip();
#endif
    assert_int_equal(inside(CM_SANDBOX_SEALED, take_memory), ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),           cmocka_unit_test(test_sealed), cmocka_unit_test(test_open_kinds),
        cmocka_unit_test(test_dangerous_calls), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
