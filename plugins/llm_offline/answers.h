/*
 * The answers to the four questions, as JSON text that lives as long as the call.
 */
#ifndef LLM_OFFLINE_ANSWERS_H
#define LLM_OFFLINE_ANSWERS_H

struct cm_json;
struct video;

const char *answer_moments(struct video *video, const struct cm_json *input);
const char *answer_scores(struct video *video, const struct cm_json *input);
const char *answer_titles(struct video *video, const struct cm_json *input);
const char *answer_ctas(struct video *video, const struct cm_json *input);

#endif
