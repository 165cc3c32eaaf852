/*
 * The caption of a post: the title in bold, the text below it, cut to what Telegram takes. Positions are counted in
 * UTF-16 units, as Telegram counts them, and formatting is told apart from the text, so nothing in a text can break it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TELEGRAM_CAPTION_H
#define TELEGRAM_CAPTION_H

#include <clipmaker/plugin.h>

#define CAPTION_MAX_UNITS 1024

struct caption {
    const char *text;     /* "": none */
    const char *entities; /* JSON for caption_entities, or NULL */
};

/* UTF-16 units of a text, or of its first `bytes`. */
size_t caption_units(const char *text, size_t bytes);

/* title "": only the text. A text that begins with the title does not get it twice. The strings are the host's. */
struct caption caption_make(struct cm_ctx *ctx, const char *title, const char *text);

#endif
