/*
 * The requests that make a job: submit, publish.
 */
#ifndef CM_DAEMON_CONTROL_SUBMIT_H
#define CM_DAEMON_CONTROL_SUBMIT_H

struct cm_action;
struct cm_client;
struct cm_daemon;
struct cm_submits;

/* Those that wait for the engine's word. */
struct cm_submits *cm_submits_new(void);
void cm_submits_free(struct cm_submits *submits);
/* That word: CM_ACTION_SUBMITTED. */
void cm_submits_answered(struct cm_daemon *daemon, const struct cm_action *action);

void cm_command_submit(struct cm_client *client);
void cm_command_publish(struct cm_client *client);

#endif
