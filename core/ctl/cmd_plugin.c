/*
 * clipmaker plugin enable|disable NAME: links and unlinks a plugin's part of the configuration, the
 * way Debian does it: plugins-available holds what there is, plugins-enabled what is read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/ctl/grid.h"
#include "core/ctl/run_daemon.h"

#define NAMES_MAX 256
#define SUFFIX ".conf"

struct work {
    struct cm_where where;
    const char *given; /* the config file named by a flag, or NULL */
    int force, json;
    char *config, *available, *enabled; /* the file, and the folders beside it */
};

/* ---- The folders --------------------------------------------------------------------------- */

static void find_folders(struct work *work)
{
    char *place = cm_place(CM_PLACE_CONFIG);
    work->config = work->given ? cm_path_absolute(work->given) : cm_path_join(place, "clipmaker.conf");
    free(place);
    const char *slash = strrchr(work->config, '/');
    char *folder = cm_strndup(work->config, slash > work->config ? (size_t)(slash - work->config) : 1);
    work->available = cm_path_join(folder, "plugins-available");
    work->enabled = cm_path_join(folder, "plugins-enabled");
    free(folder);
}

static void forget_folders(struct work *work)
{
    free(work->config);
    free(work->available);
    free(work->enabled);
}

static char *file_in(const char *folder, const char *name)
{
    return cm_format("%s/%s" SUFFIX, folder, name);
}

static int is_enabled(const struct work *work, const char *name)
{
    char *path = file_in(work->enabled, name);
    struct stat info;
    int found = lstat(path, &info) == 0;
    free(path);
    return found;
}

static int is_part(const struct dirent *entry)
{
    return *entry->d_name != '.' && cm_ends_with(entry->d_name, SUFFIX);
}

static int by_name(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

/* Names without the suffix, at most NAMES_MAX of them; each malloc'd. */
static size_t names_in(const char *folder, const char **names)
{
    struct dirent **entries = NULL;
    int found = scandir(folder, &entries, is_part, by_name);
    size_t count = 0;
    for (int i = 0; i < found; i++) {
        if (count < NAMES_MAX) {
            names[count++] = cm_strndup(entries[i]->d_name, strlen(entries[i]->d_name) - strlen(SUFFIX));
        }
        free(entries[i]);
    }
    free(entries);
    return count;
}

static void free_names(const char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)names[i]);
    }
}

static int fail_absent(const struct work *work, const char *name)
{
    const char *names[NAMES_MAX];
    size_t count = names_in(work->available, names);
    const char *near = cm_nearest(name, names, count);
    struct cm_text list = {0};
    for (size_t i = 0; i < count; i++) {
        cm_text_addf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    int status;
    if (count == 0) {
        status = cm_ctl_fail(EX_USAGE, _("no %s in %s: there is nothing to enable"), name, work->available);
    } else if (near) {
        status = cm_ctl_fail(EX_USAGE, _("no %s in %s; did you mean %s? There are: %s"), name, work->available, near,
                             list.bytes);
    } else {
        status = cm_ctl_fail(EX_USAGE, _("no %s in %s; there are: %s"), name, work->available, list.bytes);
    }
    cm_text_free(&list);
    free_names(names, count);
    return status;
}

/* ---- The check, and the daemon -------------------------------------------------------------- */

/* `clipmakerd -t`, whose complaints go to stderr as they are. True when the configuration is sound. */
static int is_sound(const struct work *work)
{
    char *program = cm_run_program(CM_PLACE_SBIN, "clipmakerd");
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        execl(program, program, "-t", "--offline", "-c", work->config, (char *)NULL);
        dprintf(2, "clipmaker: %s: %s\n", program, strerror(errno));
        _exit(EX_CONFIG);
    }
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    free(program);
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The change is made; whoever runs learns of it, or the operator how to see to that. */
static void tell_daemon(const struct work *work)
{
    if (!cm_client_answers(&work->where)) {
        if (errno == EACCES || errno == EPERM) {
            cm_ctl_note("%s", _("clipmakerd reads it after `systemctl reload clipmaker`, or SIGHUP"));
        } else {
            cm_ctl_note("%s", _("no clipmakerd answers here; one that runs elsewhere reads it after SIGHUP"));
        }
        return;
    }
    int status = 0;
    struct json_object *answer = cm_client_once(&work->where, cm_client_request("reload"), &status);
    if (answer) {
        cm_ctl_note("%s", _("clipmakerd reads its configuration again"));
    }
    json_object_put(answer);
}

/* ---- enable, disable ------------------------------------------------------------------------ */

static int fail_to_write(const char *path)
{
    return cm_ctl_fail(EX_CANTCREAT, _("cannot write %s: %s; this needs the rights of the administrator"), path,
                       strerror(errno));
}

static int put_link(const struct work *work, const char *link, const char *target)
{
    if (mkdir(work->enabled, 0755) != 0 && errno != EEXIST) {
        return fail_to_write(work->enabled);
    }
    return symlink(target, link) == 0 ? 0 : fail_to_write(link);
}

static int enable(const struct work *work, const char *name)
{
    char *part = file_in(work->available, name), *link = file_in(work->enabled, name);
    char *target = cm_format("../plugins-available/%s" SUFFIX, name);
    int status = 0;
    if (access(part, F_OK) != 0) {
        status = fail_absent(work, name);
    } else if (is_enabled(work, name)) {
        cm_ctl_note(_("%s is enabled already"), name);
    } else if ((status = put_link(work, link, target)) == 0) {
        if (!is_sound(work) && !work->force) {
            unlink(link);
            status = cm_ctl_fail(
                EX_CONFIG, _("%s stays disabled: with it the configuration is wrong; mend %s, or --force"), name, part);
        } else {
            cm_ctl_note(_("%s is enabled"), name);
            tell_daemon(work);
        }
    }
    free(target);
    free(link);
    free(part);
    return status;
}

/* Removes the link, and puts it back when the rest cannot do without. */
static int drop_link(const struct work *work, const char *name, const char *link)
{
    char target[PATH_MAX];
    ssize_t bytes = readlink(link, target, sizeof target - 1);
    if (bytes < 0) {
        return cm_ctl_fail(EX_USAGE, _("%s is a file of its own and no link: remove it by hand"), link);
    }
    target[bytes] = '\0';
    if (unlink(link) != 0) {
        return fail_to_write(link);
    }
    if (!is_sound(work) && !work->force) {
        int status = put_link(work, link, target);
        return status ? status
                      : cm_ctl_fail(EX_CONFIG,
                                    _("%s stays enabled: without it the configuration is wrong; mend that, or --force"),
                                    name);
    }
    cm_ctl_note(_("%s is disabled"), name);
    tell_daemon(work);
    return 0;
}

static int disable(const struct work *work, const char *name)
{
    char *part = file_in(work->available, name), *link = file_in(work->enabled, name);
    int status = 0;
    if (is_enabled(work, name)) {
        status = drop_link(work, name, link);
    } else if (access(part, F_OK) != 0) {
        status = fail_absent(work, name);
    } else {
        cm_ctl_note(_("%s is disabled already"), name);
    }
    free(link);
    free(part);
    return status;
}

/* ---- The list -------------------------------------------------------------------------------- */

static int print_names(const struct work *work, const char **names, size_t count)
{
    struct cm_grid grid = {.columns = 2};
    cm_grid_add(&grid, (const char *[]){_("NAME"), _("STATE")});
    for (size_t i = 0; i < count; i++) {
        cm_grid_add(&grid, (const char *[]){names[i], is_enabled(work, names[i]) ? _("enabled") : _("disabled")});
    }
    cm_grid_print(&grid);
    return cm_ctl_finish(0);
}

static int list(const struct work *work)
{
    const char *names[NAMES_MAX];
    size_t count = names_in(work->available, names);
    struct json_object *all = json_object_new_array();
    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_new_object();
        json_object_object_add(one, "name", json_object_new_string(names[i]));
        json_object_object_add(one, "enabled", json_object_new_boolean(is_enabled(work, names[i])));
        json_object_array_add(all, one);
    }
    int status = work->json ? cm_ctl_print_json(all) : print_names(work, names, count);
    json_object_put(all);
    free_names(names, count);
    return status;
}

static int is_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/');
}

static int act(const struct cm_command *self, const struct work *work, int count, char **words)
{
    if (count == 0) {
        return list(work);
    }
    int on = !strcmp(words[0], "enable");
    if (count != 2 || (!on && strcmp(words[0], "disable") != 0) || !is_name(words[1])) {
        return cm_ctl_fail(EX_USAGE, _("%s: it must be `enable NAME` or `disable NAME`; see `clipmaker %s --help`"),
                           self->name, self->name);
    }
    return on ? enable(work, words[1]) : disable(work, words[1]);
}

int cm_ctl_plugin(const struct cm_command *self, int argc, char **argv)
{
    struct work work = {0};
    int first = 0, status = 0;
    const struct cm_flag flags[] = {
        {'c', "config", "FILE", N_("the config file beside which the folders lie"), NULL, &work.given, NULL},
        {0, "force", NULL, N_("also when the configuration is wrong with it"), &work.force, NULL, NULL},
        {'j', "json", NULL, N_("print the list as JSON"), &work.json, NULL, NULL},
        CM_WHERE_FLAGS(work.where),
        CM_FLAG_END,
    };
    if (cm_ctl_parse(self, flags, argc, argv, 0, 2, &first, &status) == CM_PARSED_STOP) {
        return status;
    }
    find_folders(&work);
    status = act(self, &work, argc - first, argv + first);
    forget_folders(&work);
    return status;
}
