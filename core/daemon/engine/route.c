/*
 * Routing: which link of a fallback chain may be asked.
 */
#include "core/daemon/engine/route.h"

#include <clipmaker/plugin.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"

static int list_has(const char *list, const char *word, size_t bytes)
{
    while (list && *list) {
        size_t length = strcspn(list, " ,");
        if (length == bytes && !strncmp(list, word, bytes)) {
            return 1;
        }
        list += length;
        list += strspn(list, " ,");
    }
    return 0;
}

/* Before "://", or "file" for a path. */
static const char *scheme_of(const char *source, size_t *bytes)
{
    const char *end = strstr(source, "://");
    if (*source == '/' || !end) {
        *bytes = 4;
        return "file";
    }
    *bytes = (size_t)(end - source);
    return source;
}

static int knows_language(const char *languages, const char *language)
{
    return !strcmp(language, "auto") || !*language || list_has(languages, "*", 1) ||
           list_has(languages, language, strlen(language));
}

enum cm_route_answer cm_route_ask(const struct cm_route_case *about, const struct cm_instance *instance)
{
    if (instance->stage != about->stage) {
        return CM_ROUTE_STAGE;
    }
    if (about->stage == CM_STAGE_SOURCE) {
        size_t bytes = 0;
        const char *scheme = scheme_of(about->source, &bytes);
        return list_has(instance->schemes, scheme, bytes) ? CM_ROUTE_YES : CM_ROUTE_SCHEME;
    }
    if (about->stage == CM_STAGE_STT) {
        if (instance->needs_captions && !about->has_captions) {
            return CM_ROUTE_CAPTIONS;
        }
        return knows_language(instance->languages, about->language) ? CM_ROUTE_YES : CM_ROUTE_LANGUAGE;
    }
    return CM_ROUTE_YES;
}

const char *cm_route_name(enum cm_route_answer answer)
{
    static const char *const names[] = {
        [CM_ROUTE_YES] = "",           [CM_ROUTE_LANGUAGE] = "language", [CM_ROUTE_CAPTIONS] = "captions",
        [CM_ROUTE_SCHEME] = "address", [CM_ROUTE_STAGE] = "stage",
    };
    return names[answer];
}

static const char *language_name(const char *code)
{
    static const struct {
        const char *code, *name;
    } names[] = {
        {"ru", N_("Russian")}, {"en", N_("English")}, {"uk", N_("Ukrainian")}, {"be", N_("Belarusian")},
        {"kk", N_("Kazakh")},  {"de", N_("German")},  {"fr", N_("French")},    {"es", N_("Spanish")},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(names[i].code, code)) {
            return _(names[i].name);
        }
    }
    return code;
}

static char *language_words(const char *language)
{
    if (!strcmp(language, "auto")) {
        return cm_strdup(_("No recogniser here works without captions: give them with --captions FILE, or configure "
                           "a provider (docs/operator.md)"));
    }
    if (!strcmp(language, "en")) {
        return cm_strdup(_("No recogniser here knows English: give captions with --captions FILE, or configure a "
                           "recogniser (docs/operator.md)"));
    }
    return cm_format(_("No recogniser here knows %s: give captions with --captions FILE, configure a provider "
                       "(docs/operator.md), or say --lang en if the talk is in English"),
                     language_name(language));
}

char *cm_route_words(const struct cm_route_case *about, enum cm_route_answer last, int *reason)
{
    size_t bytes = 0;
    const char *scheme = scheme_of(about->source, &bytes);
    switch (last) {
    case CM_ROUTE_LANGUAGE:
    case CM_ROUTE_CAPTIONS:
        *reason = CM_REASON_LANGUAGE;
        return language_words(about->language);
    case CM_ROUTE_SCHEME:
        *reason = CM_REASON_UNSUPPORTED;
        return cm_format(_("No source plugin here takes \"%.*s\" addresses: configure one, or give a file"), (int)bytes,
                         scheme);
    default:
        *reason = CM_REASON_UNSUPPORTED;
        return cm_strdup(_("The configuration names no plugin instance that can do this step"));
    }
}
