/*
 * Room for pictures and sound in so many bytes.
 */
#include "squeeze.h"

#include <math.h>

#define CONTAINER_BYTES 8192   /* of an MP4, whatever is in it */
#define CONTAINER_BYTES_S 1500 /* and for each second: tables of pictures and of sound */
#define USABLE 0.97            /* of the rest: the encoder's aim is as good as that */
#define SOUND_SHARE 5          /* at most one part of so many is sound */
#define SOUND_LEAST 32000      /* bit/s: speech stays clear */
#define USUAL_FPS 30.0         /* where the document leaves it to the source */
#define GOOD_BITS 0.035        /* a pixel: with less a smaller picture looks better */
#define LEAST_BITS 0.012       /* … and with less than that it is not worth watching */
#define LEAST_PX 240           /* of the shorter side */

static double pixels_s(const struct squeeze *squeeze, const struct document *document)
{
    return (double)squeeze->width * squeeze->height * (document->fps > 0 ? document->fps : USUAL_FPS);
}

/* The same shape, so much smaller, in even numbers. */
static void shrink(struct squeeze *squeeze, const struct document *document, double by)
{
    int shorter = document->width < document->height ? document->width : document->height;
    double least = shorter > LEAST_PX ? (double)LEAST_PX / shorter : 1;
    by = by < least ? least : by > 1 ? 1 : by;
    squeeze->width = by < 1 ? (int)lround(document->width * by / 2) * 2 : document->width;
    squeeze->height = by < 1 ? (int)lround(document->height * by / 2) * 2 : document->height;
}

int squeeze_plan(struct squeeze *squeeze, const struct document *document)
{
    double seconds = (double)(document->end_ms - document->start_ms + document->endcard_ms) / 1000;
    double bytes = (double)document->max_bytes - CONTAINER_BYTES - CONTAINER_BYTES_S * seconds;
    double bits_s = seconds > 0 ? bytes * 8 * USABLE / seconds : 0;
    int64_t sound = (int64_t)(bits_s / SOUND_SHARE);
    *squeeze = (struct squeeze){.max_bytes = document->max_bytes, .seconds = seconds};
    squeeze->audio_bitrate = sound > document->audio_bitrate ? document->audio_bitrate : sound;
    squeeze->audio_bitrate = squeeze->audio_bitrate < SOUND_LEAST ? SOUND_LEAST : squeeze->audio_bitrate;
    squeeze->video_bitrate = (int64_t)bits_s - squeeze->audio_bitrate;
    if (squeeze->video_bitrate <= 0)
        return -1;
    shrink(squeeze, document, 1);
    shrink(squeeze, document, sqrt((double)squeeze->video_bitrate / pixels_s(squeeze, document) / GOOD_BITS));
    return (double)squeeze->video_bitrate < pixels_s(squeeze, document) * LEAST_BITS ? -1 : 0;
}

int squeeze_more(struct squeeze *squeeze, int64_t bytes)
{
    int64_t over = bytes - squeeze->max_bytes;
    int64_t less = squeeze->seconds > 0 ? (int64_t)((double)over * 8 / squeeze->seconds) : 0;
    int64_t rate = (squeeze->video_bitrate - less) * 96 / 100;
    if (rate < squeeze->video_bitrate / 4)
        return -1;
    squeeze->video_bitrate = rate;
    return 0;
}
