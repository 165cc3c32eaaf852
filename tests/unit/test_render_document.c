/*
 * The clip document as the renderer reads it: what is absent comes from the options, what is wrong is
 * named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "core/common/options.h"
#include "plugins/render_ffmpeg/document.h"

static struct render_options options;

/* What an operator set; the rest is the renderer's own. */
static int set_options(void **state)
{
    (void)state;
    struct json_object *set = json_tokener_parse("{\"watermark_text\":\"@me\",\"watermark_corner\":\"top-right\","
                                                 "\"watermark_opacity\":\"0.5\",\"watermark_size\":\"0.2\"}");
    assert_null(cm_options_fill(render_option_table, &options, set));
    json_object_put(set);
    return 0;
}

static int release_options(void **state)
{
    (void)state;
    cm_options_release(render_option_table, &options);
    return 0;
}

static void test_the_least_document(void **state)
{
    (void)state;
    struct document document;
    assert_null(document_read(&document, "{\"version\":1,\"span\":{\"start_ms\":1000,\"end_ms\":21000}}", &options));
    assert_int_equal(document.width, 1080);
    assert_int_equal(document.height, 1920);
    assert_int_equal(document.framing, FRAMING_CROP);
    assert_string_equal(document.style, "classic");
    assert_int_equal(document.place, PLACE_BOTTOM);
    assert_int_equal(document.cta, CTA_NONE); /* nothing to say */
    assert_int_equal(document.overlay_count, 1);
    assert_int_equal(document.overlays[0].corner, CORNER_TOP_RIGHT);
    assert_string_equal(document.overlays[0].content, "@me");
    assert_int_equal(document.fade_ms, 8);
    assert_int_equal(document.thumbnail_ms, -1);
    document_free(&document);
}

static void test_a_full_document(void **state)
{
    (void)state;
    struct document document;
    static const char json[] =
        "{\"version\":1,\"span\":{\"start_ms\":1000,\"end_ms\":11000},\"format\":{\"name\":\"16:9\",\"fps\":25},"
        "\"framing\":{\"mode\":\"fit\",\"path\":[{\"t_ms\":1000,\"x\":0.2,\"y\":0.4,\"zoom\":2},{\"t_ms\":2000}]},"
        "\"captions\":{\"style\":\"big\",\"position\":\"top\",\"words\":[{\"t\":\"before\",\"s\":0,\"e\":900},"
        "{\"t\":\"in\",\"s\":950,\"e\":1100},{\"t\":\"after\",\"s\":11000,\"e\":11100}]},"
        "\"overlays\":[{\"kind\":\"image\",\"path\":\"/x.png\",\"x\":0.5,\"y\":0.1,\"to_ms\":500}],"
        "\"cta\":{\"text\":\"Go\"},\"audio\":{\"track\":2,\"target_lufs\":-16},\"thumbnail\":{\"at_ms\":5000},"
        "\"encoder\":{\"preset\":\"fast\",\"crf\":18},\"unknown\":[1]}";
    assert_null(document_read(&document, json, &options));
    assert_int_equal(document.width, 1920);
    assert_int_equal(document.height, 1080);
    assert_int_equal(document.camera_count, 2);
    assert_float_equal(document.camera[1].x, 0.5, 1e-9);
    assert_int_equal(document.word_count, 1);
    assert_string_equal(document.words[0].text, "in");
    assert_int_equal(document.overlay_count, 1);
    assert_int_equal(document.overlays[0].corner, CORNER_FREE);
    assert_int_equal(document.cta, CTA_OVERLAY);
    assert_int_equal(document.cta_from_ms, 6000);
    assert_int_equal(document.cta_to_ms, 10000);
    assert_int_equal(document.audio_track, 2);
    assert_int_equal(document.crf, 18);
    document_free(&document);
}

#define HEAD "{\"version\":1,\"span\":{\"start_ms\":1000,\"end_ms\":11000}"

static void test_what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *json, *begin;
    } bad[] = {
        {"", "the clip document is not a JSON object"},
        {"[1]", "the clip document is not a JSON object"},
        {"{\"span\":", "the clip document is not a JSON object"},
        {"{}", "version: "},
        {"{\"version\":2}", "version: must be 1"},
        {"{\"version\":\"1\"}", "version: must be a number"},
        {"{\"version\":1}", "span: is missing"},
        {"{\"version\":1,\"span\":[]}", "span: must be an object"},
        {"{\"version\":1,\"span\":{\"start_ms\":5,\"end_ms\":5}}", "span.end_ms: must be a time behind"},
        {"{\"version\":1,\"span\":{\"start_ms\":-5,\"end_ms\":5}}", "span.start_ms: "},
        {"{\"version\":1,\"span\":{\"start_ms\":0,\"end_ms\":1e300}}", "span.end_ms: "},
        {"{\"version\":1,\"span\":{\"start_ms\":0,\"end_ms\":400000}}", "span.end_ms: the clip would be longer"},
        {HEAD ",\"format\":{\"name\":\"wide\"}}", "format.name: must be a shape"},
        {HEAD ",\"format\":{\"name\":\"9:0\"}}", "format.name: must be a shape"},
        {HEAD ",\"format\":{\"width\":100}}", "format.height: is missing"},
        {HEAD ",\"format\":{\"width\":100000,\"height\":100}}", "format.width: must be 16 to 4320"},
        {HEAD ",\"format\":{\"fps\":1000}}", "format.fps: must be 0 to 60"},
        {HEAD ",\"framing\":{\"mode\":\"round\"}}", "framing.mode: must be one of crop|fit"},
        {HEAD ",\"framing\":{\"path\":[{\"x\":0.5}]}}", "framing.path[0].t_ms: is missing"},
        {HEAD ",\"framing\":{\"path\":[{\"t_ms\":5,\"zoom\":0.5}]}}", "framing.path[0].zoom: must be 1 to 20"},
        {HEAD ",\"framing\":{\"path\":[{\"t_ms\":5},{\"t_ms\":4}]}}", "framing.path[1].t_ms: is before"},
        {HEAD ",\"captions\":{\"style\":\"comic\"}}", "captions.style: must be one of"},
        {HEAD ",\"captions\":{\"words\":{}}}", "captions.words: must be a list"},
        {HEAD ",\"captions\":{\"words\":[7]}}", "captions.words[0]: must be an object"},
        {HEAD ",\"captions\":{\"words\":[{\"t\":\"a\",\"s\":1}]}}", "captions.words[0].e: is missing"},
        {HEAD ",\"captions\":{\"words\":[{\"t\":1,\"s\":1,\"e\":2}]}}", "captions.words[0].t: must be a text"},
        {HEAD ",\"captions\":{\"words\":[{\"t\":\"a\",\"s\":3,\"e\":2}]}}", "captions.words[0].e: is before s"},
        {HEAD ",\"captions\":{\"max_lines\":9}}", "captions.max_lines: must be 1 to 3"},
        {HEAD ",\"overlays\":[{}]}", "overlays[0].kind: must be one of text|image"},
        {HEAD ",\"overlays\":[{\"kind\":\"image\"}]}", "overlays[0].path: is missing"},
        {HEAD ",\"overlays\":[{\"kind\":\"text\",\"text\":\"a\",\"corner\":\"up\"}]}", "overlays[0].corner: "},
        {HEAD ",\"cta\":{\"mode\":\"shout\"}}", "cta.mode: must be one of"},
        {HEAD ",\"cta\":{\"mode\":\"endcard\",\"text\":\"a\",\"length_ms\":99999}}", "cta.length_ms: "},
        {HEAD ",\"audio\":{\"target_lufs\":0}}", "audio.target_lufs: must be -40 to -5"},
        {HEAD ",\"encoder\":{\"preset\":\"placebo\"}}", "encoder.preset: must be one of"},
        {HEAD ",\"thumbnail\":{\"at_ms\":\"now\"}}", "thumbnail.at_ms: must be a number"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct document document;
        char *error = document_read(&document, bad[i].json, &options);
        document_free(&document);
        if (error == NULL || strncmp(error, bad[i].begin, strlen(bad[i].begin)) != 0)
            fail_msg("%s: said \"%s\", not \"%s…\"", bad[i].json, error == NULL ? "nothing" : error, bad[i].begin);
        free(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_least_document),
        cmocka_unit_test(test_a_full_document),
        cmocka_unit_test(test_what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, set_options, release_options);
}
