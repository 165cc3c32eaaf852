/*
 * What the commands of `clipmaker` share: their table, their flags, and how they speak to people.
 */
#ifndef CM_CTL_CTL_H
#define CM_CTL_CTL_H

#include <stddef.h>
#include <stdint.h>
#include <sysexits.h>

struct json_object;

#define CM_EX_INTERRUPTED 130

/* One command line word: `clipmaker NAME …`. */
struct cm_command {
    const char *name;
    const char *arguments;                                            /* "VIDEO|URL", "JOB", "" */
    const char *summary;                                              /* one line, English, translated when shown */
    int (*run)(const struct cm_command *self, int argc, char **argv); /* the exit status */
};

/* Texts given to a flag that may occur several times. Borrowed from argv. */
struct cm_texts {
    const char **items;
    size_t count, room;
};

/* One flag; exactly one of the three targets is set, or for --help none. */
struct cm_flag {
    char letter; /* 0: long only */
    const char *name;
    const char *value; /* "DIR"; NULL: a switch */
    const char *help;  /* English, translated when shown */
    int *on;
    const char **text;
    struct cm_texts *texts;
};
#define CM_FLAG_END                                                                                                    \
    {                                                                                                                  \
        0, NULL, NULL, NULL, NULL, NULL, NULL                                                                          \
    }

enum cm_parsed {
    CM_PARSED_GO = 1,
    CM_PARSED_STOP
};

/* Reads the flags; leaves the other arguments at argv[*first…argc-1], which must be from `least` to
 * `most`. CM_PARSED_STOP: help was shown or the usage was wrong, and *status is the exit status. */
enum cm_parsed cm_ctl_parse(const struct cm_command *command, const struct cm_flag *flags, int argc, char **argv,
                            int least, int most, int *first, int *status);

/* One line "clipmaker: …" on stderr, without control characters; returns `status`. */
int cm_ctl_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What cm_ctl_fail said last; "" before. */
const char *cm_ctl_last_words(void);
/* The same, for what is no failure. */
void cm_ctl_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The text on one line: control characters become spaces, bad UTF-8 "?". malloc'd. */
char *cm_ctl_clean(const char *text);
/* Prints to stdout, indented, with a newline; returns 0, or EX_IOERR after a line on stderr. */
int cm_ctl_print_json(struct json_object *value);
/* Flushes stdout; the status, or EX_IOERR when it could not be written. */
int cm_ctl_finish(int status);

struct cm_where;
/* Follows a job to its end: bars on stderr, or with `json` a summary a line on stdout. The exit status. */
int cm_ctl_follow(const struct cm_where *where, const char *job, int json);

/* Exit status for a reason's name ("no_speech"), as of a failed job. */
int cm_ctl_status_of_reason(const char *reason);

int cm_ctl_run(const struct cm_command *self, int argc, char **argv);
int cm_ctl_submit(const struct cm_command *self, int argc, char **argv);
int cm_ctl_publish(const struct cm_command *self, int argc, char **argv);
int cm_ctl_targets(const struct cm_command *self, int argc, char **argv);
int cm_ctl_jobs(const struct cm_command *self, int argc, char **argv);
int cm_ctl_show(const struct cm_command *self, int argc, char **argv);
int cm_ctl_watch(const struct cm_command *self, int argc, char **argv);
int cm_ctl_why(const struct cm_command *self, int argc, char **argv);
int cm_ctl_cancel(const struct cm_command *self, int argc, char **argv);
int cm_ctl_retry(const struct cm_command *self, int argc, char **argv);
int cm_ctl_rm(const struct cm_command *self, int argc, char **argv);
int cm_ctl_resolve(const struct cm_command *self, int argc, char **argv);
int cm_ctl_status(const struct cm_command *self, int argc, char **argv);
int cm_ctl_consent(const struct cm_command *self, int argc, char **argv);
int cm_ctl_costs(const struct cm_command *self, int argc, char **argv);
int cm_ctl_fsck(const struct cm_command *self, int argc, char **argv);
int cm_ctl_plugin(const struct cm_command *self, int argc, char **argv);
int cm_ctl_plugins(const struct cm_command *self, int argc, char **argv);

#endif
