/*
 * How far a job is, shown on stderr: one live bar a step on a terminal, plain lines elsewhere.
 */
#ifndef CM_CTL_PROGRESS_H
#define CM_CTL_PROGRESS_H

struct json_object;
struct cm_progress;

enum cm_progress_style {
    CM_PROGRESS_LIVE = 1,
    CM_PROGRESS_PLAIN
};

/* LIVE when stderr is a terminal that can move its cursor. */
enum cm_progress_style cm_progress_style_of_stderr(void);
struct cm_progress *cm_progress_new(enum cm_progress_style style);
void cm_progress_free(struct cm_progress *progress);
/* Shows a job's summary (the control protocol's). */
void cm_progress_show(struct cm_progress *progress, struct json_object *summary);
/* One bar as text, `columns` wide, for a step of a summary; eta_ms -1: not known. malloc'd. */
char *cm_progress_bar(struct json_object *step, int columns, long long eta_ms);
/* The bars stay as they are; what comes now comes below them. */
void cm_progress_end(struct cm_progress *progress);
/* Calls cm_ctl_note; live bars go on below it. */
void cm_progress_note(struct cm_progress *progress, const char *text);

/* A step's or a state's name in the user's language. */
const char *cm_step_words(const char *step);
const char *cm_state_words(const char *state);

#endif
