/*
 * llm: a question about the transcript goes to a language model, or to a plugin that answers without
 * one, and the checked answer becomes an artifact.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/moments/candidates.h"
#include "core/moments/transcript.h"
#include "core/worker/call.h"
#include "core/worker/host.h"
#include "core/worker/material.h"
#include "core/worker/prompt.h"
#include "core/worker/question.h"

#define BATCH_ITEMS 20 /* asked about at once: more, and models grow careless */
#define TOKENS_SPARE 400
#define LONGER 2    /* times the limit, when an answer was cut off */
#define ASKED_MAX 3 /* once, once for longer, once for better */

/* One task's asking: what is known, and what has been answered so far. */
struct asking {
    struct cm_call *call;
    const struct cm_task *task;
    struct cm_material material;
    size_t item_count;
    char *template_text;
    struct json_object *answers; /* the entries of all answers */
    int64_t tokens_in, tokens_out, asked;
    char *model;
};

/* One question, ready to be sent. */
struct ready {
    struct json_object *input, *schema;
    struct cm_prompt prompt;
    int64_t max_tokens, tokens;
};

/* ---- Preparing a question ---- */

static void free_ready(struct ready *ready)
{
    json_object_put(ready->input);
    json_object_put(ready->schema);
    cm_prompt_free(&ready->prompt);
}

static enum cm_verdict render(struct asking *asking, struct ready *ready)
{
    struct cm_call *call = asking->call;
    const struct cm_llm_ops *ops = call->ops;
    if (ops->needs_no_prompt) {
        return CM_OK;
    }
    char *error = NULL;
    if (!asking->template_text) {
        error = cm_prompt_read(cm_json_text(call->begin, "prompts", ""), asking->material.transcript->language,
                               asking->task->name, &asking->template_text);
    }
    error = error ? error : cm_prompt_render(asking->template_text, ready->input, &ready->prompt);
    if (error) {
        enum cm_verdict verdict = cm_call_fail(call, CM_CANNOT, CM_REASON_OPERATOR, "%s", error);
        free(error);
        return verdict;
    }
    ready->tokens = cm_prompt_tokens(ready->prompt.system) + cm_prompt_tokens(ready->prompt.question);
    return CM_OK;
}

static enum cm_verdict prepare(struct asking *asking, size_t from, size_t count, struct ready *ready)
{
    *ready = (struct ready){0};
    ready->input = cm_question_input(asking->task, &asking->material, from, count);
    ready->schema = cm_question_schema(asking->task, ready->input);
    ready->max_tokens =
        TOKENS_SPARE + asking->task->tokens_each * (int64_t)cm_question_size(asking->task, ready->input);
    enum cm_verdict verdict = render(asking, ready);
    if (verdict != CM_OK) {
        free_ready(ready);
    }
    return verdict;
}

/* Tokens that fit into the model, question and answer together; 0: any. */
static int64_t context_of(struct cm_call *call)
{
    const struct cm_llm_ops *ops = call->ops;
    return ops->context ? ops->context(&call->ctx) : ops->context_tokens;
}

static int is_too_long(const struct asking *asking, const struct ready *ready)
{
    int64_t context_tokens = context_of(asking->call);
    return context_tokens > 0 && ready->tokens + ready->max_tokens > context_tokens;
}

/* ---- Asking ---- */

static void count_tokens(struct asking *asking, const struct cm_llm_answer *answer)
{
    asking->asked++;
    asking->tokens_in += answer->tokens_in > 0 ? answer->tokens_in : 0;
    asking->tokens_out += answer->tokens_out > 0 ? answer->tokens_out : 0;
    if (answer->model && *answer->model) {
        free(asking->model);
        asking->model = cm_strdup(answer->model);
    }
}

/* What one question has become: asked up to three times. */
struct tries {
    int64_t max_tokens;
    char *complaint; /* about the last answer, or NULL */
    int is_longer;   /* the limit was raised */
    int truncated;   /* the last answer was cut off */
    size_t paid_count;
    char paid[ASKED_MAX][sizeof((struct cm_host_call *)0)->paid]; /* the calls that gave the answers; "": not paid */
};

/* Asks once. CM_OK with *checked; or with tries->truncated, or with *complaint (malloc'd), when the answer is of no
 * use. */
static enum cm_verdict ask_once(struct asking *asking, const struct ready *ready, struct tries *tries,
                                struct json_object **checked, char **complaint)
{
    struct cm_call *call = asking->call;
    const struct cm_llm_ops *ops = call->ops;
    struct cm_llm_request request = {
        .size = sizeof request,
        .task = asking->task->name,
        .input_json = json_object_to_json_string_ext(ready->input, JSON_C_TO_STRING_PLAIN),
        .system = ready->prompt.system ? ready->prompt.system : "",
        .prompt = ready->prompt.question ? ready->prompt.question : "",
        .schema_json = json_object_to_json_string_ext(ready->schema, JSON_C_TO_STRING_PLAIN),
        .complaint = tries->complaint,
        .max_tokens = tries->max_tokens,
    };
    struct cm_llm_answer answer = {.size = sizeof answer, .tokens_in = -1, .tokens_out = -1};
    enum cm_verdict verdict = ops->answer(&call->ctx, &request, &answer);
    if (verdict != CM_OK) {
        return verdict;
    }
    count_tokens(asking, &answer);
    memcpy(tries->paid[tries->paid_count++], call->host->paid, sizeof call->host->paid);
    tries->truncated = answer.truncated;
    if (!answer.truncated) {
        *checked = cm_answer_read(asking->task, ready->schema, answer.json ? answer.json : "", complaint);
    }
    return CM_OK;
}

/* What was cut off is never repaired: a longer answer is asked for, once. */
static enum cm_verdict allow_longer(struct asking *asking, const struct ready *ready, struct tries *tries)
{
    int64_t longer = tries->max_tokens * LONGER, context_tokens = context_of(asking->call);
    if (tries->is_longer || (context_tokens > 0 && ready->tokens + longer > context_tokens)) {
        return cm_call_fail(asking->call, CM_CANNOT, CM_REASON_TOO_LARGE,
                            N_("%s: the answer of %s was cut off at %lld tokens"), asking->task->name,
                            asking->call->ctx.instance, (long long)tries->max_tokens);
    }
    cm_warn("%s: the answer of %s was cut off at %lld tokens, asking for at most %lld", asking->task->name,
            asking->call->ctx.instance, (long long)tries->max_tokens, (long long)longer);
    tries->is_longer = 1;
    tries->max_tokens = longer;
    return CM_OK;
}

/* What made no sense is asked for again, once, with what was wrong. Takes the complaint. */
static enum cm_verdict complain(struct asking *asking, struct tries *tries, char *complaint)
{
    if (tries->complaint) {
        enum cm_verdict verdict = cm_call_fail(asking->call, CM_CANNOT, CM_REASON_MALFORMED,
                                               N_("%s: the answer of %s made no sense, also when asked again: %s"),
                                               asking->task->name, asking->call->ctx.instance, complaint);
        free(complaint);
        return verdict;
    }
    cm_warn("%s: the answer of %s made no sense, asking once more: %s", asking->task->name, asking->call->ctx.instance,
            complaint);
    tries->complaint = complaint;
    return CM_OK;
}

/* Asks until the answer can be used, or there is nothing left to try. Answers that led nowhere are not kept: when
 * someone has the task tried again, it must not find them. */
static enum cm_verdict ask(struct asking *asking, const struct ready *ready, struct json_object **checked)
{
    struct tries tries = {.max_tokens = ready->max_tokens};
    enum cm_verdict verdict = CM_OK;
    int is_over = 0;
    while (verdict == CM_OK && !*checked) {
        char *complaint = NULL;
        verdict = ask_once(asking, ready, &tries, checked, &complaint);
        if (verdict == CM_OK && !*checked) {
            verdict = tries.truncated ? allow_longer(asking, ready, &tries) : complain(asking, &tries, complaint);
            is_over = verdict != CM_OK;
        }
    }
    for (size_t i = 0; is_over && i < tries.paid_count; i++) {
        cm_host_drop_answer(&asking->call->ctx, tries.paid[i]);
    }
    free(tries.complaint);
    return verdict;
}

static enum cm_verdict ask_ready(struct asking *asking, const struct ready *ready)
{
    struct json_object *answer = NULL;
    enum cm_verdict verdict = ask(asking, ready, &answer);
    if (verdict != CM_OK) {
        return verdict;
    }
    struct json_object *list = cm_json_array(answer, asking->task->answers);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object_array_add(asking->answers, json_object_get(json_object_array_get_idx(list, i)));
    }
    json_object_put(answer);
    return CM_OK;
}

/* Prepares about as many items as fit, from `from`; *count is how many that are. */
static enum cm_verdict prepare_batch(struct asking *asking, size_t from, size_t *count, struct ready *ready)
{
    const struct cm_llm_ops *ops = asking->call->ops;
    size_t left = asking->item_count - from;
    /* Without a model nothing tires, and each question costs reading the whole video again. */
    *count = asking->task->items && !ops->needs_no_prompt && left > BATCH_ITEMS ? BATCH_ITEMS : left;
    for (;;) {
        enum cm_verdict verdict = prepare(asking, from, *count, ready);
        if (verdict != CM_OK || !is_too_long(asking, ready)) {
            return verdict;
        }
        free_ready(ready);
        if (*count <= 1) {
            return cm_call_fail(asking->call, CM_CANNOT, CM_REASON_TOO_LARGE,
                                N_("%s: the question does not fit into the %lld tokens of %s"), asking->task->name,
                                (long long)context_of(asking->call), asking->call->ctx.instance);
        }
        *count = (*count + 1) / 2;
    }
}

static enum cm_verdict ask_all(struct asking *asking)
{
    struct cm_ctx *ctx = &asking->call->ctx;
    enum cm_verdict verdict = CM_OK;
    for (size_t from = 0, count = 0; from < asking->item_count && verdict == CM_OK; from += count) {
        struct ready ready;
        if (cm_host_stopping(ctx)) {
            return cm_call_fail(asking->call, CM_AGAIN, CM_REASON_STOPPED, N_("stopped"));
        }
        verdict = prepare_batch(asking, from, &count, &ready);
        if (verdict == CM_OK) {
            verdict = ask_ready(asking, &ready);
            free_ready(&ready);
        }
        ctx->host->progress(ctx, (double)(from + count) / (double)asking->item_count);
    }
    return verdict;
}

/* ---- What the answers become ---- */

static struct json_object *candidates_of(struct asking *asking)
{
    struct cm_candidates candidates = {0};
    struct json_object *answer = json_object_new_object();
    json_object_object_add(answer, "moments", json_object_get(asking->answers));
    size_t left_out = cm_candidates_propose(&candidates, asking->material.transcript, asking->material.limits,
                                            asking->material.window_key, asking->call->ctx.instance, answer);
    cm_info("%zu moments proposed in window %s, %zu left out", candidates.count, asking->material.window_key, left_out);
    struct json_object *list = cm_candidates_write(&candidates);
    cm_candidates_free(&candidates);
    json_object_put(answer);
    return list;
}

static struct json_object *scores_of(struct asking *asking)
{
    static const char *const parts[] = {"hook", "engagement", "flow", "trend"};
    for (size_t i = 0; i < json_object_array_length(asking->answers); i++) {
        struct json_object *score = json_object_array_get_idx(asking->answers, i);
        int64_t total = 0;
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            total += cm_json_int(score, parts[k], 0);
        }
        json_object_object_add(score, "total", json_object_new_int64(total));
    }
    return json_object_get(asking->answers);
}

/* {"01":{…}} for titles, {"01":"…"} for calls to action. */
static struct json_object *by_key(struct asking *asking, int text_only)
{
    struct json_object *keyed = json_object_new_object();
    for (size_t i = 0; i < json_object_array_length(asking->answers); i++) {
        struct json_object *one = json_object_array_get_idx(asking->answers, i);
        char *key = cm_strdup(cm_json_text(one, "key", ""));
        struct json_object *value = text_only ? json_object_object_get(one, "text") : one;
        json_object_object_add(keyed, key, json_object_get(value));
        if (!text_only) {
            json_object_object_del(one, "key");
        }
        free(key);
    }
    return keyed;
}

static enum cm_verdict write_answers(struct asking *asking)
{
    const struct cm_task *task = asking->task;
    struct json_object *json = json_object_new_object(), *facts = json_object_new_object();
    const char *model = asking->model ? asking->model : "";
    json_object_object_add(json, "by", json_object_new_string(asking->call->ctx.instance));
    json_object_object_add(json, "model", json_object_new_string(model));
    json_object_object_add(json, task->role,
                           !strcmp(task->role, "candidates") ? candidates_of(asking)
                           : !strcmp(task->role, "scores")   ? scores_of(asking)
                                                             : by_key(asking, !strcmp(task->role, "ctas")));
    json_object_object_add(facts, "model", json_object_new_string(model));
    json_object_object_add(facts, "asked", json_object_new_int64(asking->asked));
    json_object_object_add(facts, "tokens_in", json_object_new_int64(asking->tokens_in));
    json_object_object_add(facts, "tokens_out", json_object_new_int64(asking->tokens_out));
    enum cm_verdict verdict = cm_call_write(asking->call, task->role, NULL, task->file, json, facts);
    json_object_put(facts);
    json_object_put(json);
    return verdict;
}

/* ---- What is asked about ---- */

static enum cm_verdict take_window(struct asking *asking)
{
    struct cm_call *call = asking->call;
    struct json_object *window = cm_call_read(call, "window", NULL);
    if (!window) {
        return CM_CANNOT;
    }
    long long first = cm_json_int(window, "first", -1), last = cm_json_int(window, "last", -1);
    json_object_put(window);
    if (first < 0 || last < first || last >= (long long)asking->material.transcript->sentence_count) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL,
                            N_("the window of an earlier step does not fit the transcript"));
    }
    asking->material.window_key = cm_json_text(cm_call_input(call, "window", NULL), "key", "01");
    asking->material.window_first = (size_t)first;
    asking->material.window_last = (size_t)last;
    asking->item_count = 1;
    return CM_OK;
}

static enum cm_verdict take_candidates(struct asking *asking)
{
    struct cm_candidates candidates = {0};
    int verdict = cm_material_candidates(asking->call, asking->material.transcript, &candidates);
    asking->material.items = cm_candidates_write(&candidates);
    cm_candidates_free(&candidates);
    return (enum cm_verdict)verdict;
}

static void copy_field(struct json_object *to, struct json_object *from, const char *name)
{
    json_object_object_add(to, name, json_object_get(json_object_object_get(from, name)));
}

static int take_moment(struct cm_call *call, struct json_object *input, struct json_object *value, void *with)
{
    static const char *const fields[] = {"first", "last", "start_ms", "end_ms", "reason"};
    const struct asking *asking = with;
    long long last = cm_json_int(value, "last", -1), first = cm_json_int(value, "first", -1);
    if (first < 0 || last < first || last >= (long long)asking->material.transcript->sentence_count) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL,
                            N_("a moment of an earlier step does not fit the transcript"));
    }
    struct json_object *item = json_object_new_object();
    json_object_object_add(item, "key", json_object_new_string(cm_json_text(input, "key", "")));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        copy_field(item, value, fields[i]);
    }
    copy_field(item, cm_json_object(value, "score"), "total");
    json_object_array_add(asking->material.items, item);
    return CM_OK;
}

static enum cm_verdict take_items(struct asking *asking)
{
    enum cm_verdict verdict;
    if (!asking->task->items) {
        return take_window(asking);
    }
    if (!strcmp(asking->task->items, "candidates")) {
        verdict = take_candidates(asking);
    } else {
        asking->material.items = json_object_new_array();
        verdict = (enum cm_verdict)cm_material_each(asking->call, "moment", take_moment, asking);
    }
    asking->item_count = json_object_array_length(asking->material.items);
    return verdict;
}

static enum cm_verdict take_cues(struct asking *asking)
{
    if (!cm_call_input(asking->call, "cues", NULL)) {
        return CM_OK; /* a pipeline may do without */
    }
    asking->material.cues = cm_call_read(asking->call, "cues", NULL);
    return asking->material.cues ? CM_OK : CM_CANNOT;
}

static enum cm_verdict answer(struct cm_call *call, struct cm_transcript *transcript, const struct cm_task *task)
{
    struct cm_limits limits = cm_material_limits(call);
    struct asking asking = {
        .call = call,
        .task = task,
        .answers = json_object_new_array(),
        .material = {.transcript = transcript,
                     .limits = &limits,
                     .clips = cm_call_param_int(call, "clips", 0),
                     .plan = cm_call_param(call, "plan", "")},
    };
    enum cm_verdict verdict = take_cues(&asking);
    verdict = verdict == CM_OK ? take_items(&asking) : verdict;
    verdict = verdict == CM_OK ? ask_all(&asking) : verdict;
    verdict = verdict == CM_OK ? write_answers(&asking) : verdict;
    json_object_put(asking.material.cues);
    json_object_put(asking.material.items);
    json_object_put(asking.answers);
    free(asking.template_text);
    free(asking.model);
    return verdict;
}

/* ---- Operations ---- */

enum cm_verdict cm_stage_llm(struct cm_call *call)
{
    const char *name = cm_json_text(call->begin, "ask", "");
    const struct cm_task *task = cm_task_find(name);
    if (!strcmp(call->op, "models")) {
        return cm_call_models(call, ((const struct cm_llm_ops *)call->ops)->models);
    }
    if (!task) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_UNSUPPORTED, N_("\"%s\" is no question to a language model"),
                            name);
    }
    struct cm_transcript *transcript = cm_material_transcript(call);
    if (!transcript) {
        return CM_CANNOT;
    }
    enum cm_verdict verdict = answer(call, transcript, task);
    cm_transcript_free(transcript);
    return verdict;
}
