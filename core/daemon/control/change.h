/*
 * The requests that change a job: cancel, retry, rm, resolve.
 */
#ifndef CM_DAEMON_CONTROL_CHANGE_H
#define CM_DAEMON_CONTROL_CHANGE_H

struct cm_client;

void cm_command_cancel(struct cm_client *client);
void cm_command_retry(struct cm_client *client);
void cm_command_rm(struct cm_client *client);
void cm_command_resolve(struct cm_client *client);

#endif
