/*
 * Texts that are not spoken: the watermark, the call to action over the picture, the end card.
 */
#include "plate.h"

#include <stdlib.h>
#include <string.h>

#include "safe.h"

#define MOST_LINES 5
#define LINE_STEP 1.25
#define FADE_MS 200

/* A text broken into lines. The lines are parts of `words`, cut by NUL. */
struct block {
    char *words;
    const char *line[MOST_LINES];
    double width[MOST_LINES], widest;
    size_t lines;
    double em;
};

/* Greedy; 0 when it needs more lines than there are. `words` has spaces between words only. */
static int break_lines(struct block *block, const struct font *font, double max_width)
{
    block->lines = 0;
    block->widest = 0;
    char *start = block->words;
    while (*start != '\0') {
        char *end = start + strcspn(start, " "), *next = end;
        while (*next == ' ') {
            next += 1 + strcspn(next + 1, " ");
            char kept = *next;
            *next = '\0';
            double width = font_width(font, start, block->em);
            *next = kept;
            if (width > max_width)
                break;
            end = next;
        }
        if (block->lines == MOST_LINES)
            return 0;
        block->line[block->lines] = start;
        start = *end == '\0' ? end : end + 1;
        *end = '\0';
        double width = font_width(font, block->line[block->lines], block->em);
        block->width[block->lines++] = width;
        block->widest = width > block->widest ? width : block->widest;
    }
    return block->widest <= max_width;
}

static char *single_spaced(const struct fonts *fonts, const char *text)
{
    size_t lost = 0;
    char *plain = strdup(text);
    if (plain == NULL)
        abort();
    for (char *at = plain; *at != '\0'; at++)
        *at = strchr("\n\r\t", *at) != NULL ? ' ' : *at;
    char *kept = fonts_keep(fonts, plain, &lost), *to = kept;
    free(plain);
    for (const char *from = kept; *from != '\0'; from++)
        if (*from != ' ' || (to > kept && to[-1] != ' '))
            *to++ = *from;
    while (to > kept && to[-1] == ' ')
        to--;
    *to = '\0';
    return kept;
}

static struct block block_within(const struct fonts *fonts, const struct font *font, const char *text, double em,
                                 double max_width, int *fits)
{
    struct block block = {.words = single_spaced(fonts, text), .em = em};
    *fits = break_lines(&block, font, max_width);
    return block;
}

/* The same number of lines, but as even as they get. */
static struct block evened(struct block block, const struct fonts *fonts, const struct font *font, const char *text)
{
    int fits = 1;
    for (double width = block.widest * 0.97; fits && block.lines > 1; width *= 0.97) {
        struct block narrower = block_within(fonts, font, text, block.em, width, &fits);
        fits = fits && narrower.lines == block.lines;
        free(fits ? block.words : narrower.words);
        block = fits ? narrower : block;
    }
    return block;
}

/* In letters as large as wanted, or as small as it takes. */
static struct block block_of(const struct fonts *fonts, const struct font *font, const char *text, double em,
                             double max_width, size_t most_lines)
{
    struct block block = {0};
    int fits = 0;
    for (double size = em; size > em / 5 && !(fits && block.lines <= most_lines); size *= 0.92) {
        free(block.words);
        block = block_within(fonts, font, text, size, max_width, &fits);
    }
    return fits ? evened(block, fonts, font, text) : block;
}

static double shorter_side(const struct document *document)
{
    return document->width < document->height ? document->width : document->height;
}

/* ---- The watermark ---------------------------------------------------------------------------- */

static void add_overlay(const struct document *document, const struct document_overlay *overlay,
                        const struct fonts *fonts, struct texts *texts, int64_t length_ms)
{
    struct safe safe = safe_area(document->width, document->height);
    const struct font *font = fonts_for(fonts, overlay->content);
    struct block block =
        block_of(fonts, font, overlay->content, overlay->size * document->height, safe.right - safe.left, 2);
    struct texts_look look = {
        block.em, 0.05 * block.em, 0.6, 0, 0xffffff, 0x000000, 255 - (int)(overlay->opacity * 255), 0};
    double height = (double)block.lines * LINE_STEP * block.em, left = 0.05 * document->width;
    int right = overlay->corner == CORNER_TOP_RIGHT || overlay->corner == CORNER_BOTTOM_RIGHT;
    int low = overlay->corner == CORNER_BOTTOM_LEFT || overlay->corner == CORNER_BOTTOM_RIGHT;
    double top = low ? 0.84 * document->height - height : safe.top;
    if (overlay->corner == CORNER_FREE)
        top = overlay->y * document->height - height / 2;
    for (size_t i = 0; i < block.lines; i++) {
        double x = right ? safe.right - block.width[i] : left;
        if (overlay->corner == CORNER_FREE)
            x = overlay->x * document->width - block.width[i] / 2;
        double y = top + ((double)i * LINE_STEP + 1) * block.em;
        texts_add(texts, 3, overlay->from_ms, overlay->to_ms < 0 ? length_ms : overlay->to_ms, font, &look, x, y,
                  block.line[i]);
    }
    free(block.words);
}

/* ---- The call to action ------------------------------------------------------------------------- */

static void add_lines(const struct block *block, struct texts *texts, const struct font *font,
                      const struct texts_look *look, double centre, double top, int64_t from_ms, int64_t to_ms)
{
    for (size_t i = 0; i < block->lines; i++)
        texts_add(texts, 5, from_ms, to_ms, font, look, centre - block->width[i] / 2,
                  top + ((double)i * LINE_STEP + 0.98) * block->em, block->line[i]);
}

/* Dark letters on a light plate, below the top that players cover, above the faces. */
static void add_call(const struct document *document, const struct fonts *fonts, struct texts *texts)
{
    struct safe safe = safe_area(document->width, document->height);
    const struct font *font = fonts_for(fonts, document->cta_text);
    double wanted = 0.046 * shorter_side(document), margin = 0.6 * wanted;
    struct block block = block_of(fonts, font, document->cta_text, wanted, safe.right - safe.left - 2 * margin, 3);
    if (block.lines == 0) {
        free(block.words);
        return;
    }
    double width = block.widest + 2 * margin, height = (double)block.lines * LINE_STEP * block.em + margin;
    double centre = (safe.left + safe.right) / 2, top = safe.top + 0.045 * document->height;
    struct texts_look plate = {.colour = 0xffffff, .alpha = 16, .fade_ms = FADE_MS};
    struct texts_look letters = {.em = block.em, .colour = 0x111111, .fade_ms = FADE_MS};
    texts_add_box(texts, 4, document->cta_from_ms, document->cta_to_ms, &plate, centre - width / 2, top, width, height,
                  0.45 * block.em);
    add_lines(&block, texts, font, &letters, centre, top + margin / 2, document->cta_from_ms, document->cta_to_ms);
    free(block.words);
}

static void add_card(const struct document *document, const struct fonts *fonts, struct texts *texts,
                     int64_t picture_ms, int64_t length_ms)
{
    struct safe safe = safe_area(document->width, document->height);
    const struct font *font = fonts_for(fonts, document->cta_text);
    double wanted = 0.075 * shorter_side(document);
    struct block block = block_of(fonts, font, document->cta_text, wanted, safe.right - safe.left, MOST_LINES);
    double height = (double)block.lines * LINE_STEP * block.em;
    struct texts_look look = {block.em, 0.04 * block.em, 0.6, 0.03 * block.em, 0xffffff, 0x000000, 0, 0};
    add_lines(&block, texts, font, &look, (safe.left + safe.right) / 2, (document->height - height) / 2, picture_ms,
              length_ms);
    free(block.words);
}

void plate_add(const struct document *document, const struct fonts *fonts, struct texts *texts, int64_t picture_ms,
               int64_t length_ms)
{
    for (size_t i = 0; i < document->overlay_count; i++)
        if (document->overlays[i].kind == OVERLAY_TEXT)
            add_overlay(document, &document->overlays[i], fonts, texts, picture_ms);
    if (document->cta == CTA_OVERLAY)
        add_call(document, fonts, texts);
    if (document->cta == CTA_ENDCARD)
        add_card(document, fonts, texts, picture_ms, length_ms);
}
