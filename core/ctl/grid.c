/*
 * Text in columns.
 */
#include "core/ctl/grid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "core/common/text.h"
#include "core/ctl/ctl.h"

/* Decodes one character of valid UTF-8; its length in bytes. */
static size_t decode(const char *text, wchar_t *character)
{
    const unsigned char *byte = (const unsigned char *)text;
    size_t more = *byte >= 0xf0 ? 3 : *byte >= 0xe0 ? 2 : *byte >= 0xc0 ? 1 : 0;
    unsigned value = more == 0 ? *byte : *byte & (0x3fu >> more);
    size_t length = 1;
    while (length <= more && (byte[length] & 0xc0) == 0x80) {
        value = value << 6 | (byte[length++] & 0x3fu);
    }
    *character = (wchar_t)value;
    return length;
}

/* The locale may know nothing beyond ASCII: then combining marks take no column, the rest one. */
static size_t character_width(wchar_t character)
{
    int width = wcwidth(character);
    if (width >= 0) {
        return (size_t)width;
    }
    return character >= 0x300 && character < 0x370 ? 0 : 1;
}

size_t cm_width(const char *text)
{
    size_t width = 0;
    while (*text) {
        wchar_t character;
        text += decode(text, &character);
        width += character_width(character);
    }
    return width;
}

char *cm_fit(const char *text, size_t columns)
{
    int cut = cm_width(text) > columns;
    size_t used = 0, limit = cut && columns > 0 ? columns - 1 : columns;
    struct cm_text out = {0};
    while (*text) {
        wchar_t character;
        size_t bytes = decode(text, &character);
        if (used + character_width(character) > limit) {
            break;
        }
        used += character_width(character);
        cm_text_add_bytes(&out, text, bytes);
        text += bytes;
    }
    if (cut && columns > 0) {
        cm_text_add(&out, "…");
        used++;
    }
    while (used++ < columns) {
        cm_text_add(&out, " ");
    }
    return cm_text_take(&out);
}

void cm_grid_add(struct cm_grid *grid, const char *const *cells)
{
    grid->rows = cm_grow(grid->rows, &grid->room, grid->count, sizeof *grid->rows);
    for (size_t i = 0; i < grid->columns; i++) {
        char *cell = cm_ctl_clean(cells[i]);
        size_t width = cm_width(cell);
        grid->widths[i] = width > grid->widths[i] ? width : grid->widths[i];
        grid->rows[grid->count][i] = cell;
    }
    grid->count++;
}

void cm_grid_print(struct cm_grid *grid)
{
    for (size_t row = 0; row < grid->count; row++) {
        for (size_t i = 0; i < grid->columns; i++) {
            char *cell = grid->rows[row][i];
            int last = i + 1 == grid->columns;
            int padding = last ? 0 : (int)(grid->widths[i] - cm_width(cell));
            printf("%s%*s%s", cell, padding, "", last ? "\n" : "  ");
            free(cell);
        }
    }
    free(grid->rows);
    *grid = (struct cm_grid){.columns = grid->columns};
}
