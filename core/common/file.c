/*
 * Files that are whole or absent, and folders.
 */
#include "core/common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/common/text.h"

#define BLOCK_BYTES (128 * 1024)

/* Closes without losing the errno of what went wrong before. */
static int close_failed(int fd)
{
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) {
        return cm_strdup(".");
    }
    return slash == path ? cm_strdup("/") : cm_strndup(path, (size_t)(slash - path));
}

/* A name in the same folder that nobody uses; independent of the final name, which may already be
 * as long as a name can be. */
static char *temporary_beside(const char *path)
{
    static atomic_uint counter;
    char *folder = folder_of(path);
    char *name = cm_format("%s/.tmp-%d-%u", folder, (int)getpid(), atomic_fetch_add(&counter, 1));
    free(folder);
    return name;
}

static int write_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t done = write(fd, bytes, count);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return -1;
        }
        bytes += done;
        count -= (size_t)done;
    }
    return 0;
}

int cm_file_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    if (fsync(fd)) {
        return close_failed(fd);
    }
    return close(fd);
}

static int sync_folder_of(const char *path)
{
    char *folder = folder_of(path);
    int result = cm_file_sync(folder);
    int saved = errno;
    free(folder);
    errno = saved;
    return result;
}

/* Makes a complete temporary file the real one, or removes it. Takes `temporary`. */
static int settle(int fd, int result, char *temporary, const char *path)
{
    if (result == 0) {
        result = fsync(fd);
    }
    if (result) {
        close_failed(fd);
    } else {
        result = close(fd);
    }
    if (result == 0) {
        result = rename(temporary, path);
    }
    if (result) {
        int saved = errno;
        unlink(temporary);
        errno = saved;
    } else {
        result = sync_folder_of(path);
    }
    int saved = errno;
    free(temporary);
    errno = saved;
    return result;
}

/* Takes `temporary`. */
static int write_by_way_of(char *temporary, const char *path, const char *bytes, size_t count)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        int saved = errno;
        free(temporary);
        errno = saved;
        return -1;
    }
    return settle(fd, write_all(fd, bytes, count), temporary, path);
}

int cm_file_write(const char *path, const char *bytes, size_t count)
{
    return write_by_way_of(temporary_beside(path), path, bytes, count);
}

int cm_file_write_via(const char *temporary, const char *path, const char *bytes, size_t count)
{
    return write_by_way_of(cm_strdup(temporary), path, bytes, count);
}

static int copy_bytes(int from, int to)
{
    if (ioctl(to, FICLONE, from) == 0) {
        return 0;
    }
    char *block = cm_alloc(BLOCK_BYTES);
    int result = 0;
    for (;;) {
        ssize_t got = read(from, block, BLOCK_BYTES);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0 || write_all(to, block, (size_t)got)) {
            result = got == 0 ? 0 : -1;
            break;
        }
    }
    int saved = errno;
    free(block);
    errno = saved;
    return result;
}

int cm_file_copy(const char *from, const char *to)
{
    int source = open(from, O_RDONLY | O_CLOEXEC);
    if (source < 0) {
        return -1;
    }
    char *temporary = temporary_beside(to);
    int target = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (target < 0) {
        close_failed(source);
        int saved = errno;
        free(temporary);
        errno = saved;
        return -1;
    }
    int result = settle(target, copy_bytes(source, target), temporary, to);
    int saved = errno;
    close(source);
    errno = saved;
    return result;
}

/* Reads to the end into *bytes; -1 with errno. */
static int read_all(int fd, size_t max_bytes, struct cm_text *text)
{
    char *block = cm_alloc(BLOCK_BYTES);
    ssize_t got;
    do {
        got = read(fd, block, BLOCK_BYTES);
        if (got > 0 && text->length + (size_t)got > max_bytes) {
            errno = EFBIG;
            got = -1;
        } else if (got > 0) {
            cm_text_add_bytes(text, block, (size_t)got);
        } else if (got < 0 && errno == EINTR) {
            got = 1;
        }
    } while (got > 0);
    int saved = errno;
    free(block);
    errno = saved;
    return got < 0 ? -1 : 0;
}

char *cm_file_read(const char *path, size_t max_bytes, size_t *count)
{
    /* O_NONBLOCK: a FIFO in the place of a file must not stop us for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return NULL;
    }
    struct cm_text text = {0};
    int result = read_all(fd, max_bytes, &text);
    close_failed(fd);
    if (result) {
        int saved = errno;
        cm_text_free(&text);
        errno = saved;
        return NULL;
    }
    if (count) {
        *count = text.length;
    }
    return cm_text_take(&text);
}

int64_t cm_file_bytes(const char *path)
{
    struct stat info;
    if (stat(path, &info)) {
        return -1;
    }
    if (!S_ISREG(info.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    return info.st_size;
}

static void hex_of(const unsigned char digest[32], char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 32; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = '\0';
}

void cm_sha256(const void *bytes, size_t count, char hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (!EVP_Digest(bytes, count, digest, NULL, EVP_sha256(), NULL)) {
        abort();
    }
    hex_of(digest, hex);
}

int cm_file_sha256(const char *path, char hex[65])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    char *block = cm_alloc(BLOCK_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    ssize_t got = 0;
    while (good && ((got = read(fd, block, BLOCK_BYTES)) > 0 || (got < 0 && errno == EINTR))) {
        good = got < 0 || EVP_DigestUpdate(context, block, (size_t)got);
    }
    good = good && got == 0 && EVP_DigestFinal_ex(context, digest, NULL);
    close_failed(fd);
    EVP_MD_CTX_free(context);
    free(block);
    if (!good) {
        return -1;
    }
    hex_of(digest, hex);
    return 0;
}

static int make_one(const char *path)
{
    struct stat info;
    if (mkdir(path, 0700) == 0) {
        return 0;
    }
    if (errno != EEXIST && errno != EISDIR && errno != EROFS && errno != EACCES) {
        return -1;
    }
    /* On a read-only or foreign parent, mkdir may say so before it says that the folder is there. */
    int saved = errno;
    if (stat(path, &info)) {
        errno = saved;
        return -1;
    }
    if (!S_ISDIR(info.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    return 0;
}

int cm_folder_make(const char *path)
{
    if (make_one(path) == 0) {
        return 0; /* mostly only the last part is new */
    }
    char *partial = cm_strdup(path);
    int result = 0;
    for (char *slash = strchr(partial + (*partial == '/'), '/'); slash && result == 0; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        result = *partial ? make_one(partial) : 0;
        *slash = '/';
    }
    if (result == 0) {
        result = make_one(partial);
    }
    int saved = errno;
    free(partial);
    errno = saved;
    return result;
}

static int remove_at(int folder, const char *name);

static int remove_contents(int fd)
{
    DIR *entries = fdopendir(fd);
    if (!entries) {
        return close_failed(fd);
    }
    int result = 0;
    struct dirent *entry;
    while ((entry = readdir(entries))) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && remove_at(dirfd(entries), entry->d_name)) {
            result = -1;
        }
    }
    int saved = errno;
    closedir(entries);
    errno = saved;
    return result;
}

static int remove_at(int folder, const char *name)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR && errno != EPERM && errno != ENOTEMPTY) {
        return -1;
    }
    int saved = errno;
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        errno = errno == ENOTDIR ? saved : errno;
        return -1;
    }
    if (remove_contents(fd)) {
        return -1;
    }
    return unlinkat(folder, name, AT_REMOVEDIR) && errno != ENOENT ? -1 : 0;
}

int cm_folder_remove(const char *path)
{
    return remove_at(AT_FDCWD, path);
}

char *cm_path_join(const char *folder, const char *name)
{
    return cm_format("%s%s%s", folder, cm_ends_with(folder, "/") ? "" : "/", name);
}

/* Drops the last part of an absolute path that is being built. */
static void drop_last(struct cm_text *path)
{
    while (path->length > 0 && path->bytes[path->length - 1] != '/') {
        path->length--;
    }
    path->length -= path->length > 0;
    if (path->bytes) {
        path->bytes[path->length] = '\0';
    }
}

/* By the text alone: a symbolic link stays what it is, and nothing needs to exist. */
char *cm_path_absolute(const char *path)
{
    char *here = *path == '/' ? NULL : getcwd(NULL, 0);
    char *whole = *path == '/' ? cm_strdup(path) : cm_path_join(here ? here : "/", path);
    struct cm_text clean = {0};
    for (const char *part = whole; *part;) {
        part += strspn(part, "/");
        size_t bytes = strcspn(part, "/");
        if (bytes == 2 && !strncmp(part, "..", 2)) {
            drop_last(&clean);
        } else if (bytes > 0 && !(bytes == 1 && *part == '.')) {
            cm_text_add(&clean, "/");
            cm_text_add_bytes(&clean, part, bytes);
        }
        part += bytes;
    }
    if (clean.length == 0) {
        cm_text_add(&clean, "/");
    }
    free(whole);
    free(here);
    return cm_text_take(&clean);
}

int64_t cm_disk_free_bytes(const char *path)
{
    struct statvfs info;
    if (statvfs(path, &info)) {
        return -1;
    }
    return (int64_t)info.f_bavail * (int64_t)info.f_frsize;
}

/* What stands before the compiled folder of programs in the path of this program: "" when it was
 * installed where it was compiled for, or is not installed at all. */
static char *install_root(void)
{
    static const char *const suffixes[] = {CM_BINDIR, CM_SBINDIR, CM_LIBEXECDIR};
    char program[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", program, sizeof program - 1);
    if (bytes < 0) {
        return cm_strdup("");
    }
    program[bytes] = '\0';
    char *folder = folder_of(program);
    char *root = NULL;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes && !root; i++) {
        if (cm_ends_with(folder, suffixes[i])) {
            root = cm_strndup(folder, strlen(folder) - strlen(suffixes[i]));
        }
    }
    free(folder);
    return root ? root : cm_strdup("");
}

char *cm_place(enum cm_place place)
{
    static const char *const compiled[] = {
        [CM_PLACE_BIN] = CM_BINDIR,        [CM_PLACE_SBIN] = CM_SBINDIR, [CM_PLACE_LIBEXEC] = CM_LIBEXECDIR,
        [CM_PLACE_PLUGINS] = CM_PLUGINDIR, [CM_PLACE_DATA] = CM_DATADIR, [CM_PLACE_CONFIG] = CM_CONFIGDIR,
        [CM_PLACE_STATE] = CM_STATEDIR,    [CM_PLACE_RUN] = CM_RUNDIR,   [CM_PLACE_LOCALE] = CM_LOCALEDIR,
    };
    char *root = install_root();
    char *path = cm_format("%s%s", root, compiled[place]);
    free(root);
    return path;
}
