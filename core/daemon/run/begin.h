/*
 * The begin message: everything that a worker is told about an attempt.
 */
#ifndef CM_DAEMON_BEGIN_H
#define CM_DAEMON_BEGIN_H

struct cm_config;
struct cm_start;
struct json_object;

struct cm_begin {
    const struct cm_config *config;
    const struct cm_start *start;         /* without a job: a call outside of any (ask.h) */
    const char *name;                     /* "JOB/STEP/ITEM#FENCE" */
    const char *folder;                   /* absolute */
    const char *state;                    /* absolute: artifact paths are below it */
    struct json_object *saved, *recalled; /* taken over */
};

/* A new message; NULL with one line in *error (malloc'd) when it cannot be made: a secret is not
 * there, the instance is not in the config any more, or a file could not be written. */
struct json_object *cm_begin_make(const struct cm_begin *begin, char **error);

/* A message that is too long to be sent: its inputs go into a file of the attempt folder. NULL, or one
 * line (malloc'd) why they could not. */
char *cm_begin_shorten(const struct cm_begin *begin, struct json_object *message);

/* Whether a worker of this stage serves one attempt, confined, and ends. */
int cm_begin_is_confined(int stage);

#endif
