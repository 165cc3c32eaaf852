/*
 * Deciding the language: each chunk votes with its words times its confidence.
 */
#include "core/moments/language.h"

#include <stdio.h>
#include <string.h>

static struct cm_language_vote *vote_for(struct cm_language_votes *votes, const char *language)
{
    size_t room = sizeof votes->list / sizeof *votes->list;
    for (size_t i = 0; i < votes->count; i++) {
        if (!strcmp(votes->list[i].name, language)) {
            return &votes->list[i];
        }
    }
    if (votes->count == room) {
        return NULL;
    }
    struct cm_language_vote *vote = &votes->list[votes->count++];
    snprintf(vote->name, sizeof vote->name, "%s", language);
    return vote;
}

void cm_language_add(struct cm_language_votes *votes, const char *language, double confidence, size_t words)
{
    votes->words += (double)words;
    struct cm_language_vote *vote = *language ? vote_for(votes, language) : NULL;
    if (vote && confidence > 0) {
        vote->weight += (double)words * confidence;
    }
}

const char *cm_language_best(const struct cm_language_votes *votes, double *share)
{
    const struct cm_language_vote *best = NULL;
    for (size_t i = 0; i < votes->count; i++) {
        best = !best || votes->list[i].weight > best->weight ? &votes->list[i] : best;
    }
    *share = best && votes->words > 0 ? best->weight / votes->words : 0;
    return best ? best->name : "";
}
