/*
 * clips.json: what a finished run says of its clips (for people's programs; README, "Result").
 */
#ifndef CM_CTL_REPORT_H
#define CM_CTL_REPORT_H

struct json_object;

/* From the control protocol's answer to "show", for clips published into `dir`. `source` is the
 * path or address as the user would name it. New reference. */
struct json_object *cm_report_make(struct json_object *shown, const char *source, const char *dir);
/* The same shape for a run without clips: state "failed" and the reason. */
struct json_object *cm_report_failed(const char *job, const char *source, const char *reason, const char *words);
/* True when every file that the report names is there. */
int cm_report_is_whole(struct json_object *report, const char *dir);
/* Removes the files it names: before the same clips are made again. */
void cm_report_remove_files(struct json_object *report, const char *dir);
/* True when this artifact of a shown job is one of its clips, and not one made anew to fit a post's target. */
int cm_report_is_clip(struct json_object *shown, struct json_object *artifact);
/* True when the transcript came from a recogniser that calls its result a draft. */
int cm_report_is_draft(struct json_object *shown);
/* The table of clips, to stdout. */
void cm_report_print(struct json_object *report, const char *dir);

#endif
