/*
 * Gives a fuzzer the files and folders named on the command line, one by one: for compilers without
 * libFuzzer, and for looking at a finding under a debugger.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "core/common/file.h"
#include "core/common/text.h"
#include "tests/fuzz/fuzz.h"

#define MOST_BYTES (64 * 1024 * 1024)

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t count, size_t most)
{
    (void)bytes;
    (void)most;
    return count;
}

static size_t replay_file(const char *path)
{
    size_t count;
    char *bytes = cm_file_read(path, MOST_BYTES, &count);
    if (!bytes) {
        perror(path);
        exit(66);
    }
    fprintf(stderr, "%s\n", path);
    /* A copy of exactly that size, so that a step beyond its end is seen. */
    uint8_t *exact = malloc(count ? count : 1);
    if (!exact) {
        abort();
    }
    memcpy(exact, bytes, count);
    free(bytes);
    LLVMFuzzerTestOneInput(exact, count);
    free(exact);
    return 1;
}

static size_t replay(const char *path)
{
    struct stat info;
    if (stat(path, &info) || !S_ISDIR(info.st_mode)) {
        return replay_file(path);
    }
    size_t files = 0;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] != '.') {
            char *inside = cm_path_join(path, entry->d_name);
            files += replay(inside);
            free(inside);
        }
    }
    if (folder) {
        closedir(folder);
    }
    return files;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        files += argv[i][0] == '-' ? 0 : replay(argv[i]);
    }
    printf("replayed %zu files\n", files);
    return files ? 0 : 64;
}
