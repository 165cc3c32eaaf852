/*
 * cta_suggestion: a call to action by what the clip is: advice is worth saving, a story or a
 * question worth an opinion, everything else leads to the whole talk.
 */
#include <clipmaker/plugin.h>
#include <stdio.h>

#include "answers.h"
#include "out.h"
#include "video.h"

#define ADVICE_MANY 2

enum mood {
    MOOD_ADVICE,
    MOOD_OPINION,
    MOOD_WHOLE,
    MOOD_COUNT
};

#define VARIANTS 2

static const char *const russian[MOOD_COUNT][VARIANTS] = {
    [MOOD_ADVICE] = {"Сохраните, чтобы попробовать", "Сохраните и отправьте другу"},
    [MOOD_OPINION] = {"А вы как думаете? Пишите в комментариях", "Согласны? Напишите в комментариях"},
    [MOOD_WHOLE] = {"Полный выпуск — по ссылке в описании", "Подпишитесь, чтобы не пропустить"},
};

static const char *const english[MOOD_COUNT][VARIANTS] = {
    [MOOD_ADVICE] = {"Save this and try it", "Save it and send it to a friend"},
    [MOOD_OPINION] = {"What do you think? Tell us below", "Do you agree? Tell us below"},
    [MOOD_WHOLE] = {"The whole talk: link in the description", "Follow for more"},
};

static enum mood mood_of(const struct video *video, size_t first, size_t last)
{
    unsigned advice = 0, contrast = 0, feelings = 0;
    for (size_t i = first; i <= last; i++) {
        const struct sentence *sentence = &video->sentences[i];
        advice += sentence->hits[KIND_ADVICE];
        contrast += sentence->hits[KIND_CONTRAST];
        feelings += sentence->hits[KIND_AROUSAL];
    }
    return advice >= ADVICE_MANY ? MOOD_ADVICE : contrast > 0 && feelings > 0 ? MOOD_OPINION : MOOD_WHOLE;
}

const char *answer_ctas(struct video *video, const struct cm_json *input)
{
    struct cm_ctx *ctx = video->ctx;
    const struct cm_host *host = ctx->host;
    const struct cm_json *list = host->json_at(ctx, input, "moments");
    unsigned told[MOOD_COUNT] = {0};
    struct out out = out_new(ctx);
    out_add(&out, "{\"ctas\":[");
    for (size_t i = 0; i < host->json_count(ctx, list); i++) {
        char path[24];
        snprintf(path, sizeof path, "%zu", i);
        const struct cm_json *moment = host->json_at(ctx, list, path);
        const char *key = host->json_string(ctx, host->json_at(ctx, moment, "key"), "");
        long first = video_find(video, (long)host->json_int(ctx, host->json_at(ctx, moment, "first"), -1));
        long last = video_find(video, (long)host->json_int(ctx, host->json_at(ctx, moment, "last"), -1));
        enum mood mood = first >= 0 && last >= first ? mood_of(video, (size_t)first, (size_t)last) : MOOD_WHOLE;
        unsigned variant = told[mood]++ % VARIANTS; /* neighbours in a feed shall differ */
        const char *text = video->russian ? russian[mood][variant] : english[mood][variant];
        out_add(&out, host->format(ctx, "%s{\"key\":%s,\"text\":%s}", i ? "," : "", host->json_quote(ctx, key),
                                   host->json_quote(ctx, text)));
    }
    out_add(&out, "]}");
    return out.text;
}
