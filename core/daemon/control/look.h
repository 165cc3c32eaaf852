/*
 * The requests that look at jobs: jobs, show, watch, why.
 */
#ifndef CM_DAEMON_CONTROL_LOOK_H
#define CM_DAEMON_CONTROL_LOOK_H

struct cm_client;

void cm_command_jobs(struct cm_client *client);
void cm_command_show(struct cm_client *client);
void cm_command_watch(struct cm_client *client);
void cm_command_why(struct cm_client *client);

#endif
