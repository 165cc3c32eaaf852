/*
 * The request "consent": what leaves the country and to whom, and an owner's word on it.
 */
#ifndef CM_DAEMON_CONTROL_CONSENT_H
#define CM_DAEMON_CONTROL_CONSENT_H

struct cm_client;

void cm_command_consent(struct cm_client *client);

#endif
