/*
 * posix_spawn with everything that we always want.
 */
#include "core/daemon/run/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/common/text.h"

extern char **environ;

/* What a worker may see of our environment; a name that ends with '*' is a prefix. */
static const char *const passed[] = {
    "LANG=",
    "LANGUAGE=",
    "LC_*",
    "PATH=",
    "TZ=",
    "HOME=",
    "TMPDIR=",
    "SSL_CERT_FILE=",
    "SSL_CERT_DIR=",
    "http_proxy=",
    "https_proxy=",
    "all_proxy=",
    "no_proxy=",
    "HTTP_PROXY=",
    "HTTPS_PROXY=",
    "ALL_PROXY=",
    "NO_PROXY=",
    "FONTCONFIG_*",
    "CLIPMAKER_DEBUG=",
    "ASAN_OPTIONS=",
    "LSAN_OPTIONS=",
    "UBSAN_OPTIONS=",
};

static int is_passed(const char *variable)
{
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        size_t bytes = strlen(passed[i]) - (passed[i][strlen(passed[i]) - 1] == '*');
        if (!strncmp(variable, passed[i], bytes)) {
            return 1;
        }
    }
    return 0;
}

/* A NULL-terminated list that borrows its strings from environ. */
static char **clean_environment(void)
{
    size_t count = 0;
    while (environ[count]) {
        count++;
    }
    char **clean = cm_alloc((count + 1) * sizeof *clean);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_passed(environ[i])) {
            clean[kept++] = environ[i];
        }
    }
    return clean;
}

static int add_files(posix_spawn_file_actions_t *files, const struct cm_spawn *what)
{
    int failed = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
    if (what->out < 0) {
        failed |= posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY, 0);
    } else {
        failed |= posix_spawn_file_actions_adddup2(files, what->out, 1);
    }
    if (what->err >= 0) {
        failed |= posix_spawn_file_actions_adddup2(files, what->err, 2);
    }
    if (what->control >= 0) {
        failed |= posix_spawn_file_actions_adddup2(files, what->control, 3);
    }
    return failed | posix_spawn_file_actions_addclosefrom_np(files, what->control >= 0 ? 4 : 3);
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    return posix_spawnattr_setpgroup(attributes, 0) | posix_spawnattr_setsigmask(attributes, &none) |
           posix_spawnattr_setsigdefault(attributes, &all) |
           posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

pid_t cm_spawn(const struct cm_spawn *what)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    char **environment = clean_environment();
    pid_t pid = -1;
    int error = add_files(&files, what) | set_attributes(&attributes) ? ENOMEM : 0;
    if (!error) {
        error = posix_spawn(&pid, what->argv[0], &files, &attributes, (char *const *)what->argv, environment);
    }
    free(environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    errno = error;
    return error ? -1 : pid;
}

char *cm_spawn_status_words(int status)
{
    if (WIFSIGNALED(status)) {
        return cm_format("signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return cm_format("status %d", WEXITSTATUS(status));
}
