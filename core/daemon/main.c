/*
 * clipmakerd: the command line, the config, the state folder and its lock; then the run.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/landlock.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/config/complaints.h"
#include "core/daemon/config/config.h"
#include "core/daemon/config/load.h"
#include "core/daemon/daemon.h"
#include "core/daemon/loop.h"
#include "core/daemon/models.h"
#include "core/daemon/registry.h"
#include "core/daemon/store/open.h"

struct arguments {
    const char *config, *state, *output, *control;
    int control_fd; /* -1: none */
    int test, offline, plain, json;
};

/* ---- The command line ------------------------------------------------------------------------ */

static void print_help(void)
{
    printf(_(
        "usage: clipmakerd [-c CONF] [-t] [--state DIR]\n"
        "Runs the jobs of ClipMaker.\n"
        "  -c, --config FILE   the config; conf.d/*.conf beside it is read after it\n"
        "  -t, --test          checks the config as the start does, and ends; asks providers for the models it names\n"
        "      --offline       with -t: asks nobody\n"
        "      --state DIR     where jobs are kept, whatever the config says\n"
        "      --control PATH  the socket for clients; several daemons of one state folder need one each\n"
        "      --control-fd N  serves only the inherited socket N and ends with it (clipmaker run)\n"
        "      --output DIR    the folder for the option that `run` in the config names\n"
        "      --plain-log     log lines for people; the default on a terminal\n"
        "      --json-log      log lines in JSON; the default elsewhere\n"
        "      --settings      lists every setting of the config\n"
        "      --version, --help\n"));
}

static int usage(const char *format, const char *what)
{
    fprintf(stderr, format, what);
    fprintf(stderr, "\n%s\n", _("try clipmakerd --help"));
    return EX_USAGE;
}

enum {
    OPT_STATE = 256,
    OPT_CONTROL,
    OPT_CONTROL_FD,
    OPT_OFFLINE,
    OPT_OUTPUT,
    OPT_PLAIN,
    OPT_JSON,
    OPT_SETTINGS,
    OPT_VERSION,
    OPT_HELP
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"test", no_argument, NULL, 't'},
    {"state", required_argument, NULL, OPT_STATE},
    {"control", required_argument, NULL, OPT_CONTROL},
    {"control-fd", required_argument, NULL, OPT_CONTROL_FD},
    {"offline", no_argument, NULL, OPT_OFFLINE},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"plain-log", no_argument, NULL, OPT_PLAIN},
    {"json-log", no_argument, NULL, OPT_JSON},
    {"settings", no_argument, NULL, OPT_SETTINGS},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static int set_control_fd(struct arguments *arguments, const char *text)
{
    int64_t fd = -1;
    char *error = NULL;
    struct stat info;
    if (cm_parse_int(text, &fd, &error) != 0 || fd < 3 || fd > 65535 || fstat((int)fd, &info) != 0 ||
        !S_ISSOCK(info.st_mode)) {
        free(error);
        return usage(_("clipmakerd: --control-fd %s: is not an inherited socket"), text);
    }
    arguments->control_fd = (int)fd;
    return -1;
}

/* -1: go on; else the exit status. */
static int take_option(struct arguments *arguments, int option)
{
    switch (option) {
    case 'c':
        arguments->config = optarg;
        return -1;
    case 't':
        arguments->test = 1;
        return -1;
    case OPT_STATE:
        arguments->state = optarg;
        return -1;
    case OPT_CONTROL:
        arguments->control = optarg;
        return -1;
    case OPT_CONTROL_FD:
        return set_control_fd(arguments, optarg);
    case OPT_OFFLINE:
        arguments->offline = 1;
        return -1;
    case OPT_OUTPUT:
        arguments->output = optarg;
        return -1;
    case OPT_PLAIN:
        arguments->plain = 1;
        return -1;
    case OPT_JSON:
        arguments->json = 1;
        return -1;
    case OPT_SETTINGS:
        cm_settings_print();
        return 0;
    case OPT_VERSION:
        printf("clipmakerd %s\n", CM_VERSION);
        return 0;
    case OPT_HELP:
        print_help();
        return 0;
    default:
        fprintf(stderr, "%s\n", _("try clipmakerd --help"));
        return EX_USAGE;
    }
}

static int parse(struct arguments *arguments, int argc, char **argv)
{
    int option, status = -1;
    while (status < 0 && (option = getopt_long(argc, argv, "c:t", long_options, NULL)) != -1) {
        status = take_option(arguments, option);
    }
    if (status < 0 && optind < argc) {
        return usage(_("clipmakerd: \"%s\" was not expected"), argv[optind]);
    }
    return status;
}

/* ---- The config ------------------------------------------------------------------------------ */

static char *config_path(const struct arguments *arguments)
{
    if (arguments->config) {
        return cm_path_absolute(arguments->config);
    }
    char *folder = cm_place(CM_PLACE_CONFIG);
    char *path = cm_path_join(folder, "clipmaker.conf");
    free(folder);
    return path;
}

/* NULL after every complaint was told. */
static struct cm_config *load(const struct arguments *arguments, const struct cm_overrides *overrides,
                              struct cm_registry *registry)
{
    struct cm_complaints complaints = {0};
    char *path = config_path(arguments);
    struct cm_config *config = cm_config_load(path, overrides, registry, &complaints);
    for (size_t i = 0; i < complaints.count; i++) {
        cm_error("%s", complaints.lines[i]);
    }
    cm_complaints_free(&complaints);
    free(path);
    return config;
}

/* ---- The state folder ------------------------------------------------------------------------ */

/* Whoever makes room lets it start. */
static int status_of(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EROFS ? EX_TEMPFAIL : EX_CANTCREAT;
}

/* One daemon for one state folder, or several that share a store elsewhere. 0, or the exit status after a line in the
 * log. */
static int take_state(struct cm_daemon *daemon)
{
    const char *wanted = daemon->config->state;
    int shared = cm_store_may_be_shared(daemon->config->store);
    char real[PATH_MAX];
    if (cm_folder_make(wanted) != 0 || !realpath(wanted, real)) {
        int problem = errno;
        cm_error(_("cannot make the state folder %s: %s"), wanted, strerror(problem));
        return status_of(problem);
    }
    daemon->state = cm_strdup(real);
    if (!daemon->control_path) {
        daemon->control_path = cm_path_join(real, "control.sock");
    }
    char *path = cm_path_join(real, "lock"), *jobs = cm_path_join(real, "jobs");
    int failed = cm_folder_make(jobs) != 0;
    daemon->lock_fd = failed ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int status = 0;
    if (daemon->lock_fd < 0) {
        int problem = errno;
        cm_error(_("cannot write into the state folder %s: %s"), real, strerror(problem));
        status = status_of(problem);
    } else if (flock(daemon->lock_fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        cm_error(_("another clipmakerd works in %s; try again when it has ended"), real);
        status = EX_TEMPFAIL;
    } else if (!shared && ftruncate(daemon->lock_fd, 0) == 0) {
        dprintf(daemon->lock_fd, "%d\n", (int)getpid());
    }
    free(path);
    free(jobs);
    return status;
}

/* A model that is gone is a warning: one that only stands in for others must not keep the service from starting. */
static int test(const struct cm_config *config, int offline)
{
    prctl(PR_SET_DUMPABLE, 0); /* secrets pass through here to those that are asked */
    if (!offline) {
        cm_models_check(config);
    }
    printf(_("%s: sound; plugin instances: %zu, pipelines: %zu\n"), config->path, config->use_count,
           config->pipeline_count);
    return 0;
}

/* Once, and loudly: what then still keeps plugins apart is less than the manual promises. */
static void look_for_landlock(void)
{
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) {
        cm_warn(
            _("this kernel has no Landlock (%s): plugins can read and write whatever this user can; seccomp, memory "
              "limits and separate processes are still on"),
            strerror(errno));
    }
}

static int run(struct cm_daemon *daemon)
{
    prctl(PR_SET_DUMPABLE, 0); /* no worker of this user looks into us, and no core holds secrets */
    look_for_landlock();
    char program[PATH_MAX] = "";
    ssize_t bytes = readlink("/proc/self/exe", program, sizeof program - 1);
    program[bytes > 0 ? bytes : 0] = '\0';
    cm_daemon_log_level(daemon);
    int status = take_state(daemon);
    if (status == 0) {
        cm_uuid7(daemon->boot);
        if (getrandom(&daemon->seed, sizeof daemon->seed, 0) != sizeof daemon->seed) {
            daemon->seed = (uint64_t)cm_utc_ms();
        }
        status = cm_loop_run(daemon, program);
    }
    if (daemon->lock_fd >= 0) {
        close(daemon->lock_fd);
    }
    free(daemon->state);
    return status;
}

/* The daemon holds small things for a long time: no arenas for it, and freed memory goes back. */
static void keep_memory_small(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.control_fd = -1};
    keep_memory_small();
    cm_words_open();
    int status = parse(&arguments, argc, argv);
    if (status >= 0) {
        return status;
    }
    int plain = arguments.plain || (!arguments.json && (arguments.test || isatty(STDERR_FILENO)));
    struct cm_daemon daemon = {.magic = CM_DAEMON_MAGIC, .lock_fd = -1, .control_fd = arguments.control_fd};
    daemon.is_private = arguments.control_fd >= 0;
    daemon.control_path = arguments.control ? cm_path_absolute(arguments.control) : NULL;
    daemon.log_format = plain ? CM_LOG_PLAIN : CM_LOG_JSON;
    daemon.overrides = (struct cm_overrides){arguments.state, arguments.output, daemon.is_private};
    if (daemon.is_private) {
        fcntl(daemon.control_fd, F_SETFD, FD_CLOEXEC);
    }
    cm_log_open("clipmakerd", plain ? CM_LOG_PLAIN : CM_LOG_JSON, arguments.test ? 3 : 2);
    daemon.registry = cm_registry_new();
    daemon.config = load(&arguments, &daemon.overrides, daemon.registry);
    if (!daemon.config) {
        status = EX_CONFIG;
    } else {
        status = arguments.test ? test(daemon.config, arguments.offline) : run(&daemon);
    }
    free(daemon.control_path);
    cm_config_free(daemon.config);
    cm_registry_free(daemon.registry);
    return status;
}
