/*
 * The clip's picture rate: the source's, rounded to one that players and platforms are used to. Pure.
 */
#ifndef RENDER_RATE_H
#define RENDER_RATE_H

#include <libavutil/rational.h>

/* `average` and `nominal` as the container says them, 0/0 where it does not; `asked` 0: by the source. */
AVRational rate_of(AVRational average, AVRational nominal, double asked);

#endif
