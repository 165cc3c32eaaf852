/*
 * The requests about the daemon and its store: status, reload, fsck.
 */
#ifndef CM_DAEMON_CONTROL_STATUS_H
#define CM_DAEMON_CONTROL_STATUS_H

struct cm_client;

void cm_command_status(struct cm_client *client);
void cm_command_reload(struct cm_client *client);
void cm_command_fsck(struct cm_client *client);

#endif
