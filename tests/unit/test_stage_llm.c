/*
 * From words to moments with titles: the built-in steps and the questions between them, with
 * llm_offline as it is built here, and with a model that errs on order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/call.h"
#include "core/worker/host.h"
#include "core/worker/load.h"

/* One job: its folder and the artifacts that there are. */
struct road {
    char folder[64];
    struct json_object *inputs, *params;
    struct cm_done *done; /* of the last step */
    const struct cm_llm_ops *ops;
};

static struct cm_loaded offline;

/* ---- Steps ---- */

static void add_input(struct road *road, const char *role, const char *key, const char *item, const char *path)
{
    struct json_object *input = json_object_new_object();
    json_object_object_add(input, "role", json_object_new_string(role));
    json_object_object_add(input, "key", json_object_new_string(key));
    json_object_object_add(input, "item", json_object_new_string(item));
    json_object_object_add(input, "path", json_object_new_string(path));
    json_object_array_add(road->inputs, input);
}

static void add_text(struct road *road, const char *role, const char *key, const char *item, const char *text)
{
    char *path = cm_format("%s/%s-%s-%s.json", road->folder, role, key, item);
    assert_int_equal(cm_file_write(path, text, strlen(text)), 0);
    add_input(road, role, key, item, path);
    free(path);
}

static struct road start(const char *language, int64_t min_ms, int64_t max_ms)
{
    struct road road = {.inputs = json_object_new_array(), .params = json_object_new_object(), .ops = &offline.ops.llm};
    strcpy(road.folder, "/tmp/clipmaker-test-XXXXXX");
    assert_non_null(mkdtemp(road.folder));
    json_object_object_add(road.params, "language", json_object_new_string(language));
    json_object_object_add(road.params, "min_ms", json_object_new_int64(min_ms));
    json_object_object_add(road.params, "max_ms", json_object_new_int64(max_ms));
    return road;
}

static void finish(struct road *road)
{
    cm_done_free(road->done);
    json_object_put(road->inputs);
    json_object_put(road->params);
    cm_folder_remove(road->folder);
}

/* What a task of this window may see: all but other windows. */
static struct json_object *seen_by(const struct road *road, const char *window)
{
    struct json_object *seen = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(road->inputs); i++) {
        struct json_object *input = json_object_array_get_idx(road->inputs, i);
        int other =
            !strcmp(cm_json_text(input, "role", ""), "window") && strcmp(cm_json_text(input, "key", ""), window);
        if (!other) {
            json_object_array_add(seen, json_object_get(input));
        }
    }
    return seen;
}

static void keep_artifacts(struct road *road, const char *dir, const char *item)
{
    for (size_t i = 0; i < road->done->artifact_count; i++) {
        const struct cm_done_artifact *artifact = &road->done->artifacts[i];
        char *path = cm_path_join(dir, artifact->file);
        add_input(road, artifact->role, artifact->key, item, path);
        free(path);
    }
}

static int step(struct road *road, cm_stage_fn run, const char *ask, const char *item)
{
    char *dir = cm_format("%s/%s.%s.%zu", road->folder, ask, item, json_object_array_length(road->inputs));
    struct json_object *begin = json_object_new_object();
    cm_folder_make(dir);
    json_object_object_add(begin, "ask", json_object_new_string(ask));
    json_object_object_add(begin, "instance", json_object_new_string("model"));
    json_object_object_add(begin, "language", json_object_new_string("en"));
    json_object_object_add(begin, "source", json_object_new_string("/films/my talk.mp4"));
    const char *source = getenv("srcdir");
    char *prompts = cm_format("%s/etc/prompts", source ? source : ".");
    json_object_object_add(begin, "prompts", json_object_new_string(prompts));
    free(prompts);
    struct cm_call call = {.begin = begin, .params = road->params, .dir = dir, .item = item, .op = "answer"};
    call.inputs = seen_by(road, item);
    call.ops = road->ops;
    cm_done_free(road->done);
    road->done = call.done = cm_done_new(CM_OUTCOME_NOSTART);
    cm_host_open(&call);
    int verdict = cm_host_judge(&call, run(&call));
    cm_host_close(&call);
    if (verdict == CM_OK) {
        keep_artifacts(road, dir, item);
    }
    json_object_put(call.inputs);
    json_object_put(begin);
    free(dir);
    return verdict;
}

static struct json_object *artifact(const struct road *road, const char *role, const char *key)
{
    for (size_t i = 0; i < json_object_array_length(road->inputs); i++) {
        struct json_object *input = json_object_array_get_idx(road->inputs, i);
        if (!strcmp(cm_json_text(input, "role", ""), role) && !strcmp(cm_json_text(input, "key", ""), key)) {
            char *error = NULL;
            struct json_object *value = cm_json_read(cm_json_text(input, "path", ""), 1 << 28, &error);
            assert_non_null(value);
            return value;
        }
    }
    fail_msg("there is no %s %s", role, key);
    return NULL;
}

/* ---- Material ---- */

/* Words of 330 ms; a mark makes a pause of half a second behind it, a "/" one of a second. */
static void speak(struct road *road, const char *text, const char *language, const char *confidence)
{
    struct json_object *words = json_object_new_array(), *chunk = json_object_new_object();
    char *copy = cm_strdup(text), *rest = copy, *token;
    int64_t at_ms = 400;
    while ((token = strsep(&rest, " ")) != NULL) {
        if (!strcmp(token, "/")) {
            at_ms += 1000;
            continue;
        }
        struct json_object *word = json_object_new_object();
        json_object_object_add(word, "t", json_object_new_string(token));
        json_object_object_add(word, "s", json_object_new_int64(at_ms));
        json_object_object_add(word, "e", json_object_new_int64(at_ms + 330));
        json_object_array_add(words, word);
        at_ms += strpbrk(token, ".?!") ? 830 : 360;
    }
    json_object_object_add(chunk, "language", json_object_new_string(language));
    json_object_object_add(chunk, "language_confidence", json_tokener_parse(confidence));
    json_object_object_add(chunk, "by", json_object_new_string("ears"));
    json_object_object_add(chunk, "words", words);
    add_text(road, "words", "", "0001", json_object_to_json_string(chunk));
    char *facts = cm_format("{\"duration_ms\":%lld}", (long long)at_ms + 700);
    add_text(road, "facts", "", "", facts);
    free(facts);
    json_object_put(chunk);
    free(copy);
}

static const char english_talk[] =
    "Good morning and welcome back to the show. Today we talk with a guest about work. Thank you for having me. Ten "
    "years ago I lost my job in a single afternoon. I went home and I did not sleep for three days. What happened "
    "next? "
    "Then my sister asked me one question. What would you do if nobody could tell you no? That question saved my life. "
    "The next morning I called five people and four of them said no. The fifth one said yes. So what is the secret? "
    "The "
    "secret is very simple. You do not need more time. You need fewer promises. Most people spend their whole week "
    "working for other people. They never ask what they want to build. Can you give us one thing that we can try "
    "tomorrow? Yes. Write three things on a piece of paper. Then cross out two of them and do the last one before "
    "lunch. "
    "That sounds too easy. It is easy and that is the point. Small steps are the only steps that you really take. "
    "Thank "
    "you for coming. This was a great story.";

static const char russian_talk[] =
    "всем привет сегодня поговорим о привычках / почему у большинства людей ничего не получается / потому что они "
    "начинают сразу с десяти дел и бросают все через неделю / однажды я решил бегать каждое утро и провалился на "
    "третий "
    "день / это был ужасный провал и мне было стыдно / тогда я придумал одно простое правило / начните с двух минут в "
    "день "
    "и никогда не пропускайте два дня подряд / через месяц я бегал по полчаса каждое утро / самая большая ошибка это "
    "ждать "
    "вдохновения / запишите один шаг на завтра и сделайте его до обеда / маленькие шаги всегда побеждают большие планы "
    "/ "
    "спасибо что были с нами подписывайтесь на канал";

/* ---- The whole road ---- */

static void walk(struct road *road)
{
    assert_int_equal(step(road, cm_builtin_windows, "windows", ""), CM_OK);
    assert_string_equal(road->done->dimension, "window");
    size_t windows = road->done->child_count;
    assert_true(windows > 0);
    for (size_t i = 0; i < windows; i++) {
        char key[24];
        snprintf(key, sizeof key, "%02zu", i + 1);
        assert_int_equal(step(road, cm_stage_llm, "moment_selection", key), CM_OK);
    }
    assert_int_equal(step(road, cm_stage_llm, "virality_scoring", ""), CM_OK);
    assert_int_equal(step(road, cm_builtin_choose, "choose", ""), CM_OK);
    assert_string_equal(road->done->dimension, "moment");
}

static void check_moments(const struct road *road, int64_t min_ms, int64_t max_ms)
{
    struct json_object *transcript = artifact(road, "transcript", "");
    struct json_object *sentences = cm_json_array(transcript, "sentences");
    long long before = 101;
    for (size_t i = 0; i < road->done->child_count; i++) {
        struct json_object *moment = artifact(road, "moment", road->done->children[i]);
        struct json_object *score = cm_json_object(moment, "score");
        int64_t length_ms = cm_json_int(moment, "end_ms", 0) - cm_json_int(moment, "start_ms", 0);
        assert_true(length_ms >= min_ms && length_ms <= max_ms);
        assert_int_equal(cm_json_int(moment, "rank", 0), i + 1);
        assert_true(cm_json_int(score, "total", -1) <= before);
        before = cm_json_int(score, "total", -1);
        assert_int_equal(before, cm_json_int(score, "hook", 0) + cm_json_int(score, "engagement", 0) +
                                     cm_json_int(score, "flow", 0) + cm_json_int(score, "trend", 0));
        struct json_object *first = json_object_array_get_idx(sentences, (size_t)cm_json_int(moment, "first", 0));
        struct json_object *last = json_object_array_get_idx(sentences, (size_t)cm_json_int(moment, "last", 0));
        assert_int_equal(cm_json_int(moment, "first_word", -1), cm_json_int(first, "first", -2));
        assert_int_equal(cm_json_int(moment, "last_word", -1), cm_json_int(last, "last", -2));
        assert_true(*cm_json_text(moment, "reason", ""));
        json_object_put(moment);
    }
    json_object_put(transcript);
}

static void english_gives_three_moments_with_titles(void **state)
{
    (void)state;
    struct road road = start("en", 15000, 60000);
    speak(&road, english_talk, "", "null");
    walk(&road);
    assert_in_range(road.done->child_count, 3, 4);
    check_moments(&road, 15000, 60000);
    struct json_object *best = artifact(&road, "moment", "01");
    assert_string_equal(cm_json_text(best, "selected_by", ""), "model");
    json_object_put(best);
    assert_int_equal(step(&road, cm_stage_llm, "title_generation", ""), CM_OK);
    assert_int_equal(step(&road, cm_stage_llm, "cta_suggestion", ""), CM_OK);
    struct json_object *titles = artifact(&road, "titles", ""), *ctas = artifact(&road, "ctas", "");
    struct json_object *title = cm_json_object(cm_json_object(titles, "titles"), "01");
    const char *words = cm_json_text(title, "title", "");
    assert_true(words[0] >= 'A' && words[0] <= 'Z' && strlen(words) < 80);
    assert_true(json_object_array_length(cm_json_array(title, "hashtags")) > 0);
    assert_null(json_object_object_get(title, "key"));
    assert_true(*cm_json_text(cm_json_object(ctas, "ctas"), "03", ""));
    json_object_put(titles);
    json_object_put(ctas);
    finish(&road);
}

static void russian_without_marks_gives_moments_with_reasons(void **state)
{
    (void)state;
    struct road road = start("auto", 10000, 30000);
    speak(&road, russian_talk, "ru", "0.95");
    walk(&road);
    assert_in_range(road.done->child_count, 3, 6);
    check_moments(&road, 10000, 30000);
    struct json_object *best = artifact(&road, "moment", "01"), *transcript = artifact(&road, "transcript", "");
    assert_string_equal(cm_json_text(transcript, "language", ""), "ru");
    assert_non_null(strstr(cm_json_text(best, "reason", ""), "законченная мысль"));
    assert_true(cm_json_int(best, "first", 0) > 0); /* no greeting */
    json_object_put(best);
    json_object_put(transcript);
    finish(&road);
}

static void the_same_input_gives_the_same_answer(void **state)
{
    (void)state;
    char *texts[2];
    for (int i = 0; i < 2; i++) {
        struct road road = start("en", 15000, 60000);
        speak(&road, english_talk, "", "null");
        walk(&road);
        struct json_object *scores = artifact(&road, "scores", "");
        texts[i] = cm_strdup(json_object_to_json_string(scores));
        json_object_put(scores);
        finish(&road);
    }
    assert_string_equal(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
}

static void a_few_words_in_a_long_silence_give_one_moment(void **state)
{
    (void)state;
    struct road road = start("en", 15000, 60000);
    speak(&road, "Banana. / / / / / / / / / / / / / / / / / / / / That was all.", "", "null");
    walk(&road);
    assert_int_equal(road.done->child_count, 1);
    check_moments(&road, 15000, 60000);
    finish(&road);
}

/* ---- What is rejected ---- */

static void expect_rejected(const char *language, const char *text, const char *heard, const char *confidence,
                            int reason, const char *words)
{
    struct road road = start(language, 15000, 60000);
    speak(&road, text, heard, confidence);
    assert_int_equal(step(&road, cm_builtin_windows, "windows", ""), CM_REJECT);
    assert_int_equal(road.done->reason, reason);
    assert_non_null(strstr(road.done->words, words));
    finish(&road);
}

static void what_cannot_become_a_clip_is_rejected_with_words(void **state)
{
    (void)state;
    struct road road = start("en", 15000, 60000);
    add_text(&road, "words", "", "0001", "{\"words\":[],\"by\":\"ears\"}");
    assert_int_equal(step(&road, cm_builtin_windows, "windows", ""), CM_REJECT);
    assert_int_equal(road.done->reason, CM_REASON_NO_SPEECH);
    finish(&road);
    expect_rejected("en", "too short", "", "null", CM_REASON_TOO_SHORT, "--min");
    expect_rejected("auto", english_talk, "en", "0.4", CM_REASON_LANGUAGE,
                    "clipmaker run '/films/my talk.mp4' --lang en");
    expect_rejected("auto", english_talk, "", "null", CM_REASON_LANGUAGE, "--captions");
}

/* ---- A model that errs ---- */

static struct {
    const char *answers[4];
    int asked, truncated; /* how many of the first are cut off */
    int64_t limits[4];
    char complaint[200], prompt[4000], system[4000];
} model;

static enum cm_verdict scripted(struct cm_ctx *ctx, const struct cm_llm_request *request, struct cm_llm_answer *answer)
{
    (void)ctx;
    snprintf(model.complaint, sizeof model.complaint, "%s", request->complaint ? request->complaint : "");
    snprintf(model.prompt, sizeof model.prompt, "%s", request->prompt);
    snprintf(model.system, sizeof model.system, "%s", request->system);
    model.limits[model.asked] = request->max_tokens;
    answer->truncated = model.asked < model.truncated;
    answer->json = model.answers[model.asked++];
    answer->model = "scripted-1";
    answer->tokens_in = 10;
    answer->tokens_out = 5;
    return CM_OK;
}

static const struct cm_llm_ops scripted_ops = {.size = sizeof scripted_ops, .answer = scripted};

static struct road ask_model(const char *first, const char *second, int truncated, int wanted)
{
    struct road road = start("en", 15000, 60000);
    speak(&road, english_talk, "", "null");
    road.ops = &scripted_ops;
    memset(&model, 0, sizeof model);
    model.answers[0] = first;
    model.answers[1] = second;
    model.truncated = truncated;
    assert_int_equal(step(&road, cm_builtin_windows, "windows", ""), CM_OK);
    assert_int_equal(step(&road, cm_stage_llm, "moment_selection", "01"), wanted);
    return road;
}

#define GOOD "{\"moments\":[{\"first\":3,\"last\":4,\"reason\":\"a story\"}]}"

static void a_malformed_answer_is_asked_for_once_more(void **state)
{
    (void)state;
    struct road road = ask_model("{\"moments\":[{\"first\":3,\"last\":900,\"reason\":\"\"}]}", GOOD, 0, CM_OK);
    assert_int_equal(model.asked, 2);
    assert_non_null(strstr(model.complaint, "moments[0].last: 900"));
    assert_non_null(strstr(model.prompt, "Ten years ago I lost my job"));
    assert_non_null(strstr(model.system, "JSON"));
    struct json_object *candidates = artifact(&road, "candidates", "");
    struct json_object *one = json_object_array_get_idx(cm_json_array(candidates, "candidates"), 0);
    assert_string_equal(cm_json_text(one, "id", ""), "01.1");
    assert_string_equal(cm_json_text(candidates, "model", ""), "scripted-1");
    assert_int_equal(cm_json_int(one, "first", -1), 3);
    assert_true(cm_json_int(one, "end_ms", 0) - cm_json_int(one, "start_ms", 0) >= 15000); /* extended */
    json_object_put(candidates);
    finish(&road);
}

static void twice_malformed_goes_to_the_fallback(void **state)
{
    (void)state;
    struct road road = ask_model("no idea", "{}", 0, CM_CANNOT);
    assert_int_equal(model.asked, 2);
    assert_int_equal(road.done->reason, CM_REASON_MALFORMED);
    assert_int_equal(road.done->artifact_count, 0);
    finish(&road);
}

static void a_truncated_answer_is_never_used(void **state)
{
    (void)state;
    struct road road = ask_model(GOOD, GOOD, 2, CM_CANNOT);
    assert_int_equal(model.asked, 2);
    assert_int_equal(road.done->reason, CM_REASON_TOO_LARGE);
    finish(&road);
}

static void a_truncated_answer_is_asked_for_once_with_more_room(void **state)
{
    (void)state;
    struct road road = ask_model("{\"moments\":[{\"fir", GOOD, 1, CM_OK);
    assert_int_equal(model.asked, 2);
    assert_int_equal(model.limits[1], 2 * model.limits[0]);
    assert_string_equal(model.complaint, ""); /* it is no fault of what it said */
    finish(&road);
    road = ask_model("{\"moments\":[{\"fir", "no idea", 1, CM_CANNOT); /* model.answers[2] is NULL: no sense either */
    assert_int_equal(model.asked, 3);
    assert_int_equal(model.limits[2], model.limits[1]);
    assert_int_equal(road.done->reason, CM_REASON_MALFORMED);
    finish(&road);
}

/* The model finds nothing, and still there are clips. */
static void no_proposals_still_give_moments(void **state)
{
    (void)state;
    struct road road = ask_model("{\"moments\":[]}", NULL, 0, CM_OK);
    assert_int_equal(step(&road, cm_stage_llm, "virality_scoring", ""), CM_OK);
    assert_int_equal(model.asked, 1); /* nothing to score, nothing to pay */
    assert_int_equal(step(&road, cm_builtin_choose, "choose", ""), CM_OK);
    assert_int_equal(road.done->child_count, 3);
    struct json_object *best = artifact(&road, "moment", "01");
    assert_string_equal(cm_json_text(best, "selected_by", ""), "choose");
    json_object_put(best);
    finish(&road);
}

/* ---- Speed ---- */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Two hours of the English talk; how long each step takes is printed, not judged. */
static void two_hours_are_quick(void **state)
{
    (void)state;
    struct cm_text talk = {0};
    for (int i = 0; i < 80; i++) {
        cm_text_addf(&talk, "%sThis is part %d of the day.", i ? " " : "", i);
        cm_text_addf(&talk, " %s", english_talk);
    }
    struct road road = start("en", 15000, 60000);
    speak(&road, talk.bytes, "", "null");
    cm_text_free(&talk);
    double begin = seconds();
    walk(&road);
    struct json_object *transcript = artifact(&road, "transcript", "");
    print_message(
        "%.0f minutes, %zu words: %zu moments in %.2f s\n", (double)cm_json_int(transcript, "duration_ms", 0) / 60000,
        json_object_array_length(cm_json_array(transcript, "words")), road.done->child_count, seconds() - begin);
    assert_in_range(road.done->child_count, 3, 12); /* the same talk over and over says little new */
    check_moments(&road, 15000, 60000);
    json_object_put(transcript);
    finish(&road);
}

static int load_offline(void **state)
{
    (void)state;
    char *error = cm_load("plugins/llm_offline.so", &offline);
    if (error) {
        print_error("%s\n", error);
        free(error);
        return -1;
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(english_gives_three_moments_with_titles),
        cmocka_unit_test(russian_without_marks_gives_moments_with_reasons),
        cmocka_unit_test(the_same_input_gives_the_same_answer),
        cmocka_unit_test(a_few_words_in_a_long_silence_give_one_moment),
        cmocka_unit_test(what_cannot_become_a_clip_is_rejected_with_words),
        cmocka_unit_test(a_malformed_answer_is_asked_for_once_more),
        cmocka_unit_test(twice_malformed_goes_to_the_fallback),
        cmocka_unit_test(a_truncated_answer_is_never_used),
        cmocka_unit_test(a_truncated_answer_is_asked_for_once_with_more_room),
        cmocka_unit_test(no_proposals_still_give_moments),
        cmocka_unit_test(two_hours_are_quick),
    };
    return cmocka_run_group_tests(tests, load_offline, NULL);
}
