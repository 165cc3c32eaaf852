/*
 * clipmaker: the command line. Everything it can do stands in the table below.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/ctl/ctl.h"

static const struct cm_command commands[] = {
    {"run", "VIDEO|URL [-o DIR]", N_("Turn one video into clips in a folder; needs no running clipmakerd"), cm_ctl_run},
    {"submit", "VIDEO|URL", N_("Give a video to the running clipmakerd"), cm_ctl_submit},
    {"publish", "CLIP --to NAME", N_("Publish a finished clip, now or at a time"), cm_ctl_publish},
    {"targets", "[--check NAME]", N_("List where clips can go, or ask one whether it works"), cm_ctl_targets},
    {"jobs", "", N_("List the jobs"), cm_ctl_jobs},
    {"show", "JOB", N_("Show a job: its steps, attempts, files and posts"), cm_ctl_show},
    {"watch", "JOB", N_("Follow a job until it is over"), cm_ctl_watch},
    {"why", "JOB [STEP [ITEM]]", N_("Say why a job or a task is not running"), cm_ctl_why},
    {"cancel", "JOB", N_("Cancel a job"), cm_ctl_cancel},
    {"retry", "JOB [STEP [ITEM]]", N_("Try again what failed or is held"), cm_ctl_retry},
    {"rm", "JOB...", N_("Remove finished jobs and their files"), cm_ctl_rm},
    {"resolve", "POST_KEY --live URL|--absent", N_("Say whether a post that nobody can confirm is live"),
     cm_ctl_resolve},
    {"status", "", N_("Show what clipmakerd is doing"), cm_ctl_status},
    {"consent", "", N_("Show what leaves Russia and to whom, and consent to it"), cm_ctl_consent},
    {"costs", "[JOB]", N_("Show what the calls that cost money came to"), cm_ctl_costs},
    {"fsck", "", N_("Check that what is stored makes sense"), cm_ctl_fsck},
    {"plugins", "[NAME]", N_("List the plugins, or the options of one"), cm_ctl_plugins},
    {"plugin", "[enable|disable NAME]", N_("Switch a plugin's part of the configuration on or off"), cm_ctl_plugin},
};
#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static int print_usage(void)
{
    printf("%s", _("Usage: clipmaker COMMAND [FLAGS] [ARGUMENTS]\n\n"
                   "Turns long talk videos into short captioned vertical clips.\n\nCommands:\n"));
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        printf("  %-10s%s\n", commands[i].name, cm_words(commands[i].summary));
    }
    printf("%s", _("\n`clipmaker COMMAND --help` explains each. The first to try: clipmaker run VIDEO\n"));
    return cm_ctl_finish(0);
}

static int unknown_command(const char *word)
{
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i].name;
    }
    const char *near = cm_nearest(word, names, COMMAND_COUNT);
    if (near) {
        return cm_ctl_fail(EX_USAGE, _("unknown command %s; did you mean `clipmaker %s`?"), word, near);
    }
    return cm_ctl_fail(EX_USAGE, _("unknown command %s; `clipmaker --help` lists them"), word);
}

int main(int argc, char **argv)
{
    cm_words_open();
    cm_log_open("clipmaker", CM_LOG_PLAIN, 3);
    signal(SIGPIPE, SIG_IGN);
    const char *word = argc > 1 ? argv[1] : "";
    if (!*word) {
        return cm_ctl_fail(EX_USAGE, _("what shall be done? `clipmaker --help` lists the commands"));
    }
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
        return print_usage();
    }
    if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
        printf("clipmaker %s\n", CM_VERSION);
        return cm_ctl_finish(0);
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (!strcmp(word, commands[i].name)) {
            return commands[i].run(&commands[i], argc - 1, argv + 1);
        }
    }
    return unknown_command(word);
}
