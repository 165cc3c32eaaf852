/*
 * Questions to a language model: inputs, schemas, prompts, and which answers pass.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "core/common/message.h"
#include "core/moments/candidates.h"
#include "core/worker/prompt.h"
#include "core/worker/question.h"
#include "tests/unit/moments_kit.h"

static const struct cm_limits limits = {15000, 60000};

static struct json_object *selection_input(struct cm_transcript *transcript)
{
    struct json_object *cues =
        json_tokener_parse("{\"loud\":[[600,900,7.5],[900000,900100,9]],\"level\":[[0,-20],[1000,-21]],\"silence\":7}");
    struct cm_material material = {.transcript = transcript,
                                   .limits = &limits,
                                   .cues = cues,
                                   .window_key = "01",
                                   .window_first = 1,
                                   .window_last = 3};
    struct json_object *input = cm_question_input(cm_task_find("moment_selection"), &material, 0, 1);
    json_object_put(cues);
    return input;
}

static void the_input_has_what_heuristics_and_models_need(void **state)
{
    (void)state;
    struct cm_transcript *transcript = kit_sentences("One two. / @0 Three @1 four? Five six. // Seven.", 60000);
    struct json_object *input = selection_input(transcript);
    struct json_object *sentences = cm_json_array(input, "sentences");
    assert_int_equal(json_object_array_length(sentences), 3);
    struct json_object *second = json_object_array_get_idx(sentences, 1);
    assert_int_equal(cm_json_int(second, "id", -1), 2);
    assert_string_equal(cm_json_text(second, "text", ""), "four?");
    assert_string_equal(cm_json_text(second, "end", ""), "mark");
    assert_int_equal(cm_json_int(second, "p", -1), 1);
    assert_int_equal(cm_json_int(json_object_array_get_idx(sentences, 2), "gap", -1), 3000);
    struct json_object *cues = cm_json_object(input, "cues");
    assert_int_equal(json_object_array_length(cm_json_array(cues, "loud")), 0); /* neither touches the window */
    assert_int_equal(json_object_array_length(cm_json_array(cues, "burst")), 0);
    assert_int_equal(json_object_array_length(cm_json_array(cues, "silence")), 0);
    assert_int_equal(cm_json_int(cm_json_object(input, "window"), "last", -1), 3);
    assert_true(cm_json_int(cm_json_object(input, "limits"), "want", 0) > 0);
    json_object_put(input);
    cm_transcript_free(transcript);
}

/* ---- Answers ---- */

static void expect_selection(const char *text, const char *complaint)
{
    struct cm_transcript *transcript = kit_sentences("One. Two. Three. Four. Five.", 60000);
    struct json_object *input = selection_input(transcript);
    const struct cm_task *task = cm_task_find("moment_selection");
    struct json_object *schema = cm_question_schema(task, input);
    char *error = NULL;
    struct json_object *answer = cm_answer_read(task, schema, text, &error);
    if (complaint) {
        assert_null(answer);
        assert_non_null(error);
        if (!strstr(error, complaint)) {
            print_error("wanted \"%s\", got \"%s\"\n", complaint, error);
        }
        assert_non_null(strstr(error, complaint));
    } else {
        assert_non_null(answer);
        assert_null(error);
    }
    free(error);
    json_object_put(answer);
    json_object_put(schema);
    json_object_put(input);
    cm_transcript_free(transcript);
}

static void good_answers_pass(void **state)
{
    (void)state;
    expect_selection("{\"moments\":[{\"first\":1,\"last\":3,\"reason\":\"x\"}]}", NULL);
    expect_selection("{\"moments\":[]}", NULL);
    expect_selection("Here you are:\n```json\n{\"moments\":[{\"first\":2,\"last\":2,\"reason\":\"ё\"}]}\n```\n", NULL);
}

static void bad_answers_are_named(void **state)
{
    (void)state;
    expect_selection("", "no JSON object");
    expect_selection("I am sorry", "no JSON object");
    expect_selection("{\"moments\":[{\"first\":1,\"last\":3,\"reason\":\"cut o", "");
    expect_selection("{\"moments\":[{\"first\":1,\"last\":3,\"rea}", "");
    expect_selection("{\"moments\":{}}", "moments: must be of type array");
    expect_selection("{\"moments\":[{\"first\":0,\"last\":3,\"reason\":\"\"}]}", "moments[0].first: 0 is less than 1");
    expect_selection("{\"moments\":[{\"first\":1,\"last\":4,\"reason\":\"\"}]}", "moments[0].last: 4 is more than 3");
    expect_selection("{\"moments\":[{\"first\":3,\"last\":1,\"reason\":\"\"}]}", "\"first\" is behind \"last\"");
    expect_selection("{\"moments\":[{\"first\":\"1\",\"last\":3,\"reason\":\"\"}]}", "must be of type integer");
    expect_selection("{\"moments\":[{\"first\":1,\"last\":3}]}", "\"reason\" is missing");
    expect_selection("{\"moments\":[{\"first\":1,\"last\":3,\"reason\":\"\",\"at\":\"1:20\"}]}",
                     "\"at\" does not belong");
    expect_selection("{\"moments\":[],\"note\":1}", "\"note\" does not belong");
    expect_selection("{\"moments\":[null]}", "must be of type object");
    expect_selection("{\"moments\":[]} {\"moments\":[]}", "");
}

static struct json_object *items(const char *json)
{
    struct json_object *list = json_tokener_parse(json);
    assert_non_null(list);
    return list;
}

static void expect_scores(const char *text, const char *complaint)
{
    const struct cm_task *task = cm_task_find("virality_scoring");
    struct cm_transcript *transcript = kit_sentences("One. Two. Three.", 60000);
    struct json_object *list =
        items("[{\"id\":\"01.1\",\"first\":0,\"last\":1},{\"id\":\"01.2\",\"first\":1,\"last\":2},"
              "{\"id\":\"02.1\",\"first\":2,\"last\":2}]");
    struct cm_material material = {.transcript = transcript, .limits = &limits, .items = list};
    struct json_object *input = cm_question_input(task, &material, 1, 2), *schema = cm_question_schema(task, input);
    char *error = NULL;
    struct json_object *answer = cm_answer_read(task, schema, text, &error);
    assert_int_equal(answer == NULL, complaint != NULL);
    assert_true(!complaint || strstr(error, complaint));
    free(error);
    json_object_put(answer);
    json_object_put(schema);
    json_object_put(input);
    json_object_put(list);
    cm_transcript_free(transcript);
}

#define SCORE(id, hook) "{\"id\":\"" id "\",\"hook\":" hook ",\"engagement\":1,\"flow\":2,\"trend\":3,\"reason\":\"\"}"

static void each_item_is_answered_once(void **state)
{
    (void)state;
    expect_scores("{\"scores\":[" SCORE("01.2", "25") "," SCORE("02.1", "0") "]}", NULL);
    expect_scores("{\"scores\":[" SCORE("01.2", "25") "]}", "1 entries");
    expect_scores("{\"scores\":[" SCORE("01.2", "25") "," SCORE("01.2", "1") "]}", "answered twice");
    expect_scores("{\"scores\":[" SCORE("01.1", "25") "," SCORE("02.1", "1") "]}", "\"01.1\" was not asked for");
    expect_scores("{\"scores\":[" SCORE("01.2", "26") "," SCORE("02.1", "1") "]}", "26 is more than 25");
    expect_scores("{\"scores\":[" SCORE("01.2", "2.5") "," SCORE("02.1", "1") "]}", "must be of type integer");
}

/* ---- Prompts ---- */

static void a_prompt_is_filled_once(void **state)
{
    (void)state;
    struct cm_transcript *transcript = kit_sentences("Zero. One {want} two. / @0 Three @1 four? Five.", 60000);
    struct json_object *input = selection_input(transcript);
    struct cm_prompt prompt = {0};
    char *error =
        cm_prompt_render("Say {\"moments\":[]} in {language}.\n---\n{min_s}-{max_s}:\n{sentences}end", input, &prompt);
    assert_null(error);
    assert_string_equal(prompt.system, "Say {\"moments\":[]} in en.");
    assert_non_null(strstr(prompt.question, "15-60:\n[1] 0:00 One {want} two."));
    assert_non_null(strstr(prompt.question, "S2 four?"));
    cm_prompt_free(&prompt);
    error = cm_prompt_render("{sentense}", input, &prompt);
    assert_non_null(strstr(error, "{sentense}"));
    free(error);
    assert_null(prompt.system);
    json_object_put(input);
    cm_transcript_free(transcript);
}

static void render_shipped(const char *folder, const char *language, const char *task_name)
{
    const struct cm_task *task = cm_task_find(task_name);
    struct cm_transcript *transcript = kit_sentences("One two three. Four.", 60000);
    struct json_object *list =
        items("[{\"id\":\"01.1\",\"key\":\"01\",\"first\":0,\"last\":1,\"start_ms\":500,\"end_ms\":2500}]");
    struct cm_material material = {
        .transcript = transcript, .limits = &limits, .window_key = "01", .window_last = 1, .items = list};
    struct json_object *input = cm_question_input(task, &material, 0, 1);
    struct cm_prompt prompt = {0};
    char *text = NULL;
    assert_null(cm_prompt_read(folder, language, task_name, &text));
    assert_null(cm_prompt_render(text, input, &prompt));
    assert_true(strlen(prompt.system) > 200);
    assert_non_null(strstr(prompt.question, "One two three."));
    assert_non_null(strstr(prompt.system, task->answers));
    cm_prompt_free(&prompt);
    free(text);
    json_object_put(input);
    json_object_put(list);
    cm_transcript_free(transcript);
}

static void the_shipped_prompts_render(void **state)
{
    (void)state;
    static const char *const tasks[] = {"moment_selection", "virality_scoring", "title_generation", "cta_suggestion"};
    const char *source = getenv("srcdir");
    char *folder = cm_format("%s/etc/prompts", source ? source : ".");
    char *text = NULL, *error = cm_prompt_read(folder, "en", "no_such_task", &text);
    assert_non_null(strstr(error, "no_such_task.txt"));
    free(error);
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        render_shipped(folder, "en", tasks[i]);
        render_shipped(folder, "ru", tasks[i]);
        render_shipped(folder, "de", tasks[i]); /* there is none: English */
    }
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_input_has_what_heuristics_and_models_need),
        cmocka_unit_test(good_answers_pass),
        cmocka_unit_test(bad_answers_are_named),
        cmocka_unit_test(each_item_is_answered_once),
        cmocka_unit_test(a_prompt_is_filled_once),
        cmocka_unit_test(the_shipped_prompts_render),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
