/*
 * Files are whole or absent, folders go with their contents and nothing else, paths are made plain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/text.h"

static int set_up(void **state)
{
    char name[] = "/tmp/test-file-XXXXXX";
    *state = mkdtemp(name) ? cm_strdup(name) : NULL;
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    int result = cm_folder_remove(*state);
    free(*state);
    return result;
}

static size_t count_entries(const char *folder)
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    struct dirent *entry;
    while ((entry = readdir(entries))) {
        count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    }
    closedir(entries);
    return count;
}

static void test_write_and_read(void **state)
{
    char *path = cm_path_join(*state, "a");
    size_t count = 0;
    assert_int_equal(cm_file_write(path, "one\0two", 7), 0);
    assert_int_equal(cm_file_write(path, "x\0y", 3), 0);
    char *bytes = cm_file_read(path, 100, &count);
    assert_int_equal(count, 3);
    assert_memory_equal(bytes, "x\0y", 4);
    free(bytes);
    assert_null(cm_file_read(path, 2, &count));
    assert_int_equal(errno, EFBIG);
    assert_int_equal(cm_file_bytes(path), 3);
    assert_int_equal(cm_file_bytes(*state), -1);
    assert_int_equal(count_entries(*state), 1);
    free(path);
}

static void test_longest_name(void **state)
{
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    char *path = cm_path_join(*state, name);
    assert_int_equal(cm_file_write(path, "1", 1), 0);
    assert_int_equal(cm_file_bytes(path), 1);
    free(path);
}

/* A write that fails half-way leaves the old file and no other. */
static void test_failed_write(void **state)
{
    char *path = cm_path_join(*state, "a");
    assert_int_equal(cm_file_write(path, "old", 3), 0);
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 1000;
    signal(SIGXFSZ, SIG_IGN);
    char *big = cm_alloc(5000);
    setrlimit(RLIMIT_FSIZE, &small);
    int result = cm_file_write(path, big, 5000);
    int why = errno;
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(result, -1);
    assert_int_equal(why, EFBIG);
    assert_int_equal(cm_file_bytes(path), 3);
    assert_int_equal(count_entries(*state), 1);
    free(big);
    free(path);
}

/* A process killed half-way leaves nothing beside the file, only in the folder of temporary ones. */
static void test_killed_write(void **state)
{
    char *kept = cm_path_join(*state, "kept"), *path = cm_path_join(kept, "a");
    char *cleared = cm_path_join(*state, "cleared"), *temporary = cm_path_join(cleared, "t");
    assert_int_equal(cm_folder_make(kept), 0);
    assert_int_equal(cm_folder_make(cleared), 0);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit small = {1000, 1000};
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        setrlimit(RLIMIT_FSIZE, &small);
        signal(SIGXFSZ, SIG_DFL); /* the write that goes over the limit kills */
        char *big = cm_alloc(5000);
        cm_file_write_via(temporary, path, big, 5000);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(count_entries(kept), 0);
    assert_int_equal(count_entries(cleared), 1);
    assert_int_equal(cm_file_write_via(temporary, path, "new", 3), 0);
    assert_int_equal(cm_file_bytes(path), 3);
    assert_int_equal(count_entries(cleared), 0);
    free(kept);
    free(path);
    free(cleared);
    free(temporary);
}

static void test_copy_and_hash(void **state)
{
    char *from = cm_path_join(*state, "a"), *to = cm_path_join(*state, "b");
    char one[65], two[65];
    size_t count = 300000;
    char *bytes = cm_alloc(count);
    memset(bytes, 'q', count);
    assert_int_equal(cm_file_write(from, bytes, count), 0);
    assert_int_equal(cm_file_copy(from, to), 0);
    assert_int_equal(cm_file_sha256(to, one), 0);
    cm_sha256(bytes, count, two);
    assert_string_equal(one, two);
    cm_sha256("abc", 3, one);
    assert_string_equal(one, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(cm_file_copy("/nonexistent", to), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(cm_file_bytes(to), count);
    free(bytes);
    free(from);
    free(to);
}

static void test_folders(void **state)
{
    char *outside = cm_path_join(*state, "outside"), *deep = cm_path_join(*state, "t/a/b/c/");
    char *top = cm_path_join(*state, "t"), *link = cm_path_join(*state, "t/a/link");
    char *file = cm_path_join(*state, "t/a/b/file");
    assert_int_equal(cm_folder_make(deep), 0);
    assert_int_equal(cm_folder_make(deep), 0);
    struct stat info;
    assert_int_equal(stat(deep, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_int_equal(cm_folder_make(outside), 0);
    assert_int_equal(symlink(outside, link), 0);
    assert_int_equal(cm_file_write(file, "x", 1), 0);
    char *below_file = cm_path_join(file, "x");
    assert_int_equal(cm_folder_make(below_file), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(cm_folder_remove(top), 0);
    assert_int_equal(access(top, F_OK), -1);
    assert_int_equal(access(outside, F_OK), 0);
    assert_int_equal(cm_folder_remove(top), 0);
    assert_true(cm_disk_free_bytes(*state) > 0);
    assert_int_equal(cm_disk_free_bytes("/nonexistent"), -1);
    free(outside);
    free(deep);
    free(top);
    free(link);
    free(file);
    free(below_file);
}

static void test_absolute(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/a/b", "/a/b"}, {"/a//b/", "/a/b"}, {"/a/./b/../c", "/a/c"}, {"/..", "/"}, {"/", "/"}, {"/a/..", "/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = cm_path_absolute(cases[i][0]);
        assert_string_equal(path, cases[i][1]);
        free(path);
    }
    char *here = getcwd(NULL, 0), *path = cm_path_absolute("x/../y"), *expected = cm_path_join(here, "y");
    assert_string_equal(path, expected);
    free(here);
    free(path);
    free(expected);
}

/* This test is not installed, so places are the compiled ones. */
static void test_places(void **state)
{
    (void)state;
    char *path = cm_place(CM_PLACE_PLUGINS);
    assert_string_equal(path, CM_PLUGINDIR);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_and_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_longest_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_copy_and_hash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folders, set_up, tear_down),
        cmocka_unit_test(test_absolute),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
