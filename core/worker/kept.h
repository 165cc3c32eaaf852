/*
 * What is kept of a call while a plugin works: what it emitted, and what it told the host.
 */
#ifndef CM_WORKER_KEPT_H
#define CM_WORKER_KEPT_H

#include <clipmaker/plugin.h>
#include <stddef.h>

struct json_object;

/* A chunk with the speech intervals that were emitted before it. */
struct cm_emitted_chunk {
    struct cm_chunk chunk;
    size_t first_speech, speech_count; /* in cm_emitted.speech */
};

/* What a plugin emitted; every string is our own copy. */
struct cm_emitted {
    struct cm_word *words;
    size_t word_count, word_room;
    struct cm_segment *segments;
    size_t segment_count, segment_room;
    struct cm_interval *speech;
    size_t speech_count, speech_room;
    struct cm_emitted_chunk *chunks;
    size_t chunk_count, chunk_room;
    struct cm_cue *cues;
    size_t cue_count, cue_room;
    struct cm_file *files;
    size_t file_count, file_room;
};

struct cm_host_memory; /* one block that lives until the call returns */

struct cm_host_call {
    struct cm_host_memory *memory;
    struct json_object **parsed; /* json_parse: roots */
    size_t parsed_count, parsed_room;
    enum cm_verdict verdict; /* of the last fail(); 0: none */
    enum cm_reason reason;
    enum cm_scope scope;
    int64_t delay_ms;
    char *words;
    char *disk_words;                     /* the host itself could not write: outranks what the plugin makes of it */
    double progress;                      /* 0..1, as told last */
    int64_t progress_ms;                  /* when it went to the daemon; monotonic */
    int64_t deadline_ms;                  /* monotonic: whoever sets the clock ends nobody's attempt; 0: none */
    struct json_object *saved, *recalled; /* borrowed from begin */
    struct cm_interval *chunk_speech;     /* stt: what speech() gives */
    size_t chunk_speech_count;
    char **headers; /* of the last HTTP answer, "Name: value"; in memory */
    size_t header_count, header_room;
    int sent;      /* sending() was answered with go */
    char paid[65]; /* the last paid call, by what it asked; "": none */
};

#endif
