/*
 * One step of the road on made-up artifacts.
 */
#include "tests/fuzz/step.h"

#include <json-c/json.h>
#include <string.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/host.h"
#include "tests/fuzz/fuzz.h"

#define INPUTS_MAX 24
#define ARTIFACT_MAX_BYTES (64 * 1024 * 1024)

static char folder[64];

static void remove_folder(void)
{
    cm_folder_remove(folder);
}

const char *step_folder(void)
{
    if (!*folder) {
        const char *room = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%.40s/fuzz-step-XXXXXX", room ? room : "/tmp");
        if (!mkdtemp(folder)) {
            perror(folder);
            exit(73);
        }
        atexit(remove_folder);
        cm_log_open("fuzz", CM_LOG_PLAIN, getenv("FUZZ_LOG") ? CM_LOG_DEBUG : CM_LOG_ERROR + 1);
    }
    return folder;
}

char *step_path(const char *name)
{
    return cm_path_join(step_folder(), name);
}

void step_write(const char *name, const char *bytes, size_t count)
{
    char *path = step_path(name);
    FILE *file = fopen(path, "w");
    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file)) {
        perror(path);
        exit(73);
    }
    free(path);
}

static void copy_text(struct json_object *to, struct json_object *from, const char *field)
{
    json_object_object_add(to, field, json_object_new_string(cm_json_text(from, field, "")));
}

static struct json_object *input_of(struct json_object *one, size_t number)
{
    struct json_object *input = json_object_new_object();
    char *name = cm_format("input-%zu.json", number), *path = step_path(name);
    const char *text = cm_json_text(one, "text", NULL);
    text = text ? text : json_object_to_json_string_ext(json_object_object_get(one, "value"), JSON_C_TO_STRING_PLAIN);
    step_write(name, text, strlen(text));
    copy_text(input, one, "role");
    copy_text(input, one, "key");
    copy_text(input, one, "step");
    copy_text(input, one, "item");
    json_object_object_add(input, "path", json_object_new_string(path));
    json_object_object_add(input, "bytes", json_object_get(json_object_object_get(one, "bytes")));
    json_object_object_add(input, "facts", json_object_get(json_object_object_get(one, "facts")));
    free(name);
    free(path);
    return input;
}

struct json_object *step_inputs(struct json_object *list)
{
    struct json_object *inputs = json_object_new_array();
    size_t count = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < count && i < INPUTS_MAX; i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        if (json_object_is_type(one, json_type_object)) {
            json_object_array_add(inputs, input_of(one, i));
        }
    }
    return inputs;
}

/* What the daemon makes of the answer. */
static struct cm_done *told(const struct cm_done *done)
{
    char *error = NULL;
    struct json_object *message = cm_done_encode(done);
    size_t length;
    const char *text = json_object_to_json_string_length(message, JSON_C_TO_STRING_PLAIN, &length);
    struct json_object *heard = cm_json_parse(text, length, &error);
    if (!heard) {
        fprintf(stderr, "%s in %s\n", error, text);
    }
    fuzz_promise(heard);
    struct cm_done *decoded = cm_done_decode(heard, &error);
    if (!decoded) {
        fprintf(stderr, "%s in %s\n", error, text);
    }
    fuzz_promise(decoded);
    json_object_put(heard);
    json_object_put(message);
    return decoded;
}

struct cm_done *step_run(const struct step *step)
{
    struct json_object *begin = NULL;
    if (!step->begin || json_object_deep_copy(step->begin, &begin, NULL)) {
        begin = json_object_new_object();
    }
    json_object_object_add(begin, "instance", json_object_new_string("fuzz"));
    struct cm_call call = {.begin = begin, .dir = step_folder(), .op = step->op, .item = step->item};
    call.inputs = step->inputs;
    call.params = step->params;
    call.ops = step->ops;
    call.done = cm_done_new(CM_OUTCOME_NOSTART);
    cm_host_open(&call);
    enum cm_verdict verdict = cm_host_judge(&call, step->run(&call));
    fuzz_promise(verdict == CM_OK || *call.done->words);
    struct cm_done *heard = told(call.done);
    cm_done_free(call.done);
    cm_host_close(&call);
    json_object_put(begin);
    return heard;
}

struct json_object *step_artifact(const struct cm_done *done, const char *role, size_t number)
{
    for (size_t i = 0; i < done->artifact_count; i++) {
        if (!strcmp(done->artifacts[i].role, role) && number-- == 0) {
            char *path = step_path(done->artifacts[i].file);
            struct json_object *value = cm_json_read(path, ARTIFACT_MAX_BYTES, NULL);
            fuzz_promise(value);
            free(path);
            return value;
        }
    }
    return NULL;
}
