/*
 * What the requests of the control protocol mean: one function each, in one table.
 */
#ifndef CM_DAEMON_CONTROL_COMMANDS_H
#define CM_DAEMON_CONTROL_COMMANDS_H

struct cm_client;

/* Answers the client's request, now or later. */
void cm_command_run(struct cm_client *client);

#endif
