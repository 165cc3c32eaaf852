/*
 * The control protocol from the client's side: one JSON object a line each way over a stream
 * socket.
 */
#ifndef CM_CTL_CLIENT_H
#define CM_CTL_CLIENT_H

#include <stdint.h>

struct json_object;
struct cm_flag;
struct cm_client;

/* Where the daemon is; from the flags that every client command has. */
struct cm_where {
    const char *socket; /* NULL: control.sock in `state` */
    const char *state;  /* NULL: where clipmakerd keeps its state by default */
};
#define CM_WHERE_FLAGS(where)                                                                                          \
    {0, "state", "DIR", N_("the state folder of the clipmakerd to talk to"), NULL, &(where).state, NULL},              \
    {                                                                                                                  \
        0, "socket", "PATH", N_("its control socket, when it is not in the state folder"), NULL, &(where).socket, NULL \
    }

/* NULL after a line on stderr (the exit status is then EX_TEMPFAIL). */
struct cm_client *cm_client_connect(const struct cm_where *where);
/* Whether somebody serves it. */
int cm_client_answers(const struct cm_where *where);
/* Takes the descriptor. */
struct cm_client *cm_client_over(int fd);
void cm_client_free(struct cm_client *client);

enum cm_client_result {
    CM_CLIENT_LINE = 1,
    CM_CLIENT_NOTHING,
    CM_CLIENT_CLOSED
};

/* A new request {"v":1,"do":what}. */
struct json_object *cm_client_request(const char *what);
/* Sends and puts the request. 0, or -1 when the other side is gone. */
int cm_client_send(struct cm_client *client, struct json_object *request);
/* The next line, owned by the caller. NOTHING: the time is over, or a signal came. */
enum cm_client_result cm_client_receive(struct cm_client *client, int64_t timeout_ms, struct json_object **line);
/* Sends and puts the request, and waits for its answer, which the caller puts. NULL: refused, with
 * *status and *words (malloc'd); or the other side is gone, or *give_up became true: *words is NULL. */
struct json_object *cm_client_ask(struct cm_client *client, struct json_object *request, const volatile int *give_up,
                                  int *status, char **words);
/* Connects, asks once, and on failure says why on stderr. Puts the request; the caller puts the
 * answer. NULL with *status. */
struct json_object *cm_client_once(const struct cm_where *where, struct json_object *request, int *status);

#endif
