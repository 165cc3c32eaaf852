/*
 * The language of captions, guessed from their letters and commonest words. Pure.
 */
#ifndef CAPTIONS_SCRIPT_H
#define CAPTIONS_SCRIPT_H

#include "cues.h"

struct script {
    const char *language; /* "ru", "uk", "en", or "" */
    int percent;          /* how sure, 0..100 */
};

struct script script_of(const struct cues *cues);

#endif
