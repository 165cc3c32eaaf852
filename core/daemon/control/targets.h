/*
 * Targets: the instances that publish, what each takes, and whether it would.
 */
#ifndef CM_DAEMON_TARGETS_H
#define CM_DAEMON_TARGETS_H

struct cm_client;

/* "targets": all of them, answered at once. */
void cm_targets_list(struct cm_client *client);
/* "check": a worker asks the platform whether the account works; answered when it is done. */
void cm_targets_check(struct cm_client *client);

#endif
