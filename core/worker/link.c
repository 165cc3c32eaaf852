/*
 * The worker's line to whoever gave it work.
 */
#include "core/worker/link.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"

#define LOOK_EVERY_MS 10 /* stopping() is asked far more often than the socket needs to be looked at */

static struct {
    int fd;
    FILE *out; /* without a socket */
    char *attempt;
    long long number;
    int stop, quit, busy;
    long long looked_ms;
} the_link = {.fd = -1};

static volatile sig_atomic_t terminated;

static void on_term(int number)
{
    (void)number;
    terminated = 1;
}

void cm_link_open(int fd)
{
    struct sigaction action = {.sa_handler = on_term}; /* no SA_RESTART: waiting must end */
    the_link.fd = fd;
    /* Whatever a plugin prints goes to the log, never between our lines. */
    the_link.out = fd < 0 ? fdopen(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10), "w") : NULL;
    dup2(STDERR_FILENO, STDOUT_FILENO);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Nobody is left to work for: children in our group go too. */
static void gone(void)
{
    if (the_link.busy && getpgrp() == getpid()) {
        kill(0, SIGKILL);
    }
    _exit(0);
}

/* Takes one message while an attempt runs. An answer is handed back, the rest is noted here. */
static struct json_object *take(int wait)
{
    struct json_object *message = NULL;
    char *error = NULL;
    enum cm_message_result result = cm_message_receive(the_link.fd, wait, &message, &error);
    if (result == CM_MESSAGE_CLOSED) {
        gone();
    }
    if (result == CM_MESSAGE_BAD) {
        cm_warn("a message from the daemon was not understood: %s", error);
        free(error);
    }
    if (result != CM_MESSAGE_OK) {
        return NULL;
    }
    const char *type = cm_message_type(message);
    the_link.stop |= !strcmp(type, "stop");
    the_link.quit |= !strcmp(type, "quit");
    if (strcmp(type, "answer") && strcmp(type, "begin")) {
        json_object_put(message);
        return NULL;
    }
    return message;
}

/* Waits until there is something to read; 0 when SIGTERM came instead. The signal is let in only
 * while waiting, so none is missed between looking and sleeping. */
static int wait_for_message(void)
{
    sigset_t term, old;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &old);
    struct pollfd one = {.fd = the_link.fd, .events = POLLIN};
    int ready = 0;
    while (!terminated && !ready) {
        ready = ppoll(&one, 1, NULL, &old) > 0;
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    return ready;
}

struct json_object *cm_link_next(void)
{
    the_link.busy = 0;
    while (!the_link.quit && wait_for_message()) {
        struct json_object *message = take(0);
        if (message && !strcmp(cm_message_type(message), "begin")) {
            return message;
        }
        json_object_put(message);
    }
    return NULL;
}

void cm_link_attempt(const char *attempt)
{
    free(the_link.attempt);
    the_link.attempt = cm_strdup(attempt);
    the_link.stop = 0;
    the_link.busy = 1;
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int cm_link_stopping(void)
{
    if (the_link.fd >= 0 && now_ms() - the_link.looked_ms >= LOOK_EVERY_MS) {
        the_link.looked_ms = now_ms();
        json_object_put(take(0));
    }
    return the_link.stop || the_link.quit || terminated;
}

static enum cm_message_result post(struct json_object *message, int wait)
{
    if (the_link.attempt) {
        json_object_object_add(message, "attempt", json_object_new_string(the_link.attempt));
    }
    enum cm_message_result result = CM_MESSAGE_OK;
    if (the_link.fd >= 0) {
        result = cm_message_send(the_link.fd, message, wait);
    } else if (the_link.out) {
        fprintf(the_link.out, "%s\n",
                json_object_to_json_string_ext(message, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        fflush(the_link.out);
    }
    json_object_put(message);
    if (result == CM_MESSAGE_CLOSED) {
        gone();
    }
    return result;
}

void cm_link_tell(struct json_object *message)
{
    post(message, 0);
}

void cm_link_say(struct json_object *message)
{
    if (post(message, 1) == CM_MESSAGE_TOO_LARGE) {
        cm_error("a message to the daemon was too large and is lost");
    }
}

int cm_link_ask(struct json_object *message)
{
    long long number = ++the_link.number;
    json_object_object_add(message, "number", json_object_new_int64(number));
    if (post(message, 1) != CM_MESSAGE_OK) {
        return 0;
    }
    int waiting = the_link.fd >= 0, ok = !waiting;
    while (waiting) {
        struct json_object *answer = take(1);
        if (answer && !strcmp(cm_message_type(answer), "answer") && cm_json_int(answer, "number", -1) == number) {
            ok = cm_json_flag(answer, "ok", 0);
            waiting = 0;
        }
        json_object_put(answer);
    }
    return ok;
}
