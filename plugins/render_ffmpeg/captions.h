/*
 * The spoken words as captions: chosen look, laid out, given to libass one event a word state.
 */
#ifndef RENDER_CAPTIONS_H
#define RENDER_CAPTIONS_H

#include "document.h"
#include "layout.h"
#include "texts.h"

struct captions {
    struct layout_word *words; /* clip times; texts owned */
    size_t word_count;
    struct layout_page *pages;
    size_t page_count;
};

/* True when the document's captions want thick letters. */
int captions_heavy(const struct document *document);

/* Lays the words out and adds their events. */
void captions_make(struct captions *captions, const struct document *document, const struct fonts *fonts,
                   struct texts *texts, struct cm_ctx *ctx);
void captions_free(struct captions *captions);

/* Capitals of Latin and Cyrillic letters, malloc'd. */
char *captions_uppercase(const char *text);

#endif
