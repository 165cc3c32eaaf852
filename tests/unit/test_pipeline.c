/*
 * Pipelines: what is accepted, what is refused with which words, and the canonical text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clipmaker/plugin.h>

#include "core/common/text.h"
#include "core/daemon/engine/pipeline.h"

#define FETCH "{\"step\":\"fetch\",\"stage\":\"source\",\"use\":[\"file\"]}"
#define PREPARE                                                                                                        \
    "{\"step\":\"prepare\",\"stage\":\"prepare\",\"use\":[\"media\"],\"after\":[\"fetch\"],\"makes\":[\"chunk\"]}"
#define STT(more)                                                                                                      \
    "{\"step\":\"stt\",\"stage\":\"stt\",\"use\":[\"a\",\"b\"],\"after\":[\"prepare\"],\"each\":\"chunk\"" more "}"

static struct cm_pipeline *parse_steps(const char *steps, char **error)
{
    char *text = cm_format("{\"name\":\"default\",\"steps\":[%s]}", steps);
    struct cm_pipeline *pipeline = cm_pipeline_parse(text, error);
    free(text);
    return pipeline;
}

static void assert_refused(const char *steps, const char *words)
{
    char *error = NULL;
    struct cm_pipeline *pipeline = parse_steps(steps, &error);
    assert_null(pipeline);
    assert_non_null(error);
    if (!strstr(error, words)) {
        print_error("\"%s\" says nothing of \"%s\"\n", error, words);
        fail();
    }
    free(error);
    assert_null(parse_steps(steps, NULL)); /* nobody has to want the words */
}

static void test_defaults(void **state)
{
    (void)state;
    struct cm_pipeline *pipeline = parse_steps(FETCH "," PREPARE "," STT(""), NULL);
    assert_non_null(pipeline);
    const struct cm_step *stt = cm_pipeline_step(pipeline, "stt");
    assert_int_equal(pipeline->step_count, 3);
    assert_int_equal(stt->stage, CM_STAGE_STT);
    assert_int_equal(stt->tries, 3);
    assert_int_equal(stt->deadline_ms, 30 * 60000);
    assert_int_equal(stt->need.kind, CM_NEED_ALL);
    assert_int_equal(stt->use_count, 2);
    assert_int_equal(stt->after_count, 1);
    assert_int_equal(stt->after[0], 1);
    assert_string_equal(stt->each[0], "chunk");
    assert_string_equal(cm_pipeline_step(pipeline, "prepare")->makes, "chunk");
    assert_int_equal(cm_pipeline_step(pipeline, "prepare")->deadline_ms, 120 * 60000);
    assert_null(cm_pipeline_step(pipeline, "nobody"));
    cm_pipeline_free(pipeline);
}

static void test_fields(void **state)
{
    (void)state;
    struct cm_pipeline *pipeline =
        parse_steps(FETCH "," PREPARE "," STT(
                        ",\"need\":\"80%\",\"optional\":true,\"tries\":5,\"deadline\":\"1m\","
                        "\"warn\":\"10s\",\"stall\":\"3s\"") ","
                                                             "{\"step\":\"pub\",\"stage\":\"publish\",\"use\":["
                                                             "\"target\"],\"after\":[\"stt\"],"
                                                             "\"each\":\"chunk*format*target\",\"need\":2},"
                                                             "{\"step\":\"ask\",\"stage\":\"llm\",\"ask\":\"q\","
                                                             "\"after\":[\"stt\"],\"need\":\"any\"}",
                    NULL);
    assert_non_null(pipeline);
    const struct cm_step *stt = cm_pipeline_step(pipeline, "stt"), *pub = cm_pipeline_step(pipeline, "pub");
    assert_int_equal(stt->need.kind, CM_NEED_PERCENT);
    assert_int_equal(stt->need.number, 80);
    assert_true(stt->optional);
    assert_int_equal(stt->tries, 5);
    assert_int_equal(stt->deadline_ms, 60000);
    assert_int_equal(stt->warn_ms, 10000);
    struct cm_pipeline *again = cm_pipeline_parse(pipeline->json, NULL);
    assert_int_equal(cm_pipeline_step(again, "stt")->stall_ms, 3000);
    cm_pipeline_free(again);
    assert_int_equal(pub->each_count, 3);
    assert_int_equal(pub->need.kind, CM_NEED_COUNT);
    assert_int_equal(pub->need.number, 2);
    assert_int_equal(cm_pipeline_step(pipeline, "ask")->use_count, 0);
    cm_pipeline_free(pipeline);
}

/* However it was written, the canonical text reads back to the same id. */
static void test_canonical(void **state)
{
    (void)state;
    struct cm_pipeline *one = parse_steps(FETCH "," PREPARE "," STT(""), NULL);
    struct cm_pipeline *other =
        parse_steps(STT(",\"tries\":3,\"deadline\":\"1800s\",\"need\":\"all\"") "," PREPARE "," FETCH, NULL);
    struct cm_pipeline *changed = parse_steps(FETCH "," PREPARE "," STT(",\"tries\":4"), NULL);
    struct cm_pipeline *again = cm_pipeline_parse(one->json, NULL);
    assert_non_null(again);
    assert_int_equal(strlen(one->id), 64);
    assert_string_equal(one->id, other->id);
    assert_string_equal(one->id, again->id);
    assert_string_equal(one->json, again->json);
    assert_string_not_equal(one->id, changed->id);
    assert_string_equal(other->steps[0].name, "fetch");
    cm_pipeline_free(one);
    cm_pipeline_free(other);
    cm_pipeline_free(changed);
    cm_pipeline_free(again);
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused(FETCH "," PREPARE "," STT(",\"trys\":4"), "did you mean \"tries\"");
    assert_refused(FETCH "," PREPARE "," STT(",\"trys\":4"), "step \"stt\"");
    assert_refused(FETCH "," FETCH, "two steps of that name");
    assert_refused("{\"step\":\"a\",\"stage\":\"source\",\"use\":[\"f\"],\"after\":[\"fetsch\"]}," FETCH,
                   "did you mean \"fetch\"");
    assert_refused(
        "{\"step\":\"a\",\"builtin\":\"x\",\"after\":[\"b\"]},{\"step\":\"b\",\"builtin\":\"x\",\"after\":[\"a\"]}",
        "circle");
    assert_refused("{\"step\":\"a\",\"builtin\":\"x\",\"after\":[\"a\"]}", "circle");
    assert_refused("{\"step\":\"a\"}", "either a stage or a builtin");
    assert_refused("{\"step\":\"a\",\"stage\":\"stt\",\"builtin\":\"x\",\"use\":[\"f\"]}",
                   "either a stage or a builtin");
    assert_refused("{\"step\":\"a\",\"stage\":\"sst\",\"use\":[\"f\"]}", "did you mean \"stt\"");
    assert_refused("{\"step\":\"a\",\"stage\":\"stt\"}", "use");
    assert_refused("{\"step\":\"a\",\"stage\":\"stt\",\"use\":[]}", "use");
    assert_refused("{\"step\":\"a\",\"stage\":\"llm\"}", "ask");
    assert_refused("{\"step\":\"a\",\"builtin\":\"x\",\"ask\":\"q\"}", "ask");
    assert_refused("{\"builtin\":\"x\"}", "no name");
    assert_refused("{\"step\":\"a/b\",\"builtin\":\"x\"}", "name");
    assert_refused("{\"step\":\"a\",\"builtin\":\"x\",\"tries\":0}", "tries");
    assert_refused("{\"step\":\"a\",\"builtin\":\"x\",\"deadline\":\"soon\"}", "deadline");
    assert_refused("{\"step\":\"a\",\"builtin\":\"x\",\"deadline\":\"1m\",\"warn\":\"2m\"}", "warn");
    assert_refused("{\"step\":\"a\",\"builtin\":\"x\",\"optional\":\"yes\"}", "optional");
    assert_refused("7", "group of fields");
}

static void test_every_problem_has_its_line(void **state)
{
    (void)state;
    char *error = NULL;
    assert_null(parse_steps("{\"step\":\"a\",\"stage\":\"sst\",\"tries\":0,\"trys\":1},{\"step\":\"b\"}", &error));
    assert_non_null(strstr(error, "step \"a\": stage: "));
    assert_non_null(strstr(error, "\npipeline \"default\", step \"a\": tries: "));
    assert_non_null(strstr(error, "step \"a\": there is no field \"trys\""));
    assert_non_null(strstr(error, "step \"b\": give it either"));
    free(error);
    error = NULL;
    assert_null(parse_steps(FETCH ",{\"step\":\"a\",\"builtin\":\"x\",\"after\":[\"c\"]},"
                                  "{\"step\":\"b\",\"builtin\":\"x\",\"after\":[\"d\"]}",
                            &error));
    assert_non_null(strstr(error, "step \"c\""));
    assert_non_null(strstr(error, "step \"d\""));
    free(error);
}

static void test_dimensions(void **state)
{
    (void)state;
    assert_refused(FETCH "," PREPARE ",{\"step\":\"a\",\"builtin\":\"x\",\"after\":[\"prepare\"],\"each\":\"moment\"}",
                   "no step makes \"moment\"");
    assert_refused(FETCH "," PREPARE ",{\"step\":\"a\",\"builtin\":\"x\",\"after\":[\"fetch\"],\"each\":\"chunk\"}",
                   "does not come before");
    assert_refused("{\"step\":\"a\",\"builtin\":\"x\",\"makes\":\"format\"}", "come from the job");
    assert_refused("{\"step\":\"a\",\"builtin\":\"x\",\"makes\":[\"p\",\"q\"]}", "one dimension");
    assert_refused(
        "{\"step\":\"a\",\"builtin\":\"x\",\"makes\":\"p\"},{\"step\":\"b\",\"builtin\":\"x\",\"makes\":\"p\"}",
        "already");
    assert_refused("{\"step\":\"a\",\"builtin\":\"x\",\"each\":\"format*format\"}", "twice");
    assert_refused("{\"step\":\"a\",\"builtin\":\"x\",\"each\":\"format*\"}", "joined by *");
    assert_refused("{\"step\":\"a\",\"builtin\":\"x\",\"each\":\"a*b*c*d*e\"}", "at most 4");
    assert_refused("{\"step\":\"a\",\"stage\":\"publish\",\"use\":[\"target\"]}", "needs a \"target\" in each");
    assert_refused(
        FETCH
        "," PREPARE
        "," STT(",\"makes\":\"piece\"") ",{\"step\":\"a\",\"builtin\":\"x\",\"after\":[\"stt\"],\"each\":\"piece\"}",
        "name that too");
}

static void test_need(void **state)
{
    (void)state;
    static const char *const bad[] = {"\"most\"", "0", "\"0%\"", "\"101%\"", "-1", "\"3x\"", "true", "\"\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *step = cm_format("{\"step\":\"a\",\"builtin\":\"x\",\"need\":%s}", bad[i]);
        assert_refused(step, "need");
        free(step);
    }
}

static void test_not_a_pipeline(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "[]",
                                      "{",
                                      "null",
                                      "{\"name\":\"x\"}",
                                      "{\"name\":\"x\",\"steps\":[]}",
                                      "{\"steps\":[" FETCH "]}",
                                      "{\"name\":\"x\",\"stepz\":1,\"steps\":[" FETCH "]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *error = NULL;
        assert_null(cm_pipeline_parse(bad[i], &error));
        assert_non_null(error);
        assert_null(strchr(error, '\n'));
        free(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_problem_has_its_line),
        cmocka_unit_test(test_dimensions),
        cmocka_unit_test(test_need),
        cmocka_unit_test(test_not_a_pipeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
