/*
 * The fonts that texts are set in: read into memory, so that a caption looks the same everywhere, with
 * their coverage and their widths.
 */
#include "fonts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include FT_SFNT_NAMES_H
#include FT_TRUETYPE_IDS_H
#include FT_TRUETYPE_TABLES_H

#define FONT_BYTES (32l << 20)

/* Where Debian puts fonts with Latin and Cyrillic, the best first: thick ones, medium ones. */
static const char *const heavy_files[] = {
    "/usr/share/fonts/truetype/open-sans/OpenSans-ExtraBold.ttf",
    "/usr/share/fonts/truetype/roboto/unhinted/RobotoTTF/Roboto-Black.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
    "/usr/share/fonts/truetype/liberation2/LiberationSans-Bold.ttf",
    NULL,
};
static const char *const medium_files[] = {
    "/usr/share/fonts/truetype/open-sans/OpenSans-Semibold.ttf",
    "/usr/share/fonts/truetype/roboto/unhinted/RobotoTTF/Roboto-Medium.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/liberation2/LiberationSans-Regular.ttf",
    NULL,
};
/* Stands in for characters that the chosen one lacks. */
static const char broad_file[] = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf";

uint32_t fonts_next(const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;
    int more = at[0] < 0x80 ? 0 : at[0] >= 0xf0 ? 3 : at[0] >= 0xe0 ? 2 : at[0] >= 0xc0 ? 1 : -1;
    uint32_t code = more == 0 ? at[0] : more > 0 ? at[0] & (0x3fu >> more) : 0xfffd;
    int taken = 1;
    for (; taken <= more; taken++) {
        if ((at[taken] & 0xc0) != 0x80) {
            code = 0xfffd;
            break;
        }
        code = code << 6 | (at[taken] & 0x3f);
    }
    *text += taken;
    return code;
}

/* ---- One file --------------------------------------------------------------------------------- */

static unsigned char *read_whole(const char *path, size_t *count)
{
    FILE *file = fopen(path, "rbe");
    unsigned char *bytes = NULL;
    if (file == NULL)
        return NULL;
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (size > 0 && size <= FONT_BYTES && fseek(file, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)size);
    if (bytes != NULL && fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    *count = bytes == NULL ? 0 : (size_t)size;
    return bytes;
}

/* The full name for Windows in plain ASCII, else what FreeType calls it. */
static void name_font(struct font *font)
{
    FT_SfntName entry;
    snprintf(font->name, sizeof(font->name), "%s", font->face->family_name == NULL ? "" : font->face->family_name);
    for (FT_UInt i = 0; i < FT_Get_Sfnt_Name_Count(font->face); i++) {
        if (FT_Get_Sfnt_Name(font->face, i, &entry) != 0 || entry.platform_id != TT_PLATFORM_MICROSOFT ||
            entry.name_id != 4 || entry.string_len / 2 >= sizeof(font->name))
            continue;
        size_t length = entry.string_len / 2, plain = 0;
        for (size_t at = 0; at < length; at++)
            plain += entry.string[2 * at] == 0 && entry.string[2 * at + 1] >= ' ' && entry.string[2 * at + 1] < 127;
        if (length == 0 || plain != length)
            continue;
        for (size_t at = 0; at < length; at++)
            font->name[at] = (char)entry.string[2 * at + 1];
        font->name[length] = '\0';
        return;
    }
}

/* The same numbers as libass uses, so that sizes and places agree. */
static void measure_font(struct font *font)
{
    double em = font->face->units_per_EM > 0 ? font->face->units_per_EM : 1000;
    const TT_OS2 *os2 = FT_Get_Sfnt_Table(font->face, FT_SFNT_OS2);
    double above = font->face->ascender, below = -font->face->descender;
    if (os2 != NULL && (short)os2->usWinAscent + (short)os2->usWinDescent != 0) {
        above = (short)os2->usWinAscent;
        below = (short)os2->usWinDescent;
    }
    font->ascent = above / em;
    font->height = (above + below) / em;
    if (font->height <= 0.1)
        font->height = 1.2;
}

/* 0, or -1 when there is no usable font in that file. */
static int add_file(struct fonts *fonts, const char *path)
{
    struct font font = {0};
    if (fonts->count == FONTS_MOST)
        return -1;
    font.bytes = read_whole(path, &font.count);
    if (font.bytes == NULL)
        return -1;
    if (FT_New_Memory_Face(fonts->library, font.bytes, (FT_Long)font.count, 0, &font.face) != 0) {
        free(font.bytes);
        return -1;
    }
    if (!FT_IS_SCALABLE(font.face) || FT_Select_Charmap(font.face, FT_ENCODING_UNICODE) != 0) {
        FT_Done_Face(font.face);
        free(font.bytes);
        return -1;
    }
    name_font(&font);
    measure_font(&font);
    fonts->font[fonts->count++] = font;
    return 0;
}

/* ---- All of them ------------------------------------------------------------------------------ */

static int is_font_file(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && (strcasecmp(dot, ".ttf") == 0 || strcasecmp(dot, ".otf") == 0);
}

/* The operator's folder, in name order: repeatable. */
static void add_folder(struct fonts *fonts, const char *folder)
{
    struct dirent **entries = NULL;
    char path[4096];
    int count = folder[0] == '\0' ? 0 : scandir(folder, &entries, is_font_file, alphasort);
    for (int i = 0; i < count; i++) {
        if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name) < sizeof(path))
            add_file(fonts, path);
        free(entries[i]);
    }
    free(entries);
}

enum cm_verdict fonts_open(struct fonts *fonts, struct cm_ctx *ctx, int heavy)
{
    const struct render_options *options = ctx->options;
    memset(fonts, 0, sizeof(*fonts));
    if (FT_Init_FreeType(&fonts->library) != 0)
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_INTERNAL, "FreeType cannot be started");
    if (options->font[0] != '\0' && add_file(fonts, options->font) != 0)
        return CM_FAIL_FOR(ctx, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, 0,
                           "option font: %s is not a font that can be read (TrueType or OpenType)", options->font);
    add_folder(fonts, options->fonts);
    size_t chosen = fonts->count;
    for (const char *const *file = heavy ? heavy_files : medium_files; *file != NULL && fonts->count == chosen; file++)
        add_file(fonts, *file);
    add_file(fonts, broad_file);
    if (fonts->count == 0)
        return CM_FAIL_FOR(ctx, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, 0,
                           "no font for the captions: apt install fonts-open-sans, or set the option font");
    return CM_OK;
}

void fonts_close(struct fonts *fonts)
{
    for (size_t i = 0; i < fonts->count; i++) {
        FT_Done_Face(fonts->font[i].face);
        free(fonts->font[i].bytes);
    }
    if (fonts->library != NULL)
        FT_Done_FreeType(fonts->library);
    memset(fonts, 0, sizeof(*fonts));
}

static size_t missing(const struct font *font, const char *text)
{
    size_t count = 0;
    while (*text != '\0') {
        uint32_t code = fonts_next(&text);
        count += code > ' ' && FT_Get_Char_Index(font->face, code) == 0;
    }
    return count;
}

const struct font *fonts_for(const struct fonts *fonts, const char *text)
{
    const struct font *best = &fonts->font[0];
    size_t fewest = missing(best, text);
    for (size_t i = 1; i < fonts->count && fewest > 0; i++) {
        size_t lacks = missing(&fonts->font[i], text);
        if (lacks < fewest) {
            fewest = lacks;
            best = &fonts->font[i];
        }
    }
    return best;
}

double font_width(const struct font *font, const char *text, double em)
{
    double width = 0, unit = em / (font->face->units_per_EM > 0 ? font->face->units_per_EM : 1000);
    while (*text != '\0') {
        FT_UInt glyph = FT_Get_Char_Index(font->face, fonts_next(&text));
        if (FT_Load_Glyph(font->face, glyph, FT_LOAD_NO_SCALE | FT_LOAD_NO_BITMAP) == 0)
            width += (double)font->face->glyph->metrics.horiAdvance * unit;
    }
    return width;
}

/* Emoji come with these; alone they show nothing. */
static int is_invisible(uint32_t code)
{
    return code < ' ' || code == 0x7f || (code >= 0x200b && code <= 0x200f) || code == 0x2060 || code == 0xfeff ||
           (code >= 0xfe00 && code <= 0xfe0f) || code == 0xfffd;
}

char *fonts_keep(const struct fonts *fonts, const char *text, size_t *lost)
{
    char *kept = strdup(text), *end = kept;
    if (kept == NULL)
        abort();
    while (*text != '\0') {
        const char *start = text;
        uint32_t code = fonts_next(&text);
        int found = code == ' ';
        for (size_t i = 0; i < fonts->count && !found && !is_invisible(code); i++)
            found = FT_Get_Char_Index(fonts->font[i].face, code) != 0;
        *lost += !found;
        if (!found)
            continue;
        memcpy(end, start, (size_t)(text - start));
        end += text - start;
    }
    *end = '\0';
    return kept;
}
