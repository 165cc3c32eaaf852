/*
 * Rows as people and programs read them: every column under its name.
 */
#include "core/daemon/store/row_json.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/file.h"
#include "core/common/message.h"
#include "core/common/text.h"

/* The word that stands for a number, or NULL when the number says it all. */
static const char *word_of(enum cm_table table, const char *column, int64_t number)
{
    if (!strcmp(column, "held_by")) {
        return number ? cm_hold_name(number) : "";
    }
    if (strcmp(column, "state")) {
        return NULL;
    }
    return table == CM_TABLE_JOB        ? cm_job_state_name(number)
           : table == CM_TABLE_TASK     ? cm_task_state_name(number)
           : table == CM_TABLE_EFFECT   ? cm_effect_state_name(number)
           : table == CM_TABLE_LLM_CALL ? cm_call_state_name(number)
                                        : NULL;
}

static struct json_object *text_value(const char *state, enum cm_table table, const char *column, const char *text)
{
    if (table == CM_TABLE_ARTIFACT && !strcmp(column, "path") && *text != '/') {
        char *path = cm_path_join(state, text);
        struct json_object *value = json_object_new_string(path);
        free(path);
        return value;
    }
    if (table == CM_TABLE_ARTIFACT && !strcmp(column, "facts")) {
        char *error = NULL;
        struct json_object *facts = cm_json_parse(text, strlen(text), &error);
        free(error);
        return facts ? facts : json_object_new_object();
    }
    return json_object_new_string(text);
}

struct json_object *cm_row_json(enum cm_table table, const void *row, const char *state)
{
    const struct cm_row_type *type = cm_row_type(table);
    struct json_object *object = json_object_new_object();
    for (size_t i = 0; i < type->column_count; i++) {
        const struct cm_column *column = &type->columns[i];
        const char *field = (const char *)row + column->offset;
        struct json_object *value;
        if (column->type == CM_COLUMN_INT) {
            int64_t number;
            memcpy(&number, field, sizeof number);
            const char *word = word_of(table, column->name, number);
            value = word ? json_object_new_string(word) : json_object_new_int64(number);
        } else {
            const char *text;
            memcpy(&text, field, sizeof text);
            value = text_value(state, table, column->name, text);
        }
        json_object_object_add(object, column->name, value);
    }
    return object;
}
