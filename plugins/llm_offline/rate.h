/*
 * Rating: how good a run of sentences would be as a clip, and why.
 */
#ifndef LLM_OFFLINE_RATE_H
#define LLM_OFFLINE_RATE_H

#include <stddef.h>

struct video;

/* What speaks for a clip, strongest first. */
enum why {
    WHY_QUESTION,
    WHY_CAUGHT,
    WHY_REACTION,
    WHY_NUMBER,
    WHY_STORY,
    WHY_LOUD,
    WHY_ADVICE,
    WHY_AROUSAL,
    WHY_CONTRAST,
    WHY_ANSWER,
    WHY_ENDING,
    WHY_WHOLE,
    WHY_TURNS,
    WHY_YOU,
    WHY_DENSE,
    WHY_COUNT
};

struct rating {
    double hook, engagement, flow, trend; /* 0..25 */
    double total;                         /* after what speaks against it */
    int why[WHY_COUNT];
    double loud_db;
    const char *caught;
};

/* The sentences first..last (indices). */
struct rating rate(const struct video *video, size_t first, size_t last);
/* The reasons in the language of the speech. */
const char *rate_reason(const struct video *video, const struct rating *rating);

#endif
