/*
 * Files that are whole or absent, and folders: write, fsync, rename, fsync the folder.
 */
#ifndef CM_COMMON_FILE_H
#define CM_COMMON_FILE_H

#include <stddef.h>
#include <stdint.h>

/* All return 0, or -1 with errno set, unless said otherwise. */
int cm_file_write(const char *path, const char *bytes, size_t count); /* atomic and durable */
/* The same, where nobody would clear away what a kill leaves beside `path`: `temporary` is on the same
 * filesystem, in a folder that somebody clears. */
int cm_file_write_via(const char *temporary, const char *path, const char *bytes, size_t count);
/* malloc'd, with a NUL behind; NULL with errno (EFBIG above max_bytes). */
char *cm_file_read(const char *path, size_t max_bytes, size_t *count);
int cm_file_sync(const char *path);                 /* fsync of a file or folder */
int cm_file_copy(const char *from, const char *to); /* reflink where it can; atomic and durable */
int64_t cm_file_bytes(const char *path);            /* -1 when it is not a regular file */
int cm_file_sha256(const char *path, char hex[65]);
void cm_sha256(const void *bytes, size_t count, char hex[65]);
int cm_folder_make(const char *path);   /* with parents, mode 0700 */
int cm_folder_remove(const char *path); /* with contents; absent is fine; follows no link */
char *cm_path_join(const char *folder, const char *name);
char *cm_path_absolute(const char *path);     /* need not exist; malloc'd */
int64_t cm_disk_free_bytes(const char *path); /* for an unprivileged writer; -1 on error */

/* Where this program was installed: compiled paths, moved along when the tree was installed under
 * another root (make install DESTDIR=…). malloc'd absolute paths. */
enum cm_place {
    CM_PLACE_BIN = 1,
    CM_PLACE_SBIN,
    CM_PLACE_LIBEXEC,
    CM_PLACE_PLUGINS,
    CM_PLACE_DATA,
    CM_PLACE_CONFIG,
    CM_PLACE_STATE,
    CM_PLACE_RUN,
    CM_PLACE_LOCALE
};
char *cm_place(enum cm_place place);

#endif
