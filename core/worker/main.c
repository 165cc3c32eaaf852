/*
 * clipmaker-worker: loads one plugin, makes one call at a time, answers.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/load.h"
#include "core/worker/serve.h"

static int help(const char *argument)
{
    (void)argument;
    printf(_("usage: clipmaker-worker --serve | --describe PLUGIN.so | --call BEGIN.json\n"
             "Runs a plugin of ClipMaker. clipmakerd starts it; by hand it serves plugin authors.\n"
             "  --serve            serves the socket on file descriptor 3\n"
             "  --describe FILE    prints what a plugin is and which options it has, as JSON\n"
             "  --call FILE        makes one call, as docs/plugin-try.md tells, without a daemon\n"
             "  --version, --help\n"));
    return 0;
}

static int version(const char *argument)
{
    (void)argument;
    printf("clipmaker-worker %s, contract %d.%d\n", CM_VERSION, CM_ABI_MAJOR, CM_ABI_MINOR);
    return 0;
}

static int describe(const char *path)
{
    struct cm_loaded loaded;
    cm_log_open("clipmaker-worker", CM_LOG_PLAIN, CM_LOG_INFO);
    int out = dup(STDOUT_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO); /* what a constructor prints is no part of the description */
    char *error = cm_load(path, &loaded);
    if (error) {
        cm_fatal(78, "%s", error);
    }
    struct json_object *described = cm_load_describe(&loaded);
    dprintf(out, "%s\n", json_object_to_json_string_ext(described, JSON_C_TO_STRING_PLAIN));
    _exit(0);
}

static int call(const char *path)
{
    cm_log_open("clipmaker-worker", CM_LOG_PLAIN, CM_LOG_DEBUG);
    return cm_serve_file(path);
}

static int serve(const char *argument)
{
    (void)argument;
    const char *debug = getenv("CLIPMAKER_DEBUG");
    cm_log_open("clipmaker-worker", CM_LOG_JSON, debug && *debug ? CM_LOG_DEBUG : CM_LOG_INFO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    if (fcntl(CM_WORKER_FD, F_SETFD, FD_CLOEXEC)) {
        cm_fatal(64, _("file descriptor %d is not open: --serve is for clipmakerd, try --call"), CM_WORKER_FD);
    }
    return cm_serve(CM_WORKER_FD);
}

static const struct mode {
    const char *name;
    int takes_argument;
    int (*run)(const char *argument);
} modes[] = {
    {"--serve", 0, serve}, {"--describe", 1, describe}, {"--call", 1, call},
    {"--help", 0, help},   {"--version", 0, version},
};

int main(int argc, char **argv)
{
    cm_words_open();
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* a core would hold secrets */
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++) {
        if (!strcmp(argv[1], modes[i].name) && argc == 2 + modes[i].takes_argument) {
            return modes[i].run(argv[2]);
        }
    }
    fprintf(stderr, "%s", _("usage: clipmaker-worker --serve | --describe PLUGIN.so | --call BEGIN.json\n"));
    return 64;
}
