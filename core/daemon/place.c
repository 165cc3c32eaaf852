/*
 * The state folder's id, and the locks of the daemons that work in it.
 */
#include "core/daemon/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/text.h"
#include "core/common/units.h"

#define ID_LENGTH 36
#define STORE_MAX_BYTES 65536

static char *read_id(const char *path)
{
    size_t count;
    char *id = cm_file_read(path, ID_LENGTH, &count);
    if (id && count != ID_LENGTH) {
        free(id);
        errno = EINVAL;
        return NULL;
    }
    return id;
}

/* Whole or not at all, and only one of two that make it at the same time counts. */
static int make_id(const char *path)
{
    char id[ID_LENGTH + 1];
    cm_uuid7(id);
    char *fresh = cm_format("%s.%s", path, id);
    int failed = cm_file_write(fresh, id, ID_LENGTH) != 0 || (link(fresh, path) != 0 && errno != EEXIST);
    int problem = errno;
    unlink(fresh);
    free(fresh);
    errno = problem;
    return failed ? -1 : 0;
}

char *cm_place_id(const char *state)
{
    char *path = cm_path_join(state, "id");
    char *id = read_id(path);
    if (!id && errno == ENOENT && make_id(path) == 0) {
        id = read_id(path);
    }
    free(path);
    return id;
}

int cm_place_note_store(const char *state, const char *store)
{
    size_t count;
    char *path = cm_path_join(state, "store"), *before = cm_file_read(path, STORE_MAX_BYTES, &count);
    int failed = 0;
    if (!strcmp(store, "sqlite:")) {
        failed = before && unlink(path) != 0;
    } else if (!before || strcmp(before, store) != 0) {
        failed = cm_file_write(path, store, strlen(store)) != 0;
    }
    free(before);
    free(path);
    return failed ? -1 : 0;
}

static char *lock_path(const char *state, const char *boot)
{
    return cm_format("%s/boots/%s.lock", state, boot);
}

int cm_place_lock(const char *state, const char *boot)
{
    char *folder = cm_path_join(state, "boots"), *path = lock_path(state, boot);
    int fd = cm_folder_make(folder) == 0 ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int problem = errno;
        close(fd);
        fd = -1;
        errno = problem;
    }
    free(folder);
    free(path);
    return fd;
}

void cm_place_unlock(const char *state, const char *boot, int fd)
{
    if (fd >= 0) {
        char *path = lock_path(state, boot);
        unlink(path);
        close(fd);
        free(path);
    }
}

int cm_place_is_left(const char *state, const char *boot)
{
    char *path = lock_path(state, boot);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    int left = fd >= 0 ? flock(fd, LOCK_EX | LOCK_NB) == 0 : errno == ENOENT;
    if (fd >= 0) {
        close(fd);
    }
    free(path);
    return left;
}

void cm_place_each_worker_folder(const char *state, void (*each)(void *arg, const char *boot), void *arg)
{
    char *folder = cm_path_join(state, "workers");
    DIR *entries = opendir(folder);
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        if (entry->d_name[0] != '.') {
            each(arg, entry->d_name);
        }
    }
    if (entries) {
        closedir(entries);
    }
    free(folder);
}
