/*
 * The spoken words as captions: chosen look, laid out, given to libass one event a word state.
 *
 * Every word has its own fixed place on screen, so nothing moves when another word lights up: a state is
 * the same word at the same place in another colour, with or without a box behind it.
 */
#include "captions.h"

#include <stdlib.h>
#include <string.h>

#include "safe.h"

#define LINE_STEP 1.22 /* from baseline to baseline, in ems */
#define ABOVE 0.98     /* of a line above its baseline, in ems */

/* Sizes in ems, the em itself in shares of the picture's shorter side. */
struct style {
    const char *name;
    double em, outline, blur, shadow;
    uint32_t colour, edge, spoken;
    int heavy, boxed, uppercase, marks;
    int max_chars, max_lines, max_words;
};

#define NO_COLOUR 0xffffff
static const struct style styles[] = {
    {"classic", 0.060, 0.070, 0.6, 0.040, 0xffffff, 0x000000, 0xffd60a, 1, 0, 0, 1, 24, 2, 0},
    {"karaoke", 0.057, 0.060, 0.6, 0.030, 0xffffff, 0x000000, 0xffffff, 1, 1, 0, 1, 24, 2, 0},
    {"minimal", 0.046, 0.045, 1.0, 0.030, 0xffffff, 0x000000, NO_COLOUR, 0, 0, 0, 0, 28, 2, 0},
    {"big", 0.100, 0.070, 0.6, 0.045, 0xffffff, 0x000000, 0xffd60a, 1, 0, 1, 1, 12, 2, 4},
};
#define BOX_COLOUR 0x6d28d9

static const struct style *style_of(const struct document *document)
{
    for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
        if (strcmp(styles[i].name, document->style) == 0)
            return &styles[i];
    return NULL;
}

int captions_heavy(const struct document *document)
{
    const struct style *style = style_of(document);
    return style == NULL || style->heavy;
}

static char *put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

static uint32_t capital(uint32_t code)
{
    if ((code >= 'a' && code <= 'z') || (code >= 0xe0 && code <= 0xfe && code != 0xf7) ||
        (code >= 0x430 && code <= 0x44f))
        return code - 0x20;
    if (code >= 0x450 && code <= 0x45f)
        return code - 0x50;
    return code == 0x491 ? 0x490 : code;
}

char *captions_uppercase(const char *text)
{
    char *upper = malloc(strlen(text) + 1), *to = upper;
    if (upper == NULL)
        abort();
    while (*text != '\0') {
        const char *start = text;
        uint32_t code = fonts_next(&text), changed = capital(code);
        if (changed != code) {
            to = put_utf8(to, changed);
        } else {
            memcpy(to, start, (size_t)(text - start));
            to += text - start;
        }
    }
    *to = '\0';
    return upper;
}

/* ---- The words as they will be shown ------------------------------------------------------------ */

static char *shown_text(const struct document_word *word, int uppercase, const struct fonts *fonts, size_t *lost)
{
    char *kept = fonts_keep(fonts, word->text, lost);
    size_t length = strlen(kept), blank = strspn(kept, " ");
    while (length > blank && kept[length - 1] == ' ')
        kept[--length] = '\0';
    memmove(kept, kept + blank, length - blank + 1);
    if (!uppercase)
        return kept;
    char *upper = captions_uppercase(kept);
    free(kept);
    return upper;
}

static void take_words(struct captions *captions, const struct document *document, const struct style *style,
                       const struct fonts *fonts, double em, struct cm_ctx *ctx)
{
    size_t lost = 0, room = 0;
    int64_t length = document->end_ms - document->start_ms, earliest = 0;
    int uppercase = document->uppercase >= 0 ? document->uppercase : style->uppercase;
    for (size_t i = 0; i < document->word_count; i++) {
        const struct document_word *word = &document->words[i];
        char *text = shown_text(word, uppercase, fonts, &lost);
        if (text[0] == '\0') {
            free(text);
            continue;
        }
        struct layout_word shown = {text, font_width(fonts_for(fonts, text), text, em),
                                    word->start_ms - document->start_ms, word->end_ms - document->start_ms};
        shown.start_ms = shown.start_ms < earliest ? earliest : shown.start_ms;
        shown.end_ms = shown.end_ms > length ? length : shown.end_ms;
        shown.end_ms = shown.end_ms < shown.start_ms ? shown.start_ms : shown.end_ms;
        earliest = shown.start_ms;
        captions->words = render_grow(captions->words, &room, captions->word_count, sizeof(shown));
        captions->words[captions->word_count++] = shown;
    }
    if (lost > 0)
        ctx->host->log(ctx, CM_LOG_WARN, "captions: %zu characters are in no font and are left out", lost);
}

/* ---- On screen -------------------------------------------------------------------------------- */

struct stage {
    const struct document *document;
    const struct style *style;
    const struct fonts *fonts;
    struct texts *texts;
    struct safe safe;
    double em; /* of this page */
};

static void add_state(const struct stage *stage, const char *text, double x, double y, int64_t from_ms, int64_t to_ms,
                      uint32_t colour)
{
    const struct style *style = stage->style;
    struct texts_look look = {
        stage->em, style->outline * stage->em, style->blur, style->shadow * stage->em, colour, style->edge, 0, 0};
    texts_add(stage->texts, 2, from_ms, to_ms, fonts_for(stage->fonts, text), &look, x, y, text);
}

static void add_mark(const struct stage *stage, double x, double y, double width, int64_t from_ms, int64_t to_ms)
{
    struct texts_look look = {.colour = BOX_COLOUR};
    double em = stage->em, margin = 0.14 * em;
    texts_add_box(stage->texts, 1, from_ms, to_ms, &look, x - margin, y - 0.93 * em, width + 2 * margin, 1.22 * em,
                  0.18 * em);
}

/* The word before, while, and after it is spoken. */
static void add_word(const struct stage *stage, const struct captions *captions, const struct layout_page *page,
                     size_t index, double x, double y, double width)
{
    const struct layout_word *word = &captions->words[index];
    const struct style *style = stage->style;
    int64_t from = word->start_ms, until = layout_spoken_until_ms(captions->words, page, index);
    if (!style->marks || !stage->document->highlight || until <= from) {
        add_state(stage, word->text, x, y, page->start_ms, page->end_ms, style->colour);
        return;
    }
    add_state(stage, word->text, x, y, page->start_ms, from, style->colour);
    add_state(stage, word->text, x, y, from, until, style->spoken);
    add_state(stage, word->text, x, y, until, page->end_ms, style->colour);
    if (style->boxed)
        add_mark(stage, x, y, width, from, until);
}

static double page_top(const struct stage *stage, const struct layout_page *page)
{
    double height = (double)page->lines * LINE_STEP * stage->em;
    switch (stage->document->place) {
    case PLACE_TOP:
        return stage->safe.top;
    case PLACE_MIDDLE:
        return ((double)stage->document->height - height) / 2;
    default:
        return stage->safe.bottom - height;
    }
}

static void add_page(struct stage *stage, const struct captions *captions, const struct layout_page *page, double em,
                     double space)
{
    double widest = 0, room = stage->safe.right - stage->safe.left;
    for (size_t i = 0; i < page->lines; i++)
        widest = page->line[i].width > widest ? page->line[i].width : widest;
    double share = widest > room ? room / widest : 1;
    stage->em = em * share;
    double y = page_top(stage, page) + ABOVE * stage->em;
    for (size_t i = 0; i < page->lines; i++, y += LINE_STEP * stage->em) {
        const struct layout_line *line = &page->line[i];
        double x = (stage->safe.left + stage->safe.right - line->width * share) / 2;
        for (size_t word = line->first; word <= line->last; word++) {
            double width = captions->words[word].width * share;
            add_word(stage, captions, page, word, x, y, width);
            x += width + space * share;
        }
    }
}

void captions_make(struct captions *captions, const struct document *document, const struct fonts *fonts,
                   struct texts *texts, struct cm_ctx *ctx)
{
    const struct style *style = style_of(document);
    memset(captions, 0, sizeof(*captions));
    const struct style *laid = style == NULL ? &styles[0] : style; /* "none" still has its SRT */
    struct stage stage = {document, style, fonts, texts, safe_area(document->width, document->height), 0};
    double em = laid->em * (document->width < document->height ? document->width : document->height);
    double space = font_width(&fonts->font[0], " ", em);
    take_words(captions, document, laid, fonts, em, ctx);
    struct layout_rules rules = {document->max_chars > 0 ? document->max_chars : laid->max_chars,
                                 document->max_lines > 0 ? document->max_lines : laid->max_lines, laid->max_words,
                                 stage.safe.right - stage.safe.left, space};
    captions->pages = layout_pages(captions->words, captions->word_count, &rules, &captions->page_count);
    for (size_t i = 0; i < captions->page_count && style != NULL; i++)
        add_page(&stage, captions, &captions->pages[i], em, space);
}

void captions_free(struct captions *captions)
{
    for (size_t i = 0; i < captions->word_count; i++)
        free((char *)captions->words[i].text);
    free(captions->words);
    free(captions->pages);
    memset(captions, 0, sizeof(*captions));
}
