/*
 * The control protocol's lines: clients on a socket, one JSON object a line each way. What the
 * requests mean is in commands.c.
 */
#ifndef CM_DAEMON_CONTROL_H
#define CM_DAEMON_CONTROL_H

#include <stdint.h>

#include "core/daemon/store/row.h"

struct cm_client;
struct cm_control;
struct cm_daemon;
struct json_object;

/* Serves STATE/control.sock, or in private mode the inherited descriptor alone. NULL with one line
 * in *error (malloc'd). Nothing is read before cm_control_open. */
struct cm_control *cm_control_new(struct cm_daemon *daemon, char **error);
void cm_control_open(struct cm_control *control);
void cm_control_free(struct cm_control *control);

/* A client by its number, or NULL when it is gone. Its request stays open until it is answered. */
struct cm_client *cm_control_client(struct cm_control *control, uint64_t number);
uint64_t cm_client_number(const struct cm_client *client);
struct cm_daemon *cm_client_daemon(const struct cm_client *client);
struct json_object *cm_client_request(const struct cm_client *client); /* borrowed */
/* Takes the answer and adds "ok":true. */
void cm_client_answer(struct cm_client *client, struct json_object *answer);
/* words is freed. */
void cm_client_refuse(struct cm_client *client, int status, char *words);
/* From now on it is sent what happens to this job ("": to all). */
void cm_client_watch(struct cm_client *client, const char *job);

/* The daemon paused, or goes on. While the store answers nothing, whoever waits for it is told so,
 * and watchers see their job held. */
void cm_control_paused(struct cm_control *control);

/* Something about this job changed: its watchers are told within 250 ms. */
void cm_control_job_changed(struct cm_control *control, const char *job);

#endif
