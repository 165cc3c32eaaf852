/*
 * Texts and flat shapes over the picture: libass draws them, for a layer.
 */
#ifndef RENDER_TEXTS_H
#define RENDER_TEXTS_H

#include <ass/ass.h>

#include "fonts.h"
#include "layer.h"

struct texts {
    ASS_Library *library;
    ASS_Renderer *renderer;
    ASS_Track *track;
    ASS_Image *drawn; /* the libass renderer's, of the last time asked */
};

/* One text of one look. Colours are 0xRRGGBB, sizes pixels, alphas 0 (opaque) … 255. */
struct texts_look {
    double em, outline, blur, shadow;
    uint32_t colour, edge;
    int alpha;
    int fade_ms;
};

enum cm_verdict texts_open(struct texts *texts, struct cm_ctx *ctx, const struct fonts *fonts, int width, int height);
void texts_close(struct texts *texts);

/* A text whose baseline begins at x, y. Lower layers are drawn first. */
void texts_add(struct texts *texts, int layer, int64_t from_ms, int64_t to_ms, const struct font *font,
               const struct texts_look *look, double x, double y, const char *text);
/* A filled rectangle with round corners; look->colour, alpha and fade count. */
void texts_add_box(struct texts *texts, int layer, int64_t from_ms, int64_t to_ms, const struct texts_look *look,
                   double x, double y, double width, double height, double radius);
/* What is on at this time, for texts_paint; 1 when it differs from what was drawn before. */
int texts_draw(struct texts *texts, int64_t at_ms);
void texts_paint(const struct texts *texts, struct layer *layer);

#endif
