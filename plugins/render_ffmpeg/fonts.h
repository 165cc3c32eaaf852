/*
 * The fonts that texts are set in: read into memory, so that a caption looks the same everywhere, with
 * their coverage and their widths.
 */
#ifndef RENDER_FONTS_H
#define RENDER_FONTS_H

#include <ft2build.h>
#include FT_FREETYPE_H

#include "render.h"

#define FONTS_MOST 24

struct font {
    char name[128]; /* the full name inside the file, by which libass finds it */
    unsigned char *bytes;
    size_t count;
    FT_Face face;
    double ascent, height; /* of a line, as libass measures it: in ems */
};

struct fonts {
    FT_Library library;
    struct font font[FONTS_MOST]; /* the first is the chosen one, the others stand in */
    size_t count;
};

/* `heavy`: for thick captions, else a medium weight. fonts_close is needed whatever it returns. */
enum cm_verdict fonts_open(struct fonts *fonts, struct cm_ctx *ctx, int heavy);
void fonts_close(struct fonts *fonts);

/* The font that has most of the text's characters, the chosen one if it has all. */
const struct font *fonts_for(const struct fonts *fonts, const char *text);
/* Width of a text set with an em of this many pixels. */
double font_width(const struct font *font, const char *text, double em);
/* The text without the characters that no font has (emoji among them); malloc'd. *lost counts them. */
char *fonts_keep(const struct fonts *fonts, const char *text, size_t *lost);

/* The next character of UTF-8; moves *text on. A broken one is U+FFFD. */
uint32_t fonts_next(const char **text);

#endif
