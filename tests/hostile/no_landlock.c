/*
 * Runs a program as on a kernel that has no Landlock: its three calls are not there. usage: no_landlock
 * PROGRAM ARGUMENT…
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static const int calls[] = {444, 445, 446}; /* landlock_create_ruleset, _add_rule, _restrict_self */
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int result = filter && argc > 1 ? 0 : -1;
    for (size_t i = 0; i < sizeof calls / sizeof *calls && !result; i++) {
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), calls[i], 0);
    }
    if (result || seccomp_load(filter)) {
        fprintf(stderr, "usage: no_landlock PROGRAM ARGUMENT…; and seccomp must work here\n");
        return 64;
    }
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 66;
}
