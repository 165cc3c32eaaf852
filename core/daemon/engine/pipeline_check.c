/*
 * The dimensions of a step: each made by a step before it, or given by the job.
 */
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/pipeline_read.h"

static int comes_after(const struct cm_pipeline *pipeline, size_t step, size_t earlier)
{
    for (size_t k = 0; k < pipeline->steps[step].after_count; k++) {
        size_t before = pipeline->steps[step].after[k];
        if (before == earlier || comes_after(pipeline, before, earlier)) {
            return 1;
        }
    }
    return 0;
}

static int has_dimension(const struct cm_step *step, const char *dimension)
{
    for (size_t i = 0; i < step->each_count; i++) {
        if (!strcmp(step->each[i], dimension)) {
            return 1;
        }
    }
    return 0;
}

static char *check_maker(const struct cm_pipeline *pipeline, size_t index, const char *dimension)
{
    const struct cm_step *step = &pipeline->steps[index];
    if (!strcmp(dimension, "format") || !strcmp(dimension, "target")) {
        return NULL;
    }
    for (size_t i = 0; i < pipeline->step_count; i++) {
        const struct cm_step *maker = &pipeline->steps[i];
        if (strcmp(maker->makes, dimension)) {
            continue;
        }
        if (!comes_after(pipeline, index, i)) {
            return cm_format(_("each: \"%s\" is made by step \"%s\", which does not come before"), dimension,
                             maker->name);
        }
        for (size_t k = 0; k < maker->each_count; k++) {
            if (!has_dimension(step, maker->each[k])) {
                return cm_format(_("each: \"%s\" is made for each \"%s\": name that too"), dimension, maker->each[k]);
            }
        }
        return NULL;
    }
    return cm_format(_("each: no step makes \"%s\""), dimension);
}

char *cm_step_check_dimensions(const struct cm_pipeline *pipeline, size_t index)
{
    const struct cm_step *step = &pipeline->steps[index];
    for (size_t i = 0; i < step->each_count; i++) {
        char *problem = check_maker(pipeline, index, step->each[i]);
        if (problem) {
            return problem;
        }
    }
    for (size_t i = 0; *step->makes && i < index; i++) {
        if (!strcmp(pipeline->steps[i].makes, step->makes)) {
            return cm_format(_("makes: step \"%s\" makes \"%s\" already"), pipeline->steps[i].name, step->makes);
        }
    }
    for (size_t i = 0; i < step->use_count; i++) {
        if (!strcmp(step->use[i], "target") && !has_dimension(step, "target")) {
            return cm_strdup(_("use: \"target\" needs a \"target\" in each"));
        }
    }
    return NULL;
}
