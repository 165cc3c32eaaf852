/*
 * A request on its way through the store and the engine.
 */
#ifndef CM_DAEMON_CONTROL_ERRAND_H
#define CM_DAEMON_CONTROL_ERRAND_H

#include <stddef.h>
#include <stdint.h>

#include "core/daemon/control/intake.h"

struct cm_client;
struct cm_daemon;
struct cm_effect_row;
struct cm_job_row;
struct cm_store;
struct cm_view;
struct json_object;

struct cm_errand;
typedef void (*cm_errand_fn)(struct cm_errand *errand);

/* What it may need on its way; zero is none. */
struct cm_errand {
    struct cm_errand *next; /* while the engine has its submit */
    uint64_t number;        /* of that submit */
    struct cm_daemon *daemon;
    uint64_t client;
    char *job, *step, *item;
    const char *what;            /* the request's "do" */
    struct json_object *request; /* kept, where it is needed later; or NULL */
    char *claimed_by;            /* by cm_errand_find_owner: the boot that has the job; NULL: nobody */
    cm_errand_fn found;          /* of it */
    char *words;                 /* of why */
    int over;                    /* the job */
    struct cm_order order;
    struct cm_job_row *existing;  /* of a submit: the job that has its key */
    struct cm_effect_row *effect; /* of a resolve; its key is the item */
    struct json_object *list;     /* of jobs */
    char **ids;
    size_t id_count, id_room, next_id;
    char *error;
    struct cm_store *copy; /* of fsck */
    int left;              /* of fsck: tables that are still being read */
};

/* For the client's request, with its job, step and item. The client may be gone when its answer is ready, so what waits
 * keeps its number and not the client itself. */
struct cm_errand *cm_errand_new(struct cm_client *client);
void cm_errand_free(struct cm_errand *errand);

/* Each ends the errand, with a word if the client is still there. The object and the words are taken. */
void cm_errand_answer(struct cm_errand *errand, struct json_object *answer);
void cm_errand_refuse(struct cm_errand *errand, int status, char *words);
void cm_errand_refuse_store(struct cm_errand *errand, const char *error); /* it does not answer */
/* Refused, and 1, when the view has no job or the store did not answer. */
int cm_errand_refuse_missing(struct cm_errand *errand, const struct cm_view *view, const char *error);

/* Asks which boot has the job, then calls `found`. */
void cm_errand_find_owner(struct cm_errand *errand, cm_errand_fn found);
/* Once it was found: whether another daemon has the job, and who that is, for people (malloc'd). */
int cm_errand_is_elsewhere(const struct cm_errand *errand);
char *cm_errand_elsewhere_words(const struct cm_errand *errand);

#endif
