/*
 * Routing: which link of a step's fallback chain may be asked for a task at all, and what to tell
 * people when none may.
 */
#ifndef CM_DAEMON_ROUTE_H
#define CM_DAEMON_ROUTE_H

#include "core/daemon/engine/engine.h"

struct cm_route_case {
    int stage;
    const char *language; /* of the job: "ru", "en", "auto" */
    const char *source;   /* of the job */
    int has_captions;
};

enum cm_route_answer {
    CM_ROUTE_YES = 1,
    CM_ROUTE_LANGUAGE, /* it does not know the language */
    CM_ROUTE_CAPTIONS, /* it only reads captions, and there are none */
    CM_ROUTE_SCHEME,   /* it does not take such addresses */
    CM_ROUTE_STAGE     /* it serves another stage */
};

enum cm_route_answer cm_route_ask(const struct cm_route_case *about, const struct cm_instance *instance);

/* "language", "captions" …: why somebody was passed over, in one word. */
const char *cm_route_name(enum cm_route_answer answer);

/* Why nobody may be asked: *reason is an enum cm_reason; the line is malloc'd. */
char *cm_route_words(const struct cm_route_case *about, enum cm_route_answer last, int *reason);

#endif
