/*
 * The clip's sound, finished: at its loudness, faded, as AAC, checked by listening to the result.
 */
#ifndef RENDER_MASTER_H
#define RENDER_MASTER_H

#include "aac.h"
#include "document.h"
#include "loud.h"

/* `level` is that of the AAC as it will be heard. aac_free is needed whatever it returns. */
enum cm_verdict master_make(struct aac *aac, struct loud_level *level, struct cm_ctx *ctx, const struct sound *sound,
                            const struct document *document);

#endif
