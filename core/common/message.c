/*
 * Messages between clipmakerd and clipmaker-worker, and strict reading of JSON.
 */
#include "core/common/message.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/common/file.h"
#include "core/common/text.h"

#define DEPTH_MAX 32
#define KEPT_MAX_BYTES (64 << 10) /* a tokener that has read more keeps too large a buffer */

struct json_object *cm_message_new(const char *type)
{
    struct json_object *message = json_object_new_object();
    json_object_object_add(message, "v", json_object_new_int(CM_MESSAGE_VERSION));
    json_object_object_add(message, "type", json_object_new_string(type));
    return message;
}

/* Waits until the socket can be used; an error of the socket shows in the call that follows. */
static void wait_for(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    while (poll(&one, 1, -1) < 0 && errno == EINTR) {
    }
}

enum cm_message_result cm_message_send(int fd, struct json_object *message, int wait)
{
    size_t count;
    const char *text = json_object_to_json_string_length(message, JSON_C_TO_STRING_PLAIN, &count);
    if (!text || count > CM_MESSAGE_MAX) {
        return CM_MESSAGE_TOO_LARGE;
    }
    for (;;) {
        if (send(fd, text, count, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
            return CM_MESSAGE_OK;
        }
        int full = errno == EAGAIN || errno == ENOBUFS;
        if (!full && errno != EINTR) {
            return CM_MESSAGE_CLOSED;
        }
        if (full && !wait) {
            return CM_MESSAGE_WOULD_BLOCK;
        }
        if (full) {
            wait_for(fd, POLLOUT);
        }
    }
}

/* Takes the next datagram, whatever its size, into a block that is used again: one thread of a
 * process has such sockets. */
static enum cm_message_result take(int fd, int wait, const char **bytes, size_t *count)
{
    static char block[CM_MESSAGE_MAX];
    for (;;) {
        ssize_t size = recv(fd, block, sizeof block, MSG_TRUNC | MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && errno == EAGAIN) {
            if (!wait) {
                return CM_MESSAGE_WOULD_BLOCK;
            }
            wait_for(fd, POLLIN);
            continue;
        }
        if (size <= 0) {
            return CM_MESSAGE_CLOSED;
        }
        *bytes = block;
        *count = (size_t)size;
        return *count <= sizeof block ? CM_MESSAGE_OK : CM_MESSAGE_BAD;
    }
}

static enum cm_message_result bad(char **error, char *why)
{
    if (error) {
        *error = why;
    } else {
        free(why);
    }
    return CM_MESSAGE_BAD;
}

enum cm_message_result cm_message_receive(int fd, int wait, struct json_object **message, char **error)
{
    const char *bytes = NULL;
    size_t count = 0;
    enum cm_message_result result = take(fd, wait, &bytes, &count);
    if (result == CM_MESSAGE_BAD) {
        return bad(error, cm_format("a message of more than %d bytes", CM_MESSAGE_MAX));
    }
    if (result != CM_MESSAGE_OK) {
        return result;
    }
    char *why = NULL;
    struct json_object *parsed = cm_json_parse(bytes, count, &why);
    if (!parsed) {
        return bad(error, why);
    }
    long long version = cm_json_int(parsed, "v", 0);
    if (version != CM_MESSAGE_VERSION || !*cm_message_type(parsed)) {
        json_object_put(parsed);
        return bad(error, cm_format("not a message of version %d: v is %lld", CM_MESSAGE_VERSION, version));
    }
    *message = parsed;
    return CM_MESSAGE_OK;
}

const char *cm_message_type(struct json_object *message)
{
    return cm_json_text(message, "type", "");
}

/* The field when the object has it with that type, else NULL. */
static struct json_object *field_of(struct json_object *object, const char *field, enum json_type type)
{
    struct json_object *value = NULL;
    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, field, &value)) {
        return NULL;
    }
    return json_object_is_type(value, type) && value ? value : NULL;
}

const char *cm_json_text(struct json_object *object, const char *field, const char *fallback)
{
    struct json_object *value = field_of(object, field, json_type_string);
    return value ? json_object_get_string(value) : fallback;
}

long long cm_json_int(struct json_object *object, const char *field, long long fallback)
{
    struct json_object *value = field_of(object, field, json_type_int);
    if (value) {
        return json_object_get_int64(value);
    }
    /* 3.0 is an integer to every other JSON writer. */
    value = field_of(object, field, json_type_double);
    double real = value ? json_object_get_double(value) : NAN;
    return fabs(real) < 9e15 && real == floor(real) ? (long long)real : fallback;
}

static int is_ms(long long value)
{
    return value >= -CM_JSON_MS_MAX && value <= CM_JSON_MS_MAX;
}

long long cm_json_ms(struct json_object *object, const char *field, long long fallback)
{
    long long value = cm_json_int(object, field, fallback);
    return is_ms(value) ? value : fallback;
}

long long cm_json_ms_at(struct json_object *array, size_t index)
{
    struct json_object *element = json_object_array_get_idx(array, index);
    int is_number = json_object_is_type(element, json_type_int) || json_object_is_type(element, json_type_double);
    long long value = is_number ? json_object_get_int64(element) : 0;
    return is_ms(value) ? value : 0;
}

double cm_json_real(struct json_object *object, const char *field, double fallback)
{
    struct json_object *value = field_of(object, field, json_type_double);
    if (!value) {
        value = field_of(object, field, json_type_int);
    }
    double real = value ? json_object_get_double(value) : fallback;
    return isfinite(real) ? real : fallback;
}

int cm_json_flag(struct json_object *object, const char *field, int fallback)
{
    struct json_object *value = field_of(object, field, json_type_boolean);
    return value ? json_object_get_boolean(value) : fallback;
}

struct json_object *cm_json_array(struct json_object *object, const char *field)
{
    return field_of(object, field, json_type_array);
}

struct json_object *cm_json_object(struct json_object *object, const char *field)
{
    return field_of(object, field, json_type_object);
}

/* json-c 0.18, as Debian 13 has it, takes every byte above 0x7f for a control character in strict mode. */
static int strict_refuses_utf8(void)
{
    static int known; /* 1: no, 2: yes */
    if (!known) {
        struct json_tokener *tokener = json_tokener_new();
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        struct json_object *value = json_tokener_parse_ex(tokener, "\"\xd1\x8f\"", 4);
        known = value ? 1 : 2;
        json_object_put(value);
        json_tokener_free(tokener);
    }
    return known == 2;
}

/* The code point of valid UTF-8 that begins here, and its length. */
static uint32_t code_point(const char *text, size_t *bytes)
{
    unsigned char first = (unsigned char)*text;
    *bytes = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t code = first & (0xffu >> (*bytes + 1));
    for (size_t i = 1; i < *bytes; i++) {
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    }
    return code;
}

static void add_escaped(struct cm_text *out, uint32_t code)
{
    if (code > 0xffff) {
        code -= 0x10000;
        cm_text_addf(out, "\\u%04x\\u%04x", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff));
    } else {
        cm_text_addf(out, "\\u%04x", code);
    }
}

/* The same JSON in ASCII; 0, or -1 when the text is no UTF-8 or puts a backslash before a character beyond ASCII. */
static int to_ascii(const char *text, size_t bytes, struct cm_text *out)
{
    if (!cm_is_utf8(text, bytes)) {
        return -1;
    }
    int escaped = 0;
    for (size_t i = 0, length; i < bytes; i += length) {
        length = 1;
        if ((unsigned char)text[i] < 0x80) {
            cm_text_add_bytes(out, text + i, 1);
            escaped = text[i] == '\\' && !escaped;
        } else if (escaped) {
            return -1;
        } else {
            add_escaped(out, code_point(text + i, &length));
        }
    }
    return 0;
}

/* To make a tokener costs as much as to read a message with it: each thread keeps one. */
static pthread_key_t tokener_key;
static pthread_once_t tokener_once = PTHREAD_ONCE_INIT;

static void free_tokener(void *tokener)
{
    json_tokener_free(tokener);
}

static void make_tokener_key(void)
{
    if (pthread_key_create(&tokener_key, free_tokener)) {
        abort();
    }
}

static struct json_tokener *take_tokener(void)
{
    pthread_once(&tokener_once, make_tokener_key);
    struct json_tokener *tokener = pthread_getspecific(tokener_key);
    if (!tokener) {
        tokener = json_tokener_new_ex(DEPTH_MAX);
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        pthread_setspecific(tokener_key, tokener);
    }
    return tokener;
}

static void give_tokener_back(struct json_tokener *tokener, size_t bytes)
{
    if (bytes <= KEPT_MAX_BYTES) {
        json_tokener_reset(tokener);
        return;
    }
    json_tokener_free(tokener);
    pthread_setspecific(tokener_key, NULL);
}

static struct json_object *parse_strictly(const char *text, size_t bytes, char **error)
{
    struct json_tokener *tokener = take_tokener();
    struct json_object *value = NULL;
    enum json_tokener_error state = json_tokener_continue;
    if (bytes > 0 && bytes < 0x7fffffff) {
        value = json_tokener_parse_ex(tokener, text, (int)bytes);
        state = json_tokener_get_error(tokener);
    }
    if (state == json_tokener_continue) {
        value = json_tokener_parse_ex(tokener, "", 1); /* a number ends only at the end */
        state = json_tokener_get_error(tokener);
    }
    if (state != json_tokener_success || !value) {
        const char *why = state == json_tokener_continue  ? "it is not complete"
                          : state == json_tokener_success ? "it is null"
                                                          : json_tokener_error_desc(state);
        if (error) {
            *error = cm_format("not valid JSON at byte %zu: %s", json_tokener_get_parse_end(tokener), why);
        }
        json_object_put(value);
        value = NULL;
    }
    give_tokener_back(tokener, bytes);
    return value;
}

struct json_object *cm_json_parse(const char *text, size_t bytes, char **error)
{
    if (!strict_refuses_utf8()) {
        return parse_strictly(text, bytes, error);
    }
    struct cm_text ascii = {0};
    struct json_object *value = NULL;
    if (to_ascii(text, bytes, &ascii) == 0) {
        value = parse_strictly(ascii.bytes ? ascii.bytes : "", ascii.length, error);
    } else if (error) {
        *error = cm_strdup("not valid JSON: it is not UTF-8");
    }
    cm_text_free(&ascii);
    return value;
}

struct json_object *cm_json_read(const char *path, size_t max_bytes, char **error)
{
    size_t count;
    char *text = cm_file_read(path, max_bytes, &count);
    if (!text) {
        if (error) {
            *error = cm_format("cannot read %s: %s", path, strerror(errno));
        }
        return NULL;
    }
    char *why = NULL;
    struct json_object *value = cm_json_parse(text, count, &why);
    if (!value && error) {
        *error = cm_format("%s: %s", path, why);
    }
    free(why);
    free(text);
    return value;
}
