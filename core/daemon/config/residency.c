/*
 * Where the data of an instance goes, and what may not be configured when it may not leave the country.
 */
#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/config/build.h"

/* ---- One instance ---------------------------------------------------------------------------- */

static const char *text_of(const struct cm_conf_value *value)
{
    int is_text = value && config_setting_type(value->setting) == CONFIG_TYPE_STRING;
    return is_text ? config_setting_get_string(value->setting) : "";
}

/* Nothing said: what the plugin says of itself. prepare and render have no network whatever they say, and a source only
 * fetches what its site has already. Whoever is not known to keep it here sends it abroad. */
static int leaves_by_itself(const struct cm_plugin_use *use)
{
    int sends = use->stage != CM_STAGE_SOURCE && use->stage != CM_STAGE_PREPARE && use->stage != CM_STAGE_RENDER;
    return sends && strcmp(cm_json_text(use->described, "reach", ""), "local") != 0;
}

void cm_take_residency(struct cm_build *build, struct cm_plugin_use *use, const struct cm_conf_value *data,
                       const struct cm_conf_value *recipient)
{
    const char *where = text_of(data), *who = text_of(recipient);
    int is_public = !strcmp(where, "public") && use->stage == CM_STAGE_PUBLISH;
    int abroad = data ? !strcmp(where, "abroad") : leaves_by_itself(use);
    if (data && !abroad && !is_public && strcmp(where, "ru") != 0) {
        cm_complain(build->complaints, data->file, data->line,
                    "%s must be \"ru\" (it stays in Russia), \"abroad\", or for one that publishes \"public\"",
                    data->path);
    }
    if (recipient && !*who) {
        cm_complain(build->complaints, recipient->file, recipient->line,
                    "%s must be who is given the data, in quotes: \"OpenAI, USA\"", recipient->path);
    }
    use->recipient = !abroad ? cm_strdup("") : *who ? cm_strdup(who) : cm_format("%s (%s)", use->name, use->plugin);
}

/* ---- All chains ------------------------------------------------------------------------------ */

static void complain_abroad(struct cm_build *build, const struct cm_plugin_use *use, const char *step)
{
    cm_complain(
        build->complaints, use->file, use->line,
        "%s: step \"%s\" would send data abroad (to %s), and strategy is \"ru\"; if it stays in Russia say data = "
        "\"ru\"%s, else take it out of the chain or set strategy = \"global\"",
        use->name, step, use->recipient,
        use->stage == CM_STAGE_PUBLISH ? " (or \"public\": posts are for everybody)" : "");
}

static void check_named(struct cm_build *build, const char *name, const char *step)
{
    const struct cm_plugin_use *use = cm_config_use(build->config, name);
    if (use && use->recipient && *use->recipient) {
        complain_abroad(build, use, step);
    }
}

static void check_step(struct cm_build *build, const struct cm_step *step)
{
    const struct cm_config *config = build->config;
    for (size_t i = 0; i < step->use_count; i++) {
        if (strcmp(step->use[i], "target") != 0) {
            check_named(build, step->use[i], step->name);
            continue;
        }
        for (size_t k = 0; k < config->targets.count; k++) {
            check_named(build, config->targets.items[k], step->name);
        }
    }
    for (size_t i = 0; step->stage == CM_STAGE_LLM && !step->use_count && i < config->use_count; i++) {
        if (config->uses[i].stage == CM_STAGE_LLM) {
            check_named(build, config->uses[i].name, step->name);
        }
    }
}

void cm_check_residency(struct cm_build *build)
{
    const struct cm_config *config = build->config;
    if (strcmp(config->settings.strategy, "ru") != 0) {
        return;
    }
    for (size_t i = 0; i < config->pipeline_count; i++) {
        for (size_t k = 0; k < config->pipelines[i]->step_count; k++) {
            check_step(build, &config->pipelines[i]->steps[k]);
        }
    }
}
