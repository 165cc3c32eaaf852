/*
 * Texts and flat shapes over the picture: libass draws them, for a layer.
 *
 * No font provider: fonts come from memory, so nothing is looked for on the disk and no cache is written.
 */
#include "texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char script_head[] =
    "[Script Info]\nScriptType: v4.00+\nWrapStyle: 2\nScaledBorderAndShadow: yes\nPlayResX: %d\nPlayResY: %d\n"
    "YCbCr Matrix: None\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, "
    "OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, "
    "Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n"
    "Style: Default,%s,48,&H00FFFFFF,&H00FFFFFF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,0,0,7,0,0,0,1\n\n"
    "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n";

static void stay_quiet(int level, const char *format, va_list arguments, void *data)
{
    (void)level, (void)format, (void)arguments, (void)data;
}

static void read_head(struct texts *texts, const char *font, int width, int height)
{
    char head[2048];
    int length = snprintf(head, sizeof(head), script_head, width, height, font);
    texts->track = ass_new_track(texts->library);
    if (texts->track != NULL && length > 0 && (size_t)length < sizeof(head))
        ass_process_codec_private(texts->track, head, length);
}

enum cm_verdict texts_open(struct texts *texts, struct cm_ctx *ctx, const struct fonts *fonts, int width, int height)
{
    memset(texts, 0, sizeof(*texts));
    texts->library = ass_library_init();
    if (texts->library == NULL)
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_INTERNAL, "libass cannot be started");
    ass_set_message_cb(texts->library, stay_quiet, NULL);
    ass_set_extract_fonts(texts->library, 0);
    for (size_t i = 0; i < fonts->count; i++)
        ass_add_font(texts->library, fonts->font[i].name, (const char *)fonts->font[i].bytes,
                     (int)fonts->font[i].count);
    texts->renderer = ass_renderer_init(texts->library);
    if (texts->renderer == NULL)
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_INTERNAL, "libass cannot be started");
    ass_set_frame_size(texts->renderer, width, height);
    ass_set_storage_size(texts->renderer, width, height);
    ass_set_pixel_aspect(texts->renderer, 1);
    ass_set_hinting(texts->renderer, ASS_HINTING_NONE);
    ass_set_shaper(texts->renderer, ASS_SHAPING_COMPLEX);
    ass_set_cache_limits(texts->renderer, 2000, 64);
    ass_set_fonts(texts->renderer, NULL, fonts->font[0].name, ASS_FONTPROVIDER_NONE, NULL, 0);
    read_head(texts, fonts->font[0].name, width, height);
    if (texts->track == NULL || texts->track->n_styles == 0)
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_INTERNAL, "libass cannot be started");
    return CM_OK;
}

void texts_close(struct texts *texts)
{
    if (texts->track != NULL)
        ass_free_track(texts->track);
    if (texts->renderer != NULL)
        ass_renderer_done(texts->renderer);
    if (texts->library != NULL)
        ass_library_done(texts->library);
    memset(texts, 0, sizeof(*texts));
}

/* ---- Events ----------------------------------------------------------------------------------- */

static uint32_t bgr(uint32_t rgb)
{
    return (rgb & 0xff) << 16 | (rgb & 0xff00) | (rgb >> 16 & 0xff);
}

/* `text` is malloc'd and given away. */
static void add_event(struct texts *texts, int layer, int64_t from_ms, int64_t to_ms, char *text)
{
    if (to_ms <= from_ms) {
        free(text);
        return;
    }
    int at = ass_alloc_event(texts->track);
    ASS_Event *event = &texts->track->events[at];
    event->Start = from_ms;
    event->Duration = to_ms - from_ms;
    event->Layer = layer;
    event->Style = 0;
    event->ReadOrder = at;
    event->Text = text;
}

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* What ASS would take for its own signs. */
static void copy_plain(char *to, const char *text)
{
    static const char signs[] = "{}\\\n\r\t", instead[] = "()/   ";
    for (; *text != '\0'; text++) {
        const char *sign = strchr(signs, *text);
        *to++ = sign == NULL ? *text : instead[sign - signs];
    }
    *to = '\0';
}

void texts_add(struct texts *texts, int layer, int64_t from_ms, int64_t to_ms, const struct font *font,
               const struct texts_look *look, double x, double y, const char *text)
{
    size_t room = strlen(text) + 512;
    char *event = must(malloc(room));
    int head = snprintf(event, 512,
                        "{\\an7\\pos(%.2f,%.2f)\\q2\\fn%s\\fs%.3f\\b0\\bord%.2f\\blur%.2f\\xshad0\\yshad%.2f"
                        "\\1c&H%06X&\\3c&H%06X&\\4c&H%06X&\\1a&H%02X&\\3a&H%02X&\\4a&H%02X&\\fad(%d,%d)}",
                        x, y - font->ascent * look->em, font->name, look->em * font->height, look->outline, look->blur,
                        look->shadow, bgr(look->colour), bgr(look->edge), bgr(look->edge), (unsigned)look->alpha,
                        (unsigned)look->alpha, (unsigned)(look->alpha + (255 - look->alpha) / 2), look->fade_ms,
                        look->fade_ms);
    if (head < 0 || head >= 512) {
        free(event);
        return;
    }
    copy_plain(event + head, text);
    add_event(texts, layer, from_ms, to_ms, event);
}

void texts_add_box(struct texts *texts, int layer, int64_t from_ms, int64_t to_ms, const struct texts_look *look,
                   double x, double y, double width, double height, double radius)
{
    size_t room = 1024;
    char *event = must(malloc(room));
    double w = width, h = height, r = radius, k = radius * 0.4477;
    snprintf(event, room,
             "{\\an7\\pos(%.2f,%.2f)\\bord0\\shad0\\1c&H%06X&\\1a&H%02X&\\fad(%d,%d)\\p1}"
             "m 0 %.2f b 0 %.2f %.2f 0 %.2f 0 l %.2f 0 b %.2f 0 %.2f %.2f %.2f %.2f "
             "l %.2f %.2f b %.2f %.2f %.2f %.2f %.2f %.2f l %.2f %.2f b %.2f %.2f 0 %.2f 0 %.2f",
             x, y, bgr(look->colour), (unsigned)look->alpha, look->fade_ms, look->fade_ms, /* */
             r, k, k, r, w - r, w - k, w, k, w, r,                                         /* top */
             w, h - r, w, h - k, w - k, h, w - r, h,                                       /* right */
             r, h, k, h, h - k, h - r);                                                    /* bottom, left */
    add_event(texts, layer, from_ms, to_ms, event);
}

/* ---- Drawing ---------------------------------------------------------------------------------- */

int texts_draw(struct texts *texts, int64_t at_ms)
{
    int changed = 0;
    texts->drawn = ass_render_frame(texts->renderer, texts->track, at_ms, &changed);
    return changed != 0;
}

void texts_paint(const struct texts *texts, struct layer *layer)
{
    for (const ASS_Image *image = texts->drawn; image != NULL; image = image->next) {
        struct stencil stencil = {image->bitmap, image->stride, image->w, image->h, image->dst_x, image->dst_y};
        layer_paint(layer, &stencil, image->color >> 8, 255 - (int)(image->color & 0xff));
    }
}
