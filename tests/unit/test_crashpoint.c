/*
 * Crash points: the N-th place kills, and none does when nobody asked.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/common/log.h"
#include "core/daemon/crashpoint.h"

/* Passes ten places in a process of its own: its exit status is how many, or it dies. */
static int pass_ten(const char *at)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (at) {
            setenv("CLIPMAKER_CRASH_AT", at, 1);
        } else {
            unsetenv("CLIPMAKER_CRASH_AT");
        }
        for (int i = 0; i < 10; i++) {
            cm_crash_point("here");
        }
        _exit((int)cm_crash_points_passed());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void nobody_dies_unasked(void **state)
{
    (void)state;
    const char *const harmless[] = {NULL, "0", "11", "-3", "soon", ""};
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        int status = pass_ten(harmless[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 10);
    }
}

static void the_place_asked_for_kills(void **state)
{
    (void)state;
    const char *const deadly[] = {"1", "7", "10"};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        int status = pass_ten(deadly[i]);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_dies_unasked),
        cmocka_unit_test(the_place_asked_for_kills),
    };
    cm_log_open("test", CM_LOG_PLAIN, 5);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
