/*
 * The clip document (docs/artifacts.md) and what is told about the clip, from what the earlier steps
 * found out. Pure.
 */
#ifndef CM_WORKER_CLIP_DOCUMENT_H
#define CM_WORKER_CLIP_DOCUMENT_H

struct json_object;

/* Everything is borrowed; titles, ctas and facts may be NULL. */
struct cm_clip_source {
    const char *moment_key; /* "02": also the clip's rank */
    const char *format;     /* "9:16" */
    struct json_object *moment, *transcript, *titles, *ctas, *facts, *params;
};

/* A new document, or NULL with one line (malloc'd) when the moment makes no sense. */
struct json_object *cm_clip_document(const struct cm_clip_source *source, char **error);

/* What clips.json says of the clip: name, title, reason, times, format, score, cta, text. New object. */
struct json_object *cm_clip_facts(const struct cm_clip_source *source);

/* The title in [a-z0-9-], Cyrillic transliterated, at most 60 bytes, never empty. malloc'd. */
char *cm_slug(const char *title);

#endif
