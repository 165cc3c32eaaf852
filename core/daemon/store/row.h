/*
 * The rows that the store keeps, and the table of columns by which every backend copies, binds,
 * compares and frees them.
 *
 * A row is a plain struct of int64_t and char * fields; strings are owned by the row, never NULL
 * ("" when absent). Times are UTC milliseconds since 1970, 0 when absent. A job id is a UUIDv7 in
 * text; a task is named by (job, step, item), an attempt by its task and fence.
 */
#ifndef CM_DAEMON_ROW_H
#define CM_DAEMON_ROW_H

#include <stddef.h>
#include <stdint.h>

enum cm_table {
    CM_TABLE_PIPELINE = 1,
    CM_TABLE_JOB,
    CM_TABLE_TASK,
    CM_TABLE_ATTEMPT,
    CM_TABLE_ARTIFACT,
    CM_TABLE_EFFECT,
    CM_TABLE_LLM_CALL,
    CM_TABLE_NOTE,
    CM_TABLE_BOOT,
    CM_TABLE_CLAIM,
    CM_TABLE_COUNT_PLUS_1
};

enum cm_job_state {
    CM_JOB_QUEUED = 1,
    CM_JOB_RUNNING,
    CM_JOB_SUCCEEDED,
    CM_JOB_PARTIAL, /* done, and something that was not required failed */
    CM_JOB_FAILED,
    CM_JOB_CANCELLED
};

enum cm_task_state {
    CM_TASK_BLOCKED = 1, /* something before it is not done */
    CM_TASK_READY,       /* may run as soon as there is room */
    CM_TASK_SCHEDULED,   /* may run at due_ms (publish at a time) */
    CM_TASK_RUNNING,     /* the attempt `fence` is at work, of daemon `boot` */
    CM_TASK_BACKOFF,     /* tries again at due_ms */
    CM_TASK_HELD,        /* a person or a condition must come first: held_by */
    CM_TASK_SUCCEEDED,
    CM_TASK_SKIPPED, /* optional and failed, or nothing to do */
    CM_TASK_FAILED,
    CM_TASK_CANCELLED
};

enum cm_hold {
    CM_HELD_BUDGET = 1,
    CM_HELD_AUTH,
    CM_HELD_POLICY,
    CM_HELD_OPERATOR,
    CM_HELD_UNCONFIRMED,
    CM_HELD_RESOURCE,
    CM_HELD_PLUGIN
};

enum cm_effect_state {
    CM_EFFECT_INTENT = 1,  /* an attempt may be about to send */
    CM_EFFECT_SENDING,     /* it may be out */
    CM_EFFECT_CONFIRMED,   /* it is out: post_id */
    CM_EFFECT_ABSENT,      /* it is surely not out */
    CM_EFFECT_UNCONFIRMED, /* nobody can tell but a person */
    CM_EFFECT_REMOVED
};

/* A pipeline as it stood when a job began with it; id is the hash of its text. */
struct cm_pipeline_row {
    char *id, *name, *json;
    int64_t created_ms;
};

struct cm_job_row {
    char *id, *owner;
    char *request_key;  /* idempotency: one job per (owner, request_key); "" for none */
    char *request_hash; /* of source and params: another payload with the same key is a conflict */
    char *pipeline;     /* pipeline row id */
    char *source;       /* URL or absolute path */
    char *params;       /* JSON: docs/artifacts.md, "Job parameters" */
    int64_t state;      /* enum cm_job_state */
    int64_t priority;   /* -100..100, higher sooner */
    int64_t created_ms, finished_ms;
    char *reason, *words; /* why it failed, for people; "" otherwise */
    int64_t cancel;       /* 1: being cancelled */
};

struct cm_task_row {
    char *job, *step, *item; /* item: "" or "0007" or "02/9:16/folder" */
    int64_t state;           /* enum cm_task_state */
    int64_t fence;           /* number of the last attempt; 0 before the first */
    char *op;                /* what the next attempt does: "transcribe", "publish", "find" … */
    int64_t link;            /* position in the fallback chain */
    int64_t tries;           /* failed tries on this link */
    int64_t crashes;         /* how many of these were crashes */
    int64_t ready_ms;        /* since when it could run: ageing counts from here */
    int64_t due_ms;          /* backoff, scheduled */
    int64_t held_by;         /* enum cm_hold while held, else 0 */
    char *reason, *words;    /* of the last failure or hold */
    char *boot;              /* daemon that runs it; "" unless running */
};

struct cm_attempt_row {
    char *job, *step, *item;
    int64_t fence;
    char *instance, *op, *boot;
    char *folder; /* below the state folder */
    int64_t started_ms, ended_ms;
    char *verdict; /* "" while running; cm_verdict names, or crashed, timeout, nostart, lost, cancelled, interrupted */
    char *reason, *scope, *words;
    int64_t delay_ms;
    char *skipped; /* who came before it in the chain and was not asked, with why: "spare (abroad), …" */
};

/* A file that tasks read. Written in the commit that accepts the attempt, never before. */
struct cm_artifact_row {
    char *job, *step, *item;
    int64_t fence;
    char *role; /* "media", "chunk", "transcript", "clip" … */
    char *key;  /* item of the dimension it makes ("0007"), or "" */
    char *path; /* below the state folder; absolute when it lies elsewhere */
    int64_t bytes;
    char *sha256;
    char *facts; /* JSON object */
};

struct cm_effect_row {
    char *key; /* stable over attempts */
    char *job, *step, *item;
    int64_t fence;
    char *instance;
    int64_t state;   /* enum cm_effect_state */
    int64_t sent_ms; /* when it became sending */
    int64_t absent;  /* how often find said absent */
    char *post_id, *url;
};

enum cm_call_state {
    CM_CALL_SENT = 1, /* it may be out; and so it stays when nobody came back to tell */
    CM_CALL_ANSWERED,
    CM_CALL_UNKNOWN, /* sent, and no complete answer came */
    CM_CALL_REFUSED, /* answered with an error */
    CM_CALL_UNSENT   /* it never got there */
};

/* A call that costs money, to a language model or a recogniser; committed before it is sent. */
struct cm_llm_call_row {
    char *id; /* of the task, the fence, and a number in the attempt */
    char *job, *step, *item;
    int64_t fence;
    char *instance, *model;
    int64_t state;                            /* enum cm_call_state */
    int64_t tokens_in, tokens_out, cost_nano; /* cost: 1e-9 roubles; these and audio_ms: see `estimated` */
    int64_t sent_ms, answered_ms;
    char *request; /* hash of what was asked, without credentials */
    int64_t audio_ms;
    char *owner;         /* of the job: a call outlives its job, for it is on the invoice */
    char *currency;      /* "RUB", "USD": what the invoice is written in; "": no price was known */
    int64_t billed_nano; /* the cost as the invoice has it, 1e-9 of the currency */
    int64_t estimated;   /* 1: the most that it can have cost; 0: what the answer told */
};

/* Small named strings: checkpoints of a task ("task JOB/STEP/ITEM"), tokens of an instance or
 * account ("instance NAME", "account NAME/ACCOUNT"). */
struct cm_note_row {
    char *owner, *name, *value;
};

/* One run of a daemon. It may act as long as it raises `beat` at least once in lease_ms; who sees
 * the same beat for longer, by a clock of its own, may call it over. */
struct cm_boot_row {
    char *id, *host;
    int64_t pid, started_ms;
    int64_t lease_ms; /* a length; 0: the store was its alone, and it needs no lease */
    int64_t beat;
    int64_t over; /* 1: it ended, or others found it silent: its jobs are anybody's */
    char *place;  /* the state folder's own id: where the files of its jobs lie */
};

/* Whose job it is. Apart from the job's row, so that taking a job over rewrites nothing else. */
struct cm_claim_row {
    char *job;
    char *boot;
};

struct cm_column {
    const char *name;
    enum {
        CM_COLUMN_INT = 1,
        CM_COLUMN_TEXT
    } type;
    size_t offset;
    int key; /* 1: part of the primary key */
};

struct cm_row_type {
    const char *name; /* SQL table */
    size_t bytes;
    const struct cm_column *columns;
    size_t column_count;
};

/* The description of a table's rows; never NULL for a valid table. */
const struct cm_row_type *cm_row_type(enum cm_table table);

/* Deep copy / free / zeroed row with "" strings. The caller owns the result. */
void *cm_row_copy(enum cm_table table, const void *row);
void *cm_row_new(enum cm_table table);
/* A deep copy in one piece of memory: quick to make and to free, and never to be changed. */
void *cm_row_pack(enum cm_table table, const void *row);
void cm_row_free(enum cm_table table, void *row);
/* Frees the text at *field and stores a copy of `text`. */
void cm_row_text(char **field, const char *text);

/* The fields of a row, by column; the column of that name, or NULL. */
int64_t cm_row_int(const void *row, const struct cm_column *column);
const char *cm_row_string(const void *row, const struct cm_column *column);
const struct cm_column *cm_row_column(enum cm_table table, const char *name);
/* Order of two rows of one table by their keys: < 0, 0, > 0. Keys come first in every table. */
int cm_row_compare_keys(enum cm_table table, const void *a, const void *b);

const char *cm_job_state_name(int64_t state);
const char *cm_task_state_name(int64_t state);
const char *cm_effect_state_name(int64_t state);
const char *cm_hold_name(int64_t hold);
const char *cm_call_state_name(int64_t state);
/* The one table of legal moves of a task. `from` 0: it is not there yet. Staying is always legal. */
int cm_task_may_move(int64_t from, int64_t to);
int cm_job_is_over(int64_t state);
int cm_task_is_over(int64_t state);

#endif
