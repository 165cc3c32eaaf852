/*
 * The clients of the control protocol: one JSON object a line each way, one request at a time, and what each watches.
 */
#ifndef CM_DAEMON_CONTROL_CLIENT_H
#define CM_DAEMON_CONTROL_CLIENT_H

#include <stddef.h>
#include <stdint.h>

struct cm_client;
struct cm_clients;
struct cm_daemon;
struct json_object;

/* A request came (cm_client_request): it is to be answered or refused, now or later. */
typedef void (*cm_request_fn)(struct cm_client *client);

struct cm_clients *cm_clients_new(struct cm_daemon *daemon, cm_request_fn request);
void cm_clients_free(struct cm_clients *clients);
size_t cm_clients_count(const struct cm_clients *clients);
/* The one behind `after`, the first for NULL; NULL behind the last. */
struct cm_client *cm_clients_next(const struct cm_clients *clients, const struct cm_client *after);
/* By its number; NULL when it is gone. Its request stays open until it is answered. */
struct cm_client *cm_clients_find(const struct cm_clients *clients, uint64_t number);

/* Takes the descriptor. Nothing is read before cm_client_open. is_parent: with it the daemon ends. */
struct cm_client *cm_client_add(struct cm_clients *clients, int fd, int is_parent);
void cm_client_open(struct cm_client *client);
/* This line is the last that it is told. */
void cm_client_turn_away(struct cm_client *client, int status, const char *words);

uint64_t cm_client_number(const struct cm_client *client);
struct cm_daemon *cm_client_daemon(const struct cm_client *client);
struct json_object *cm_client_request(const struct cm_client *client); /* borrowed */
/* Takes the answer and adds "ok":true. */
void cm_client_answer(struct cm_client *client, struct json_object *answer);
/* words is freed. */
void cm_client_refuse(struct cm_client *client, int status, char *words);
/* The request stays with the store, but its answer will find nobody. */
void cm_client_give_up(struct cm_client *client, const char *words);

/* From now on it is sent what happens to this job ("": to all). */
void cm_client_watch(struct cm_client *client, const char *job);
const char *cm_client_watched(const struct cm_client *client); /* NULL: nothing */
int cm_client_watches(const struct cm_client *client, const char *job);
/* Much is unread: what can be left out should be. */
int cm_client_is_slow(const struct cm_client *client);
/* News of what it watches: `line`; or, to one who watches this job alone, `end` (NULL: it is not over), the last word.
 * Left out for one who does not read; who has not read for long is let go. */
void cm_client_tell(struct cm_client *client, struct json_object *line, struct json_object *end);
/* What it knows of its job, and that this waits. */
void cm_client_tell_held(struct cm_client *client, const char *words);

#endif
