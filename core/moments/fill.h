/*
 * Filling up: moments of dense speech, for where a language model proposed too few or none.
 */
#ifndef CM_MOMENTS_FILL_H
#define CM_MOMENTS_FILL_H

struct cm_candidates;
struct cm_limits;
struct cm_transcript;

/* Adds moments over the whole video to the candidates, in which words take at least that share of the
 * time (0..1). They are scored low and by that share, so that they come behind whatever was judged. */
void cm_fill(struct cm_candidates *candidates, const struct cm_transcript *transcript, const struct cm_limits *limits,
             double least_share);

#endif
