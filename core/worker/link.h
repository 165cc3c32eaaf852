/*
 * The worker's line to whoever gave it work: the daemon's socket, or stdout under --call, where
 * every question answers itself with yes.
 */
#ifndef CM_WORKER_LINK_H
#define CM_WORKER_LINK_H

struct json_object;

void cm_link_open(int fd); /* -1: stdout */
/* The next begin (owned by the caller), or NULL when there will be no more: quit, or SIGTERM. The
 * end of the socket ends the process. */
struct json_object *cm_link_next(void);
/* From here on this attempt is what messages are about; forgets an old wish to stop. */
void cm_link_attempt(const char *attempt);
/* True when the attempt should end: `stop`, `quit` or SIGTERM came. */
int cm_link_stopping(void);
/* Takes the message. tell may drop it when the socket is full; say waits for room. */
void cm_link_tell(struct json_object *message);
void cm_link_say(struct json_object *message);
/* Sends it with a number and waits for its answer: 1 for ok. Takes the message. */
int cm_link_ask(struct json_object *message);

#endif
