/*
 * What the requests of the control protocol mean: one function each, in one table.
 */
#ifndef CM_DAEMON_COMMANDS_H
#define CM_DAEMON_COMMANDS_H

struct cm_action;
struct cm_client;
struct cm_commands;
struct cm_daemon;

struct cm_commands *cm_commands_new(void);
void cm_commands_free(struct cm_commands *commands);
/* Answers the client's request, now or later. */
void cm_command_run(struct cm_client *client);
/* CM_ACTION_SUBMITTED. */
void cm_command_submitted(struct cm_daemon *daemon, const struct cm_action *action);

#endif
