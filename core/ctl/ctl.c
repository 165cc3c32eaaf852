/*
 * What the commands share: flags from a table, with their help, and one-line messages.
 */
#include "core/ctl/ctl.h"

#include <getopt.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"

#define MAX_FLAGS 32
#define HELP_LETTER 'h'

/* ---- Messages ------------------------------------------------------------------------------ */

char *cm_ctl_clean(const char *text)
{
    struct cm_text out = {0};
    while (*text) {
        size_t bytes = 1;
        while (bytes < 4 && text[bytes] && !cm_is_utf8(text, bytes)) {
            bytes++;
        }
        if (!cm_is_utf8(text, bytes)) {
            cm_text_add(&out, "?");
            bytes = 1;
        } else if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            cm_text_add(&out, " ");
        } else {
            cm_text_add_bytes(&out, text, bytes);
        }
        text += bytes;
    }
    return cm_text_take(&out);
}

static char *last_words; /* of the last failure */

/* The line that was printed; malloc'd. */
static char *say(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));
static char *say(const char *format, va_list arguments)
{
    char *text = cm_vformat(format, arguments);
    char *clean = cm_ctl_clean(text);
    fflush(stdout);
    fprintf(stderr, "clipmaker: %s\n", clean);
    free(text);
    return clean;
}

int cm_ctl_fail(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    free(last_words);
    last_words = say(format, arguments);
    va_end(arguments);
    return status;
}

const char *cm_ctl_last_words(void)
{
    return last_words ? last_words : "";
}

void cm_ctl_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    free(say(format, arguments));
    va_end(arguments);
}

int cm_ctl_finish(int status)
{
    if (fflush(stdout) || ferror(stdout)) {
        return cm_ctl_fail(EX_IOERR, _("cannot write the output; check where it goes"));
    }
    return status;
}

int cm_ctl_print_json(struct json_object *value)
{
    puts(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                   JSON_C_TO_STRING_NOSLASHESCAPE));
    return cm_ctl_finish(0);
}

int cm_ctl_status_of_reason(const char *reason)
{
    static const struct {
        const char *reason;
        int status;
    } table[] = {
        {"not_found", EX_NOINPUT},   {"not_media", EX_DATAERR},    {"no_speech", EX_DATAERR},
        {"too_short", EX_DATAERR},   {"content", EX_DATAERR},      {"input", EX_DATAERR},
        {"network", EX_TEMPFAIL},    {"unavailable", EX_TEMPFAIL}, {"rate", EX_TEMPFAIL},
        {"processing", EX_TEMPFAIL}, {"resource", EX_TEMPFAIL},    {"stopped", EX_TEMPFAIL},
        {"too_large", EX_DATAERR},   {"language", EX_UNAVAILABLE}, {"unsupported", EX_UNAVAILABLE},
        {"cancelled", EX_TEMPFAIL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!strcmp(reason, table[i].reason)) {
            return table[i].status;
        }
    }
    return EX_UNAVAILABLE;
}

/* ---- Flags --------------------------------------------------------------------------------- */

static void print_flag(const struct cm_flag *flag)
{
    char letter[5] = "    ";
    if (flag->letter) {
        snprintf(letter, sizeof letter, "-%c, ", flag->letter);
    }
    char *left = cm_format("  %s--%s%s%s", letter, flag->name, flag->value ? " " : "", flag->value ? flag->value : "");
    printf("%-28s%s%s\n", left, strlen(left) >= 28 ? "\n                            " : "", cm_words(flag->help));
    free(left);
}

static void print_help(const struct cm_command *command, const struct cm_flag *flags)
{
    printf(_("Usage: clipmaker %s %s\n\n%s.\n\n"), command->name, command->arguments, cm_words(command->summary));
    for (const struct cm_flag *flag = flags; flag->name; flag++) {
        print_flag(flag);
    }
    static const struct cm_flag help = {HELP_LETTER, "help", NULL, N_("show this help"), NULL, NULL, NULL};
    print_flag(&help);
}

static int wrong_usage(const struct cm_command *command, const char *what, const char *word)
{
    return cm_ctl_fail(EX_USAGE, _("%s: %s %s; see `clipmaker %s --help`"), command->name, what, word, command->name);
}

static int unknown_flag(const struct cm_command *command, const struct cm_flag *flags, const char *word)
{
    const char *names[MAX_FLAGS + 1] = {"help"};
    size_t count = 1;
    for (; flags->name; flags++) {
        names[count++] = flags->name;
    }
    char *bare = cm_strndup(word + strspn(word, "-"), strcspn(word + strspn(word, "-"), "="));
    const char *near = cm_starts_with(word, "--") ? cm_nearest(bare, names, count) : NULL;
    free(bare);
    if (near) {
        return cm_ctl_fail(EX_USAGE, _("%s: unknown flag %s; did you mean --%s?"), command->name, word, near);
    }
    return wrong_usage(command, _("unknown flag"), word);
}

static void set_flag(const struct cm_flag *flag, const char *value)
{
    if (flag->on) {
        *flag->on = 1;
    } else if (flag->text) {
        *flag->text = value;
    } else if (flag->texts) {
        flag->texts->items =
            cm_grow(flag->texts->items, &flag->texts->room, flag->texts->count, sizeof *flag->texts->items);
        flag->texts->items[flag->texts->count++] = value;
    }
}

/* getopt's two notations of the table. A flag's number is its index + 1000; 'h' is help. */
static void fill_getopt(const struct cm_flag *flags, struct option *longs, char *shorts)
{
    size_t count = 0;
    *shorts++ = ':';
    *shorts++ = HELP_LETTER;
    for (; flags[count].name; count++) {
        cm_assert(count < MAX_FLAGS);
        longs[count] = (struct option){flags[count].name, flags[count].value ? required_argument : no_argument, NULL,
                                       (int)count + 1000};
        if (flags[count].letter) {
            *shorts++ = flags[count].letter;
            *shorts = ':';
            shorts += flags[count].value != NULL;
        }
    }
    longs[count] = (struct option){"help", no_argument, NULL, HELP_LETTER};
    longs[count + 1] = (struct option){NULL, 0, NULL, 0};
    *shorts = '\0';
}

static const struct cm_flag *flag_of(const struct cm_flag *flags, int found)
{
    if (found >= 1000) {
        return &flags[found - 1000];
    }
    while (flags->name && flags->letter != found) {
        flags++;
    }
    return flags->name ? flags : NULL;
}

/* The argument that getopt stumbled over, as the user wrote it. */
static const char *wrong_word(char **argv, int before)
{
    static char letter[3] = "-?";
    if (cm_starts_with(argv[before], "--") || optopt == 0 || optopt >= 1000) {
        return argv[before];
    }
    letter[1] = (char)optopt;
    return letter;
}

enum cm_parsed cm_ctl_parse(const struct cm_command *command, const struct cm_flag *flags, int argc, char **argv,
                            int least, int most, int *first, int *status)
{
    struct option longs[MAX_FLAGS + 2];
    char shorts[2 * MAX_FLAGS + 3];
    fill_getopt(flags, longs, shorts);
    opterr = 0;
    optind = 1;
    int found;
    while ((found = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        /* getopt has moved the flag it looked at to just before optind. */
        const char *word = optind > 1 && (found == '?' || found == ':') ? wrong_word(argv, optind - 1) : "";
        if (found == HELP_LETTER) {
            print_help(command, flags);
            *status = cm_ctl_finish(0);
            return CM_PARSED_STOP;
        }
        if (found == '?') {
            *status = unknown_flag(command, flags, word);
            return CM_PARSED_STOP;
        }
        if (found == ':') {
            *status = wrong_usage(command, _("a value is missing behind"), word);
            return CM_PARSED_STOP;
        }
        set_flag(flag_of(flags, found), optarg);
    }
    *first = optind;
    if (argc - optind > most) {
        *status = wrong_usage(command, _("unexpected argument"), argv[optind + most]);
        return CM_PARSED_STOP;
    }
    if (argc - optind < least) {
        *status = wrong_usage(command, _("missing argument:"), command->arguments);
        return CM_PARSED_STOP;
    }
    return CM_PARSED_GO;
}
