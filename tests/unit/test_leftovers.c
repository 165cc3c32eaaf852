/*
 * Leftovers: whoever still holds the lock of an attempt is ended before anybody goes on.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/units.h"
#include "core/daemon/run/leftovers.h"

static char folder[] = "/tmp/clipmaker-leftovers-XXXXXX";
static struct event_base *base;
static struct cm_leftovers *leftovers;

static void on_gone(void *arg)
{
    (*(int *)arg)++;
    event_base_loopbreak(base);
}

/* A process in a session of its own that holds the lock, as a child of a dead worker would. */
static pid_t start_holder(void)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        char *path = cm_path_join(folder, "lock");
        int fd = open(path, O_RDWR | O_CREAT, 0600);
        flock(fd, LOCK_EX);
        ssize_t told = write(ready[1], "x", 1);
        (void)told;
        for (;;) {
            pause();
        }
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void without_a_lock_nobody_is_left(void **state)
{
    (void)state;
    int gone = 0;
    cm_leftovers_await(leftovers, "/no/such/attempt", 0, on_gone, &gone);
    cm_leftovers_await(leftovers, folder, 0, on_gone, &gone);
    assert_int_equal(gone, 2);
}

static void a_holder_is_ended_first(void **state)
{
    (void)state;
    int gone = 0, status = 0;
    pid_t pid = start_holder();
    cm_leftovers_await(leftovers, folder, 0, on_gone, &gone);
    assert_int_equal(gone, 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    event_base_dispatch(base);
    assert_int_equal(gone, 1);
}

static void a_worker_that_lives_on_is_spared(void **state)
{
    (void)state;
    int gone = 0;
    pid_t pid = start_holder();
    int64_t start_ms = cm_boot_ms();
    cm_leftovers_await(leftovers, folder, pid, on_gone, &gone);
    assert_int_equal(gone, 0);
    event_base_dispatch(base);
    assert_int_equal(gone, 1); /* after a while it counts as done with the attempt */
    assert_true(cm_boot_ms() - start_ms >= 500);
    assert_int_equal(kill(pid, 0), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_lock_nobody_is_left),
        cmocka_unit_test(a_holder_is_ended_first),
        cmocka_unit_test(a_worker_that_lives_on_is_spared),
    };
    cm_log_open("test", CM_LOG_PLAIN, 4);
    if (!mkdtemp(folder)) {
        return 1;
    }
    base = event_base_new();
    leftovers = cm_leftovers_new(base);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cm_leftovers_free(leftovers);
    event_base_free(base);
    cm_folder_remove(folder);
    return failed;
}
