/*
 * Looking up the configured models.
 */
#include "core/daemon/models.h"

#include <clipmaker/plugin.h>
#include <ctype.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/config/config.h"
#include "core/daemon/run/ask.h"
#include "core/daemon/run/procs.h"

#define DEADLINE_MS 5000
#define NEAREST 3
#define NAME_SHOWN "%.100s"

/* One instance that is asked. */
struct lookup {
    const struct cm_plugin_use *use;
    const char *model;
    int *pending;
};

static const char *name_at(struct json_object *models, size_t index)
{
    const char *name = json_object_get_string(json_object_array_get_idx(models, index));
    return name ? name : "";
}

/* Some servers list a model with a tag that nobody has to write. */
static int is_listed(struct json_object *models, const char *model)
{
    static const char tag[] = ":latest";
    size_t length = strlen(model);
    for (size_t i = 0; i < json_object_array_length(models); i++) {
        const char *name = name_at(models, i);
        if (!strncmp(name, model, length) && (!name[length] || !strcmp(name + length, tag))) {
            return 1;
        }
    }
    return 0;
}

/* ---- What is near ---------------------------------------------------------------------------- */

static char *lower(const char *text)
{
    char *copy = cm_strdup(text);
    for (char *c = copy; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return copy;
}

/* A name with the other one inside is nearer than any misspelling. */
static size_t distance(const char *wanted, const char *name)
{
    char *one = lower(wanted), *other = lower(name);
    size_t far = strstr(one, other) || strstr(other, one) ? 0 : cm_distance(one, other);
    free(one);
    free(other);
    return far;
}

/* The nearest names, ", " between them. malloc'd. */
static char *nearest(struct json_object *models, const char *model)
{
    size_t count = json_object_array_length(models), best[NEAREST], found = 0;
    size_t *far = cm_alloc((count + 1) * sizeof *far);
    for (size_t i = 0; i < count; i++) {
        far[i] = distance(model, name_at(models, i));
        size_t place = found < NEAREST ? found++ : NEAREST;
        while (place > 0 && far[best[place - 1]] > far[i]) {
            if (place < NEAREST) {
                best[place] = best[place - 1];
            }
            place--;
        }
        if (place < NEAREST) {
            best[place] = i;
        }
    }
    struct cm_text list = {0};
    for (size_t i = 0; i < found; i++) {
        cm_text_addf(&list, "%s" NAME_SHOWN, i > 0 ? ", " : "", name_at(models, best[i]));
    }
    free(far);
    return list.bytes;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static void on_answer(void *arg, const struct cm_done *done, struct json_object *result)
{
    struct lookup *lookup = arg;
    struct json_object *models = result ? cm_json_array(result, "models") : NULL;
    const char *instance = lookup->use->name, *model = lookup->model;
    if (done->outcome != CM_OK || !models) {
        cm_warn(_("%s: whether there is a model \"%s\" could not be asked: %s"), instance, model, done->words);
    } else if (json_object_array_length(models) == 0) {
        cm_warn(_("%s: there is no model \"%s\": its server lists none at all"), instance, model);
    } else if (!is_listed(models, model)) {
        char *near = nearest(models, model);
        cm_warn(_("%s: there is no model \"%s\" (any more); the nearest of %zu: %s"), instance, model,
                json_object_array_length(models), near);
        free(near);
    }
    --*lookup->pending;
}

/* Its model, or NULL when there is nothing to ask. */
static const char *model_of(const struct cm_plugin_use *use)
{
    struct json_object *facts = cm_json_object(use->described, "stage_facts");
    const char *model = cm_json_text(use->options, "model", "");
    return cm_json_flag(facts, "can_models", 0) && *model ? model : NULL;
}

int cm_models_check(const struct cm_config *config)
{
    struct event_base *base = event_base_new();
    struct cm_procs *procs = cm_procs_new(base);
    struct lookup *lookups = cm_alloc((config->use_count + 1) * sizeof *lookups);
    int pending = 0, asked = 0;
    cm_procs_hush(procs);
    for (size_t i = 0; i < config->use_count; i++) {
        lookups[i] = (struct lookup){&config->uses[i], model_of(&config->uses[i]), &pending};
        if (lookups[i].model) {
            struct cm_question question = {config, lookups[i].use->name, "models", DEADLINE_MS, NULL};
            pending++;
            asked++;
            cm_ask(base, procs, &question, on_answer, &lookups[i]);
        }
    }
    while (pending > 0) {
        event_base_loop(base, EVLOOP_ONCE);
    }
    cm_procs_free(procs);
    event_base_free(base);
    free(lookups);
    return asked;
}
