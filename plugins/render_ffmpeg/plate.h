/*
 * Texts that are not spoken: the watermark, the call to action over the picture, the end card.
 */
#ifndef RENDER_PLATE_H
#define RENDER_PLATE_H

#include "document.h"
#include "texts.h"

/* All of the document's. The end card's text is on from picture_ms to the end, length_ms. */
void plate_add(const struct document *document, const struct fonts *fonts, struct texts *texts, int64_t picture_ms,
               int64_t length_ms);

#endif
