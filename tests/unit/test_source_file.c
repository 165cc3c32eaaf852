/*
 * source_file: paths as people have them, and the captions beside a video.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#undef fail /* it hides host->fail() */

#include "plugins/source_file/source_file.c"

#include "core/common/file.h"
#include "tests/unit/plugin_host.h"

static char *folder;

static char *put_file(const char *name, const char *text)
{
    char *path = host_format(NULL, "%s/%s", folder, name);
    assert_int_equal(cm_file_write(path, text, strlen(text)), 0);
    return path;
}

static enum cm_verdict fetch_url(const char *url, const char *captions, const char *copy)
{
    struct options own = {.copy = copy};
    struct cm_ctx ctx = {.size = sizeof ctx, .host = &host_services, .options = &own, .instance = "file"};
    struct cm_source_request request = {.size = sizeof request, .url = url, .captions_path = captions};
    return ops.fetch(&ctx, &request);
}

static void assert_file(size_t index, const char *role, const char *path, const char *note)
{
    assert_true(index < host_seen.file_count);
    assert_string_equal(host_seen.files[index].role, role);
    assert_string_equal(host_seen.files[index].path, path);
    assert_string_equal(host_seen.files[index].note, note);
}

static void any_name_is_a_name(void **state)
{
    (void)state;
    char longest[256], cyrillic[256] = "";
    memset(longest, 'n', 255);
    longest[255] = '\0';
    for (int i = 0; i < 127; i++) {
        strcat(cyrillic, "я");
    }
    const char *names[] = {"a b.mp4", "q'\"uote.mp4", "new\nline.mp4", "Кино.mp4", "100%.mp4",
                           "noext",   ".hidden",      longest,         cyrillic};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        host_reset();
        char *path = put_file(names[i], "video");
        assert_int_equal(fetch_url(path, NULL, "never"), CM_OK);
        assert_int_equal(host_seen.file_count, 1);
        assert_file(0, "media", path, "");
    }
}

static void file_addresses_are_paths(void **state)
{
    (void)state;
    char *path = put_file("ж 1.mp4", "video");
    assert_int_equal(fetch_url(host_format(NULL, "file://%s/%%D0%%B6%%201.mp4", folder), NULL, "never"), CM_OK);
    assert_file(0, "media", path, "");
    assert_int_equal(fetch_url(host_format(NULL, "file://localhost%s/ж 1.mp4", folder), NULL, "never"), CM_OK);
    assert_file(1, "media", path, "");
    assert_int_equal(fetch_url("file://elsewhere/x.mp4", NULL, "never"), CM_CANNOT);
    assert_int_equal(fetch_url("relative.mp4", NULL, "never"), CM_CANNOT);
}

static void assert_refused(const char *path, enum cm_reason reason)
{
    assert_int_equal(fetch_url(path, NULL, "never"), CM_REJECT);
    assert_int_equal(host_seen.failure.reason, reason);
    assert_int_equal(host_seen.file_count, 0);
}

static void what_is_no_video_is_refused(void **state)
{
    (void)state;
    char *pipe_path = host_format(NULL, "%s/pipe", folder), *too_long = host_format(NULL, "%s/%0300d", folder, 1);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_refused(host_format(NULL, "%s/missing.mp4", folder), CM_REASON_NOT_FOUND);
    assert_refused(too_long, CM_REASON_NOT_FOUND);
    assert_refused(folder, CM_REASON_NOT_MEDIA);
    assert_refused(put_file("empty.mp4", ""), CM_REASON_NOT_MEDIA);
    assert_refused(pipe_path, CM_REASON_NOT_MEDIA);
    assert_refused("/dev/zero", CM_REASON_NOT_MEDIA);
}

static void captions_beside_come_along(void **state)
{
    (void)state;
    char *video = put_file("talk.v2.mp4", "video"), *plain = put_file("talk.v2.srt", "s");
    char *russian = put_file("talk.v2.ru.srt", "s"), *english = put_file("talk.v2.en.vtt", "s");
    put_file("talk.v2.vtt", "");
    put_file("talk.srt", "of another video");
    assert_int_equal(fetch_url(video, NULL, "never"), CM_OK);
    assert_int_equal(host_seen.file_count, 4);
    assert_file(1, "captions", plain, "");
    assert_file(2, "captions", russian, "ru");
    assert_file(3, "captions", english, "en");
}

static void given_captions_come_first_and_once(void **state)
{
    (void)state;
    char *video = put_file("given.mp4", "video"), *beside = put_file("given.srt", "s");
    char *given = put_file("other.RU.srt", "s");
    assert_int_equal(fetch_url(video, given, "never"), CM_OK);
    assert_int_equal(host_seen.file_count, 3);
    assert_file(1, "captions", given, "ru");
    assert_file(2, "captions", beside, "");
    host_seen.file_count = 0;
    assert_int_equal(fetch_url(video, beside, "never"), CM_OK);
    assert_int_equal(host_seen.file_count, 2);
    assert_file(1, "captions", beside, "");
    assert_int_equal(fetch_url(video, put_file("none.srt", ""), "never"), CM_REJECT);
    assert_int_equal(host_seen.failure.reason, CM_REASON_INPUT);
    assert_int_equal(fetch_url(video, "/nowhere/at/all.srt", "never"), CM_REJECT);
    assert_int_equal(host_seen.failure.reason, CM_REASON_NOT_FOUND);
}

static void a_copy_is_one(void **state)
{
    (void)state;
    char *video = put_file("source.mkv", "all of it");
    assert_int_equal(fetch_url(video, NULL, "always"), CM_OK);
    assert_file(0, "media", host_format(NULL, "%s/media.mkv", folder), "");
    char *bytes = cm_file_read(host_seen.files[0].path, 100, NULL);
    assert_string_equal(bytes, "all of it");
    free(bytes);
    host_seen.dir = "/nowhere/at/all";
    assert_int_equal(fetch_url(video, NULL, "always"), CM_AGAIN);
    host_seen.dir = folder;
}

static int make_folder(void **state)
{
    (void)state;
    folder = mkdtemp(cm_strdup("/tmp/clipmaker-test-file-XXXXXX"));
    host_seen.dir = folder;
    return folder ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    int result = cm_folder_remove(folder);
    host_reset();
    free(folder);
    return result;
}

static int reset(void **state)
{
    (void)state;
    host_reset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(any_name_is_a_name, reset),
        cmocka_unit_test_teardown(file_addresses_are_paths, reset),
        cmocka_unit_test_teardown(what_is_no_video_is_refused, reset),
        cmocka_unit_test_teardown(captions_beside_come_along, reset),
        cmocka_unit_test_teardown(given_captions_come_first_and_once, reset),
        cmocka_unit_test_teardown(a_copy_is_one, reset),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
