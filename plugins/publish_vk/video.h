/*
 * The video's way to VK: a place for it, the upload, and the wait until VK has worked on it. Each step's result is
 * saved with the task, so that a later attempt goes on behind it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef VK_VIDEO_H
#define VK_VIDEO_H

#include "api.h"

#define VK_TITLE_CHARS 128
#define VK_DESCRIPTION_CHARS 5000

struct video_options {
    struct vk vk; /* first: api.c reads it */
    int64_t group;
    int is_private, no_comments, repeat, wallpost;
    int64_t upload_ms, processing_ms;
};

/* Where a video is, as VK names it. */
struct video {
    long long owner, id;
    const char *access_key; /* or "" */
};

/* 1: "OWNER_ID" or "OWNER_ID_KEY" was read. */
int video_read(struct cm_ctx *ctx, const char *text, struct video *video);
/* "OWNER_ID", with the key when it has one. */
const char *video_name(struct cm_ctx *ctx, const struct video *video, int with_key);

/* CM_OK: the video lies at VK, ready to be watched; with `wallpost`, when it is there at all, for then it is out.
 * Anything else was said through fail(). */
enum cm_verdict video_bring(struct cm_ctx *ctx, const struct cm_publish_request *request, struct video *video);

/* What VK has of a video: its entry, or NULL (then *reply tells: a yes without it, or a failure). */
const struct cm_json *video_look(struct cm_ctx *ctx, const struct video *video, struct reply *reply);

/* The group as VK wants it for posts: "-GROUP", or NULL for the user's own page. */
const char *video_owner_text(struct cm_ctx *ctx);
/* A text cut to so many characters, at a word. */
const char *video_cut(struct cm_ctx *ctx, const char *text, size_t most);

#endif
