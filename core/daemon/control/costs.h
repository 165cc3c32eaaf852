/*
 * The request "costs": sums over the calls that cost money.
 */
#ifndef CM_DAEMON_CONTROL_COSTS_H
#define CM_DAEMON_CONTROL_COSTS_H

struct cm_client;

void cm_command_costs(struct cm_client *client);

#endif
