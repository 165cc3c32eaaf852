/*
 * Which of several audio tracks is the one that people speak on.
 */
#ifndef MEDIA_TRACK_H
#define MEDIA_TRACK_H

#include "../ffmpeg/input.h"

/* Sets input->audio and audio_track. `option` is "auto" or a number from 1. The input may have been
 * reopened. */
enum cm_verdict track_choose(struct input *input, const char *option);

#endif
