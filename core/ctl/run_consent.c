/*
 * Before a run sends anything abroad: what and to whom is named, and somebody says yes.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/ctl/ctl.h"
#include "core/ctl/progress.h"
#include "core/ctl/run.h"

/* Lines "  the text of the speech: OpenAI, USA", of those that nobody consented to. */
static void name_recipients(struct json_object *recipients)
{
    fprintf(stderr, "%s\n", _("This run sends data out of Russia:"));
    for (size_t i = 0; recipients && i < json_object_array_length(recipients); i++) {
        struct json_object *one = json_object_array_get_idx(recipients, i), *what = cm_json_array(one, "what");
        for (size_t k = 0; what && k < json_object_array_length(what) && !cm_json_int(one, "given_ms", 0); k++) {
            char *clean = cm_ctl_clean(cm_json_text(one, "recipient", ""));
            fprintf(stderr, _("  %s to %s\n"), json_object_get_string(json_object_array_get_idx(what, k)), clean);
            free(clean);
        }
    }
}

/* What stands for yes: y or yes, д or да. */
static int is_yes(const char *line)
{
    static const char *const words[] = {"y", "yes", "Y", "YES", "Yes", "д", "да", "Д", "ДА", "Да"};
    size_t bytes = strcspn(line, "\r\n");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i]) == bytes && !strncmp(words[i], line, bytes)) {
            return 1;
        }
    }
    return 0;
}

static int asked_yes(void)
{
    char line[64] = "";
    fprintf(stderr, "%s ", _("Do you consent? [y/N]"));
    fflush(stderr);
    return fgets(line, sizeof line, stdin) && is_yes(line);
}

int cm_run_ask_consent(struct cm_run *run, struct json_object *recipients)
{
    cm_progress_end(run->progress);
    name_recipients(recipients);
    if (run->consents) {
        return 0;
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        return cm_run_fail(run, EX_NOPERM, "policy",
                           _("nothing was sent: nobody consented; say --consent, or --strategy ru"));
    }
    return asked_yes() ? 0
                       : cm_run_fail(run, EX_NOPERM, "policy",
                                     _("nothing was sent: you did not consent; --strategy ru "
                                       "keeps it in Russia"));
}
