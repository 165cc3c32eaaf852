/*
 * clipmaker plugins: what each plugin says of itself, read by clipmaker-worker, never loaded here.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/ctl.h"
#include "core/ctl/grid.h"
#include "core/ctl/run_daemon.h"

#define DESCRIBED_MAX_BYTES (1024 * 1024)

/* ---- Asking the worker --------------------------------------------------------------------- */

static pid_t start_worker(const char *worker, const char *plugin, int out)
{
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out, 1);
        execl(worker, worker, "--describe", plugin, (char *)NULL);
        dprintf(2, "clipmaker: %s: %s\n", worker, strerror(errno));
        _exit(EX_CONFIG);
    }
    return pid;
}

static char *read_to_end(int fd)
{
    struct cm_text text = {0};
    char block[4096];
    ssize_t got;
    while ((got = read(fd, block, sizeof block)) > 0 || (got < 0 && errno == EINTR)) {
        if (got > 0 && text.length < DESCRIBED_MAX_BYTES) {
            cm_text_add_bytes(&text, block, (size_t)got);
        }
    }
    return cm_text_take(&text);
}

/* The descriptor of the plugin; NULL when it has none (the worker has said why on stderr). */
static struct json_object *describe(const char *worker, const char *plugin)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) {
        return NULL;
    }
    pid_t pid = start_worker(worker, plugin, ends[1]);
    close(ends[1]);
    char *text = read_to_end(ends[0]), *error = NULL;
    close(ends[0]);
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    struct json_object *described = status == 0 ? cm_json_parse(text, strlen(text), &error) : NULL;
    free(error);
    free(text);
    return described;
}

/* ---- The folder ---------------------------------------------------------------------------- */

static int is_plugin(const struct dirent *entry)
{
    return *entry->d_name != '.' && cm_ends_with(entry->d_name, ".so");
}

static int by_name(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

/* Where plugins lie: beside this program while it is not installed, else the compiled folder. */
static char *plugin_folder(const char *given)
{
    if (given) {
        return cm_path_absolute(given);
    }
    char *beside = cm_run_program(CM_PLACE_PLUGINS, "plugins");
    struct dirent **entries = NULL;
    int count = scandir(beside, &entries, is_plugin, NULL);
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
    if (count > 0) {
        return beside;
    }
    free(beside);
    return cm_place(CM_PLACE_PLUGINS);
}

/* Descriptors of all plugins there, by name; unreadable ones are counted in *broken. */
static struct json_object *describe_all(const char *folder, const char *only, int *broken)
{
    struct json_object *all = json_object_new_array();
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_plugin, by_name);
    char *worker = cm_run_program(CM_PLACE_LIBEXEC, "clipmaker-worker");
    for (int i = 0; i < count; i++) {
        char *name = cm_strndup(entries[i]->d_name, strlen(entries[i]->d_name) - 3);
        char *path = cm_path_join(folder, entries[i]->d_name);
        int wanted = !only || !strcmp(only, name);
        struct json_object *described = wanted ? describe(worker, path) : NULL;
        if (described) {
            json_object_array_add(all, described);
        }
        *broken += wanted && !described;
        free(path);
        free(name);
        free(entries[i]);
    }
    free(entries);
    free(worker);
    return all;
}

/* ---- Printing ------------------------------------------------------------------------------ */

static void print_list(struct json_object *all)
{
    struct cm_grid grid = {.columns = 4};
    cm_grid_add(&grid, (const char *[]){_("PLUGIN"), _("STAGE"), _("VERSION"), _("WHAT")});
    for (size_t i = 0; i < json_object_array_length(all); i++) {
        struct json_object *plugin = json_object_array_get_idx(all, i);
        cm_grid_add(&grid, (const char *[]){cm_json_text(plugin, "name", ""), cm_json_text(plugin, "stage", ""),
                                            cm_json_text(plugin, "version", ""),
                                            cm_words(cm_json_text(plugin, "summary", ""))});
    }
    cm_grid_print(&grid);
    printf("%s", _("\n`clipmaker plugins NAME` shows the options of one.\n"));
}

/* A bound as the operator would write it in an option of this type. malloc'd. */
static char *bound_text(const char *type, double bound)
{
    if (!strcmp(type, "time")) {
        return cm_show_duration((int64_t)bound);
    }
    return !strcmp(type, "size") ? cm_show_size((int64_t)bound) : cm_format("%.10g", bound);
}

/* "1s..1d", "ru|en", or "". malloc'd. */
static char *range_text(struct json_object *option)
{
    struct json_object *choices = cm_json_array(option, "choices"), *low = NULL, *high = NULL;
    struct cm_text text = {0};
    for (size_t i = 0; choices && i < json_object_array_length(choices); i++) {
        cm_text_addf(&text, "%s%s", i > 0 ? "|" : "", json_object_get_string(json_object_array_get_idx(choices, i)));
    }
    json_object_object_get_ex(option, "min", &low);
    json_object_object_get_ex(option, "max", &high);
    if (text.length == 0 && low && high) {
        const char *type = cm_json_text(option, "type", "");
        char *from = bound_text(type, json_object_get_double(low)),
             *to = bound_text(type, json_object_get_double(high));
        cm_text_addf(&text, "%s..%s", from, to);
        free(from);
        free(to);
    }
    return cm_text_take(&text);
}

static void print_one(struct json_object *plugin)
{
    struct json_object *options = cm_json_array(plugin, "options");
    printf("%s %s (%s)\n%s\n", cm_json_text(plugin, "name", ""), cm_json_text(plugin, "version", ""),
           cm_json_text(plugin, "stage", ""), cm_words(cm_json_text(plugin, "summary", "")));
    if (!options || json_object_array_length(options) == 0) {
        printf(_("\nIt has no options.\n"));
        return;
    }
    struct cm_grid grid = {.columns = 5};
    putchar('\n');
    cm_grid_add(&grid, (const char *[]){_("OPTION"), _("TYPE"), _("DEFAULT"), _("RANGE"), _("WHAT")});
    for (size_t i = 0; i < json_object_array_length(options); i++) {
        struct json_object *option = json_object_array_get_idx(options, i);
        char *range = range_text(option);
        const char *fallback =
            cm_json_flag(option, "required", 0) ? _("(required)") : cm_json_text(option, "default", "");
        cm_grid_add(&grid, (const char *[]){cm_json_text(option, "name", ""), cm_json_text(option, "type", ""),
                                            fallback, range, cm_words(cm_json_text(option, "help", ""))});
        free(range);
    }
    cm_grid_print(&grid);
}

static int fail_unknown(const char *folder, const char *name)
{
    const char *names[256];
    struct dirent **entries = NULL;
    int found = scandir(folder, &entries, is_plugin, by_name);
    size_t count = 0;
    for (int i = 0; i < found; i++) {
        entries[i]->d_name[strlen(entries[i]->d_name) - 3] = '\0';
        if (count < sizeof names / sizeof *names) {
            names[count++] = entries[i]->d_name;
        }
    }
    const char *near = cm_nearest(name, names, count);
    int status = near ? cm_ctl_fail(EX_USAGE, _("no plugin %s in %s; did you mean %s?"), name, folder, near)
                      : cm_ctl_fail(EX_USAGE, _("no plugin %s in %s; `clipmaker plugins` lists them"), name, folder);
    for (int i = 0; i < found; i++) {
        free(entries[i]);
    }
    free(entries);
    return status;
}

int cm_ctl_plugins(const struct cm_command *self, int argc, char **argv)
{
    const char *given = NULL;
    int json = 0, first = 0, status = 0, broken = 0;
    const struct cm_flag flags[] = {
        {'j', "json", NULL, N_("print JSON"), &json, NULL, NULL},
        {0, "folder", "DIR", N_("look for plugins there"), NULL, &given, NULL},
        CM_FLAG_END,
    };
    if (cm_ctl_parse(self, flags, argc, argv, 0, 1, &first, &status) == CM_PARSED_STOP) {
        return status;
    }
    const char *only = first < argc ? argv[first] : NULL;
    char *folder = plugin_folder(given);
    struct json_object *all = describe_all(folder, only, &broken);
    size_t count = json_object_array_length(all);
    if (only && count == 0 && broken == 0) {
        status = fail_unknown(folder, only);
    } else if (count == 0 && broken == 0) {
        status =
            cm_ctl_fail(EX_CONFIG, _("no plugins in %s; install some, or name their folder with --folder"), folder);
    } else if (json) {
        status = cm_ctl_print_json(only && count == 1 ? json_object_array_get_idx(all, 0) : all);
    } else if (count > 0) {
        only ? print_one(json_object_array_get_idx(all, 0)) : print_list(all);
        status = cm_ctl_finish(0);
    }
    json_object_put(all);
    free(folder);
    return status ? status : broken ? EX_CONFIG : 0;
}
