/*
 * Clients and their lines. A slow reader costs itself, never the loop.
 */
#include "core/daemon/control/client.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/daemon.h"

#define CLIENT_MAGIC 0x636d636cu
#define LINE_MAX_BYTES (64 * 1024)
#define SLOW_BYTES (256 * 1024)        /* more than this unread: progress is left out */
#define STUCK_BYTES (32 * 1024 * 1024) /* more than this unread: the client goes */

struct cm_client {
    unsigned magic;
    struct cm_client *next;
    struct cm_clients *clients;
    uint64_t number;
    struct bufferevent *stream;
    struct json_object *request; /* being answered; NULL: ready for the next */
    char *watch;                 /* a job, "" for all; NULL: none */
    struct json_object *last;    /* what it was told last of the watched job */
    int is_parent;               /* the inherited descriptor of private mode */
    int closing;
};

struct cm_clients {
    struct cm_daemon *daemon;
    cm_request_fn request;
    struct cm_client *first;
    size_t count;
    uint64_t last_number;
};

static struct cm_client *client_of(void *arg)
{
    struct cm_client *client = arg;
    cm_assert(client->magic == CLIENT_MAGIC);
    return client;
}

static void drop(struct cm_client *client)
{
    struct cm_clients *clients = client->clients;
    for (struct cm_client **place = &clients->first; *place; place = &(*place)->next) {
        if (*place == client) {
            *place = client->next;
            break;
        }
    }
    clients->count--;
    bufferevent_free(client->stream);
    json_object_put(client->request);
    json_object_put(client->last);
    free(client->watch);
    client->magic = 0;
    free(client);
}

static void send_line(struct cm_client *client, struct json_object *object)
{
    size_t bytes;
    json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    const char *text =
        json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &bytes);
    bufferevent_write(client->stream, text, bytes);
    bufferevent_write(client->stream, "\n", 1);
}

static size_t unread(const struct cm_client *client)
{
    return evbuffer_get_length(bufferevent_get_output(client->stream));
}

static void refuse_line(struct cm_client *client, int status, const char *words)
{
    struct json_object *answer = json_object_new_object();
    json_object_object_add(answer, "ok", json_object_new_boolean(0));
    json_object_object_add(answer, "status", json_object_new_int(status));
    json_object_object_add(answer, "words", json_object_new_string(words));
    send_line(client, answer);
    json_object_put(answer);
}

/* Takes lines until one of them is being answered. */
static void take_lines(struct cm_client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->stream);
    while (!client->request && !client->closing && unread(client) < SLOW_BYTES) {
        size_t bytes = 0;
        char *line = evbuffer_readln(input, &bytes, EVBUFFER_EOL_LF);
        if (!line) {
            break;
        }
        char *error = NULL;
        client->request = bytes <= LINE_MAX_BYTES ? cm_json_parse(line, bytes, &error) : NULL;
        free(line);
        if (client->request && json_object_is_type(client->request, json_type_object)) {
            client->clients->request(client);
            continue;
        }
        char *words = cm_format(_("a request must be one JSON object a line: %s"), error ? error : "it is none");
        cm_client_refuse(client, EX_USAGE, words);
        free(error);
    }
    if (!client->request && !client->closing && evbuffer_get_length(input) > LINE_MAX_BYTES &&
        unread(client) < SLOW_BYTES) {
        refuse_line(client, EX_USAGE, _("the line is too long"));
        client->closing = 1;
        bufferevent_disable(client->stream, EV_READ);
    }
}

static void on_read(struct bufferevent *stream, void *arg)
{
    (void)stream;
    take_lines(client_of(arg));
}

/* All that was written is read: what waited goes on. */
static void on_written(struct bufferevent *stream, void *arg)
{
    (void)stream;
    struct cm_client *client = client_of(arg);
    if (client->closing) {
        drop(client);
        return;
    }
    take_lines(client);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    (void)stream;
    struct cm_client *client = client_of(arg);
    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))) {
        return;
    }
    struct cm_daemon *daemon = client->clients->daemon;
    int is_parent = client->is_parent;
    drop(client);
    if (is_parent) {
        cm_daemon_end_now(daemon);
    }
}

struct cm_client *cm_client_add(struct cm_clients *clients, int fd, int is_parent)
{
    struct cm_client *client = cm_alloc(sizeof *client);
    client->magic = CLIENT_MAGIC;
    client->clients = clients;
    client->number = ++clients->last_number;
    client->is_parent = is_parent;
    evutil_make_socket_nonblocking(fd);
    evutil_make_socket_closeonexec(fd);
    client->stream = bufferevent_socket_new(clients->daemon->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    bufferevent_setcb(client->stream, on_read, on_written, on_event, client);
    bufferevent_setwatermark(client->stream, EV_READ, 0, LINE_MAX_BYTES + 2);
    client->next = clients->first;
    clients->first = client;
    clients->count++;
    return client;
}

void cm_client_open(struct cm_client *client)
{
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}

void cm_client_turn_away(struct cm_client *client, int status, const char *words)
{
    refuse_line(client, status, words);
    client->closing = 1;
}

struct cm_clients *cm_clients_new(struct cm_daemon *daemon, cm_request_fn request)
{
    struct cm_clients *clients = cm_alloc(sizeof *clients);
    clients->daemon = daemon;
    clients->request = request;
    return clients;
}

void cm_clients_free(struct cm_clients *clients)
{
    while (clients && clients->first) {
        drop(clients->first);
    }
    free(clients);
}

size_t cm_clients_count(const struct cm_clients *clients)
{
    return clients->count;
}

struct cm_client *cm_clients_next(const struct cm_clients *clients, const struct cm_client *after)
{
    return after ? after->next : clients->first;
}

/* ---- Its request ------------------------------------------------------------------------------ */

struct cm_client *cm_clients_find(const struct cm_clients *clients, uint64_t number)
{
    for (struct cm_client *client = clients->first; client; client = client->next) {
        if (client->number == number) {
            return client;
        }
    }
    return NULL;
}

uint64_t cm_client_number(const struct cm_client *client)
{
    return client->number;
}

struct cm_daemon *cm_client_daemon(const struct cm_client *client)
{
    return client->clients->daemon;
}

struct json_object *cm_client_request(const struct cm_client *client)
{
    return client->request;
}

/* The next line is taken when what was written has gone out, or now when nothing was. */
static void ready_again(struct cm_client *client)
{
    json_object_put(client->request);
    client->request = NULL;
    bufferevent_trigger(client->stream, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void cm_client_answer(struct cm_client *client, struct json_object *answer)
{
    json_object_object_add(answer, "ok", json_object_new_boolean(1));
    send_line(client, answer);
    json_object_put(answer);
    ready_again(client);
}

void cm_client_refuse(struct cm_client *client, int status, char *words)
{
    refuse_line(client, status, words);
    free(words);
    ready_again(client);
}

/* ---- What it watches --------------------------------------------------------------------------- */

void cm_client_watch(struct cm_client *client, const char *job)
{
    free(client->watch);
    client->watch = cm_strdup(job);
    if (*job) {
        cm_daemon_job_changed(client->clients->daemon, job);
    }
}

int cm_client_watches(const struct cm_client *client, const char *job)
{
    return client->watch && (!*client->watch || !strcmp(client->watch, job));
}

void cm_client_tell(struct cm_client *client, struct json_object *line, struct json_object *end)
{
    if (client->closing) {
        return;
    }
    if (unread(client) > STUCK_BYTES) {
        client->closing = 1;
        bufferevent_disable(client->stream, EV_READ);
        return;
    }
    int is_last = end && *client->watch;
    if (!is_last && unread(client) > SLOW_BYTES) {
        return;
    }
    send_line(client, is_last ? end : line);
    json_object_put(client->last);
    client->last = is_last ? NULL : json_object_get(line);
    if (is_last) {
        free(client->watch);
        client->watch = NULL;
    }
}

static void put_text(struct json_object *object, const char *field, const char *text)
{
    json_object_object_add(object, field, json_object_new_string(text));
}

/* What it knows of its job, and that this waits. */
void cm_client_tell_held(struct cm_client *client, const char *words)
{
    struct json_object *line = NULL, *summary = NULL;
    if (!client->last || json_object_deep_copy(client->last, &line, NULL) != 0) {
        return;
    }
    summary = cm_json_object(line, "job");
    json_object_object_add(summary, "held", json_object_new_boolean(1));
    put_text(summary, "reason", cm_hold_name(CM_HELD_RESOURCE));
    put_text(summary, "words", words);
    send_line(client, line);
    json_object_put(line);
}

/* The request stays with the store, but its answer will find nobody. */
void cm_client_give_up(struct cm_client *client, const char *words)
{
    if (client->request && !client->closing) {
        client->number = ++client->clients->last_number;
        cm_client_refuse(client, EX_TEMPFAIL, cm_strdup(words));
    }
}

const char *cm_client_watched(const struct cm_client *client)
{
    return client->watch;
}

int cm_client_is_slow(const struct cm_client *client)
{
    return unread(client) >= SLOW_BYTES;
}
