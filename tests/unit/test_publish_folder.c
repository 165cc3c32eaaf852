/*
 * publish_folder: a post appears whole and once, under a name of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#undef fail /* it hides host->fail() */

#include "plugins/publish_folder/publish_folder.c"
#include "tests/unit/plugin_host.h"

#include "core/common/file.h"

static char *folder, *dir; /* of this test program, and the platform in it */

static char *put_file(const char *name, const char *text)
{
    char *path = host_format(NULL, "%s/%s", folder, name);
    assert_int_equal(cm_file_write(path, text, strlen(text)), 0);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    folder = mkdtemp(cm_strdup("/tmp/clipmaker-test-publish-XXXXXX"));
    dir = cm_path_join(folder, "posts");
    return cm_folder_make(dir);
}

static int remove_folder(void **state)
{
    (void)state;
    int result = cm_folder_remove(folder);
    host_reset();
    free(dir);
    free(folder);
    return result;
}

struct result {
    enum cm_verdict verdict;
    char *id, *url;
    enum cm_found found;
};

static struct result ask(const char *what, const char *key, const char *name, const char *bytes)
{
    struct options own = {.dir = dir};
    struct cm_ctx ctx = {.size = sizeof ctx, .host = &host_services, .options = &own, .instance = "folder"};
    struct cm_post post = {.size = sizeof post};
    struct cm_publish_request request = {
        .size = sizeof request,
        .key = key,
        .clip_path = put_file("clip.mp4", bytes),
        .thumbnail_path = put_file("thumbnail.jpg", "jpg"),
        .captions_path = put_file("captions.srt", "srt"),
        .name = name,
        .title = "Title",
        .text = "Text",
    };
    struct result result = {0};
    if (!strcmp(what, "publish")) {
        result.verdict = ops.publish(&ctx, &request, &post);
    } else if (!strcmp(what, "find")) {
        result.verdict = ops.find(&ctx, &request, &result.found, &post);
    } else {
        result.verdict = ops.remove(&ctx, &request);
    }
    result.id = host_format(NULL, "%s", post.id ? post.id : "");
    result.url = host_format(NULL, "%s", post.url ? post.url : "");
    return result;
}

static void assert_content(const char *name, const char *expected)
{
    char *path = cm_path_join(dir, name), *bytes = cm_file_read(path, 4096, NULL);
    if (expected) {
        assert_non_null(bytes);
        assert_string_equal(bytes, expected);
    } else {
        assert_null(bytes);
    }
    free(bytes);
    free(path);
}

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *entries = opendir(path);
    while (entries && readdir(entries)) {
        count++;
    }
    if (entries) {
        closedir(entries);
    }
    return count - 2;
}

static void a_post_is_all_its_files(void **state)
{
    (void)state;
    struct result result = ask("publish", "key-1", "01-первый клип", "one");
    assert_int_equal(result.verdict, CM_OK);
    assert_string_equal(result.id, "01-первый клип.mp4");
    assert_non_null(strstr(result.url, "/posts/01-%D0%BF%D0%B5%D1%80%D0%B2%D1%8B%D0%B9%20%D0%BA"));
    assert_int_equal(host_seen.sending_calls, 1);
    assert_content("01-первый клип.mp4", "one");
    assert_content("01-первый клип.jpg", "jpg");
    assert_content("01-первый клип.srt", "srt");
    assert_content("01-первый клип.txt", "Text\n");
    assert_int_equal(count_entries(dir), 5); /* and the index */
}

static void the_same_key_replaces_only_its_own(void **state)
{
    (void)state;
    ask("publish", "key-a", "02-name", "a");
    ask("publish", "key-b", "02-name", "bb");
    assert_content("02-name.mp4", "a");
    assert_content("02-name-2.mp4", "bb");
    struct result again = ask("publish", "key-a", "02-other name", "aaa");
    assert_string_equal(again.id, "02-name.mp4");
    assert_content("02-name.mp4", "aaa");
    assert_content("02-name-2.mp4", "bb");
}

static void a_file_of_the_users_is_never_overwritten(void **state)
{
    (void)state;
    char *mine = cm_path_join(dir, "03-mine.txt");
    assert_int_equal(cm_file_write(mine, "mine", 4), 0);
    assert_string_equal(ask("publish", "key-c", "03-mine", "c").id, "03-mine-2.mp4");
    assert_content("03-mine.txt", "mine");
    free(mine);
}

static void found_means_there(void **state)
{
    (void)state;
    assert_int_equal(ask("find", "key-d", "04-d", "d").found, CM_ABSENT);
    ask("publish", "key-d", "04-d", "d");
    struct result found = ask("find", "key-d", "04-d", "d");
    assert_int_equal(found.found, CM_FOUND);
    assert_string_equal(found.id, "04-d.mp4");
    assert_int_equal(ask("remove", "key-d", "04-d", "d").verdict, CM_OK);
    assert_int_equal(ask("find", "key-d", "04-d", "d").found, CM_ABSENT);
    assert_int_equal(ask("remove", "key-d", "04-d", "d").verdict, CM_OK);
    assert_content("04-d.jpg", NULL);
}

/* The user deleted the clip, and another one took its name: it is not the first one's. */
static void a_name_taken_over_is_lost(void **state)
{
    (void)state;
    ask("publish", "key-e", "05-e", "e");
    static const char *const parts[] = {"05-e.mp4", "05-e.jpg", "05-e.srt", "05-e.txt"};
    for (size_t i = 0; i < 4; i++) {
        char *path = cm_path_join(dir, parts[i]);
        assert_int_equal(unlink(path), 0);
        free(path);
    }
    assert_string_equal(ask("publish", "key-f", "05-e", "e").id, "05-e.mp4");
    assert_int_equal(ask("find", "key-e", "05-e", "e").found, CM_ABSENT);
    assert_int_equal(ask("remove", "key-e", "05-e", "e").verdict, CM_OK);
    assert_content("05-e.mp4", "e");
}

/* The clip was deleted and its text was not: the same clip again gets the same name. */
static void leftovers_of_a_deleted_post_are_in_nobodys_way(void **state)
{
    (void)state;
    ask("publish", "key-m", "09-m", "m");
    char *clip = cm_path_join(dir, "09-m.mp4");
    assert_int_equal(unlink(clip), 0);
    free(clip);
    assert_string_equal(ask("publish", "key-n", "09-m", "n").id, "09-m.mp4");
    assert_content("09-m.mp4", "n");
}

static void nothing_appears_without_leave(void **state)
{
    (void)state;
    size_t before = count_entries(dir);
    host_seen.sending_answer = -1;
    struct result refused = ask("publish", "key-g", "06-g", "g");
    assert_int_equal(refused.verdict, CM_AGAIN);
    assert_int_equal(host_seen.failure.reason, CM_REASON_STOPPED);
    host_reset();
    host_seen.stop = 1;
    assert_int_equal(ask("publish", "key-g", "06-g", "g").verdict, CM_AGAIN);
    assert_int_equal(count_entries(dir), before);
    assert_content("06-g.mp4", NULL);
}

static void leftovers_of_a_killed_attempt_go(void **state)
{
    (void)state;
    size_t before = count_entries(dir);
    char *left = cm_path_join(dir, ".clipmaker-key-h.mp4");
    assert_int_equal(cm_file_write(left, "half", 4), 0);
    free(left);
    ask("publish", "key-h", "07-h", "h");
    assert_content("07-h.mp4", "h");
    assert_int_equal(count_entries(dir), before + 4);
}

static void names_are_made_safe(void **state)
{
    (void)state;
    char *wanted = host_format(NULL, "../a\nb%0250d", 1);
    struct result result = ask("publish", "key-i", wanted, "i");
    assert_int_equal(result.verdict, CM_OK);
    assert_true(strlen(result.id) == NAME_MAX_BYTES + 4);
    assert_int_equal(strncmp(result.id, "_._a_b", 6), 0);
    assert_content(result.id, "i");
    assert_string_equal(ask("publish", "key-j", "", "j").id, "clip.mp4");
    assert_int_equal(ask("publish", "Key/../k", "x", "k").verdict, CM_CANNOT);
}

static void a_missing_folder_holds(void **state)
{
    (void)state;
    char *there = dir;
    dir = cm_path_join(folder, "not mounted");
    assert_int_equal(ask("publish", "key-l", "08-l", "l").verdict, CM_HOLD);
    assert_int_equal(host_seen.failure.reason, CM_REASON_RESOURCE);
    assert_non_null(strstr(host_seen.words, "not mounted"));
    free(dir);
    dir = there;
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
        cmocka_unit_test_teardown(a_post_is_all_its_files, reset),
        cmocka_unit_test_teardown(the_same_key_replaces_only_its_own, reset),
        cmocka_unit_test_teardown(a_file_of_the_users_is_never_overwritten, reset),
        cmocka_unit_test_teardown(found_means_there, reset),
        cmocka_unit_test_teardown(a_name_taken_over_is_lost, reset),
        cmocka_unit_test_teardown(leftovers_of_a_deleted_post_are_in_nobodys_way, reset),
        cmocka_unit_test_teardown(nothing_appears_without_leave, reset),
        cmocka_unit_test_teardown(leftovers_of_a_killed_attempt_go, reset),
        cmocka_unit_test_teardown(names_are_made_safe, reset),
        cmocka_unit_test_teardown(a_missing_folder_holds, reset),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
