/*
 * The clip document and the facts of a clip, from what earlier steps found; and slugs.
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
#include "core/worker/clip_document.h"

static void check_slug(const char *title, const char *wanted)
{
    char *slug = cm_slug(title);
    assert_string_equal(slug, wanted);
    free(slug);
}

static void test_slugs(void **state)
{
    (void)state;
    check_slug("What happened next?", "what-happened-next");
    check_slug("  Почему щука не спит — «Ёж»", "pochemu-schuka-ne-spit-ezh");
    check_slug("Don't stop: 10 000 €", "dont-stop-10-000");
    check_slug("Café Übermut", "cafe-ubermut");
    check_slug("объезд", "obezd");
    check_slug("../../etc/passwd", "etc-passwd");
    check_slug("日本語 🎉", "clip");
    check_slug("", "clip");
    check_slug("\xff\xfe\xd0", "clip");
    check_slug("a very long title that goes on and on until nobody can read it any more at all",
               "a-very-long-title-that-goes-on-and-on-until-nobody-can-read");
    char *slug = cm_slug("щщщщщщщщщщщщщщщщщщщщщщщщщщщщщщ");
    assert_true(strlen(slug) <= 60 && strlen(slug) > 50);
    free(slug);
}

static struct json_object *parsed(const char *text)
{
    struct json_object *value = json_tokener_parse(text);
    assert_non_null(value);
    return value;
}

static void free_source(struct cm_clip_source *source)
{
    json_object_put(source->moment);
    json_object_put(source->transcript);
    json_object_put(source->titles);
    json_object_put(source->ctas);
    json_object_put(source->facts);
    json_object_put(source->params);
}

static struct cm_clip_source make_source(const char *moment)
{
    return (struct cm_clip_source){
        .moment_key = "02",
        .format = "1:1",
        .moment = parsed(moment),
        .transcript = parsed("{\"words\":[{\"t\":\"a\",\"s\":0,\"e\":900},{\"t\":\"b\",\"s\":950,\"e\":1200},"
                             "{\"t\":\"c\",\"s\":1300,\"e\":1500},{\"t\":\"d\",\"s\":1900,\"e\":2300}]}"),
        .titles = parsed("{\"titles\":{\"02\":{\"title\":\"Заголовок!\",\"text\":\"Words #one\","
                         "\"hashtags\":[\"#one\",\"two\"]}}}"),
        .ctas = parsed("{\"ctas\":{\"02\":\"Subscribe\"}}"),
        .facts = parsed("{\"audio_track\":2}"),
        .params = parsed("{\"formats\":[\"9:16\",\"1:1\"]}"),
    };
}

static void test_document(void **state)
{
    (void)state;
    char *error = NULL;
    struct cm_clip_source source =
        make_source("{\"start_ms\":900,\"end_ms\":2000,\"first_word\":1,\"last_word\":2,\"score\":{\"total\":70}}");
    struct json_object *document = cm_clip_document(&source, &error);
    assert_non_null(document);
    assert_string_equal(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN),
                        "{\"version\":1,\"span\":{\"start_ms\":900,\"end_ms\":2000},\"format\":{\"name\":\"1:1\"},"
                        "\"captions\":{\"words\":[{\"t\":\"b\",\"s\":950,\"e\":1200},{\"t\":\"c\",\"s\":1300,"
                        "\"e\":1500}]},\"cta\":{\"text\":\"Subscribe\"},\"audio\":{\"track\":2}}");
    json_object_put(document);
    free_source(&source);
}

static void test_words_by_time_and_optional_parts(void **state)
{
    (void)state;
    char *error = NULL;
    struct cm_clip_source source = make_source("{\"start_ms\":1000,\"end_ms\":2000,\"first_word\":7,\"last_word\":9}");
    json_object_put(source.ctas);
    json_object_put(source.facts);
    source.ctas = source.facts = NULL;
    struct json_object *document = cm_clip_document(&source, &error);
    assert_non_null(document);
    assert_int_equal(json_object_array_length(cm_json_array(cm_json_object(document, "captions"), "words")), 2);
    assert_null(cm_json_object(document, "cta"));
    json_object_put(document);
    free_source(&source);
}

static void test_a_moment_without_length(void **state)
{
    (void)state;
    char *error = NULL;
    struct cm_clip_source source = make_source("{\"start_ms\":1000}");
    assert_null(cm_clip_document(&source, &error));
    assert_non_null(strstr(error, "02"));
    free(error);
    free_source(&source);
}

static void test_facts(void **state)
{
    (void)state;
    struct cm_clip_source source = make_source("{\"start_ms\":900,\"end_ms\":2000,\"first_word\":1,\"last_word\":2,"
                                               "\"reason\":\"loud\",\"selected_by\":\"x\",\"score\":{\"total\":70}}");
    struct json_object *facts = cm_clip_facts(&source);
    assert_string_equal(cm_json_text(facts, "name", ""), "02-zagolovok-1x1");
    assert_string_equal(cm_json_text(facts, "title", ""), "Заголовок!");
    assert_string_equal(cm_json_text(facts, "text", ""), "Words #one\n\n#two");
    assert_string_equal(cm_json_text(facts, "cta", ""), "Subscribe");
    assert_int_equal(cm_json_int(cm_json_object(facts, "score"), "total", 0), 70);
    assert_float_equal(cm_json_real(facts, "end_s", 0), 2, 1e-9);
    json_object_put(facts);
    source.format = "9:16";
    json_object_put(source.titles);
    source.titles = NULL;
    facts = cm_clip_facts(&source);
    assert_string_equal(cm_json_text(facts, "name", ""), "02-b-c");
    assert_string_equal(cm_json_text(facts, "text", ""), "b c");
    json_object_put(facts);
    free_source(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slugs),
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_words_by_time_and_optional_parts),
        cmocka_unit_test(test_a_moment_without_length),
        cmocka_unit_test(test_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
