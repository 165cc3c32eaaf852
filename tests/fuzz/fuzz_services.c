/*
 * Services' answers: any bytes as what a recogniser, a model or a platform says, through the plugin and its stage.
 * The input is {"plugin":"vk","op":"publish","options":{"NAME":"text"},"saved":{"NAME":"text"},"recalled":{},
 * "stop":N (the Nth question to the daemon is answered with no),"answers":[{"outcome":1,"status":200,"cut":true,
 * "retry_ms":N,"headers":["Name: value"],"body":any JSON, or a text as it is}…]}; a request more than there are answers
 * reaches nobody.
 *
 * What a request that posts was answered is judged here once more, by less: where a post may be out, the plugin must
 * neither say that it is not, nor ask for it again in the same attempt.
 */
#include <json-c/json.h>
#include <string.h>

#include "core/common/message.h"
#include "core/common/options.h"
#include "core/common/text.h"
#include "core/worker/host.h"
#include "core/worker/link.h"
#include "plugins/openai/chat.h"
#include "plugins/openai/speech.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/step.h"

#define REQUESTS_MAX 200 /* of one attempt; whoever asks more often asks for ever */
#define CHUNK_START_MS 5000
#define CHUNK_END_MS 65000

extern const struct cm_plugin fuzz_publish_telegram, fuzz_publish_vk;

/* ---- The input, and what came of it --------------------------------------------------------------- */

static struct json_object *input;

/* The texts of an object of the input. New. */
static struct json_object *texts_of(const char *field)
{
    struct json_object *from = cm_json_object(input, field), *to = json_object_new_object();
    if (from) {
        json_object_object_foreach(from, name, value)
        {
            if (json_object_is_type(value, json_type_string)) {
                json_object_object_add(to, name, json_object_get(value));
            }
        }
    }
    return to;
}

static struct {
    size_t requests, questions;
    struct json_object *last; /* answer, for its headers */
    int stopped;              /* the plugin was told to end soon */
    int refused;              /* by the daemon: it heeds no verdict of this attempt any more */
    int sending;              /* sending() was answered with go */
    int may_be_out;           /* a request that posts got an answer that leaves that open, or a yes */
} seen;

/* ---- The daemon, which is asked whether to go on --------------------------------------------------- */

void cm_link_tell(struct json_object *message)
{
    json_object_put(message);
}

void cm_link_say(struct json_object *message)
{
    if (!strcmp(cm_message_type(message), "spent")) {
        fuzz_promise(cm_json_int(message, "tokens_in", -2) >= -1 && cm_json_int(message, "tokens_out", -2) >= -1);
        fuzz_promise(cm_json_int(message, "audio_ms", -2) >= -1);
    }
    json_object_put(message);
}

int cm_link_ask(struct json_object *message)
{
    int goes_on = (long long)++seen.questions != cm_json_int(input, "stop", 0);
    seen.sending |= goes_on && !strcmp(cm_message_type(message), "sending");
    seen.refused |= !goes_on;
    json_object_put(message);
    return goes_on;
}

int cm_link_stopping(void)
{
    return seen.stopped || seen.refused;
}

/* ---- The service ----------------------------------------------------------------------------------- */

static const char *serialised(struct json_object *value)
{
    return json_object_is_type(value, json_type_string) ? json_object_get_string(value)
                                                        : json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
}

/* Telegram, told in as few words as possible: a no is what says so with a number below 500, or that it took the post
 * away again. */
static int telegram_says_no(struct json_object *body)
{
    long long code = cm_json_int(body, "error_code", 0);
    return (code > 0 && code < 500) || strstr(cm_json_text(body, "description", ""), "deleted");
}

/* VK: a no is any error but the three that VK itself does not know the end of. */
static int vk_says_no(struct json_object *body)
{
    long long code = cm_json_int(cm_json_object(body, "error"), "error_code", 0);
    return code > 0 && code != 1 && code != 10 && code != 36;
}

/* What the upload server of VK says no with. */
static int upload_says_no(struct json_object *body)
{
    return *cm_json_text(body, "error", "") || *cm_json_text(body, "error_descr", "");
}

/* Where there was an answer that counts: whether it is surely a no. */
static int is_no(const struct cm_http_request *request, struct json_object *body)
{
    if (!strcmp(cm_json_text(input, "plugin", ""), "telegram")) {
        return telegram_says_no(body);
    }
    return request->posts ? upload_says_no(body) : vk_says_no(body);
}

static int leaves_open(const struct cm_http_request *request, const struct cm_http_answer *answer)
{
    if (answer->outcome != CM_HTTP_ANSWERED) {
        return (answer->outcome == CM_HTTP_BROKEN || answer->outcome == CM_HTTP_STOPPED) && !answer->body_cut;
    }
    if (answer->body_cut || answer->status / 100 == 4 || answer->status / 100 == 3) {
        return 0;
    }
    struct json_object *body = cm_json_parse(answer->body, answer->body_bytes, NULL);
    int is_open = !is_no(request, body);
    json_object_put(body);
    return is_open;
}

static void give_status(struct cm_ctx *ctx, struct json_object *said, struct cm_http_answer *answer)
{
    answer->status = (int32_t)(cm_json_int(said, "status", 200) & 1023);
    answer->body = cm_host_copy(ctx, serialised(json_object_object_get(said, "body")));
    answer->body_bytes = strlen(answer->body);
    answer->retry_after_ms = cm_json_ms(said, "retry_ms", -1);
}

static void give_answer(struct cm_ctx *ctx, struct json_object *said, struct cm_http_answer *answer)
{
    long long outcome = said ? cm_json_int(said, "outcome", CM_HTTP_ANSWERED) : CM_HTTP_UNREACHED;
    int is_one = outcome >= CM_HTTP_ANSWERED && outcome <= CM_HTTP_STOPPED;
    *answer = (struct cm_http_answer){.size = sizeof *answer, .body = "", .problem = "", .final_url = ""};
    answer->outcome = is_one ? (uint32_t)outcome : CM_HTTP_BROKEN;
    answer->retry_after_ms = -1;
    answer->body_cut = cm_json_flag(said, "cut", 0) || answer->outcome == CM_HTTP_UNREACHED;
    if (answer->outcome == CM_HTTP_ANSWERED) {
        give_status(ctx, said, answer);
    } else {
        answer->problem = "fuzzed";
    }
    seen.stopped |= answer->outcome == CM_HTTP_STOPPED;
}

static void not_wanted(struct cm_http_answer *answer)
{
    *answer = (struct cm_http_answer){.size = sizeof *answer, .outcome = CM_HTTP_STOPPED, .body = "", .final_url = ""};
    answer->problem = "stopped";
    answer->body_cut = 1;
}

/* Uploads go wherever a service says: only what carries no file is a call of wall.post. */
static int is_post(const struct cm_http_request *request)
{
    return request->posts || (!request->parts && strstr(request->url, "/wall.post"));
}

enum cm_http_outcome cm_host_http(struct cm_ctx *ctx, const struct cm_http_request *request,
                                  struct cm_http_answer *answer)
{
    struct json_object *answers = cm_json_array(input, "answers");
    size_t count = answers ? json_object_array_length(answers) : 0;
    fuzz_promise(request->size && request->url && seen.requests < REQUESTS_MAX);
    seen.last = seen.requests < count ? json_object_array_get_idx(answers, seen.requests) : NULL;
    seen.requests++;
    give_answer(ctx, seen.last, answer);
    if (request->posts && !answer->body_cut && cm_host_sending(ctx)) {
        not_wanted(answer);
    }
    if (is_post(request)) {
        fuzz_promise(!seen.may_be_out);
        fuzz_promise(seen.sending || answer->body_cut);
        seen.may_be_out = leaves_open(request, answer);
    }
    return (enum cm_http_outcome)answer->outcome;
}

const char *cm_host_http_header(struct cm_ctx *ctx, const char *name)
{
    struct json_object *headers = cm_json_array(seen.last, "headers");
    size_t count = headers ? json_object_array_length(headers) : 0, length = strlen(name);
    for (size_t i = 0; i < count; i++) {
        const char *line = serialised(json_object_array_get_idx(headers, i));
        if (!strncasecmp(line, name, length) && line[length] == ':') {
            return cm_host_copy(ctx, line + length + 1 + strspn(line + length + 1, " "));
        }
    }
    return NULL;
}

/* ---- Recognisers and models -------------------------------------------------------------------------- */

static struct openai_server server = {.url = "http://x/v1/", .key = "k", .headers = "", .deadline_ms = 1000};

static const char *chosen(const char *name, const char *const *choices)
{
    const char *text = cm_json_text(cm_json_object(input, "options"), name, choices[0]);
    while (choices[1] && strcmp(text, choices[0]) != 0) {
        choices++;
    }
    return choices[0];
}

static enum cm_verdict transcribe(struct cm_ctx *ctx, const struct cm_stt_request *request)
{
    static const char *const times[] = {"words", "segments", "none", NULL};
    struct openai_speech speech = {.model = "m", .temperature = -1, .max_bytes = 1000000, .lost_ms = 20000};
    speech.times = chosen("times", times);
    speech.trial_ms = cm_json_flag(input, "trial", 0) ? 1 : 0;
    return openai_transcribe(ctx, &server, &speech, request);
}

static enum cm_verdict list_models(struct cm_ctx *ctx)
{
    return openai_models(ctx, &server);
}

static const struct cm_stt_ops hears = {.size = sizeof hears, .transcribe = transcribe, .models = list_models};

static enum cm_verdict ask_model(struct cm_call *call)
{
    static const char *const structures[] = {"json_schema", "json_object", "none", NULL};
    const struct openai_chat chat = {.model = "m",
                                     .structure = chosen("structure", structures),
                                     .limit_field = "max_tokens",
                                     .extra = cm_json_text(cm_json_object(input, "options"), "extra", ""),
                                     .temperature = 0.3};
    const struct cm_llm_request request = {sizeof request, "moment_selection", "{}", "s", "p", "{}", NULL, 100};
    struct cm_llm_answer answer = {.size = sizeof answer};
    enum cm_verdict verdict = openai_chat_answer(&call->ctx, &server, &chat, &request, &answer);
    fuzz_promise(verdict != CM_OK || (answer.json && answer.model));
    fuzz_promise(answer.tokens_in >= -1 && answer.tokens_out >= -1);
    return verdict;
}

/* ---- Platforms --------------------------------------------------------------------------------------- */

static const char telegram_options[] = "{\"url\":\"http://x\",\"token\":\"1:a\",\"chat\":\"@c\"}";
static const char vk_options[] = "{\"url\":\"http://x/method\",\"token\":\"t\",\"calls\":\"1000000/s\"}";

/* The fixed ones win: an input must not be able to wait. */
static struct json_object *options_with(const char *fixed)
{
    struct json_object *options = texts_of("options"), *ours = json_tokener_parse(fixed);
    json_object_object_foreach(ours, name, value)
    {
        json_object_object_add(options, name, json_object_get(value));
    }
    json_object_put(ours);
    return options;
}

static enum cm_verdict publish_by(struct cm_call *call, const struct cm_plugin *plugin, const char *fixed)
{
    const struct cm_publish_ops *ops = plugin->ops;
    struct json_object *values = options_with(fixed);
    void *block = cm_alloc(plugin->options_size);
    char *error = cm_options_fill(plugin->options, block, values);
    json_object_put(values);
    call->ctx.options = block;
    call->ops = ops;
    enum cm_verdict verdict = error ? cm_call_fail(call, CM_CANNOT, CM_REASON_INPUT, "%s", error) : CM_OK;
    if (verdict == CM_OK && ops->open) {
        verdict = ops->open(&call->ctx);
    }
    if (verdict == CM_OK) {
        verdict = cm_stage_publish(call);
        if (ops->close) {
            ops->close(&call->ctx);
        }
    }
    free(error);
    cm_options_release(plugin->options, block);
    free(block);
    return verdict;
}

static enum cm_verdict publish_telegram(struct cm_call *call)
{
    return publish_by(call, &fuzz_publish_telegram, telegram_options);
}

static enum cm_verdict publish_vk(struct cm_call *call)
{
    return publish_by(call, &fuzz_publish_vk, vk_options);
}

/* ---- One attempt -------------------------------------------------------------------------------------- */

static const struct service {
    const char *name;
    cm_stage_fn run;
    const void *ops; /* those that publish bring their own */
    const char *op;
    int publishes;
} services[] = {
    {"vk", publish_vk, NULL, "publish", 1},
    {"telegram", publish_telegram, NULL, "publish", 1},
    {"stt", cm_stage_stt, &hears, "transcribe", 0},
    {"llm", ask_model, NULL, "answer", 0},
};

static struct json_object *inputs; /* a clip and a chunk of speech */

static const struct service *service_of_input(void)
{
    const char *name = cm_json_text(input, "plugin", "");
    size_t i = sizeof services / sizeof *services - 1;
    while (i > 0 && strcmp(services[i].name, name) != 0) {
        i--;
    }
    return &services[i];
}

static struct json_object *begin_of_input(void)
{
    struct json_object *begin = json_object_new_object();
    json_object_object_add(begin, "stage", json_object_new_string("publish"));
    json_object_object_add(begin, "effect_key", json_object_new_string("0123abcd"));
    json_object_object_add(begin, "post_id", json_object_new_string(cm_json_text(input, "post_id", "")));
    json_object_object_add(begin, "saved", texts_of("saved"));
    json_object_object_add(begin, "recalled", texts_of("recalled"));
    return begin;
}

static void check_words(const struct cm_done *done)
{
    struct json_object *artifact = step_artifact(done, "words", 0);
    struct json_object *words = artifact ? cm_json_array(artifact, "words") : NULL; /* none of the operation `models` */
    int64_t before_ms = CHUNK_START_MS;
    for (size_t i = 0; words && i < json_object_array_length(words); i++) {
        struct json_object *word = json_object_array_get_idx(words, i);
        long long start_ms = cm_json_int(word, "s", -1), end_ms = cm_json_int(word, "e", -1);
        fuzz_promise(*cm_json_text(word, "t", "") && start_ms >= before_ms && end_ms >= start_ms);
        fuzz_promise(end_ms <= CHUNK_END_MS);
        before_ms = start_ms;
    }
    json_object_put(artifact);
}

/* The verdicts that say nothing against a post that may be out. */
static int admits_a_post(const struct cm_done *done)
{
    return done->outcome == CM_OK || done->outcome == CM_UNSURE;
}

static void check(const struct service *service, const char *op, const struct cm_done *done)
{
    int is_publishing = service->publishes && !strcmp(op, "publish");
    fuzz_promise(done->outcome >= CM_OK && done->outcome <= CM_UNSURE);
    fuzz_promise(done->outcome != CM_UNSURE || (is_publishing && seen.sending));
    fuzz_promise(!seen.may_be_out || seen.refused || admits_a_post(done));
    fuzz_promise(done->outcome == CM_OK || done->reason != CM_REASON_STOPPED || cm_link_stopping());
    fuzz_promise(done->delay_ms >= 0 && done->delay_ms <= 24 * 3600 * 1000LL);
    fuzz_promise(!is_publishing || done->outcome != CM_OK || *done->post_id);
    if (service->ops && done->outcome == CM_OK) {
        check_words(done);
    }
}

static void attempt(void)
{
    const struct service *service = service_of_input();
    const char *op = cm_json_text(input, "op", service->op);
    struct json_object *begin = begin_of_input();
    struct step step = {
        .run = service->run, .ops = service->ops, .item = "", .op = op, .begin = begin, .inputs = inputs};
    memset(&seen, 0, sizeof seen);
    struct cm_done *done = step_run(&step);
    check(service, op, done);
    cm_done_free(done);
    json_object_put(begin);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    struct json_object *list =
        json_tokener_parse("[{\"role\":\"clip\",\"value\":0,\"bytes\":1,\"facts\":{\"name\":\"01-a\",\"title\":\"A & "
                           "Б\",\"text\":\"One two #three\","
                           "\"duration_ms\":20000,\"width\":1080,\"height\":1920}},"
                           "{\"role\":\"chunk\",\"value\":0},"
                           "{\"role\":\"speech\",\"value\":{\"start_ms\":5000,\"end_ms\":65000,"
                           "\"speech\":[[5200,30000,-20],[31000,44000,-22],[46000,64000,-19]]}}]");
    inputs = step_inputs(list);
    json_object_put(list);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    input = cm_json_parse((const char *)bytes, count, NULL);
    if (json_object_is_type(input, json_type_object)) {
        attempt();
    }
    json_object_put(input);
    return 0;
}
