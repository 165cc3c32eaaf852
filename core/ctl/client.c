/*
 * The control protocol from the client's side.
 */
#include "core/ctl/client.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/ctl.h"

#define LINE_MAX_BYTES (64 * 1024 * 1024)
#define READ_BYTES (64 * 1024)
#define ASK_POLL_MS 200

struct cm_client {
    int fd;
    struct cm_text input; /* received and not yet given out */
};

struct cm_client *cm_client_over(int fd)
{
    struct cm_client *client = cm_alloc(sizeof *client);
    client->fd = fd;
    return client;
}

void cm_client_free(struct cm_client *client)
{
    if (client) {
        close(client->fd);
        cm_text_free(&client->input);
        free(client);
    }
}

/* A socket's address has 107 bytes, a path 4095: the folder is opened and named through /proc. */
static int connect_to(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? cm_strndup(path, (size_t)(slash - path) + 1) : cm_strdup(".");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = dir < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    free(folder);
    int length =
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir, slash ? slash + 1 : path);
    int failed =
        fd < 0 || length >= (int)sizeof address.sun_path || connect(fd, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    if (dir >= 0) {
        close(dir);
    }
    if (failed && fd >= 0) {
        close(fd);
    }
    errno = error;
    return failed ? -1 : fd;
}

static char *socket_path(const struct cm_where *where)
{
    char *state = where->state ? cm_path_absolute(where->state) : cm_place(CM_PLACE_STATE);
    char *path = where->socket ? cm_path_absolute(where->socket) : cm_path_join(state, "control.sock");
    free(state);
    return path;
}

int cm_client_answers(const struct cm_where *where)
{
    char *path = socket_path(where);
    int fd = connect_to(path);
    free(path);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

struct cm_client *cm_client_connect(const struct cm_where *where)
{
    char *path = socket_path(where);
    int fd = connect_to(path);
    if (fd < 0 && (errno == EACCES || errno == EPERM)) {
        cm_ctl_fail(EX_TEMPFAIL, _("%s: this user may not talk to clipmakerd; ask its operator"), path);
    } else if (fd < 0) {
        cm_ctl_fail(EX_TEMPFAIL, _("%s: clipmakerd does not answer (%s); start it, or name its folder with --state"),
                    path, strerror(errno));
    }
    free(path);
    return fd < 0 ? NULL : cm_client_over(fd);
}

struct json_object *cm_client_request(const char *what)
{
    struct json_object *request = json_object_new_object();
    json_object_object_add(request, "v", json_object_new_int(1));
    json_object_object_add(request, "do", json_object_new_string(what));
    return request;
}

int cm_client_send(struct cm_client *client, struct json_object *request)
{
    const char *text = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    char *line = cm_format("%s\n", text);
    json_object_put(request);
    size_t left = strlen(line);
    const char *next = line;
    while (left > 0) {
        ssize_t sent = send(client->fd, next, left, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            break;
        }
        next += sent > 0 ? sent : 0;
        left -= sent > 0 ? (size_t)sent : 0;
    }
    free(line);
    return left == 0 ? 0 : -1;
}

/* A line that is already here; NULL when there is none. A line that is no JSON object is skipped. */
static struct json_object *next_line(struct cm_client *client)
{
    struct cm_text *input = &client->input;
    char *end;
    while (input->length > 0 && (end = memchr(input->bytes, '\n', input->length))) {
        size_t bytes = (size_t)(end - input->bytes);
        char *error = NULL;
        struct json_object *line = cm_json_parse(input->bytes, bytes, &error);
        free(error);
        input->length -= bytes + 1;
        memmove(input->bytes, end + 1, input->length + 1);
        if (line && json_object_is_type(line, json_type_object)) {
            return line;
        }
        json_object_put(line);
    }
    return NULL;
}

enum cm_client_result cm_client_receive(struct cm_client *client, int64_t timeout_ms, struct json_object **line)
{
    int64_t until_ms = cm_boot_ms() + timeout_ms;
    char *block = cm_alloc(READ_BYTES);
    enum cm_client_result result = 0;
    while (!result) {
        if ((*line = next_line(client))) {
            result = CM_CLIENT_LINE;
            break;
        }
        int64_t left_ms = until_ms - cm_boot_ms();
        struct pollfd wait = {.fd = client->fd, .events = POLLIN};
        if (poll(&wait, 1, left_ms > 0 ? (int)left_ms : 0) <= 0) {
            result = CM_CLIENT_NOTHING;
            break;
        }
        ssize_t got = recv(client->fd, block, READ_BYTES, 0);
        if (got > 0 && client->input.length + (size_t)got <= LINE_MAX_BYTES) {
            cm_text_add_bytes(&client->input, block, (size_t)got);
        } else if (got >= 0 || (errno != EINTR && errno != EAGAIN)) {
            result = CM_CLIENT_CLOSED;
        }
    }
    free(block);
    return result;
}

/* Lines of a watch may come between a request and its answer; they have an "event". */
struct json_object *cm_client_ask(struct cm_client *client, struct json_object *request, const volatile int *give_up,
                                  int *status, char **words)
{
    *words = NULL;
    *status = EX_TEMPFAIL;
    enum cm_client_result result = cm_client_send(client, request) ? CM_CLIENT_CLOSED : CM_CLIENT_NOTHING;
    struct json_object *line = NULL;
    while (result != CM_CLIENT_CLOSED && !(give_up && *give_up)) {
        result = cm_client_receive(client, ASK_POLL_MS, &line);
        if (result != CM_CLIENT_LINE) {
            continue;
        }
        if (cm_json_flag(line, "ok", 0)) {
            *status = 0;
            return line;
        }
        if (!json_object_object_get_ex(line, "event", NULL)) {
            *status = (int)cm_json_int(line, "status", EX_TEMPFAIL);
            *words = cm_strdup(cm_json_text(line, "words", _("clipmakerd refused without saying why")));
            json_object_put(line);
            return NULL;
        }
        json_object_put(line);
    }
    return NULL;
}

struct json_object *cm_client_once(const struct cm_where *where, struct json_object *request, int *status)
{
    struct cm_client *client = cm_client_connect(where);
    if (!client) {
        json_object_put(request);
        *status = EX_TEMPFAIL;
        return NULL;
    }
    char *words = NULL;
    struct json_object *answer = cm_client_ask(client, request, NULL, status, &words);
    if (!answer) {
        cm_ctl_fail(*status, "%s", words ? words : _("clipmakerd went away; look into its log"));
    }
    free(words);
    cm_client_free(client);
    return answer;
}
