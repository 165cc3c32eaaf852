/*
 * The name under which a run keeps its state.
 */
#include "core/ctl/run_key.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/common/file.h"
#include "core/common/message.h"
#include "core/common/text.h"

#define CACHE_MAX_BYTES (1024 * 1024)
#define CACHE_MAX_FILES 64
#define CONFIG_MAX_BYTES (4 * 1024 * 1024)

/* ---- The cache of hashes ------------------------------------------------------------------- */

/* What must be equal for a file to count as unchanged. malloc'd. */
static char *identity_of(const struct stat *info)
{
    return cm_format("%llu:%llu:%lld:%lld.%09ld:%lld.%09ld", (unsigned long long)info->st_dev,
                     (unsigned long long)info->st_ino, (long long)info->st_size, (long long)info->st_mtim.tv_sec,
                     info->st_mtim.tv_nsec, (long long)info->st_ctim.tv_sec, info->st_ctim.tv_nsec);
}

/* The cache as an array of {"file","sha256"}; empty when it is absent or damaged. */
static struct json_object *read_cache(const char *path)
{
    char *error = NULL;
    struct json_object *cache = cm_json_read(path, CACHE_MAX_BYTES, &error);
    free(error);
    if (cache && json_object_is_type(cache, json_type_array)) {
        return cache;
    }
    json_object_put(cache);
    return json_object_new_array();
}

static int find_in_cache(struct json_object *cache, const char *identity, char hex[65])
{
    for (size_t i = 0; i < json_object_array_length(cache); i++) {
        struct json_object *entry = json_object_array_get_idx(cache, i);
        const char *known = cm_json_text(entry, "sha256", "");
        if (!strcmp(cm_json_text(entry, "file", ""), identity) && strlen(known) == 64) {
            memcpy(hex, known, 65);
            return 1;
        }
    }
    return 0;
}

/* A cache that cannot be written costs time, nothing else. */
static void add_to_cache(struct json_object *cache, const char *path, const char *identity, const char *hex)
{
    struct json_object *entry = json_object_new_object();
    json_object_object_add(entry, "file", json_object_new_string(identity));
    json_object_object_add(entry, "sha256", json_object_new_string(hex));
    size_t count = json_object_array_length(cache);
    if (count >= CACHE_MAX_FILES) {
        json_object_array_del_idx(cache, 0, count - CACHE_MAX_FILES + 1);
    }
    json_object_array_add(cache, entry);
    const char *text = json_object_to_json_string_ext(cache, JSON_C_TO_STRING_PLAIN);
    (void)cm_file_write(path, text, strlen(text));
}

int cm_run_hash_file(const char *cache_path, const char *path, char hex[65])
{
    struct stat before, after;
    if (stat(path, &before)) {
        return -1;
    }
    char *identity = identity_of(&before);
    struct json_object *cache = read_cache(cache_path);
    int result = 0;
    if (!find_in_cache(cache, identity, hex)) {
        result = cm_file_sha256(path, hex);
        if (result == 0 && stat(path, &after) == 0) {
            char *identity_after = identity_of(&after);
            if (!strcmp(identity, identity_after)) { /* nobody wrote to it meanwhile */
                add_to_cache(cache, cache_path, identity, hex);
            }
            free(identity_after);
        }
    }
    int error = errno;
    json_object_put(cache);
    free(identity);
    errno = error;
    return result;
}

/* ---- The config ---------------------------------------------------------------------------- */

static void add_file(struct cm_text *all, const char *name, const char *path)
{
    size_t count = 0;
    char *bytes = cm_file_read(path, CONFIG_MAX_BYTES, &count);
    cm_text_addf(all, "%s %zu\n", name, count);
    if (bytes) {
        cm_text_add_bytes(all, bytes, count);
    }
    free(bytes);
}

static int is_conf(const struct dirent *entry)
{
    return *entry->d_name != '.' && cm_ends_with(entry->d_name, ".conf");
}

/* scandir wants this signature; strcmp keeps the order independent of the locale. */
static int by_name(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

static void add_folder(struct cm_text *all, const char *config, const char *name)
{
    const char *slash = strrchr(config, '/');
    char *folder = slash ? cm_format("%.*s/%s", (int)(slash - config), config, name) : cm_strdup(name);
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_conf, by_name);
    for (int i = 0; i < count; i++) {
        char *path = cm_path_join(folder, entries[i]->d_name);
        add_file(all, entries[i]->d_name, path);
        free(path);
        free(entries[i]);
    }
    free(entries);
    free(folder);
}

void cm_run_hash_config(const char *config, char hex[65])
{
    struct cm_text all = {0};
    add_file(&all, "config", config);
    add_folder(&all, config, "plugins-enabled");
    add_folder(&all, config, "conf.d");
    cm_sha256(all.bytes, all.length, hex);
    cm_text_free(&all);
}

/* ---- The key ------------------------------------------------------------------------------- */

int cm_run_key(const struct cm_run_subject *subject, const char *cache, char key[CM_RUN_KEY_SIZE])
{
    char source[65], captions[65] = "", config[65], all[65];
    if (subject->is_url) {
        cm_sha256(subject->source, strlen(subject->source), source);
    } else if (cm_run_hash_file(cache, subject->source, source)) {
        return -1;
    }
    if (*subject->captions && cm_run_hash_file(cache, subject->captions, captions)) {
        return -1;
    }
    cm_run_hash_config(subject->config, config);
    char *text = cm_format("%s\n%s %s\n%s\n%s\n%s\n", CM_VERSION, subject->is_url ? "url" : "file", source, captions,
                           subject->options, config);
    cm_sha256(text, strlen(text), all);
    free(text);
    memcpy(key, all, CM_RUN_KEY_SIZE - 1);
    key[CM_RUN_KEY_SIZE - 1] = '\0';
    return 0;
}
