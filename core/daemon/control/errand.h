/*
 * A request on its way through the store and the engine.
 */
#ifndef CM_DAEMON_CONTROL_ERRAND_H
#define CM_DAEMON_CONTROL_ERRAND_H

#include <stddef.h>
#include <stdint.h>

#include "core/daemon/control/intake.h"

struct cm_claim_row;
struct cm_client;
struct cm_daemon;
struct cm_effect_row;
struct cm_job_row;
struct cm_store;
struct cm_view;
struct json_object;

/* A request on its way through the store. */
struct cm_errand {
    struct cm_errand *next; /* while the engine has its submit */
    uint64_t number;        /* of that submit */
    struct cm_daemon *daemon;
    uint64_t client;
    char *job, *step, *item;
    const char *what;            /* the request's "do" */
    struct json_object *request; /* kept, where it is needed later; or NULL */
    char *claimed_by;            /* a boot; NULL: nobody */
    char *words;                 /* of why */
    char *other;                 /* the daemon that has the job, if it is not this one */
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

/* Who has the job: errand->other, when it is not this daemon. */
void cm_errand_note_claim(struct cm_errand *errand, const struct cm_claim_row *claim);

#endif
