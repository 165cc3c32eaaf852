/*
 * Removing the states of runs that finished long ago.
 */
#include "core/ctl/run_prune.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/common/file.h"
#include "core/common/text.h"

#define DAY_MS (24 * 3600 * INT64_C(1000))

/* Its result is written last; a folder without one belongs to a run that did not finish. */
static int finished_long_ago(const char *state, int64_t now_ms)
{
    struct stat info;
    char *result = cm_path_join(state, "clips.json");
    int there = lstat(result, &info) == 0 && S_ISREG(info.st_mode);
    free(result);
    return there && (int64_t)info.st_mtim.tv_sec * 1000 < now_ms - CM_RUN_STATE_DAYS * DAY_MS;
}

int cm_run_prune(const char *home, const char *key, int64_t now_ms)
{
    DIR *folder = opendir(home);
    struct dirent *entry;
    int removed = 0;
    while (folder && (entry = readdir(folder))) {
        char *state = cm_path_join(home, entry->d_name);
        if (*entry->d_name != '.' && strcmp(entry->d_name, key) && finished_long_ago(state, now_ms)) {
            removed += cm_folder_remove(state) == 0;
        }
        free(state);
    }
    if (folder) {
        closedir(folder);
    }
    return removed;
}
