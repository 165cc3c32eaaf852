/*
 * Moments answers: any bytes as what a language model says, through the whole stage, and what becomes of
 * them in the choice. Which question it answers is told by the word in it.
 */
#include <json-c/json.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/moments/fit.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/step.h"

static const char talk[] =
    "Good morning and welcome back to the show. Today we talk with a guest about work. Thank you for having me. Ten "
    "years ago I lost my job in a single afternoon. I went home and I did not sleep for three days. What happened "
    "next? Then my sister asked me one question. What would you do if nobody could tell you no? That question saved my "
    "life. The next morning I called five people and four of them said no. The fifth one said yes. So what is the "
    "secret? The secret is very simple. You do not need more time. You need fewer promises. Small steps win.";

static struct cm_limits limits;
static struct json_object *params;
static struct json_object *road; /* the inputs that there are before anybody answers */

/* ---- The model -------------------------------------------------------------------------------- */

static const char *said; /* by the model, whatever it is asked */

static enum cm_verdict answer(struct cm_ctx *ctx, const struct cm_llm_request *request, struct cm_llm_answer *given)
{
    (void)ctx;
    fuzz_promise(request->task && request->input_json && request->schema_json && request->prompt);
    given->json = said;
    given->model = "fuzz";
    given->truncated = *said == '~';
    return CM_OK;
}

static struct cm_llm_ops ops = {.size = sizeof ops, .answer = answer};

/* ---- The road before ---------------------------------------------------------------------------- */

static void add(struct json_object *list, const char *role, const char *key, struct json_object *value)
{
    struct json_object *one = json_object_new_object();
    json_object_object_add(one, "role", json_object_new_string(role));
    json_object_object_add(one, "key", json_object_new_string(key));
    json_object_object_add(one, "value", value);
    json_object_array_add(list, one);
}

static struct json_object *words_of_talk(int64_t *end_ms)
{
    struct json_object *words = json_object_new_array(), *chunk = json_object_new_object();
    char *copy = cm_strdup(talk), *rest = copy, *token;
    int64_t at_ms = 400;
    while ((token = strsep(&rest, " ")) != NULL) {
        struct json_object *word = json_object_new_object();
        json_object_object_add(word, "t", json_object_new_string(token));
        json_object_object_add(word, "s", json_object_new_int64(at_ms));
        json_object_object_add(word, "e", json_object_new_int64(at_ms + 330));
        json_object_array_add(words, word);
        at_ms += strpbrk(token, ".?!") ? 830 : 360;
    }
    free(copy);
    json_object_object_add(chunk, "language", json_object_new_string("en"));
    json_object_object_add(chunk, "by", json_object_new_string("ears"));
    json_object_object_add(chunk, "words", words);
    *end_ms = at_ms + 700;
    return chunk;
}

/* Runs a step that cannot fail here. */
static struct cm_done *go(cm_stage_fn run, struct json_object *inputs, const char *ask)
{
    struct json_object *begin = json_object_new_object();
    json_object_object_add(begin, "ask", json_object_new_string(ask));
    const char *source = getenv("srcdir");
    char *prompts = cm_format("%s/etc/prompts", source ? source : ".");
    json_object_object_add(begin, "prompts", json_object_new_string(prompts));
    struct step step = {
        .run = run, .ops = &ops, .item = "", .op = "answer", .begin = begin, .params = params, .inputs = inputs};
    struct cm_done *done = step_run(&step);
    json_object_put(begin);
    free(prompts);
    return done;
}

/* Moves an artifact into the list; a step before has left it there. */
static void keep(struct json_object *list, const struct cm_done *done, const char *role, const char *key)
{
    struct json_object *value = step_artifact(done, role, 0);
    fuzz_promise(value);
    add(list, role, key, value);
}

static void walk_road(void)
{
    int64_t end_ms;
    struct json_object *before = json_object_new_array(), *facts = json_object_new_object();
    add(before, "words", "", words_of_talk(&end_ms));
    json_object_object_add(facts, "duration_ms", json_object_new_int64(end_ms));
    add(before, "facts", "", facts);
    struct json_object *inputs = step_inputs(before);
    struct cm_done *done = go(cm_builtin_windows, inputs, "");
    struct json_object *list = json_object_new_array();
    keep(list, done, "transcript", "");
    keep(list, done, "window", "01");
    add(list, "cues", "", json_tokener_parse("{\"silence\":[[100,300,-60]],\"loud\":[],\"scene\":[[900,0.5]]}"));
    cm_done_free(done);
    json_object_put(inputs);
    said = "{\"moments\":[{\"first\":3,\"last\":8,\"reason\":\"a\"},{\"first\":9,\"last\":15,\"reason\":\"b\"}]}";
    inputs = step_inputs(list);
    done = go(cm_stage_llm, inputs, "moment_selection");
    keep(list, done, "candidates", "");
    cm_done_free(done);
    json_object_put(inputs);
    inputs = step_inputs(list);
    done = go(cm_builtin_choose, inputs, "");
    fuzz_promise(done->outcome == CM_OK);
    keep(list, done, "moment", "01");
    cm_done_free(done);
    json_object_put(inputs);
    json_object_put(before);
    road = step_inputs(list);
    json_object_put(list);
}

/* ---- What becomes of an answer ------------------------------------------------------------------ */

static void check_choice(struct json_object *inputs)
{
    struct cm_done *done = go(cm_builtin_choose, inputs, "");
    fuzz_promise(done->outcome == CM_OK && done->child_count > 0);
    for (size_t i = 0; i < done->child_count; i++) {
        struct json_object *moment = step_artifact(done, "moment", i);
        long long start_ms = cm_json_int(moment, "start_ms", -1), end_ms = cm_json_int(moment, "end_ms", -1);
        long long total = cm_json_int(cm_json_object(moment, "score"), "total", -1);
        fuzz_promise(start_ms >= 0 && end_ms - start_ms >= limits.min_ms && end_ms - start_ms <= limits.max_ms);
        fuzz_promise(total >= 0 && total <= 100);
        json_object_put(moment);
    }
    cm_done_free(done);
}

/* The artifact stands in the place of the one that the road has. */
static struct json_object *road_with(const struct cm_done *done, const char *role)
{
    struct json_object *inputs = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(road); i++) {
        struct json_object *one = json_object_array_get_idx(road, i);
        if (strcmp(cm_json_text(one, "role", ""), role) != 0) {
            json_object_array_add(inputs, json_object_get(one));
        }
    }
    struct json_object *input = json_object_new_object();
    char *path = step_path(done->artifacts[0].file);
    json_object_object_add(input, "role", json_object_new_string(role));
    json_object_object_add(input, "key", json_object_new_string(""));
    json_object_object_add(input, "path", json_object_new_string(path));
    json_object_array_add(inputs, input);
    free(path);
    return inputs;
}

static void check_titles(const struct cm_done *done)
{
    struct json_object *value = step_artifact(done, "titles", 0);
    struct json_object *title = cm_json_object(cm_json_object(value, "titles"), "01");
    fuzz_promise(*cm_json_text(title, "title", "") && cm_json_array(title, "hashtags"));
    json_object_put(value);
}

static void check_ctas(const struct cm_done *done)
{
    struct json_object *value = step_artifact(done, "ctas", 0);
    fuzz_promise(*cm_json_text(cm_json_object(value, "ctas"), "01", ""));
    json_object_put(value);
}

static void check_chosen(const struct cm_done *done)
{
    struct json_object *inputs = road_with(done, done->artifacts[0].role);
    check_choice(inputs);
    json_object_put(inputs);
}

static const struct {
    const char *word, *ask;
    void (*check)(const struct cm_done *done);
} questions[] = {
    {"scores", "virality_scoring", check_chosen},
    {"titles", "title_generation", check_titles},
    {"ctas", "cta_suggestion", check_ctas},
    {"", "moment_selection", check_chosen},
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    params = json_tokener_parse("{\"language\":\"en\",\"min_ms\":8000,\"max_ms\":30000}");
    limits = cm_limits_of(8000, 30000);
    ops.needs_no_prompt = !getenv("srcdir");
    walk_road();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *text = cm_strndup((const char *)bytes, count);
    size_t i = 0;
    while (!strstr(text, questions[i].word)) {
        i++;
    }
    said = text;
    struct cm_done *done = go(cm_stage_llm, road, questions[i].ask);
    fuzz_promise(done->outcome == CM_OK || done->outcome == CM_CANNOT);
    if (done->outcome == CM_OK) {
        questions[i].check(done);
    }
    cm_done_free(done);
    free(text);
    return 0;
}
