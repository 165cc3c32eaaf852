/*
 * Where the picture changes, seen in key frames only.
 */
#ifndef MEDIA_SCENE_H
#define MEDIA_SCENE_H

#include "../ffmpeg/input.h"

#define SCENE_COLUMNS 48
#define SCENE_ROWS 27
#define SCENE_BINS 16

struct scene_view {
    uint8_t luma[SCENE_COLUMNS * SCENE_ROWS];
    int bins[SCENE_BINS];
};

struct scene_cut {
    int64_t at_ms;
    double strength;
};

struct scenes {
    struct input *input;
    AVCodecContext *decoder; /* NULL: not looked for */
    AVFrame *frame;
    struct scene_view last;
    int64_t last_ms; /* of the last view; -1: none */
    int64_t tried, seen;
    struct scene_cut *cuts;
    size_t count, room;
};

void scenes_open(struct scenes *scenes, struct input *input);
void scenes_packet(struct scenes *scenes, const AVPacket *packet); /* of the chosen picture; NULL: the end */
void scenes_close(struct scenes *scenes);

/* How different two views are, 0..1; above SCENE_CHANGED the scene changed. */
#define SCENE_CHANGED 0.3
double scene_difference(const struct scene_view *a, const struct scene_view *b);

#endif
