/*
 * A call outside of any job: a folder that nobody else sees, a worker, its answer.
 */
#include "core/daemon/run/ask.h"

#include <clipmaker/plugin.h>
#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/config/config.h"
#include "core/daemon/engine/engine.h"
#include "core/daemon/run/begin.h"
#include "core/daemon/run/procs.h"

#define ASKED_MAGIC 0x636d6173u
#define RESULT_MAX_BYTES (16 * 1024 * 1024)

struct asked {
    unsigned magic;
    char *name, *folder;
    struct cm_proc *proc;
    struct event *deadline;
    int64_t deadline_ms;
    struct cm_done *done;
    cm_answered_fn answered;
    void *arg;
};

static struct asked *asked_of(void *arg)
{
    struct asked *asked = arg;
    cm_assert(asked->magic == ASKED_MAGIC);
    return asked;
}

static struct cm_done *core_done(int outcome, char *words)
{
    struct cm_done *done = cm_done_new(outcome);
    done->reason = CM_REASON_INTERNAL;
    done->scope = CM_SCOPE_INSTANCE;
    cm_done_text(&done->words, words);
    free(words);
    return done;
}

/* ---- The end --------------------------------------------------------------------------------- */

/* The first artifact, or NULL. It was written by the worker, so its name is not trusted. */
static struct json_object *read_result(const struct asked *asked)
{
    const char *file = asked->done->artifact_count ? asked->done->artifacts[0].file : "";
    if (asked->done->outcome != CM_OK || !*file || strchr(file, '/') || *file == '.') {
        return NULL;
    }
    char *path = cm_path_join(asked->folder, file), *error = NULL;
    struct json_object *result = cm_json_read(path, RESULT_MAX_BYTES, &error);
    free(error);
    free(path);
    return result;
}

static void finish(struct asked *asked)
{
    struct json_object *result = read_result(asked);
    if (asked->folder) {
        cm_folder_remove(asked->folder);
    }
    asked->answered(asked->arg, asked->done, result);
    json_object_put(result);
    if (asked->deadline) {
        event_free(asked->deadline);
    }
    cm_done_free(asked->done);
    free(asked->folder);
    free(asked->name);
    asked->magic = 0;
    free(asked);
}

static void end_with(struct asked *asked, int outcome, char *words)
{
    if (asked->done) {
        free(words);
        return; /* only the first word counts */
    }
    asked->done = core_done(outcome, words);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct asked *asked = asked_of(arg);
    end_with(asked, CM_OUTCOME_TIMEOUT,
             cm_format(_("no answer within %lld s"), (long long)(asked->deadline_ms + 999) / 1000));
    cm_proc_signal(asked->proc, SIGKILL); /* its end reports */
}

static void on_ended(void *arg, int status, const char *words)
{
    (void)status;
    struct asked *asked = asked_of(arg);
    end_with(asked, CM_OUTCOME_CRASHED, cm_format(_("the worker ended without an answer (%s)"), words));
    finish(asked);
}

/* ---- Messages -------------------------------------------------------------------------------- */

/* There is no task and no store: whatever is to be kept is not. */
static void refuse(struct asked *asked, struct json_object *message)
{
    struct json_object *answer = cm_message_new("answer");
    json_object_object_add(answer, "number", json_object_new_int64(cm_json_int(message, "number", 0)));
    json_object_object_add(answer, "ok", json_object_new_boolean(0));
    cm_proc_send(asked->proc, answer);
    json_object_put(answer);
}

static void on_message(void *arg, struct json_object *message)
{
    struct asked *asked = asked_of(arg);
    if (strcmp(cm_message_type(message), "done") != 0) {
        if (cm_json_int(message, "number", 0) > 0) {
            refuse(asked, message);
        }
        return;
    }
    char *error = NULL;
    struct cm_done *done = asked->done ? NULL : cm_done_decode(message, &error);
    if (error) {
        end_with(asked, CM_OUTCOME_CRASHED, error);
    } else if (done) {
        asked->done = done;
    }
    cm_proc_signal(asked->proc, SIGKILL); /* its end reports */
}

/* ---- The beginning --------------------------------------------------------------------------- */

/* A folder for this call alone; NULL with errno. */
static char *make_folder(void)
{
    const char *temporary = getenv("TMPDIR");
    char *folder = cm_path_join(temporary && *temporary == '/' ? temporary : "/tmp", "clipmaker-XXXXXX");
    if (!mkdtemp(folder)) {
        free(folder);
        return NULL;
    }
    return folder;
}

static struct json_object *message_of(const struct cm_question *question, const struct asked *asked, char **error)
{
    struct cm_start start = {
        .instance = (char *)question->instance, .op = (char *)question->op, .deadline_ms = question->deadline_ms};
    struct cm_begin begin = {.config = question->config,
                             .start = &start,
                             .name = asked->name,
                             .folder = asked->folder,
                             .state = asked->folder,
                             .saved = json_object_new_object(),
                             .recalled = question->recalled ? question->recalled : json_object_new_object()};
    return cm_begin_make(&begin, error);
}

static void set_deadline(struct asked *asked, struct event_base *base)
{
    struct timeval after = {asked->deadline_ms / 1000, (asked->deadline_ms % 1000) * 1000};
    asked->deadline = evtimer_new(base, on_deadline, asked);
    event_add(asked->deadline, &after);
}

/* NULL when the worker has the question, or why it has not (malloc'd). */
static char *begin(struct asked *asked, struct event_base *base, struct cm_procs *procs,
                   const struct cm_question *question)
{
    asked->folder = make_folder();
    if (!asked->folder) {
        json_object_put(question->recalled);
        return cm_format(_("cannot make a temporary folder: %s"), strerror(errno));
    }
    char *error = NULL;
    struct json_object *message = message_of(question, asked, &error);
    if (!message) {
        return error;
    }
    asked->proc = cm_proc_start(procs, question->config->worker, on_message, on_ended, asked);
    if (!asked->proc) {
        error = cm_format(_("cannot start %s: %s"), question->config->worker, strerror(errno));
    } else {
        set_deadline(asked, base);
        if (cm_proc_send(asked->proc, message) != CM_MESSAGE_OK) {
            cm_proc_signal(asked->proc, SIGKILL); /* its end reports */
        }
    }
    json_object_put(message);
    return error;
}

void cm_ask(struct event_base *base, struct cm_procs *procs, const struct cm_question *question,
            cm_answered_fn answered, void *arg)
{
    struct asked *asked = cm_alloc(sizeof *asked);
    *asked = (struct asked){.magic = ASKED_MAGIC, .deadline_ms = question->deadline_ms};
    asked->name = cm_format("%s/%s", question->instance, question->op);
    asked->answered = answered;
    asked->arg = arg;
    char *error = begin(asked, base, procs, question);
    if (error) {
        end_with(asked, CM_OUTCOME_NOSTART, error);
        finish(asked);
    }
}
