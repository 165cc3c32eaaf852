/*
 * A disk that loses power, as an SQLite VFS.
 */
#include "tests/sim/disk.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/common/text.h"

enum {
    FILES_MAX = 8,
    SECTOR = 512
};

struct bytes {
    unsigned char *at;
    size_t count, room;
    int there; /* the file exists */
};

/* What is known of one file of the database. */
struct image {
    char *path;
    struct bytes synced;   /* what survives for certain */
    struct bytes survived; /* what the cut left */
    sqlite3_int64 dirty_from, dirty_to;
    int deleted; /* but the folder was not synced since */
};

struct disk_file {
    sqlite3_file base; /* first: SQLite gets a pointer to it */
    struct image *image;
    sqlite3_file real[]; /* as large as the real VFS says */
};

static sqlite3_vfs *real_vfs;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct image images[FILES_MAX];
static size_t image_count;
static int is_cut;
static struct {
    enum sim_cut how;
    uint64_t seed;
    int64_t calls; /* left until the cut; 0: none comes */
} armed;

/* ---- Bytes ----------------------------------------------------------------------------------- */

static void resize(struct bytes *bytes, size_t count)
{
    if (count > bytes->room) {
        bytes->room = count * 2;
        bytes->at = cm_realloc(bytes->at, bytes->room);
    }
    if (count > bytes->count) {
        memset(bytes->at + bytes->count, 0, count - bytes->count);
    }
    bytes->count = count;
}

/* The real file from `from` to `to` into the same place of `bytes`; its size becomes the file's. */
static void read_part(struct bytes *bytes, const char *path, sqlite3_int64 from, sqlite3_int64 to)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bytes->there = fd >= 0 && !fstat(fd, &status);
    resize(bytes, bytes->there ? (size_t)status.st_size : 0);
    to = to < (sqlite3_int64)bytes->count ? to : (sqlite3_int64)bytes->count;
    while (bytes->there && from < to) {
        ssize_t got = pread(fd, bytes->at + from, (size_t)(to - from), from);
        if (got <= 0) {
            abort(); /* the file is ours alone */
        }
        from += got;
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void write_whole(const struct bytes *bytes, const char *path)
{
    if (!bytes->there) {
        unlink(path);
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes->at, bytes->count) != (ssize_t)bytes->count || close(fd)) {
        perror(path);
        abort();
    }
}

/* ---- Images ---------------------------------------------------------------------------------- */

static struct image *find_image(const char *path)
{
    for (size_t i = 0; i < image_count; i++) {
        if (!strcmp(images[i].path, path)) {
            return &images[i];
        }
    }
    return NULL;
}

/* What lies there already is taken to be synced. */
static struct image *image_of(const char *path)
{
    struct image *image = find_image(path);
    if (image) {
        return image;
    }
    if (image_count == FILES_MAX) {
        abort();
    }
    image = &images[image_count++];
    *image = (struct image){.path = cm_strdup(path), .dirty_from = INT64_MAX};
    read_part(&image->synced, path, 0, INT64_MAX);
    return image;
}

static void mark_dirty(struct image *image, sqlite3_int64 from, sqlite3_int64 to)
{
    image->dirty_from = from < image->dirty_from ? from : image->dirty_from;
    image->dirty_to = to > image->dirty_to ? to : image->dirty_to;
}

static void sync_image(struct image *image)
{
    read_part(&image->synced, image->path, image->dirty_from, image->dirty_to);
    image->dirty_from = INT64_MAX;
    image->dirty_to = 0;
    image->deleted = 0;
}

static void sync_folder(void)
{
    for (size_t i = 0; i < image_count; i++) {
        if (images[i].deleted) {
            images[i].synced.there = images[i].deleted = 0;
            resize(&images[i].synced, 0);
        }
    }
}

/* ---- The cut --------------------------------------------------------------------------------- */

/* How the writes that were not synced reached the disk. */
enum fate {
    NONE = 0,
    ALL,
    SOME,       /* each sector by itself */
    SOME_FIRST, /* those up to some byte */
    FATES
};

static void mix(struct image *image, const struct bytes *now, struct sim_random *random)
{
    const struct bytes *old = &image->synced;
    enum fate fate = (enum fate)sim_below(random, FATES);
    size_t least = old->count < now->count ? old->count : now->count;
    size_t most = old->count > now->count ? old->count : now->count;
    size_t size = fate == NONE  ? old->count
                  : fate == ALL ? now->count
                                : least + (size_t)sim_below(random, (int)(most - least) + 1);
    size_t torn = (size_t)sim_below(random, (int)most + 1);
    image->survived.there = 1;
    resize(&image->survived, size);
    for (size_t from = 0; from < size; from += SECTOR) {
        size_t bytes = size - from < SECTOR ? size - from : SECTOR;
        int fresh = fate == ALL || (fate == SOME && sim_chance(random, 500)) || (fate == SOME_FIRST && from < torn);
        for (size_t i = from; i < from + bytes; i++) {
            const struct bytes *source = fresh && (fate != SOME_FIRST || i < torn) ? now : old;
            image->survived.at[i] = i < source->count ? source->at[i] : 0;
        }
    }
}

/* What is left of a file, by what the disk may do. */
static void survive(struct image *image, enum sim_cut how, struct sim_random *random)
{
    struct bytes now = {0};
    read_part(&now, image->path, 0, INT64_MAX);
    resize(&image->survived, 0);
    image->survived.there = 0;
    if (how == SIM_CUT_KILL) {
        free(image->survived.at);
        image->survived = now;
        return;
    }
    if (image->deleted || !now.there) { /* gone, or back as it was */
        if (image->synced.there && sim_chance(random, 500)) {
            image->survived.there = 1;
            resize(&image->survived, image->synced.count);
            memcpy(image->survived.at, image->synced.at, image->synced.count);
        }
    } else if (image->synced.there || sim_chance(random, 500)) {
        mix(image, &now, random);
    }
    free(now.at);
}

static void cut(enum sim_cut how, uint64_t seed)
{
    struct sim_random random = {seed};
    for (size_t i = 0; i < image_count; i++) {
        survive(&images[i], how, &random);
    }
    is_cut = 1;
    armed.calls = 0;
}

/* One more call that changes something; the cut may come with it. */
static void tick(void)
{
    if (armed.calls && !--armed.calls) {
        cut(armed.how, armed.seed);
    }
}

/* ---- Files ----------------------------------------------------------------------------------- */

static struct disk_file *disk_file(sqlite3_file *file)
{
    return (struct disk_file *)file;
}

static sqlite3_file *real_file(sqlite3_file *file)
{
    return disk_file(file)->real;
}

static int file_close(sqlite3_file *file)
{
    return real_file(file)->pMethods->xClose(real_file(file));
}

static int file_read(sqlite3_file *file, void *bytes, int count, sqlite3_int64 at)
{
    return real_file(file)->pMethods->xRead(real_file(file), bytes, count, at);
}

static int file_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 at)
{
    int result = real_file(file)->pMethods->xWrite(real_file(file), bytes, count, at);
    pthread_mutex_lock(&mutex);
    if (disk_file(file)->image) {
        mark_dirty(disk_file(file)->image, at, at + count);
        tick();
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_int64 before = 0;
    real_file(file)->pMethods->xFileSize(real_file(file), &before);
    int result = real_file(file)->pMethods->xTruncate(real_file(file), size);
    pthread_mutex_lock(&mutex);
    if (disk_file(file)->image) {
        mark_dirty(disk_file(file)->image, size < before ? size : before, size > before ? size : before);
        tick();
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

/* The real disk is not asked to sync: no power is cut there. */
static int file_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    pthread_mutex_lock(&mutex);
    if (disk_file(file)->image) {
        tick();
        if (!is_cut) {
            sync_image(disk_file(file)->image);
        }
    }
    pthread_mutex_unlock(&mutex);
    return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_file(file)->pMethods->xFileSize(real_file(file), size);
}

static int file_lock(sqlite3_file *file, int lock)
{
    return real_file(file)->pMethods->xLock(real_file(file), lock);
}

static int file_unlock(sqlite3_file *file, int lock)
{
    return real_file(file)->pMethods->xUnlock(real_file(file), lock);
}

static int file_check_lock(sqlite3_file *file, int *locked)
{
    return real_file(file)->pMethods->xCheckReservedLock(real_file(file), locked);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    return real_file(file)->pMethods->xFileControl(real_file(file), op, arg);
}

static int file_sector_size(sqlite3_file *file)
{
    return real_file(file)->pMethods->xSectorSize(real_file(file));
}

static int file_characteristics(sqlite3_file *file)
{
    return real_file(file)->pMethods->xDeviceCharacteristics(real_file(file));
}

static int file_shm_map(sqlite3_file *file, int page, int bytes, int extend, void volatile **memory)
{
    return real_file(file)->pMethods->xShmMap(real_file(file), page, bytes, extend, memory);
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_file(file)->pMethods->xShmLock(real_file(file), offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    real_file(file)->pMethods->xShmBarrier(real_file(file));
}

static int file_shm_unmap(sqlite3_file *file, int delete)
{
    return real_file(file)->pMethods->xShmUnmap(real_file(file), delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* without memory mapping of the files themselves */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ---- The VFS --------------------------------------------------------------------------------- */

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    const int kept = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL;
    struct disk_file *self = disk_file(file);
    (void)vfs;
    self->base.pMethods = NULL;
    self->image = NULL;
    if (name && (flags & kept)) { /* before it is made: then it is not there yet */
        pthread_mutex_lock(&mutex);
        self->image = image_of(name);
        pthread_mutex_unlock(&mutex);
    }
    int result = real_vfs->xOpen(real_vfs, name, self->real, flags, out_flags);
    if (self->real->pMethods) {
        self->base.pMethods = &methods;
    }
    return result;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    (void)vfs;
    int result = real_vfs->xDelete(real_vfs, path, 0);
    pthread_mutex_lock(&mutex);
    struct image *image = find_image(path);
    if (image) {
        tick();
    }
    if (image && !is_cut) {
        image->deleted = image->synced.there;
    }
    if (sync && !is_cut) {
        sync_folder();
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

void sim_disk_install(void)
{
    static sqlite3_vfs vfs;
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "losing";
    vfs.szOsFile = (int)sizeof(struct disk_file) + real_vfs->szOsFile;
    vfs.pNext = NULL;
    vfs.xOpen = disk_open;
    vfs.xDelete = disk_delete;
    sqlite3_vfs_register(&vfs, 1);
}

void sim_disk_arm(enum sim_cut how, uint64_t seed, int64_t calls)
{
    pthread_mutex_lock(&mutex);
    armed.how = how;
    armed.seed = seed;
    armed.calls = calls;
    pthread_mutex_unlock(&mutex);
}

void sim_disk_cut(enum sim_cut how, uint64_t seed)
{
    pthread_mutex_lock(&mutex);
    if (!is_cut) {
        cut(how, seed);
    }
    pthread_mutex_unlock(&mutex);
}

int sim_disk_is_cut(void)
{
    pthread_mutex_lock(&mutex);
    int answer = is_cut;
    pthread_mutex_unlock(&mutex);
    return answer;
}

/* The index of the log is a cache in memory: whatever lies there after a cut must not matter. */
static void spoil_index(const char *path)
{
    char *name = cm_format("%s-shm", path);
    struct bytes garbage = {.there = 1};
    resize(&garbage, 32768);
    memset(garbage.at, 0x5a, garbage.count);
    write_whole(&garbage, name);
    free(garbage.at);
    free(name);
}

void sim_disk_restore(void)
{
    if (image_count) {
        spoil_index(images[0].path); /* the database: it was opened first */
    }
    for (size_t i = 0; i < image_count; i++) {
        struct image *image = &images[i];
        write_whole(&image->survived, image->path);
        free(image->synced.at);
        image->synced = image->survived;
        image->survived = (struct bytes){0};
        image->dirty_from = INT64_MAX;
        image->dirty_to = 0;
        image->deleted = 0;
    }
    is_cut = 0;
}

void sim_disk_forget(void)
{
    for (size_t i = 0; i < image_count; i++) {
        free(images[i].path);
        free(images[i].synced.at);
        free(images[i].survived.at);
    }
    image_count = 0;
    is_cut = 0;
    armed.calls = 0;
}
