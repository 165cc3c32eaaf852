/*
 * publish_folder: a folder as a platform. The post is the clip's appearance under its final name:
 * everything is written under temporary names first, and the clip is renamed last.
 *
 * Which post belongs to which key stands in DIR/.clipmaker-posts/KEY (file name, size), written
 * after the temporary files are whole and before the first rename. One lock for the whole folder
 * keeps two publishers from taking the same name.
 */
#include <clipmaker/plugin.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INDEX_FOLDER ".clipmaker-posts"
#define COPY_PIECE_BYTES (4 * 1024 * 1024)
#define NAME_MAX_BYTES 200 /* leaves room for "-9999.mp4" in the 255 that a file name may have */
#define LOCK_POLL_NS 50000000

struct options {
    const char *dir;
};

static const struct cm_option options[] = {
    CM_OPT_PATH(struct options, dir, "dir", CM_OPTION_REQUIRED | CM_OPTION_WRITABLE, NULL,
                "the folder that receives the clips; it must exist"),
    CM_OPT_END,
};

static const struct cm_failure no_room = CM_FAILURE(CM_HOLD, CM_REASON_RESOURCE, CM_SCOPE_ITEM, 0);
static const struct cm_failure unavailable = CM_FAILURE(CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, 0);
static const struct cm_failure broken = CM_FAILURE(CM_CANNOT, CM_REASON_INTERNAL, CM_SCOPE_ITEM, 0);
static const struct cm_failure stopped = CM_FAILURE(CM_AGAIN, CM_REASON_STOPPED, CM_SCOPE_ITEM, 0);

/* The files of a post, in the order in which they appear: the clip is last. */
enum part {
    PART_TEXT,
    PART_CAPTIONS,
    PART_THUMBNAIL,
    PART_CLIP,
    PART_COUNT
};
static const char *const extensions[PART_COUNT] = {".txt", ".srt", ".jpg", ".mp4"};

/* One publication under way. */
struct job {
    struct cm_ctx *ctx;
    const struct cm_publish_request *request;
    int dir, index, lock; /* descriptors of the folder, its index and its lock */
    const char *name;     /* final, without extension */
    int has[PART_COUNT];
};

/* One line of the index. */
struct entry {
    char name[256];
    long long bytes;
};

/* ---- The folder, its index and its lock ---------------------------------------------------- */

static const char *folder_of(struct cm_ctx *ctx)
{
    return ((const struct options *)ctx->options)->dir;
}

static enum cm_verdict fail_in_folder(struct cm_ctx *ctx, int error)
{
    const struct cm_host *host = ctx->host;
    const char *dir = folder_of(ctx);
    switch (error) {
    case ECANCELED:
        return host->fail(ctx, &stopped, "stopped while writing into %s", dir);
    case ENOSPC:
    case EDQUOT:
        return host->fail(ctx, &no_room, "no room left in %s; free some space there", dir);
    case EROFS:
        return host->fail(ctx, &no_room, "%s is read-only; make it writable or choose another folder", dir);
    case EACCES:
    case EPERM:
        return host->fail(ctx, &no_room, "%s may not be written; give this user the right to write there", dir);
    case ENOENT:
    case ENOTDIR:
        return host->fail(ctx, &no_room, "%s is not there or not a folder; create it or mount its disk", dir);
    default:
        return host->fail(ctx, &unavailable, "cannot write into %s (%s); check the disk", dir, strerror(error));
    }
}

static void close_folder(struct job *job)
{
    int *all[] = {&job->lock, &job->index, &job->dir};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (*all[i] >= 0) {
            close(*all[i]);
            *all[i] = -1;
        }
    }
}

/* Waits for the other publisher; 0, or -1 with errno. */
static int take_lock(struct job *job)
{
    const struct timespec pause = {.tv_nsec = LOCK_POLL_NS};
    while (flock(job->lock, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return errno == ENOLCK || errno == EOPNOTSUPP ? 0 : -1;
        }
        if (job->ctx->host->stopping(job->ctx)) {
            errno = ECANCELED;
            return -1;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* CM_OK with the folder open and locked; close_folder in any case. */
static enum cm_verdict open_folder(struct job *job)
{
    job->index = job->lock = -1;
    job->dir = open(folder_of(job->ctx), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (job->dir >= 0 && (mkdirat(job->dir, INDEX_FOLDER, 0777) == 0 || errno == EEXIST)) {
        job->index = openat(job->dir, INDEX_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (job->index >= 0) {
        job->lock = openat(job->index, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    }
    if (job->lock < 0 || take_lock(job)) {
        return fail_in_folder(job->ctx, errno);
    }
    return CM_OK;
}

static int write_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t done = write(fd, bytes, count);
        if (done < 0 && errno != EINTR) {
            return -1;
        }
        bytes += done > 0 ? done : 0;
        count -= done > 0 ? (size_t)done : 0;
    }
    return 0;
}

/* Closes a file that was written; makes it durable first. -1 with errno when anything failed. */
static int finish_file(int fd, int result)
{
    if (result == 0) {
        result = fsync(fd);
    }
    int error = errno;
    if (close(fd) && result == 0) {
        return -1;
    }
    errno = error;
    return result;
}

static int read_entry(int index, const char *key, struct entry *entry)
{
    char text[400];
    int fd = openat(index, key, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    return sscanf(text, "%lld %255[^/\n]\n", &entry->bytes, entry->name) == 2 ? 0 : -1;
}

static int write_entry(struct job *job, const char *key, const struct entry *entry)
{
    const char *text = job->ctx->host->format(job->ctx, "%lld %s\n", entry->bytes, entry->name);
    int fd = openat(job->index, ".new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0 || finish_file(fd, write_all(fd, text, strlen(text)))) {
        return -1;
    }
    return renameat(job->index, ".new", job->index, key) ? -1 : fsync(job->index);
}

/* Goes through the index entries of this name, except that of `key`; forgets them when asked to.
 * How many there were. */
static int others_of_name(struct job *job, const char *name, const char *key, int forget)
{
    int count = 0;
    DIR *entries = fdopendir(openat(job->index, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *file;
    while (entries && (file = readdir(entries))) {
        struct entry entry;
        if (*file->d_name != '.' && strcmp(file->d_name, key) && read_entry(job->index, file->d_name, &entry) == 0 &&
            !strcmp(entry.name, name)) {
            count++;
            if (forget) {
                unlinkat(job->index, file->d_name, 0);
            }
        }
    }
    if (entries) {
        closedir(entries);
    }
    return count;
}

/* ---- Names --------------------------------------------------------------------------------- */

static int key_is_sound(const char *key)
{
    size_t length = strlen(key);
    return length > 0 && length <= 64 && strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* The wanted name without what a file name may not have, cut between characters. */
static const char *sound_name(struct cm_ctx *ctx, const char *wanted)
{
    char *name = ctx->host->format(ctx, "%s", *wanted ? wanted : "clip");
    size_t length = strlen(name);
    if (length > NAME_MAX_BYTES) {
        length = NAME_MAX_BYTES;
        while (length > 0 && ((unsigned char)name[length] & 0xc0) == 0x80) {
            length--;
        }
        name[length] = '\0';
    }
    for (char *c = name; *c; c++) {
        if (*c == '/' || (unsigned char)*c < 0x20 || *c == 0x7f || (c == name && *c == '.')) {
            *c = '_';
        }
    }
    return name;
}

static const char *part_name(struct job *job, enum part part)
{
    return job->ctx->host->format(job->ctx, "%s%s", job->name, extensions[part]);
}

static const char *temporary_name(struct job *job, enum part part)
{
    return job->ctx->host->format(job->ctx, ".clipmaker-%s%s", job->request->key, extensions[part]);
}

static int is_taken(struct job *job, const char *name, enum part part)
{
    struct stat info;
    const char *file = job->ctx->host->format(job->ctx, "%s%s", name, extensions[part]);
    return fstatat(job->dir, file, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Where a post of ours lost its clip, somebody deleted it: what is left of it is in nobody's way. */
static int name_is_free(struct job *job, const char *name)
{
    if (is_taken(job, name, PART_CLIP)) {
        return 0;
    }
    int others =
        is_taken(job, name, PART_TEXT) + is_taken(job, name, PART_CAPTIONS) + is_taken(job, name, PART_THUMBNAIL);
    return others == 0 || others_of_name(job, name, job->request->key, 0) > 0;
}

/* The name this key has already, or the wanted one, or the first of NAME-2, NAME-3… that is free. */
static void choose_name(struct job *job)
{
    struct cm_ctx *ctx = job->ctx;
    struct entry entry;
    if (read_entry(job->index, job->request->key, &entry) == 0) {
        job->name = ctx->host->format(ctx, "%s", entry.name);
        return;
    }
    const char *wanted = sound_name(ctx, job->request->name ? job->request->name : "");
    job->name = wanted;
    for (int number = 2; number < 10000 && !name_is_free(job, job->name); number++) {
        job->name = ctx->host->format(ctx, "%s-%d", wanted, number);
    }
}

/* ---- Writing ------------------------------------------------------------------------------- */

/* Copies with the kernel's help where it can, else by hand; 0, or -1 with errno. */
static int copy_bytes(struct cm_ctx *ctx, int from, int to, int64_t size)
{
    if (ioctl(to, FICLONE, from) == 0) {
        return 0;
    }
    int by_kernel = 1;
    char *block = NULL;
    for (int64_t copied = 0;;) {
        if (ctx->host->stopping(ctx)) {
            errno = ECANCELED;
            return -1;
        }
        ssize_t got = -1;
        if (by_kernel) {
            got = copy_file_range(from, NULL, to, NULL, COPY_PIECE_BYTES, 0);
            by_kernel = !(got < 0 && copied == 0 && errno != ENOSPC && errno != EDQUOT && errno != EINTR);
        }
        if (!by_kernel) {
            block = block ? block : ctx->host->alloc(ctx, COPY_PIECE_BYTES);
            got = read(from, block, COPY_PIECE_BYTES);
            got = got > 0 && write_all(to, block, (size_t)got) ? -1 : got;
        }
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return (int)got;
        }
        copied += got > 0 ? got : 0;
        ctx->host->progress(ctx, size > 0 ? (double)copied / (double)size : 0);
    }
}

/* Writes one part under its temporary name, from a file or from text. */
static enum cm_verdict write_part(struct job *job, enum part part, const char *path, const char *text)
{
    struct cm_ctx *ctx = job->ctx;
    struct stat info = {0};
    int from = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (path && (from < 0 || fstat(from, &info))) {
        int error = errno;
        if (from >= 0) {
            close(from);
        }
        return ctx->host->fail(ctx, &broken, "%s cannot be read (%s); run the job again", path, strerror(error));
    }
    int to = openat(job->dir, temporary_name(job, part), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    int result = to < 0 ? -1 : path ? copy_bytes(ctx, from, to, info.st_size) : write_all(to, text, strlen(text));
    int error = errno;
    if (to >= 0) {
        errno = error;
        result = finish_file(to, result);
        error = errno;
    }
    if (from >= 0) {
        close(from);
    }
    job->has[part] = result == 0;
    return result == 0 ? CM_OK : fail_in_folder(ctx, error);
}

static enum cm_verdict write_parts(struct job *job)
{
    const struct cm_publish_request *request = job->request;
    enum cm_verdict verdict = CM_OK;
    if (request->text && *request->text) {
        verdict = write_part(job, PART_TEXT, NULL, job->ctx->host->format(job->ctx, "%s\n", request->text));
    }
    if (verdict == CM_OK && request->captions_path) {
        verdict = write_part(job, PART_CAPTIONS, request->captions_path, NULL);
    }
    if (verdict == CM_OK && request->thumbnail_path) {
        verdict = write_part(job, PART_THUMBNAIL, request->thumbnail_path, NULL);
    }
    return verdict == CM_OK ? write_part(job, PART_CLIP, request->clip_path, NULL) : verdict;
}

static void drop_temporaries(struct job *job)
{
    for (int part = 0; part < PART_COUNT; part++) {
        unlinkat(job->dir, temporary_name(job, part), 0);
    }
}

/* Everything is whole on the disk: note the post, then let it appear. 0, or -1 with errno. */
static int appear(struct job *job)
{
    struct stat info;
    struct entry entry = {0};
    if (fstatat(job->dir, temporary_name(job, PART_CLIP), &info, 0)) {
        return -1;
    }
    snprintf(entry.name, sizeof entry.name, "%s", job->name);
    entry.bytes = info.st_size;
    others_of_name(job, job->name, job->request->key, 1);
    if (write_entry(job, job->request->key, &entry)) {
        return -1;
    }
    for (int part = 0; part < PART_COUNT; part++) {
        if (!job->has[part]) {
            unlinkat(job->dir, part_name(job, part), 0); /* of an earlier post of this key */
        } else if (renameat(job->dir, temporary_name(job, part), job->dir, part_name(job, part))) {
            return -1;
        }
    }
    /* The clip is out now: a failing fsync of the folder is no reason to say that it is not. */
    if (fsync(job->dir)) {
        job->ctx->host->log(job->ctx, CM_LOG_WARN, "fsync of %s: %s", folder_of(job->ctx), strerror(errno));
    }
    return 0;
}

/* ---- The post as others see it ------------------------------------------------------------- */

static const char *file_url(struct cm_ctx *ctx, const char *dir, const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    const char *path = ctx->host->format(ctx, "%s/%s", dir, name);
    char *url = ctx->host->alloc(ctx, strlen(path) * 3 + sizeof "file://");
    char *end = url + sprintf(url, "file://");
    for (; *path; path++) {
        end += strchr(plain, *path) ? sprintf(end, "%c", *path) : sprintf(end, "%%%02X", (unsigned char)*path);
    }
    return url;
}

static void fill_post(struct job *job, struct cm_post *post)
{
    post->id = part_name(job, PART_CLIP);
    post->url = file_url(job->ctx, folder_of(job->ctx), post->id);
}

/* Is the clip of this key there, as the index says? Sets job->name when it is. */
static int is_there(struct job *job)
{
    struct entry entry;
    struct stat info;
    if (read_entry(job->index, job->request->key, &entry)) {
        return 0;
    }
    job->name = job->ctx->host->format(job->ctx, "%s", entry.name);
    return fstatat(job->dir, part_name(job, PART_CLIP), &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_size == entry.bytes;
}

/* ---- Operations ---------------------------------------------------------------------------- */

static enum cm_verdict publish_locked(struct job *job, struct cm_post *post)
{
    struct cm_ctx *ctx = job->ctx;
    drop_temporaries(job);
    choose_name(job);
    enum cm_verdict verdict = write_parts(job);
    if (verdict == CM_OK && ctx->host->sending(ctx)) {
        verdict = ctx->host->fail(ctx, &stopped, "this attempt is not wanted any more");
    }
    if (verdict == CM_OK && appear(job)) {
        verdict = fail_in_folder(ctx, errno);
    }
    if (verdict != CM_OK) {
        drop_temporaries(job);
        return verdict;
    }
    fill_post(job, post);
    return CM_OK;
}

static enum cm_verdict with_folder(struct cm_ctx *ctx, const struct cm_publish_request *request, struct job *job)
{
    *job = (struct job){.ctx = ctx, .request = request, .dir = -1, .index = -1, .lock = -1, .name = ""};
    if (!key_is_sound(request->key)) {
        return ctx->host->fail(ctx, &broken, "the post's key is malformed; this is a bug");
    }
    return open_folder(job);
}

static enum cm_verdict publish(struct cm_ctx *ctx, const struct cm_publish_request *request, struct cm_post *post)
{
    struct job job;
    enum cm_verdict verdict = with_folder(ctx, request, &job);
    if (verdict == CM_OK) {
        verdict = publish_locked(&job, post);
    }
    close_folder(&job);
    return verdict;
}

static enum cm_verdict find(struct cm_ctx *ctx, const struct cm_publish_request *request, enum cm_found *found,
                            struct cm_post *post)
{
    struct job job;
    enum cm_verdict verdict = with_folder(ctx, request, &job);
    if (verdict == CM_OK && is_there(&job)) {
        *found = CM_FOUND;
        fill_post(&job, post);
    } else if (verdict == CM_OK) {
        *found = CM_ABSENT;
    }
    close_folder(&job);
    return verdict;
}

/* The clip goes first: without it the rest is no post. A file of that name with another size is
 * not what we wrote, and stays. */
static enum cm_verdict remove_locked(struct job *job)
{
    if (is_there(job)) {
        if (unlinkat(job->dir, part_name(job, PART_CLIP), 0)) {
            return fail_in_folder(job->ctx, errno);
        }
        for (int part = 0; part < PART_CLIP; part++) {
            unlinkat(job->dir, part_name(job, part), 0);
        }
    }
    unlinkat(job->index, job->request->key, 0);
    fsync(job->dir);
    return CM_OK;
}

static enum cm_verdict remove_post(struct cm_ctx *ctx, const struct cm_publish_request *request)
{
    struct job job;
    enum cm_verdict verdict = with_folder(ctx, request, &job);
    if (verdict == CM_OK) {
        verdict = remove_locked(&job);
    }
    close_folder(&job);
    return verdict;
}

static enum cm_verdict check(struct cm_ctx *ctx)
{
    struct job job = {.ctx = ctx, .dir = -1, .index = -1, .lock = -1, .name = ""};
    enum cm_verdict verdict = open_folder(&job);
    close_folder(&job);
    return verdict;
}

static const struct cm_publish_ops ops = {
    .size = sizeof ops,
    .settle = CM_SETTLE_SEARCH,
    .settle_ms = 0,
    .publish = publish,
    .find = find,
    .remove = remove_post,
    .check = check,
};

CM_PLUGIN_LOCAL(CM_STAGE_PUBLISH, "publish_folder", "1.0", "Puts clip, thumbnail, captions and post text into a folder",
                options, struct options, ops);
