/*
 * Before the job: folders, the lock, the key; and how a run fails or waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/ctl.h"
#include "core/ctl/progress.h"
#include "core/ctl/report.h"
#include "core/ctl/run.h"

#define LOCK_WAIT_MS 1000
#define LOCK_POLL_MS 20
#define ROOM_POLL_MS 1000
#define LOCK_FD_MIN 10 /* beyond the descriptors that the daemon is given by number */

volatile sig_atomic_t cm_run_interrupted;

static void sleep_ms(int64_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

int cm_run_fail(struct cm_run *run, int status, const char *reason, const char *words)
{
    cm_progress_end(run->progress);
    cm_progress_note(run->progress, words);
    if (run->json) {
        struct json_object *report = cm_report_failed(run->job ? run->job : "", run->source, reason, words);
        cm_ctl_print_json(report);
        json_object_put(report);
    }
    return status;
}

int cm_run_fail_interrupted(struct cm_run *run)
{
    return cm_run_fail(run, CM_EX_INTERRUPTED, "interrupted", _("interrupted; the same command goes on where it was"));
}

void cm_run_tell(struct cm_run *run, const char *words)
{
    if (!run->told || strcmp(run->told, words)) {
        cm_progress_note(run->progress, words);
        free(run->told);
        run->told = cm_strdup(words);
    }
}

static int is_lack_of_room(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EROFS;
}

int cm_run_wait_for_room(struct cm_run *run, const char *path)
{
    int error = errno, status = 0;
    if (cm_run_interrupted) {
        return cm_run_fail_interrupted(run);
    }
    if (is_lack_of_room(error)) {
        char *words = cm_format(_("%s: %s; waiting, goes on as soon as there is room"), path, strerror(error));
        cm_run_tell(run, words);
        free(words);
        sleep_ms(ROOM_POLL_MS);
    } else {
        char *words = cm_format(_("%s: cannot be written (%s); choose another folder with -o"), path, strerror(error));
        status = cm_run_fail(run, EX_TEMPFAIL, "resource", words);
        free(words);
    }
    return status;
}

/* ---- Folders ------------------------------------------------------------------------------- */

/* Like mkdir -p: a folder for people, not for us alone. */
static int make_folder(const char *path)
{
    char *partial = cm_strdup(path);
    for (char *slash = strchr(partial + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(partial, 0777);
        *slash = '/';
    }
    int failed = mkdir(partial, 0777), error = errno;
    struct stat info;
    free(partial);
    if (failed && stat(path, &info) == 0) {
        failed = S_ISDIR(info.st_mode) ? 0 : -1;
        error = ENOTDIR;
    }
    errno = error;
    return failed;
}

int cm_run_prepare_folders(struct cm_run *run)
{
    const char *folders[] = {run->dir, run->home};
    int status = 0;
    for (size_t i = 0; i < 2; i++) {
        while (status == 0 && make_folder(folders[i])) {
            status = cm_run_wait_for_room(run, folders[i]);
        }
    }
    return status;
}

/* ---- The lock ------------------------------------------------------------------------------ */

static int open_lock(struct cm_run *run)
{
    char *path = cm_path_join(run->home, "lock");
    int status = 0, fd = -1;
    while (status == 0 && (fd = open(path, O_RDWR | O_CREAT, 0666)) < 0) {
        status = cm_run_wait_for_room(run, path);
    }
    free(path);
    if (fd >= 0) {
        run->lock = fcntl(fd, F_DUPFD, LOCK_FD_MIN);
        close(fd);
    }
    return status;
}

static int fail_busy(struct cm_run *run)
{
    char *words =
        cm_format(_("%s: another run is at work there; wait for it, or choose another folder with -o"), run->dir);
    int status = cm_run_fail(run, EX_TEMPFAIL, "busy", words);
    free(words);
    return status;
}

/* The daemon of a run that was just killed needs a moment to go, so the lock is asked for longer. */
int cm_run_take_lock(struct cm_run *run)
{
    int status = open_lock(run);
    for (int64_t until_ms = cm_boot_ms() + LOCK_WAIT_MS; status == 0 && flock(run->lock, LOCK_EX | LOCK_NB);) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            break; /* a file system without locks: go on without */
        }
        if (cm_boot_ms() >= until_ms) {
            status = fail_busy(run);
        }
        sleep_ms(LOCK_POLL_MS);
    }
    return status;
}

/* ---- The key ------------------------------------------------------------------------------- */

/* Everything that was asked for; captions count by their content, not by their name. malloc'd. */
static char *options_text(struct cm_run *run)
{
    struct json_object *asked = NULL;
    json_object_deep_copy(run->params, &asked, NULL);
    json_object_object_del(asked, "captions");
    char *text = cm_format("%s %s", run->pipeline, json_object_to_json_string_ext(asked, JSON_C_TO_STRING_PLAIN));
    json_object_put(asked);
    return text;
}

int cm_run_find_key(struct cm_run *run)
{
    char *cache = cm_path_join(run->home, "sources.json"), *options = options_text(run);
    struct cm_run_subject subject = {run->source, run->is_url, cm_json_text(run->params, "captions", ""), options,
                                     run->config};
    int status = 0;
    if (cm_run_key(&subject, cache, run->key)) {
        char *words = cm_format(_("%s: cannot be read (%s); check the disk"), run->source, strerror(errno));
        status = cm_run_fail(run, EX_NOINPUT, "not_found", words);
        free(words);
    }
    free(options);
    free(cache);
    run->state = cm_path_join(run->home, run->key);
    return status;
}

/* The job names its files by their paths, so one that was begun under other names begins anew. */
int cm_run_note_source(struct cm_run *run)
{
    char *path = cm_path_join(run->state, "source");
    char *now = cm_format("%s\n%s\n", run->source, cm_json_text(run->params, "captions", ""));
    char *before = cm_file_read(path, 65536, NULL);
    int known = before && !strcmp(before, now), status = 0;
    if (before && !known) {
        cm_folder_remove(run->state);
    }
    while (status == 0 && cm_folder_make(run->state)) {
        status = cm_run_wait_for_room(run, run->state);
    }
    while (status == 0 && !known && cm_file_write(path, now, strlen(now))) {
        status = cm_run_wait_for_room(run, path);
    }
    free(before);
    free(now);
    free(path);
    return status;
}
