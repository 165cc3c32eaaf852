/*
 * Which sandbox a call gets: its own folder to write into, what it was given to read, and the
 * system's libraries, fonts and certificates.
 */
#include "core/worker/confine.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/sandbox.h"

/* Of /etc and /usr/local only parts: our own config and its secrets may lie there, and Landlock can
 * take nothing out of a folder that it gives. */
static const char *const system_read[] = {
    "/usr/bin",
    "/usr/sbin",
    "/usr/games",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/libexec",
    "/usr/local/share",
    "/lib",
    "/lib64",
    "/lib32",
    "/bin",
    "/sbin",
    "/etc/OpenCL",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/glvnd",
    "/etc/gnutls",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/mailcap",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    "/etc/vulkan",
    "/opt",
    "/dev/zero",
    "/dev/urandom",
    "/dev/random",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys",
    "/sys/devices/system/cpu",
    "/var/cache/fontconfig",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/var/lib/ca-certificates",
};
static const char *const system_write[] = {"/dev/null"};

struct paths {
    char **items;
    size_t count, room;
};

static void add(struct paths *paths, const char *path)
{
    if (path && *path == '/') {
        paths->items = cm_grow(paths->items, &paths->room, paths->count, sizeof *paths->items);
        paths->items[paths->count++] = cm_strdup(path);
    }
}

static void add_folder_of(struct paths *paths, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash && slash > path) {
        char *folder = cm_strndup(path, (size_t)(slash - path));
        add(paths, folder);
        free(folder);
    }
}

static void add_array(struct paths *paths, struct json_object *array)
{
    for (size_t i = 0; array && i < json_object_array_length(array); i++) {
        struct json_object *one = json_object_array_get_idx(array, i);
        add(paths, json_object_is_type(one, json_type_string) ? json_object_get_string(one) : NULL);
    }
}

static void free_paths(struct paths *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        free(paths->items[i]);
    }
    free(paths->items);
}

/* A source reads the file that it was asked for and the captions beside it. A source may also be
 * written as file:///path. */
static void add_source(struct paths *paths, struct json_object *begin)
{
    const char *source = cm_json_text(begin, "source", "");
    source += cm_starts_with(source, "file://") ? strlen("file://") : 0;
    if (*source == '/') {
        add(paths, source);
        add_folder_of(paths, source);
    }
    add(paths, cm_json_text(cm_json_object(begin, "params"), "captions", NULL));
}

static struct paths readable(struct json_object *begin, struct json_object *inputs)
{
    struct paths paths = {0};
    for (size_t i = 0; i < sizeof system_read / sizeof *system_read; i++) {
        add(&paths, system_read[i]);
    }
    for (size_t i = 0; inputs && i < json_object_array_length(inputs); i++) {
        add(&paths, cm_json_text(json_object_array_get_idx(inputs, i), "path", NULL));
    }
    add_folder_of(&paths, cm_json_text(begin, "plugin", ""));
    add(&paths, cm_json_text(begin, "prompts", NULL));
    add_array(&paths, cm_json_array(begin, "read"));
    if (!strcmp(cm_json_text(begin, "stage", ""), "source")) {
        add_source(&paths, begin);
    }
    return paths;
}

/* A folder must exist before the sandbox is entered: nothing can be allowed that is not there. One
 * that people look into is made readable for them. */
static void make_writable(const char *path)
{
    if (access(path, F_OK) && cm_folder_make(path) == 0) {
        chmod(path, 0755);
    }
}

/* …/jobs/JOB/STEP.ITEM.FENCE: a warm worker's later calls have other folders below "jobs". */
static void add_jobs_folder(struct paths *paths, const char *dir)
{
    char *folder = cm_strdup(dir);
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(folder, '/');
        folder[slash ? slash - folder : 0] = '\0';
    }
    add(paths, cm_ends_with(folder, "/jobs") ? folder : NULL);
    free(folder);
}

static struct paths writable(struct json_object *begin)
{
    struct paths paths = {0};
    struct json_object *folders = cm_json_array(begin, "write");
    int confined = cm_json_flag(begin, "confine", 0);
    if (!confined && (!folders || json_object_array_length(folders) == 0)) {
        return paths; /* a warm worker that was not told where: later calls have other folders */
    }
    add_array(&paths, folders);
    for (size_t i = 0; i < paths.count; i++) {
        make_writable(paths.items[i]);
    }
    const char *work = cm_json_text(begin, "work", NULL);
    add(&paths, work ? work : cm_json_text(begin, "dir", NULL));
    if (!confined) {
        add_jobs_folder(&paths, cm_json_text(begin, "dir", ""));
    }
    for (size_t i = 0; i < sizeof system_write / sizeof *system_write; i++) {
        add(&paths, system_write[i]);
    }
    return paths;
}

static enum cm_sandbox_kind kind_of(struct json_object *begin)
{
    if (!cm_json_flag(begin, "confine", 0)) {
        return CM_SANDBOX_WARM;
    }
    const char *stage = cm_json_text(begin, "stage", "");
    int needs_network =
        !strcmp(stage, "source") || !strcmp(stage, "publish") || !strcmp(stage, "stt") || !strcmp(stage, "llm");
    return needs_network ? CM_SANDBOX_NETWORK : CM_SANDBOX_SEALED;
}

char *cm_confine(struct json_object *begin, struct json_object *inputs)
{
    struct paths read = readable(begin, inputs), write = writable(begin);
    struct cm_sandbox sandbox = {
        .kind = kind_of(begin),
        .read = (const char *const *)read.items,
        .read_count = read.count,
        .write = (const char *const *)write.items,
        .write_count = write.count,
        .memory_bytes = cm_json_int(begin, "memory_bytes", 0),
    };
    char *error = cm_sandbox_enter(&sandbox);
    free_paths(&read);
    free_paths(&write);
    return error;
}
