/*
 * Reading and merging config files: what is said later wins, key by key.
 */
#include "core/daemon/config/read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/config/complaints.h"
#include "core/daemon/config/scan.h"

#define FILE_MAX_BYTES (1024 * 1024)

/* ---- One file -------------------------------------------------------------------------------- */

/* The text of a regular file; NULL after a complaint. A folder or a pipe never reaches libconfig. */
static char *read_text(const char *path, size_t *bytes, struct cm_complaints *complaints)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        const char *why = strerror(errno);
        if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode)) {
            cm_complain(complaints, path, 0, "the link leads nowhere (%s); when the plugin is gone, remove it", why);
        } else {
            cm_complain(complaints, path, 0, "%s", why);
        }
        return NULL;
    }
    if (!S_ISREG(info.st_mode)) {
        cm_complain(complaints, path, 0, "is not a regular file");
        return NULL;
    }
    char *text = cm_file_read(path, FILE_MAX_BYTES, bytes);
    if (!text) {
        cm_complain(complaints, path, 0, "%s", strerror(errno));
    }
    return text;
}

/* Parses one file; NULL after complaints. */
static struct cm_conf_file *read_file(const char *path, struct cm_complaints *complaints)
{
    size_t bytes = 0;
    char *text = read_text(path, &bytes, complaints);
    if (!text || cm_conf_scan(text, bytes, path, complaints) > 0) {
        free(text);
        return NULL;
    }
    struct cm_conf_file *file = cm_alloc(sizeof *file);
    file->path = cm_strdup(path);
    config_init(&file->parsed);
    int parsed = config_read_string(&file->parsed, text);
    free(text);
    if (parsed == CONFIG_TRUE) {
        return file;
    }
    cm_complain(complaints, path, config_error_line(&file->parsed), "%s", config_error_text(&file->parsed));
    config_destroy(&file->parsed);
    free(file->path);
    free(file);
    return NULL;
}

/* ---- The flat list --------------------------------------------------------------------------- */

const struct cm_conf_value *cm_conf_find(const struct cm_conf *conf, const char *path)
{
    for (size_t i = 0; i < conf->value_count; i++) {
        if (!strcmp(conf->values[i].path, path)) {
            return &conf->values[i];
        }
    }
    return NULL;
}

static void put_value(struct cm_conf *conf, const char *path, config_setting_t *setting, const char *file)
{
    struct cm_conf_value *value = (struct cm_conf_value *)cm_conf_find(conf, path);
    if (!value) {
        conf->values = cm_grow(conf->values, &conf->value_room, conf->value_count, sizeof *conf->values);
        value = &conf->values[conf->value_count++];
        value->path = cm_strdup(path);
    } else {
        cm_info("%s:%d: %s overrides %s:%d", file, (int)config_setting_source_line(setting), path, value->file,
                value->line);
    }
    value->setting = setting;
    value->file = file;
    value->line = config_setting_source_line(setting);
}

/* Forgets "PREFIX.anything". */
static void drop_below(struct cm_conf *conf, const char *prefix)
{
    char *dotted = cm_format("%s.", prefix);
    size_t kept = 0;
    for (size_t i = 0; i < conf->value_count; i++) {
        if (cm_starts_with(conf->values[i].path, dotted)) {
            free(conf->values[i].path);
        } else {
            conf->values[kept++] = conf->values[i];
        }
    }
    conf->value_count = kept;
    free(dotted);
}

static char *below(const char *path, config_setting_t *setting)
{
    const char *name = config_setting_name(setting);
    return *path ? cm_format("%s.%s", path, name ? name : "") : cm_strdup(name ? name : "");
}

/* An instance that names its plugin replaces an earlier one of that name; one that does not only
 * lays its options over it (a file with nothing but the secret, say). */
static void put_instance(struct cm_conf *conf, const char *path, config_setting_t *group, const char *file)
{
    if (config_setting_get_member(group, "plugin")) {
        drop_below(conf, path);
    }
    put_value(conf, path, group, file);
    for (int i = 0; i < config_setting_length(group); i++) {
        config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
        char *name = below(path, member);
        put_value(conf, name, member, file);
        free(name);
    }
}

static void put_named(struct cm_conf *conf, const char *path, config_setting_t *group, const char *file,
                      struct cm_complaints *complaints)
{
    int is_plugins = !strcmp(path, "plugins");
    for (int i = 0; i < config_setting_length(group); i++) {
        config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
        char *name = below(path, member);
        if (!is_plugins) {
            put_value(conf, name, member, file);
        } else if (config_setting_is_group(member)) {
            put_instance(conf, name, member, file);
        } else {
            cm_complain(complaints, file, (int)config_setting_source_line(member),
                        "%s must be a group: { plugin = \"…\"; … }", name);
        }
        free(name);
    }
}

static int holds_names(const char *path)
{
    return !strcmp(path, "plugins") || !strcmp(path, "owners") || !strcmp(path, "pipelines") || !strcmp(path, "chains");
}

static void flatten(struct cm_conf *conf, const char *path, config_setting_t *group, const char *file,
                    cm_conf_is_group_fn is_group, struct cm_complaints *complaints)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
        char *name = below(path, member);
        int wants_group = holds_names(name) || is_group(name);
        if (wants_group && !config_setting_is_group(member)) {
            cm_complain(complaints, file, (int)config_setting_source_line(member), "%s must be a group: { … }", name);
        } else if (holds_names(name)) {
            put_named(conf, name, member, file, complaints);
        } else if (wants_group) {
            flatten(conf, name, member, file, is_group, complaints);
        } else {
            put_value(conf, strcmp(name, "pipeline") ? name : "pipelines.default", member, file);
        }
        free(name);
    }
}

static void add_file(struct cm_conf *conf, const char *path, cm_conf_is_group_fn is_group,
                     struct cm_complaints *complaints)
{
    struct cm_conf_file *file = read_file(path, complaints);
    if (!file) {
        conf->broken = 1;
        return;
    }
    conf->files = cm_grow(conf->files, &conf->file_room, conf->file_count, sizeof *conf->files);
    conf->files[conf->file_count++] = file;
    flatten(conf, "", config_root_setting(&file->parsed), file->path, is_group, complaints);
}

/* ---- The folders beside it ------------------------------------------------------------------- */

/* In this order: what the operator writes into conf.d lies over what a plugin brought. */
static const char *const folders[] = {"plugins-enabled", "conf.d"};

static int is_conf_name(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && cm_ends_with(entry->d_name, ".conf");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_folder(struct cm_conf *conf, const char *folder, cm_conf_is_group_fn is_group,
                       struct cm_complaints *complaints)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_conf_name, by_bytes);
    if (count < 0 && errno != ENOENT) {
        cm_complain(complaints, folder, 0, "%s", strerror(errno));
        conf->broken = 1;
    }
    for (int i = 0; i < count; i++) {
        char *path = cm_path_join(folder, entries[i]->d_name);
        add_file(conf, path, is_group, complaints);
        free(path);
        free(entries[i]);
    }
    free(entries);
}

struct cm_conf *cm_conf_read(const char *path, cm_conf_is_group_fn is_group, struct cm_complaints *complaints)
{
    struct cm_conf *conf = cm_alloc(sizeof *conf);
    add_file(conf, path, is_group, complaints);
    const char *slash = strrchr(path, '/');
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *folder = slash ? cm_format("%.*s/%s", (int)(slash - path), path, folders[i]) : cm_strdup(folders[i]);
        add_folder(conf, folder, is_group, complaints);
        free(folder);
    }
    return conf;
}

void cm_conf_free(struct cm_conf *conf)
{
    if (!conf) {
        return;
    }
    for (size_t i = 0; i < conf->value_count; i++) {
        free(conf->values[i].path);
    }
    for (size_t i = 0; i < conf->file_count; i++) {
        config_destroy(&conf->files[i]->parsed);
        free(conf->files[i]->path);
        free(conf->files[i]);
    }
    free(conf->values);
    free(conf->files);
    free(conf);
}

/* ---- One value ------------------------------------------------------------------------------- */

char *cm_conf_text(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_STRING:
        return cm_strdup(config_setting_get_string(setting));
    case CONFIG_TYPE_INT:
        return cm_format("%d", config_setting_get_int(setting));
    case CONFIG_TYPE_FLOAT:
        return cm_format("%.17g", config_setting_get_float(setting));
    case CONFIG_TYPE_BOOL:
        return cm_strdup(config_setting_get_bool(setting) ? "true" : "false");
    default:
        return NULL;
    }
}

char *cm_conf_path(const char *file, const char *path)
{
    if (!*path || *path == '/') {
        return cm_strdup(path);
    }
    const char *slash = strrchr(file, '/');
    char *beside = slash ? cm_format("%.*s/%s", (int)(slash - file), file, path) : cm_strdup(path);
    char *absolute = cm_path_absolute(beside);
    free(beside);
    return absolute;
}
