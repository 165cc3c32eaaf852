/*
 * One `clipmaker run`: what its parts share.
 *
 *   run.c         flags, and the order of things
 *   run_setup.c   folders, lock, key; failing and waiting for room
 *   run_consent.c what leaves the country: named, and asked about
 *   run_job.c     the daemon and its job, from submit to the end
 *   run_result.c  clips.json: written, repeated, printed
 */
#ifndef CM_CTL_RUN_H
#define CM_CTL_RUN_H

#include <signal.h>

#include "core/ctl/run_daemon.h"
#include "core/ctl/run_key.h"

struct cm_progress;
struct json_object;

struct cm_run {
    char *source; /* absolute path or URL */
    int is_url;
    char *dir, *config;   /* absolute */
    const char *pipeline; /* or "" */
    struct json_object *params;
    int json;
    int consents; /* --consent: yes to all that it names */
    char *home;   /* DIR/.clipmaker */
    char *state;  /* DIR/.clipmaker/KEY */
    char key[CM_RUN_KEY_SIZE];
    int lock;
    struct cm_progress *progress;
    struct cm_run_daemon daemon;
    char *job;
    char *told; /* what it waits for, as that was last said */
};

/* Ctrl-C and its like. */
extern volatile sig_atomic_t cm_run_interrupted;

/* All of these return 0, or the exit status after the failure was told (words, and with --json an
 * object for programs). */
int cm_run_fail(struct cm_run *run, int status, const char *reason, const char *words);
int cm_run_fail_interrupted(struct cm_run *run);
/* After a failed write of ours, with errno: waits a little where more room would help, and fails
 * otherwise. */
int cm_run_wait_for_room(struct cm_run *run, const char *path);
/* Says once what the run waits for. */
void cm_run_tell(struct cm_run *run, const char *words);

int cm_run_prepare_folders(struct cm_run *run);
int cm_run_take_lock(struct cm_run *run);
int cm_run_find_key(struct cm_run *run);
/* Makes the state folder, and empties it first when it was begun under other file names. */
int cm_run_note_source(struct cm_run *run);

/* 1 when this very run was finished before: its result was repeated, *status is set. */
int cm_run_repeat_result(struct cm_run *run, int *status);
int cm_run_finish_result(struct cm_run *run, struct json_object *shown);

/* Names what leaves the country and to whom (the answer to "consent"), and asks. 0: yes. */
int cm_run_ask_consent(struct cm_run *run, struct json_object *recipients);

/* From the start of the daemon to the end of its job. On 0, *shown is the job as "show" has it. */
int cm_run_job(struct cm_run *run, struct json_object **shown);

#endif
