/*
 * Messages between clipmakerd and clipmaker-worker: one JSON object a datagram on a
 * socketpair(AF_UNIX, SOCK_SEQPACKET), at most CM_MESSAGE_MAX bytes, each with "v" and "type".
 * The types and their fields: docs/artifacts.md, "Messages".
 */
#ifndef CM_COMMON_MESSAGE_H
#define CM_COMMON_MESSAGE_H

#include <stddef.h>

struct json_object;

#define CM_MESSAGE_MAX (64 * 1024)
#define CM_MESSAGE_VERSION 1
#define CM_WORKER_FD 3 /* the worker's end */

enum cm_message_result {
    CM_MESSAGE_OK = 1,
    CM_MESSAGE_WOULD_BLOCK, /* nothing there, or no room: try later */
    CM_MESSAGE_CLOSED,      /* the other side is gone */
    CM_MESSAGE_TOO_LARGE,   /* send: nothing was sent */
    CM_MESSAGE_BAD          /* received: not a message; *error says why */
};

/* A new message {"v":1,"type":type}. The caller puts the rest in and owns it. */
struct json_object *cm_message_new(const char *type);
/* Sends without blocking when `wait` is 0, else waits for room. */
enum cm_message_result cm_message_send(int fd, struct json_object *message, int wait);
/* Receives one; *message is owned by the caller and set only on OK. Blocks when `wait` is 1. */
enum cm_message_result cm_message_receive(int fd, int wait, struct json_object **message, char **error);
const char *cm_message_type(struct json_object *message);

/* Field readers for messages and artifacts: the fallback where absent or of another type. */
const char *cm_json_text(struct json_object *object, const char *field, const char *fallback);
long long cm_json_int(struct json_object *object, const char *field, long long fallback);
/* A time or length in a medium, milliseconds. Nothing lasts CM_JSON_MS_MAX (34 years), so what is
 * beyond that on either side is absent too, and sums of times never overflow. */
#define CM_JSON_MS_MAX (1LL << 40)
long long cm_json_ms(struct json_object *object, const char *field, long long fallback);
/* The same of an element: [start_ms, end_ms]; 0 where there is none. */
long long cm_json_ms_at(struct json_object *array, size_t index);
double cm_json_real(struct json_object *object, const char *field, double fallback);
int cm_json_flag(struct json_object *object, const char *field, int fallback);
struct json_object *cm_json_array(struct json_object *object, const char *field);  /* or NULL */
struct json_object *cm_json_object(struct json_object *object, const char *field); /* or NULL */

/* Parses a whole text strictly (UTF-8, nothing behind it, depth ≤ 32); NULL with *error. */
struct json_object *cm_json_parse(const char *text, size_t bytes, char **error);
/* Reads and parses a file of at most max_bytes. */
struct json_object *cm_json_read(const char *path, size_t max_bytes, char **error);

#endif
