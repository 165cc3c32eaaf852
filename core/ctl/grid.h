/*
 * Text in columns: widths as a terminal shows them, and tables for people.
 */
#ifndef CM_CTL_GRID_H
#define CM_CTL_GRID_H

#include <stddef.h>

/* Columns that the UTF-8 text takes on a terminal. */
size_t cm_width(const char *text);
/* The text cut ("…") and padded to exactly `columns`; malloc'd. */
char *cm_fit(const char *text, size_t columns);

#define CM_GRID_COLUMNS 8
struct cm_grid {
    size_t columns;
    size_t widths[CM_GRID_COLUMNS];
    char *(*rows)[CM_GRID_COLUMNS];
    size_t count, room;
};
/* Cells of one row, `columns` of them; copied and cleaned. The first row is the heading. */
void cm_grid_add(struct cm_grid *grid, const char *const *cells);
/* To stdout; the grid is empty afterwards. */
void cm_grid_print(struct cm_grid *grid);

#endif
