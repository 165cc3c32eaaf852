/*
 * The contract between ClipMaker and a plugin: everything a plugin needs, and all of it.
 *
 * SPDX-License-Identifier: MIT
 *
 * A plugin is one shared object with one exported symbol, `cm_plugin`, which CM_PLUGIN() builds.
 * It serves one stage. clipmaker-worker loads it in a process of its own, makes one call at a
 * time on the main thread, and may end that process between any two calls; so a plugin keeps no
 * job state. It may start threads inside a call, but must have joined them when it returns, and
 * host functions may be called from the calling thread only.
 *
 * A plugin links against nothing of ours: the host's services come as a table of functions
 * (struct cm_host). Strings are UTF-8 and end with a NUL. Times are int64_t milliseconds: a
 * position or length in the media (`_ms`), or UTC since 1970 where the name says `_utc_ms`.
 * Loudness and levels are in dB, sizes in bytes, pictures in pixels, each said in the name.
 *
 * Who owns what: everything a plugin is given lives until its call returns, and so does what
 * alloc() and format() gave it: the host frees them. A plugin frees only what it made by itself.
 *
 * ABI rules: the major changes when something here stops meaning what it did; the minor, when
 * something is added. New members come last in their struct. Every struct that crosses the
 * border starts with its size, and what the older side does not know reads as zero.
 *
 * Change log
 *   1.0  first version: source, prepare, stt, llm, render, publish
 *   1.1  CM_PLUGIN() also leaves the two numbers as an ELF note, for packaging tools;
 *        calls that cost money: cm_http_request.paid, cm_spending, host->spent;
 *        cm_llm_ops.context; cm_stt_ops.models; CM_OPT_STRING_REQUIRED;
 *        cm_publish_request.duration_ms, width, height, small_thumbnail_path;
 *        cm_http_answer.body_cut, cm_http_request.posts; render: files of role "thumbnail_small";
 *        elsewhere in cm_stt_ops, cm_llm_ops and cm_publish_ops;
 *        cm_plugin.reach, CM_PLUGIN_LOCAL(); host->json_int
 */
#ifndef CLIPMAKER_PLUGIN_H
#define CLIPMAKER_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CM_PLUGIN_MAGIC 0x434c504du /* "CLPM" */
#define CM_ABI_MAJOR 1
#define CM_ABI_MINOR 1

#if defined(__GNUC__)
#define CM_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define CM_PRINTF(format_index, first_argument)
#endif

/* The kinds of work. 0 is no stage. */
enum cm_stage {
    CM_STAGE_SOURCE = 1,
    CM_STAGE_PREPARE = 2,
    CM_STAGE_STT = 3,
    CM_STAGE_LLM = 4,
    CM_STAGE_RENDER = 5,
    CM_STAGE_PUBLISH = 6,
};

/* ---- What a call ended in ------------------------------------------------------------------ */

/*
 * Six words that say what to do next. Every operation returns one of them; all but CM_OK are
 * returned through host->fail(), which records the reason, the scope, the delay and the words.
 * From `publish`, AGAIN, CANNOT, HOLD and REJECT mean *surely not posted*.
 */
enum cm_verdict {
    CM_OK = 1,     /* the output is complete */
    CM_AGAIN = 2,  /* the same instance, later: network, 5xx, rate limit, still processing */
    CM_CANNOT = 3, /* never here, ask my fallback: quota, unsupported, too long, malformed answer */
    CM_HOLD = 4,   /* a person must act first: sign in, captcha, upload by hand */
    CM_REJECT = 5, /* the input itself is bad: nobody should try */
    CM_UNSURE = 6, /* publish only: it was sent, and no answer came; it may be out already */
};

/* Why. Each has a stable name in logs, in the store and in `clipmaker why`. 0 is no reason. */
enum cm_reason {
    CM_REASON_NETWORK = 1,      /* could not reach it, or the connection broke */
    CM_REASON_UNAVAILABLE = 2,  /* it answered that it is down or overloaded */
    CM_REASON_RATE = 3,         /* asked too often; waiting burns no try */
    CM_REASON_PROCESSING = 4,   /* accepted and still at work there; waiting burns no try */
    CM_REASON_QUOTA = 5,        /* money or an allowance is used up */
    CM_REASON_AUTH = 6,         /* the key or session is not accepted */
    CM_REASON_OPERATOR = 7,     /* someone must do something by hand */
    CM_REASON_POLICY = 8,       /* not allowed by the operator's rules or the law */
    CM_REASON_RESOURCE = 9,     /* no disk space, no memory, a folder that cannot be written */
    CM_REASON_UNSUPPORTED = 10, /* this plugin cannot do that kind of input */
    CM_REASON_LANGUAGE = 11,    /* not a language that it can do */
    CM_REASON_TOO_LARGE = 12,   /* over a size or length limit */
    CM_REASON_MALFORMED = 13,   /* the answer of a service made no sense */
    CM_REASON_NOT_FOUND = 14,   /* no such file or address */
    CM_REASON_NOT_MEDIA = 15,   /* not a video, or damaged beyond use */
    CM_REASON_NO_SPEECH = 16,   /* nobody speaks in it */
    CM_REASON_TOO_SHORT = 17,   /* shorter than the shortest clip asked for */
    CM_REASON_CONTENT = 18,     /* refused for what it says or shows */
    CM_REASON_INPUT = 19,       /* the input is bad in another way; the words say which */
    CM_REASON_STOPPED = 20,     /* host->stopping() became true */
    CM_REASON_INTERNAL = 21,    /* a bug, here or in a library */
};

/* What a failure is about: what else must wait with this task. */
enum cm_scope {
    CM_SCOPE_ITEM = 1,     /* this task only */
    CM_SCOPE_KEY = 2,      /* this API key */
    CM_SCOPE_ACCOUNT = 3,  /* this account on the platform */
    CM_SCOPE_INSTANCE = 4, /* everything this instance does */
};

struct cm_failure {
    uint32_t size;
    uint32_t verdict; /* enum cm_verdict, not CM_OK */
    uint32_t reason;  /* enum cm_reason */
    uint32_t scope;   /* enum cm_scope; 0 means CM_SCOPE_ITEM */
    int64_t delay_ms; /* not before this long from now; 0: the host chooses. Clamped to 0..24 h */
};

/* ---- Options ------------------------------------------------------------------------------- */

enum cm_option_type {
    CM_TYPE_STRING = 1, /* const char *; never NULL */
    CM_TYPE_SECRET = 2, /* const char *, never logged; written as file:, env: or credential: */
    CM_TYPE_INT = 3,    /* int64_t */
    CM_TYPE_REAL = 4,   /* double */
    CM_TYPE_BOOL = 5,   /* int: 0 or 1 */
    CM_TYPE_TIME = 6,   /* int64_t ms; written "90s", "10m", "1h30m", "250ms" */
    CM_TYPE_SIZE = 7,   /* int64_t bytes; written "4GiB", "25MB", "512" */
    CM_TYPE_RATE = 8,   /* int64_t microseconds between calls; written "5/s", "100/m"; 0: no limit */
    CM_TYPE_CHOICE = 9, /* const char *, one of `choices` */
    CM_TYPE_URL = 10,   /* const char *, http or https, or "" */
    CM_TYPE_PATH = 11,  /* const char *, a file or folder made absolute and opened to the plugin, or "" */
};

#define CM_OPTION_REQUIRED 1u /* the config must give it */
#define CM_OPTION_WRITABLE 2u /* CM_TYPE_PATH only: a folder that the plugin writes into */

/*
 * One option. The host parses the operator's text, checks type and range, fills the field at
 * `offset` in a zeroed block of `options_size` bytes, prints help, and masks secrets.
 * Build with the CM_OPT_* macros: they make the compiler check the field's type.
 */
struct cm_option {
    const char *name;
    uint32_t type;  /* enum cm_option_type */
    uint32_t flags; /* CM_OPTION_* */
    size_t offset;
    const char *fallback; /* the default, as the user would write it; NULL with CM_OPTION_REQUIRED */
    const char *choices;  /* CM_TYPE_CHOICE: "one|two|three" */
    double min, max;      /* of the stored number; both 0: no range. For strings: length in bytes */
    const char *help;     /* one sentence, English, without a full stop */
};

#ifdef __cplusplus
#define CM_OFFSET_OF(type, field, ctype) offsetof(type, field)
#else
/* offsetof, refused by the compiler when the field is not of the C type that the option stores. */
#define CM_OFFSET_OF(type, field, ctype)                                                                               \
    (offsetof(type, field) + 0 * sizeof(_Generic(&((type *)0)->field, ctype * : 1)))
#endif

#define CM_OPT_(n, t, fl, off, def, ch, lo, hi, h)                                                                     \
    {                                                                                                                  \
        n, t, fl, off, def, ch, lo, hi, h                                                                              \
    }
#define CM_OPT_STRING(T, f, name, def, help)                                                                           \
    CM_OPT_(name, CM_TYPE_STRING, 0, CM_OFFSET_OF(T, f, const char *), def, NULL, 0, 0, help)
#define CM_OPT_STRING_REQUIRED(T, f, name, help)                                                                       \
    CM_OPT_(name, CM_TYPE_STRING, CM_OPTION_REQUIRED, CM_OFFSET_OF(T, f, const char *), NULL, NULL, 1, 4096, help)
#define CM_OPT_SECRET(T, f, name, flags, help)                                                                         \
    CM_OPT_(name, CM_TYPE_SECRET, flags, CM_OFFSET_OF(T, f, const char *), ((flags)&CM_OPTION_REQUIRED) ? NULL : "",   \
            NULL, 0, 0, help)
#define CM_OPT_INT(T, f, name, def, lo, hi, help)                                                                      \
    CM_OPT_(name, CM_TYPE_INT, 0, CM_OFFSET_OF(T, f, int64_t), def, NULL, lo, hi, help)
#define CM_OPT_REAL(T, f, name, def, lo, hi, help)                                                                     \
    CM_OPT_(name, CM_TYPE_REAL, 0, CM_OFFSET_OF(T, f, double), def, NULL, lo, hi, help)
#define CM_OPT_BOOL(T, f, name, def, help)                                                                             \
    CM_OPT_(name, CM_TYPE_BOOL, 0, CM_OFFSET_OF(T, f, int), def, NULL, 0, 0, help)
#define CM_OPT_TIME(T, f, name, def, lo_ms, hi_ms, help)                                                               \
    CM_OPT_(name, CM_TYPE_TIME, 0, CM_OFFSET_OF(T, f, int64_t), def, NULL, lo_ms, hi_ms, help)
#define CM_OPT_SIZE(T, f, name, def, lo_bytes, hi_bytes, help)                                                         \
    CM_OPT_(name, CM_TYPE_SIZE, 0, CM_OFFSET_OF(T, f, int64_t), def, NULL, lo_bytes, hi_bytes, help)
#define CM_OPT_RATE(T, f, name, def, help)                                                                             \
    CM_OPT_(name, CM_TYPE_RATE, 0, CM_OFFSET_OF(T, f, int64_t), def, NULL, 0, 0, help)
#define CM_OPT_CHOICE(T, f, name, def, choices, help)                                                                  \
    CM_OPT_(name, CM_TYPE_CHOICE, 0, CM_OFFSET_OF(T, f, const char *), def, choices, 0, 0, help)
#define CM_OPT_URL(T, f, name, flags, def, help)                                                                       \
    CM_OPT_(name, CM_TYPE_URL, flags, CM_OFFSET_OF(T, f, const char *), def, NULL, 0, 0, help)
#define CM_OPT_PATH(T, f, name, flags, def, help)                                                                      \
    CM_OPT_(name, CM_TYPE_PATH, flags, CM_OFFSET_OF(T, f, const char *), def, NULL, 0, 0, help)
#define CM_OPT_END                                                                                                     \
    {                                                                                                                  \
        NULL, 0, 0, 0, NULL, NULL, 0, 0, NULL                                                                          \
    }

/* ---- Items: given and emitted one at a time, so no array stride is part of the ABI --------- */

/* A stretch of time in the media. */
struct cm_interval {
    uint32_t size;
    int64_t start_ms, end_ms; /* start < end */
    double level_db;          /* RMS in dBFS, or 0 where not measured */
};

/* One spoken word. Times are positions in the whole media, not in the chunk. */
struct cm_word {
    uint32_t size;
    const char *text;         /* with its punctuation, without spaces */
    int64_t start_ms, end_ms; /* start <= end */
    double confidence;        /* 0..1, or -1 when the recogniser does not say */
    int32_t speaker;          /* 0, 1, …, or -1 when not told apart */
};

/* A stretch of text without word times; the host lays the words over the speech in it.
 * start_ms = end_ms = -1: the whole chunk. */
struct cm_segment {
    uint32_t size;
    const char *text;
    int64_t start_ms, end_ms;
    double confidence;
    int32_t speaker;
};

/* One piece of speech audio that prepare made, cut at pauses. */
struct cm_chunk {
    uint32_t size;
    const char *file;         /* name inside the attempt folder: mono 16 kHz s16 FLAC or WAV */
    int64_t start_ms, end_ms; /* where it lies in the media; file position 0 is start_ms. The file may end
                               * before end_ms: what follows is silence */
};

enum cm_cue_kind {
    CM_CUE_SILENCE = 1, /* start_ms..end_ms without speech; value: level in dBFS */
    CM_CUE_LOUD = 2,    /* louder than its surroundings; value: dB over the rolling median */
    CM_CUE_SCENE = 3,   /* at start_ms the picture changes; value: strength 0..1 */
    CM_CUE_LEVEL = 4,   /* level of the second that starts at start_ms; value: dBFS */
    CM_CUE_BURST = 5,   /* noisy burst such as laughter or applause; value: strength 0..1 */
};

struct cm_cue {
    uint32_t size;
    uint32_t kind; /* enum cm_cue_kind */
    int64_t start_ms, end_ms;
    double value;
};

/* A file that the call made, beyond those with a call of their own. */
struct cm_file {
    uint32_t size;
    const char *role; /* see the stage: "media", "captions", "thumbnail", "clip", … */
    const char *file; /* name inside the attempt folder; or NULL, and then: */
    const char *path; /* an absolute path left where it is, read-only to us (source only) */
    const char *note; /* "" or for captions: their language, "ru", "en" */
};

/* ---- HTTP ---------------------------------------------------------------------------------- */

/* One part of a multipart/form-data body; a linked list. Either text or path. */
struct cm_http_part {
    uint32_t size;
    const char *name;
    const char *text;
    const char *path; /* streamed from this file */
    const char *file_name, *content_type;
    const struct cm_http_part *next;
};

/* What one call of a service costs, in the units that its price is told in; 0 where it has none, and in spent() -1
 * where the answer does not tell: then the most counts. */
struct cm_spending {
    uint32_t size;
    const char *model;
    int64_t tokens_in, tokens_out;
    int64_t audio_ms;
    int32_t useless; /* spent() only: the answer is of no use, so the same request must be asked anew */
};

struct cm_http_request {
    uint32_t size;
    const char *method; /* NULL: GET, or POST when there is a body */
    const char *url;
    const char *const *headers; /* "Name: value", …, NULL; may be NULL itself */
    const char *body;           /* body_bytes of it; or */
    size_t body_bytes;
    const char *body_path; /* a file streamed as the body; or */
    const struct cm_http_part *parts;
    const char *save_path; /* stream a 2xx body into this file instead of memory */
    int64_t resume_bytes;  /* ask for the rest from here and append to save_path */
    int64_t max_bytes;     /* largest body accepted; 0: 16 MiB in memory, no limit in a file */
    int64_t deadline_ms;   /* for the whole exchange; 0: 60 s */
    int64_t stall_ms;      /* give up when no byte moved for this long; 0: 30 s */
    int follow;            /* how many redirects to follow; 0: none */
    int allow_private;     /* also loopback, link-local and private addresses, at every hop */
    /* 1.1: the call costs money, at most this; NULL: it does not. It is on record before it is sent, and its 2xx answer
     * on the disk before the plugin sees it: the same request of the same job (method, URL, body; headers do not
     * count) is answered from there and never paid twice. Not with save_path. */
    const struct cm_spending *paid;
    /* 1.1, publish only: the complete body makes the post, and the body is long. The host calls sending() by itself,
     * just before the last bytes leave, so that an upload that breaks or dies before is no post. When the attempt is
     * not wanted any more: CM_HTTP_STOPPED, body_cut. Without redirects. */
    int32_t posts;
};

enum cm_http_outcome {
    CM_HTTP_ANSWERED = 1,  /* a complete answer came; look at status */
    CM_HTTP_UNREACHED = 2, /* nothing was sent: name, connection or TLS failed */
    CM_HTTP_BROKEN = 3,    /* something was sent, no complete answer came */
    CM_HTTP_REFUSED = 4,   /* by us: private address, too large, bad URL, redirect limit */
    CM_HTTP_STOPPED = 5,   /* host->stopping() became true */
};

struct cm_http_answer {
    uint32_t size;
    uint32_t outcome; /* enum cm_http_outcome */
    int32_t status;   /* 0 unless answered */
    const char *body; /* "" when saved to a file; ends with a NUL beyond body_bytes */
    size_t body_bytes;
    int64_t saved_bytes;    /* size of save_path now */
    int64_t retry_after_ms; /* from Retry-After, seconds or date; -1: none */
    const char *problem;    /* one line for people when not answered, else "" */
    const char *final_url;
    /* 1.1: true when the end of the request's body surely never left us, whatever was answered: no
     * server can have acted on the whole of it. False: it left, or nobody knows. */
    int32_t body_cut;
};

/* ---- Host services ------------------------------------------------------------------------- */

enum cm_log_level {
    CM_LOG_DEBUG = 1,
    CM_LOG_INFO = 2,
    CM_LOG_WARN = 3,
    CM_LOG_ERROR = 4
};

struct cm_ctx;  /* one call; opaque */
struct cm_json; /* one value inside a parsed JSON text; opaque, lives until the call returns */

/*
 * The services. Read `size` before using a member newer than 1.0. None of them fails silently:
 * out of memory ends the process, which costs one attempt.
 */
struct cm_host {
    uint32_t size;

    /* A line in the log, with job, task and attempt added. Secrets of the options are masked. */
    void (*log)(struct cm_ctx *ctx, enum cm_log_level level, const char *format, ...) CM_PRINTF(3, 4);
    /* Zeroed memory, freed by the host when the call returns. */
    void *(*alloc)(struct cm_ctx *ctx, size_t bytes);
    /* printf into such memory. */
    char *(*format)(struct cm_ctx *ctx, const char *format, ...)CM_PRINTF(2, 3);
    /* Records why, and returns failure->verdict: `return host->fail(…)`. The words are one line
     * for a person: what, where, what to do. The format is looked up in the message catalogue
     * first, so pass it as a literal. */
    enum cm_verdict (*fail)(struct cm_ctx *ctx, const struct cm_failure *failure, const char *format, ...)
        CM_PRINTF(3, 4);
    /* How far, 0..1. Also the sign of life: a call that is silent for long is warned about. */
    void (*progress)(struct cm_ctx *ctx, double done);
    /* True when the call should end soon: cancel, deadline or shutdown. Cheap: ask often. */
    int (*stopping)(struct cm_ctx *ctx);

    /* The path of a new file in the attempt folder; name without '/'. */
    const char *(*output)(struct cm_ctx *ctx, const char *name);
    /* Declares a file of the attempt folder, or outside it, as a result. 0, or -1 when it is not
     * there or empty (then the call should fail). */
    int (*emit_file)(struct cm_ctx *ctx, const struct cm_file *file);
    void (*emit_word)(struct cm_ctx *ctx, const struct cm_word *word);
    void (*emit_segment)(struct cm_ctx *ctx, const struct cm_segment *segment);
    /* Speech intervals belong to the chunk emitted next after them. */
    void (*emit_speech)(struct cm_ctx *ctx, const struct cm_interval *interval);
    void (*emit_chunk)(struct cm_ctx *ctx, const struct cm_chunk *chunk);
    void (*emit_cue)(struct cm_ctx *ctx, const struct cm_cue *cue);
    /* A fact about the result, kept with it: name like "width", value as JSON text. */
    void (*emit_fact)(struct cm_ctx *ctx, const char *name, const char *json_value);
    /* The speech interval number `index` of this chunk (stt): 1, or 0 when there is none. */
    int (*speech)(struct cm_ctx *ctx, size_t index, struct cm_interval *interval);

    /* One HTTP exchange; log lines are redacted. Returns answer->outcome. */
    enum cm_http_outcome (*http)(struct cm_ctx *ctx, const struct cm_http_request *request,
                                 struct cm_http_answer *answer);
    /* A header of the last answer, or NULL. */
    const char *(*http_header)(struct cm_ctx *ctx, const char *name);

    /* JSON for reading. parse: NULL when malformed. at: "choices.0.text" below a value, or NULL.
     * The readers give `fallback` (or NULL, 0) where the value is absent or of another type. */
    const struct cm_json *(*json_parse)(struct cm_ctx *ctx, const char *text, size_t bytes);
    const struct cm_json *(*json_at)(struct cm_ctx *ctx, const struct cm_json *value, const char *path);
    const char *(*json_string)(struct cm_ctx *ctx, const struct cm_json *value, const char *fallback);
    double (*json_number)(struct cm_ctx *ctx, const struct cm_json *value, double fallback);
    int (*json_bool)(struct cm_ctx *ctx, const struct cm_json *value, int fallback);
    size_t (*json_count)(struct cm_ctx *ctx, const struct cm_json *value);     /* of an array, else 0 */
    const char *(*json_text)(struct cm_ctx *ctx, const struct cm_json *value); /* serialised */
    /* `text` as a JSON string with its quotes. */
    const char *(*json_quote)(struct cm_ctx *ctx, const char *text);

    /* Runs a child without a shell, standard output and error captured (64 KiB of each kept).
     * Returns its exit status, 128 + signal, or -1 when it could not start. Not in prepare and
     * render. */
    int (*run)(struct cm_ctx *ctx, const char *const *argv, int64_t deadline_ms, const char **out, const char **err);

    /* Small strings (name ≤ 64, value ≤ 4096 bytes) kept per instance, or per account when
     * `account` is not NULL; for tokens. recall: NULL when absent. remember: stores `value` (NULL
     * removes) if the present one equals `expected` (NULL: is absent); 0, or -1 when another was
     * faster. Sealed at rest. */
    const char *(*recall)(struct cm_ctx *ctx, const char *account, const char *name);
    int (*remember)(struct cm_ctx *ctx, const char *account, const char *name, const char *expected, const char *value);
    /* Small strings of this task: committed when save returns 0; a later attempt reads them. -1:
     * this attempt is not wanted any more, return CM_REASON_STOPPED. */
    const char *(*saved)(struct cm_ctx *ctx, const char *name);
    int (*save)(struct cm_ctx *ctx, const char *name, const char *value);
    /* publish only: call just before the request that can post. 0: go. -1: do not post, return
     * CM_REASON_STOPPED. Before it returns the daemon has committed that this may be out. Where one long request
     * uploads and posts, cm_http_request.posts calls it at the right moment. */
    int (*sending)(struct cm_ctx *ctx);

    /* 1.1: what the last paid call cost, as its answer says. Without it the most counts. */
    void (*spent)(struct cm_ctx *ctx, const struct cm_spending *used);
    /* 1.1: a whole number, such as an id: exact, and `fallback` also where it is beyond 64 bits. A fraction loses what
     * is behind the point. */
    int64_t (*json_int)(struct cm_ctx *ctx, const struct cm_json *value, int64_t fallback);
};

/* One call's surroundings: the first argument of every operation. The host appends members. */
struct cm_ctx {
    uint32_t size;
    const struct cm_host *host;
    const void *options;  /* the filled options block */
    void *state;          /* what open() stored; NULL without open */
    const char *instance; /* name in the config */
    const char *language; /* "ru", "en", or "auto": of the speech, as far as known */
    int64_t deadline_utc_ms;
};

/*
 * The short ways to fail: `return CM_FAIL(ctx, CM_REJECT, CM_REASON_INPUT, "%s: give …", path);`
 * says that this task alone is meant and leaves the delay to the host; CM_FAIL_FOR says both.
 */
#define CM_FAILURE(verdict_, reason_, scope_, delay_ms_)                                                               \
    {                                                                                                                  \
        sizeof(struct cm_failure), verdict_, reason_, scope_, delay_ms_                                                \
    }
#define CM_FAIL_FOR(ctx, verdict_, reason_, scope_, delay_ms_, ...)                                                    \
    ((ctx)->host->fail((ctx), &(const struct cm_failure)CM_FAILURE(verdict_, reason_, scope_, delay_ms_), __VA_ARGS__))
#define CM_FAIL(ctx, verdict_, reason_, ...) CM_FAIL_FOR(ctx, verdict_, reason_, CM_SCOPE_ITEM, 0, __VA_ARGS__)

/* ---- Stages -------------------------------------------------------------------------------- */

/* Optional, in every stage: keep what is costly to load (a model, a TLS session) in ctx->state
 * while the worker is warm. open returns CM_OK or through fail(). */
typedef enum cm_verdict (*cm_open_fn)(struct cm_ctx *ctx);
typedef void (*cm_close_fn)(struct cm_ctx *ctx);

/* source: URL or path → media file. Emits a file of role "media", and any number of "captions". */
struct cm_source_request {
    uint32_t size;
    const char *url;           /* as the user gave it: "https://…" or an absolute path */
    const char *captions_path; /* a captions file that the user gave, or NULL */
};
struct cm_source_ops {
    uint32_t size;
    const char *schemes; /* "file", "http https": what it takes */
    cm_open_fn open;
    cm_close_fn close;
    enum cm_verdict (*fetch)(struct cm_ctx *ctx, const struct cm_source_request *request);
};

/* prepare: media → facts, chunks with their speech intervals, cues. Facts it emits:
 * duration_ms, width, height (as displayed), rotation, fps, video_codec, audio_codec, has_audio,
 * has_video, speech_ms, loudness_lufs. Text tracks inside the media: files of role "captions".
 * Silence only: no chunk, and CM_REJECT with CM_REASON_NO_SPEECH. */
struct cm_prepare_request {
    uint32_t size;
    const char *media_path;
    int64_t min_clip_ms; /* media shorter than this: CM_REJECT, CM_REASON_TOO_SHORT */
};
struct cm_prepare_ops {
    uint32_t size;
    cm_open_fn open;
    cm_close_fn close;
    enum cm_verdict (*prepare)(struct cm_ctx *ctx, const struct cm_prepare_request *request);
};

/* stt: one chunk of speech → words (or segments, or one segment for the whole chunk). The speech
 * intervals are read with host->speech(). Facts it emits: "language" (what was spoken, "ru"),
 * "language_confidence" (0..1, only when it can show one), "draft" (true: say so to the user). */
struct cm_stt_request {
    uint32_t size;
    const char *audio_path;
    int64_t start_ms, end_ms;      /* where the chunk lies in the media */
    const char *captions_path;     /* captions of the whole media, or NULL */
    const char *captions_language; /* or "" when not known */
    const char *prompt;            /* words to expect, or "" */
};
struct cm_stt_ops {
    uint32_t size;
    const char *languages;  /* "en", "ru en", "*": any. What it is asked for, never anything else */
    int32_t needs_captions; /* true: can only read captions, asked only where there are some */
    cm_open_fn open;
    cm_close_fn close;
    enum cm_verdict (*transcribe)(struct cm_ctx *ctx, const struct cm_stt_request *request);
    /* 1.1: true when the work is done on another machine, and a call only waits for it. Such calls
     * take none of this machine's `slots`: as many run at once as the instance's `limit` says. */
    int32_t elsewhere;
    /* 1.1, optional: as in cm_llm_ops */
    enum cm_verdict (*models)(struct cm_ctx *ctx);
};

/* llm: a question → an answer. A plugin without a model may answer from `task` and `input_json`
 * alone; one with a model sends `prompt` and `schema_json`. */
struct cm_llm_request {
    uint32_t size;
    const char *task;        /* moment_selection, virality_scoring, title_generation, cta_suggestion */
    const char *input_json;  /* docs/artifacts.md, "Questions" */
    const char *system;      /* rendered prompt: the part that never changes */
    const char *prompt;      /* rendered prompt: this question */
    const char *schema_json; /* JSON Schema of the answer */
    const char *complaint;   /* what was wrong with the answer before, or NULL */
    int64_t max_tokens;      /* of the answer */
};
struct cm_llm_answer {
    uint32_t size;
    const char *json;              /* the answer; checked by the host */
    const char *model;             /* that answered */
    int64_t tokens_in, tokens_out; /* -1 when not told */
    int truncated;                 /* it stopped at max_tokens: never repaired */
};
struct cm_llm_ops {
    uint32_t size;
    int32_t needs_no_prompt; /* true: answers from task and input alone */
    int64_t context_tokens;  /* what fits; 0: any */
    cm_open_fn open;
    cm_close_fn close;
    enum cm_verdict (*answer)(struct cm_ctx *ctx, const struct cm_llm_request *request, struct cm_llm_answer *answer);
    /* optional: emits a fact "models", a JSON array of names; `clipmakerd -t` looks for the option `model` in it */
    enum cm_verdict (*models)(struct cm_ctx *ctx);
    /* 1.1, optional: what fits into this instance's model, where context_tokens cannot say it; 0: any */
    int64_t (*context)(struct cm_ctx *ctx);
    int32_t elsewhere; /* 1.1: as in cm_stt_ops */
};

/* render: media + clip document → files of role "clip", "thumbnail" (JPEG), 1.1: "thumbnail_small" (the same with 320
 * pixels at most on its longer side, for platforms that want that) and "captions" (SRT). Facts:
 * width, height, duration_ms, loudness_lufs, true_peak_db. */
struct cm_render_request {
    uint32_t size;
    const char *media_path;
    const char *document_json; /* docs/artifacts.md, "Clip document" */
};
struct cm_render_ops {
    uint32_t size;
    cm_open_fn open;
    cm_close_fn close;
    enum cm_verdict (*render)(struct cm_ctx *ctx, const struct cm_render_request *request);
};

/* publish: a clip → a post. */
struct cm_post {
    uint32_t size;
    const char *id;  /* the platform's */
    const char *url; /* or "" */
};
struct cm_publish_request {
    uint32_t size;
    const char *key; /* stable over attempts, [a-z0-9-], ≤ 64 */
    const char *clip_path;
    const char *thumbnail_path; /* or NULL */
    const char *captions_path;  /* or NULL */
    const char *name;           /* "01-slug": rank and title, safe as a file name */
    const char *title;
    const char *text;    /* of the post */
    const char *post_id; /* remove, stats: the post; else NULL */
    /* 1.1: of the clip; 0: not known */
    int64_t duration_ms;
    int32_t width, height;            /* in pixels, as displayed */
    const char *small_thumbnail_path; /* or NULL */
};
enum cm_found {
    CM_FOUND = 1,
    CM_ABSENT = 2,
    CM_UNKNOWN = 3
};

#define CM_SETTLE_NATIVE_KEY 1u /* the platform refuses a second post with the same key */
#define CM_SETTLE_PHASES 2u     /* each phase's id is saved; only the unknown one is repeated */
#define CM_SETTLE_SEARCH 4u     /* find() can tell */

struct cm_publish_ops {
    uint32_t size;
    uint32_t settle;        /* CM_SETTLE_*: how an unknown outcome is settled; 0: by a person */
    int64_t settle_ms;      /* "absent" counts only this long after sending */
    int64_t max_clip_bytes; /* a larger clip is rendered anew to fit before publish is asked; 0: no limit.
                             * CM_CANNOT, CM_REASON_TOO_LARGE from publish does so, too, once */
    int64_t max_clip_ms;
    int64_t max_text_chars;
    cm_open_fn open;
    cm_close_fn close;
    enum cm_verdict (*publish)(struct cm_ctx *ctx, const struct cm_publish_request *request, struct cm_post *post);
    /* optional from here on; find is required with CM_SETTLE_SEARCH. What it has to know beyond the
     * request, such as an id or when publish began to send, publish saved with host->save(). */
    enum cm_verdict (*find)(struct cm_ctx *ctx, const struct cm_publish_request *request, enum cm_found *found,
                            struct cm_post *post);
    enum cm_verdict (*stats)(struct cm_ctx *ctx, const struct cm_publish_request *request); /* emits facts */
    enum cm_verdict (*remove)(struct cm_ctx *ctx, const struct cm_publish_request *request);
    enum cm_verdict (*check)(struct cm_ctx *ctx);
    enum cm_verdict (*refresh)(struct cm_ctx *ctx);
    int32_t elsewhere; /* 1.1: as in cm_stt_ops */
};

/* Whether what the plugin is given (speech, its text, a clip) may leave this machine through it. Where to is the
 * operator's to say, in the config. */
enum cm_reach {
    CM_REACH_LOCAL = 1,  /* it stays on this machine */
    CM_REACH_NETWORK = 2 /* it is sent to others */
};

/* ---- The descriptor ------------------------------------------------------------------------ */

struct cm_plugin {
    uint32_t magic; /* these five never move: they protect the rest */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t size;
    uint32_t stage;
    const char *name;                /* same as the file: NAME.so */
    const char *version;             /* the plugin's own */
    const char *summary;             /* one sentence for `clipmaker plugins` */
    const struct cm_option *options; /* ends with CM_OPT_END; may be NULL */
    size_t options_size;
    const void *ops; /* struct cm_<stage>_ops */
    uint32_t reach;  /* 1.1: enum cm_reach; 0 is taken for CM_REACH_NETWORK */
};

/* The contract's numbers once more, as an ELF note: what packaging tools read, who must not run a
 * plugin to learn what it needs. The host does not look at it. */
#define CM_ABI_NOTE_TYPE 1u
struct cm_abi_note {
    uint32_t name_bytes, value_bytes, type;
    char name[12]; /* "ClipMaker", and NULs to a multiple of four */
    uint32_t major, minor;
};

#define CM_ABI_NOTE()                                                                                                  \
    __attribute__((section(".note.clipmaker.abi"), aligned(4), used)) static const struct cm_abi_note cm_abi_note = {  \
        10, 8, CM_ABI_NOTE_TYPE, "ClipMaker", CM_ABI_MAJOR, CM_ABI_MINOR}

/*
 * CM_PLUGIN(CM_STAGE_STT, "stt_example", "1.0", "Recognises …", options, struct options, ops);
 */
#define CM_PLUGIN(stage_, name_, version_, summary_, options_, options_type_, ops_)                                    \
    CM_PLUGIN_REACH(stage_, name_, version_, summary_, options_, options_type_, ops_, CM_REACH_NETWORK)

/* The same for one through which nothing leaves this machine. */
#define CM_PLUGIN_LOCAL(stage_, name_, version_, summary_, options_, options_type_, ops_)                              \
    CM_PLUGIN_REACH(stage_, name_, version_, summary_, options_, options_type_, ops_, CM_REACH_LOCAL)

#define CM_PLUGIN_REACH(stage_, name_, version_, summary_, options_, options_type_, ops_, reach_)                      \
    CM_ABI_NOTE();                                                                                                     \
    __attribute__((visibility("default"))) extern const struct cm_plugin cm_plugin;                                    \
    const struct cm_plugin cm_plugin = {CM_PLUGIN_MAGIC, CM_ABI_MAJOR,                                                 \
                                        CM_ABI_MINOR,    (uint32_t)sizeof(struct cm_plugin),                           \
                                        stage_,          name_,                                                        \
                                        version_,        summary_,                                                     \
                                        options_,        sizeof(options_type_),                                        \
                                        &(ops_),         reach_}

#ifdef __cplusplus
}
#endif
#endif
