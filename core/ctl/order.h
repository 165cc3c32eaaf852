/*
 * What is asked of a job on the command line: the video and how it shall be cut, checked as far
 * as that needs no daemon. Shared by `run` and `submit`.
 */
#ifndef CM_CTL_ORDER_H
#define CM_CTL_ORDER_H

#include "core/common/log.h"
#include "core/ctl/ctl.h"

struct json_object;

/* As given; borrowed from argv. */
struct cm_asked {
    const char *language, *clips, *min, *max, *captions, *pipeline, *strategy;
    struct cm_texts formats;
};
#define CM_ASKED_FLAGS(asked)                                                                                           \
    {'l', "lang", "ru|en|auto", N_("language of the speech"), NULL, &(asked).language, NULL},                           \
        {'f',  "format", "9:16|1:1|16:9", N_("shape of the clips; may be given several times"),                         \
         NULL, NULL,     &(asked).formats},                                                                             \
        {0,    "strategy",        "ru|global", N_("where its data may go: nowhere abroad, or there too with consent"),  \
         NULL, &(asked).strategy, NULL},                                                                                \
        {'n', "clips", "N", N_("how many clips at most"), NULL, &(asked).clips, NULL},                                  \
        {0, "min", "15s", N_("shortest clip"), NULL, &(asked).min, NULL},                                               \
        {0, "max", "60s", N_("longest clip"), NULL, &(asked).max, NULL},                                                \
        {0, "captions", "FILE", N_("an .srt or .vtt file with the words of the video"), NULL, &(asked).captions, NULL}, \
    {                                                                                                                   \
        0, "pipeline", "NAME", N_("another pipeline of the config"), NULL, &(asked).pipeline, NULL                      \
    }

/* The video as an absolute path or a URL; malloc'd. A path must be a file with something in it.
 * 0, or the exit status after a line on stderr. */
int cm_order_source(const char *given, char **source, int *is_url);
/* The job's parameters, only those that were asked for; a new reference. 0, or as above. */
int cm_order_params(const struct cm_asked *asked, struct json_object **params);
/* "priority" into the request, 0 when `text` is NULL. 0, or as above. */
int cm_order_priority(struct json_object *request, const char *text);

#endif
