/*
 * The artifacts that the moments steps share, read from a call's inputs.
 */
#ifndef CM_WORKER_MATERIAL_H
#define CM_WORKER_MATERIAL_H

#include "core/moments/candidates.h"
#include "core/moments/fit.h"

struct cm_call;
struct cm_transcript;
struct json_object;

/* All return NULL (or a verdict) after recording a failure. */
struct cm_transcript *cm_material_transcript(struct cm_call *call);
struct cm_limits cm_material_limits(struct cm_call *call);
/* Those of all windows, in the order of the windows; none twice. CM_OK or a recorded failure. */
int cm_material_candidates(struct cm_call *call, const struct cm_transcript *transcript,
                           struct cm_candidates *candidates);
/* Calls `use` for each input of this role, by item and then key; stops at the first that is not
 * CM_OK and returns it. */
int cm_material_each(struct cm_call *call, const char *role,
                     int (*use)(struct cm_call *call, struct json_object *input, struct json_object *value, void *with),
                     void *with);

#endif
