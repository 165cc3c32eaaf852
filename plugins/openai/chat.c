/*
 * A question to a language model. A server that cannot be told the form of the answer by a schema
 * is told in words; which of the ways it takes is remembered.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chat.h"

#include <string.h>

#define BYTES_PER_TOKEN 3 /* rather too few than too many: Russian has 3 to 4, English 4 */

/* The ways to ask for a form, the strictest first. */
static const char *const structures[] = {"json_schema", "json_object", "none"};
#define STRUCTURES (sizeof structures / sizeof *structures)

static size_t rank_of(const char *structure)
{
    size_t rank = 0;
    while (rank < STRUCTURES - 1 && strcmp(structures[rank], structure) != 0) {
        rank++;
    }
    return rank;
}

/* ---- The question -------------------------------------------------------------------------- */

static const char *system_text(struct cm_ctx *ctx, const struct cm_llm_request *request, size_t rank)
{
    if (rank == 0) {
        return request->system;
    }
    return ctx->host->format(ctx,
                             "%s\n\nAnswer with one JSON object and nothing else. It must fit this JSON Schema: %s",
                             request->system, request->schema_json);
}

static const char *question_text(struct cm_ctx *ctx, const struct cm_llm_request *request)
{
    if (!request->complaint) {
        return request->prompt;
    }
    return ctx->host->format(ctx, "%s\n\nYour last answer could not be used: %s. Answer again, without that mistake.",
                             request->prompt, request->complaint);
}

/* `,"response_format":{…}`, or "". */
static const char *format_member(struct cm_ctx *ctx, const struct cm_llm_request *request, size_t rank)
{
    if (rank == 0) {
        return ctx->host->format(ctx,
                                 ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":%s,"
                                 "\"strict\":true,\"schema\":%s}}",
                                 ctx->host->json_quote(ctx, request->task), request->schema_json);
    }
    return rank == 1 ? ",\"response_format\":{\"type\":\"json_object\"}" : "";
}

/* The inside of the operator's object with a comma before it, or "". */
static const char *extra_members(struct cm_ctx *ctx, const struct openai_chat *chat)
{
    const char *text = chat->extra + strspn(chat->extra, " \t\r\n"), *end = strrchr(text, '}');
    if (*text != '{' || !end || text[1 + strspn(text + 1, " \t\r\n")] == '}') {
        return "";
    }
    return ctx->host->format(ctx, ",%.*s", (int)(end - text - 1), text + 1);
}

static const char *body_of(struct cm_ctx *ctx, const struct openai_chat *chat, const struct cm_llm_request *request,
                           size_t rank)
{
    const struct cm_host *host = ctx->host;
    const char *temperature = chat->temperature < 0
                                  ? ""
                                  : host->format(ctx, ",\"temperature\":%d.%02d", (int)chat->temperature,
                                                 (int)(chat->temperature * 100 + 0.5) % 100);
    return host->format(ctx,
                        "{\"model\":%s,\"messages\":[{\"role\":\"system\",\"content\":%s},"
                        "{\"role\":\"user\",\"content\":%s}],\"%s\":%lld%s%s%s%s%s}",
                        host->json_quote(ctx, chat->model), host->json_quote(ctx, system_text(ctx, request, rank)),
                        host->json_quote(ctx, question_text(ctx, request)), chat->limit_field,
                        (long long)request->max_tokens, temperature, format_member(ctx, request, rank),
                        chat->fixed ? "," : "", chat->fixed ? chat->fixed : "", extra_members(ctx, chat));
}

/* ---- The answer ---------------------------------------------------------------------------- */

/* What stands around the JSON: a model that thinks aloud first, or wraps it for a reader. */
static const char *bare(struct cm_ctx *ctx, const char *text)
{
    static const char thinking[] = "<think>", thought[] = "</think>";
    text += strspn(text, " \t\r\n");
    const char *end = strncmp(text, thinking, sizeof thinking - 1) == 0 ? strstr(text, thought) : NULL;
    text = end ? end + sizeof thought - 1 : text;
    text += strspn(text, " \t\r\n");
    if (strncmp(text, "```", 3) != 0) {
        return text;
    }
    const char *first = strchr(text, '\n');
    char *inside = ctx->host->format(ctx, "%s", first ? first + 1 : text), *fence = strstr(inside, "\n```");
    if (fence) {
        *fence = '\0';
    }
    return inside;
}

static enum cm_verdict read_answer(struct cm_ctx *ctx, const struct openai_chat *chat, const struct cm_json *json,
                                   struct cm_llm_answer *answer)
{
    const struct cm_host *host = ctx->host;
    const struct cm_json *choice = host->json_at(ctx, json, "choices.0");
    const char *finish = host->json_string(ctx, host->json_at(ctx, choice, "finish_reason"), "");
    const char *refusal = host->json_string(ctx, host->json_at(ctx, choice, "message.refusal"), "");
    const char *content = host->json_string(ctx, host->json_at(ctx, choice, "message.content"), NULL);
    int is_refused = *refusal || strcmp(finish, "content_filter") == 0;
    answer->tokens_in = openai_tokens(ctx, json, "usage.prompt_tokens", -1);
    answer->tokens_out = openai_tokens(ctx, json, "usage.completion_tokens", -1);
    answer->model = host->json_string(ctx, host->json_at(ctx, json, "model"), chat->model);
    answer->truncated = strcmp(finish, "length") == 0;
    host->spent(ctx, &(struct cm_spending){.size = sizeof(struct cm_spending),
                                           .model = answer->model,
                                           .tokens_in = answer->tokens_in,
                                           .tokens_out = answer->tokens_out,
                                           .useless = !content && !is_refused && !answer->truncated});
    if (is_refused) {
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_CONTENT, "%s refuses this content: %s", ctx->instance,
                       *refusal ? refusal : finish);
    }
    if (!content && !answer->truncated) {
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_MALFORMED, "%s answered without a text", ctx->instance);
    }
    answer->json = bare(ctx, content ? content : "");
    return CM_OK;
}

/* ---- Asking -------------------------------------------------------------------------------- */

/* Whether it was the way to ask for a form that the server did not understand. */
static int is_about_structure(const struct openai_reply *reply)
{
    static const char *const signs[] = {"response_format", "json_schema", "json_object", "grammar", "guided"};
    int status = (int)reply->http.status;
    for (size_t i = 0; (status == 400 || status == 422) && i < sizeof signs / sizeof *signs; i++) {
        if (strstr(reply->error.param, signs[i]) || strstr(reply->error.message, signs[i])) {
            return 1;
        }
    }
    return 0;
}

static int ask(struct cm_ctx *ctx, const struct openai_server *server, const struct openai_chat *chat,
               const struct cm_llm_request *request, size_t rank, struct openai_reply *reply)
{
    const char *body = body_of(ctx, chat, request, rank);
    const struct cm_spending most = {
        .size = sizeof most,
        .model = chat->model,
        .tokens_in = (int64_t)strlen(body) / BYTES_PER_TOKEN,
        .tokens_out = request->max_tokens,
    };
    struct cm_http_request http = {.body = body, .body_bytes = strlen(body), .paid = &most};
    return openai_send(ctx, server, "/chat/completions", &http, reply);
}

enum cm_verdict openai_chat_answer(struct cm_ctx *ctx, const struct openai_server *server,
                                   const struct openai_chat *chat, const struct cm_llm_request *request,
                                   struct cm_llm_answer *answer)
{
    const struct cm_host *host = ctx->host;
    /* Another model at the same address may know more. */
    const char *name = openai_memory_name(ctx, server, "structure", chat->model);
    const char *known = host->recall(ctx, NULL, name);
    size_t first = rank_of(chat->structure), learned = known ? rank_of(known) : 0;
    first = learned > first ? learned : first;
    for (size_t rank = first; rank < STRUCTURES; rank++) {
        struct openai_reply reply;
        if (ask(ctx, server, chat, request, rank, &reply)) {
            if (rank > first) {
                host->remember(ctx, NULL, name, known, structures[rank]);
            }
            return read_answer(ctx, chat, reply.json, answer);
        }
        if (rank == STRUCTURES - 1 || !is_about_structure(&reply)) {
            return openai_fail(ctx, &reply);
        }
        host->log(ctx, CM_LOG_WARN, "%s does not take %s (%s), asking more simply", ctx->instance, structures[rank],
                  reply.error.message);
    }
    return CM_FAIL(ctx, CM_CANNOT, CM_REASON_INTERNAL, "%s could not be asked", ctx->instance);
}

enum cm_verdict openai_chat_models(struct cm_ctx *ctx)
{
    const struct openai_llm_options *options = ctx->options;
    return openai_models(ctx, &options->server);
}

int64_t openai_chat_context(struct cm_ctx *ctx)
{
    const struct openai_llm_options *options = ctx->options;
    return options->chat.context_tokens;
}
