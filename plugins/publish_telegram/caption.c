/*
 * Laying out and cutting a caption.
 *
 * SPDX-License-Identifier: MIT
 */
#include "caption.h"

#include <ctype.h>
#include <string.h>

#define ELLIPSIS "…"

static int begins_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

/* What lies outside the first plane, four bytes in UTF-8, is a pair in UTF-16. */
static size_t units_at(char byte)
{
    return !begins_character(byte) ? 0 : (unsigned char)byte >= 0xf0 ? 2 : 1;
}

size_t caption_units(const char *text, size_t bytes)
{
    size_t units = 0;
    for (size_t at = 0; at < bytes && text[at]; at++) {
        units += units_at(text[at]);
    }
    return units;
}

static int is_space(char byte)
{
    return byte == ' ' || byte == '\n';
}

/* Telegram drops control characters and space around a text by itself, and positions would move. */
static char *tidy(struct cm_ctx *ctx, const char *text)
{
    char *copy = ctx->host->format(ctx, "%s", text), *to = copy;
    for (const char *from = copy; *from; from++) {
        char byte = *from == '\n' || (unsigned char)*from >= ' ' ? *from : ' ';
        if (*from != '\r' && !(to == copy && is_space(byte))) {
            *to++ = byte;
        }
    }
    while (to > copy && is_space(to[-1])) {
        to--;
    }
    *to = '\0';
    return copy;
}

/* Whether what stands before this byte is a word of its own. */
static int ends_word(char byte)
{
    return byte == '\0' || ((unsigned char)byte < 0x80 && !isalnum((unsigned char)byte));
}

/* Ends the text at a word, with "…", when it has more units than fit. */
static void cut(char *text)
{
    size_t units = 0, room = 0, word = 0;
    for (size_t at = 0; text[at]; at++) {
        units += units_at(text[at]);
        if (units < CAPTION_MAX_UNITS) { /* one is for the ellipsis */
            room = at + 1;
        }
        if (units < CAPTION_MAX_UNITS && is_space(text[at])) {
            word = at;
        }
    }
    if (units <= CAPTION_MAX_UNITS) {
        return;
    }
    size_t end = is_space(text[room]) || word <= room / 2 ? room : word;
    while (end > 0 && is_space(text[end - 1])) {
        end--;
    }
    memcpy(text + end, ELLIPSIS, sizeof ELLIPSIS);
}

struct caption caption_make(struct cm_ctx *ctx, const char *title, const char *text)
{
    const struct cm_host *host = ctx->host;
    const char *head = tidy(ctx, title), *body = tidy(ctx, text);
    size_t head_bytes = strlen(head);
    int repeats = strncmp(body, head, head_bytes) == 0 && ends_word(body[head_bytes]);
    const char *gap = repeats || !*body ? "" : "\n\n";
    /* Room behind it, so that the ellipsis fits wherever the cut is. */
    char *whole = host->format(ctx, "%s%s%s%8s", repeats ? "" : head, head_bytes ? gap : "", body, "");
    whole[strlen(whole) - 8] = '\0';
    cut(whole);
    size_t units = caption_units(whole, strlen(whole)), bold = caption_units(head, head_bytes);
    struct caption caption = {.text = whole};
    if (bold > 0) {
        caption.entities =
            host->format(ctx, "[{\"type\":\"bold\",\"offset\":0,\"length\":%zu}]", bold < units ? bold : units);
    }
    return caption;
}
