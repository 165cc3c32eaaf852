/*
 * llm of the misbehaving plugin: valid answers to the four questions, the same for the same input.
 * docs/artifacts.md, "Questions".
 *
 * SPDX-License-Identifier: MIT
 */
#include "fake.h"

#include <string.h>

#define MOMENTS_MAX 24 /* of an answer */

struct options {
    struct fake_options common;
    const char *garbage;
};

static const struct cm_option options[] = {
    FAKE_OPTIONS(struct options),
    CM_OPT_CHOICE(struct options, garbage, "garbage", "prose", "prose|cut|truncated|foreign|empty",
                  "what the act garbage answers: no JSON, half of one, one that says that it was cut off, one "
                  "with ids that nobody asked about, or nothing"),
    CM_OPT_END,
};

/* A question being answered: the parsed input and the answer so far. */
struct question {
    const struct fake *fake;
    const struct cm_json *input;
    const char *answer;
};

static const struct cm_json *at(const struct question *question, const struct cm_json *value, const char *path)
{
    return question->fake->host->json_at(question->fake->ctx, value, path);
}

static long long number(const struct question *question, const struct cm_json *value, const char *path)
{
    return (long long)question->fake->host->json_number(question->fake->ctx, at(question, value, path), 0);
}

static const struct cm_json *element(const struct question *question, const char *list, size_t index)
{
    return at(question, question->input, question->fake->host->format(question->fake->ctx, "%s.%zu", list, index));
}

static size_t count(const struct question *question, const char *list)
{
    return question->fake->host->json_count(question->fake->ctx, at(question, question->input, list));
}

/* The field as a JSON string with its quotes. */
static const char *quoted(const struct question *question, const struct cm_json *value, const char *field)
{
    const struct cm_host *host = question->fake->host;
    struct cm_ctx *ctx = question->fake->ctx;
    return host->json_quote(ctx, host->json_string(ctx, at(question, value, field), ""));
}

/* Adds one object to the list that is being written. */
static void add(struct question *question, const char *object)
{
    const char *comma = *question->answer ? "," : "";
    question->answer = question->fake->host->format(question->fake->ctx, "%s%s%s", question->answer, comma, object);
}

/* Stretches one after another, each as short as the limits allow. */
static void select_moments(struct question *question)
{
    const struct cm_host *host = question->fake->host;
    long long min_ms = number(question, question->input, "limits.min_ms"), start_ms = -1, first = 0;
    for (size_t i = 0, found = 0; i < count(question, "sentences") && found < MOMENTS_MAX; i++) {
        const struct cm_json *sentence = element(question, "sentences", i);
        if (start_ms < 0) {
            start_ms = number(question, sentence, "s");
            first = number(question, sentence, "id");
        }
        if (number(question, sentence, "e") - start_ms >= min_ms) {
            add(question, host->format(question->fake->ctx, "{\"first\":%lld,\"last\":%lld,\"reason\":\"long enough\"}",
                                       first, number(question, sentence, "id")));
            start_ms = -1;
            found++;
        }
    }
}

static void score_candidates(struct question *question)
{
    for (size_t i = 0; i < count(question, "candidates"); i++) {
        const struct cm_json *candidate = element(question, "candidates", i);
        long long first = number(question, candidate, "first");
        add(question, question->fake->host->format(question->fake->ctx,
                                                   "{\"id\":%s,\"hook\":%lld,\"engagement\":%lld,\"flow\":%lld,"
                                                   "\"trend\":%lld,\"reason\":\"by its number\"}",
                                                   quoted(question, candidate, "id"), first * 7 % 26, first * 5 % 26,
                                                   first * 3 % 26, first % 26));
    }
}

static void give_titles(struct question *question)
{
    for (size_t i = 0; i < count(question, "moments"); i++) {
        const char *key = quoted(question, element(question, "moments", i), "key");
        add(question, question->fake->host->format(question->fake->ctx,
                                                   "{\"key\":%s,\"title\":\"Moment number %zu\",\"text\":\"What moment "
                                                   "%zu says\",\"hashtags\":[\"#fake\"]}",
                                                   key, i + 1, i + 1));
    }
}

static void give_ctas(struct question *question)
{
    for (size_t i = 0; i < count(question, "moments"); i++) {
        const char *key = quoted(question, element(question, "moments", i), "key");
        add(question,
            question->fake->host->format(question->fake->ctx, "{\"key\":%s,\"text\":\"Watch the whole talk\"}", key));
    }
}

static const struct {
    const char *task, *list;
    void (*answer)(struct question *question);
} tasks[] = {
    {"moment_selection", "moments", select_moments},
    {"virality_scoring", "scores", score_candidates},
    {"title_generation", "titles", give_titles},
    {"cta_suggestion", "ctas", give_ctas},
};

static const char *answer_to(const struct fake *fake, const struct cm_llm_request *request)
{
    struct question question = {.fake = fake, .answer = ""};
    question.input = fake->host->json_parse(fake->ctx, request->input_json, strlen(request->input_json));
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        if (!strcmp(tasks[i].task, request->task)) {
            tasks[i].answer(&question);
            return fake->host->format(fake->ctx, "{\"%s\":[%s]}", tasks[i].list, question.answer);
        }
    }
    return NULL;
}

static const char *garbage(const struct fake *fake, const char *kind, const char *good)
{
    if (!strcmp(kind, "prose")) {
        return "Of course! Here are the moments you asked for: the first one is about \xff money.";
    }
    if (!strcmp(kind, "foreign")) {
        return "{\"moments\":[{\"first\":999999,\"last\":-1,\"reason\":7}],\"scores\":[{\"id\":\"99.9\"}],"
               "\"titles\":[{\"key\":\"99\",\"title\":\"\"}],\"ctas\":[{}]}";
    }
    return !strcmp(kind, "empty") ? "" : fake->host->format(fake->ctx, "%.*s", (int)(strlen(good) / 2), good);
}

static enum cm_verdict answer(struct cm_ctx *ctx, const struct cm_llm_request *request, struct cm_llm_answer *answer)
{
    const struct options *own = ctx->options;
    struct fake fake = fake_begin(ctx, &own->common, "llm");
    enum cm_verdict verdict = fake_act(&fake);
    if (verdict) {
        return verdict;
    }
    answer->json = answer_to(&fake, request);
    if (!answer->json) {
        return fake_fail(&fake, CM_CANNOT, CM_REASON_UNSUPPORTED, 0);
    }
    if (fake_is(&fake, "garbage")) {
        answer->json = garbage(&fake, own->garbage, answer->json);
        answer->truncated = !strcmp(own->garbage, "truncated");
    }
    answer->model = "fake-1";
    answer->tokens_in = (int64_t)strlen(request->input_json) / 4;
    answer->tokens_out = (int64_t)strlen(answer->json) / 4;
    return fake_end(&fake, CM_OK);
}

static enum cm_verdict models(struct cm_ctx *ctx)
{
    ctx->host->emit_fact(ctx, "models", "[\"fake-1\"]");
    return CM_OK;
}

static const struct cm_llm_ops ops = {.size = sizeof ops, .needs_no_prompt = 1, .answer = answer, .models = models};

CM_PLUGIN_LOCAL(CM_STAGE_LLM, "fake_llm", "1.0", "Test only: answers the four questions, misbehaves on order", options,
                struct options, ops);
