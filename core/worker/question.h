/*
 * The four questions to a language model: what goes in, what may come out, and how the answer is
 * read. docs/artifacts.md, "Questions". Pure.
 */
#ifndef CM_WORKER_QUESTION_H
#define CM_WORKER_QUESTION_H

#include <stddef.h>
#include <stdint.h>

struct json_object;
struct cm_limits;
struct cm_transcript;

struct cm_task {
    const char *name;        /* "moment_selection" */
    const char *items;       /* what is asked about: the input's field, or NULL: the window */
    const char *item_id;     /* how an item is named */
    const char *answers;     /* the answer's field */
    const char *role, *file; /* what the answer becomes */
    int tokens_each;         /* of the answer, for one item */
};

/* NULL when nobody knows such a task. */
const struct cm_task *cm_task_find(const char *name);

/* What a question is made of; everything is borrowed, what the task does not need may be NULL. */
struct cm_material {
    const struct cm_transcript *transcript;
    const struct cm_limits *limits;
    struct json_object *cues;
    const char *window_key;
    size_t window_first, window_last; /* sentences */
    struct json_object *items;        /* candidates or moments */
    int64_t clips;                    /* asked for by the user, 0: any number */
    const char *plan;
};

/* The input for the items from..from+count-1 (ignored without items). New. */
struct json_object *cm_question_input(const struct cm_task *task, const struct cm_material *material, size_t from,
                                      size_t count);
/* The schema that the answer to this input must obey. New. */
struct json_object *cm_question_schema(const struct cm_task *task, struct json_object *input);
/* How many answers are expected at most. */
size_t cm_question_size(const struct cm_task *task, struct json_object *input);

/* Parses and checks the answer: against the schema, and that each item is answered once. What a
 * model writes around its JSON (a fence, a sentence) is dropped; the JSON itself is never mended.
 * NULL with one line (malloc'd). New. */
struct json_object *cm_answer_read(const struct cm_task *task, struct json_object *schema, const char *text,
                                   char **error);

#endif
