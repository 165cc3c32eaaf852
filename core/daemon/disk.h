/*
 * Room on disk: with too little of it nothing is started, and tasks that are held for want of it
 * go on when it is back.
 */
#ifndef CM_DAEMON_DISK_H
#define CM_DAEMON_DISK_H

struct cm_daemon;
struct cm_disk;

struct cm_disk *cm_disk_new(struct cm_daemon *daemon);
void cm_disk_free(struct cm_disk *disk);
/* A task was held for want of room (or of a folder that can be written): look often. */
void cm_disk_held(struct cm_disk *disk);

#endif
