/*
 * Points in time: relative, by the clock, by the calendar.
 */
#include "core/ctl/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"

#define FURTHEST_MS (10LL * 366 * 24 * 3600 * 1000)

/* "18:00" or "18:00:30" at the head of the text; what follows, or NULL. */
static const char *read_clock(const char *text, struct tm *parts)
{
    int used = 0, more = 0;
    if (sscanf(text, "%2d:%2d%n", &parts->tm_hour, &parts->tm_min, &used) < 2 || used == 0) {
        return NULL;
    }
    parts->tm_sec = 0;
    if (text[used] == ':' && sscanf(text + used, ":%2d%n", &parts->tm_sec, &more) == 1) {
        used += more;
    }
    int sound = parts->tm_hour >= 0 && parts->tm_hour < 24 && parts->tm_min >= 0 && parts->tm_min < 60 &&
                parts->tm_sec >= 0 && parts->tm_sec < 60;
    return sound ? text + used : NULL;
}

static const char *read_date(const char *text, struct tm *parts)
{
    int used = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &parts->tm_year, &parts->tm_mon, &parts->tm_mday, &used) < 3 || used < 8) {
        return NULL;
    }
    parts->tm_year -= 1900;
    parts->tm_mon -= 1;
    return text[used] == ' ' || text[used] == 'T' ? text + used + 1 : NULL;
}

/* "Z", "+03:00", "+0300", "-05": seconds east of Greenwich. 0, or -1 when it is none. */
static int read_zone(const char *text, long *east_s)
{
    int hours = 0, minutes = 0, used = 0;
    if (!strcmp(text, "Z")) {
        *east_s = 0;
        return 0;
    }
    if ((*text != '+' && *text != '-') || sscanf(text + 1, "%2d%n", &hours, &used) != 1 || used != 2) {
        return -1;
    }
    const char *rest = text + 3;
    rest += *rest == ':';
    if (*rest && (sscanf(rest, "%2d%n", &minutes, &used) != 1 || used != 2 || rest[2])) {
        return -1;
    }
    *east_s = (hours * 3600L + minutes * 60L) * (*text == '-' ? -1 : 1);
    return hours <= 14 && minutes < 60 ? 0 : -1;
}

/* mktime moves what cannot be: the 30th of February, and the hour that the clocks skip in spring. */
static int is_as_written(const struct tm *written, const struct tm *made)
{
    return written->tm_year == made->tm_year && written->tm_mon == made->tm_mon && written->tm_mday == made->tm_mday &&
           written->tm_hour == made->tm_hour && written->tm_min == made->tm_min;
}

static int from_calendar(struct tm *parts, const char *zone, int64_t *utc_ms)
{
    struct tm made = *parts;
    long east_s = 0;
    time_t seconds;
    zone += strspn(zone, " ");
    made.tm_isdst = -1;
    if (*zone) {
        if (read_zone(zone, &east_s)) {
            return -1;
        }
        made.tm_isdst = 0;
        seconds = timegm(&made);
    } else {
        seconds = mktime(&made);
    }
    *utc_ms = ((int64_t)seconds - east_s) * 1000;
    return is_as_written(parts, &made) ? 0 : -1;
}

/* What follows one of these words and a space, or NULL. */
static const char *after_word(const char *text, const char *word)
{
    size_t bytes = strlen(word);
    return bytes && !strncmp(text, word, bytes) && text[bytes] == ' ' ? text + bytes + 1 : NULL;
}

static int from_words(const char *text, int64_t now_ms, int64_t *utc_ms)
{
    struct tm parts = {0};
    time_t now = (time_t)(now_ms / 1000);
    const char *today = after_word(text, "today"), *tomorrow = after_word(text, "tomorrow");
    today = today ? today : after_word(text, _("today"));
    tomorrow = tomorrow ? tomorrow : after_word(text, _("tomorrow"));
    const char *clock = tomorrow ? tomorrow : today ? today : text;
    const char *rest = read_date(text, &parts);
    if (rest) {
        rest = read_clock(rest, &parts);
        return rest ? from_calendar(&parts, rest, utc_ms) : -1;
    }
    if (!localtime_r(&now, &parts) || !(rest = read_clock(clock, &parts)) || *rest) {
        return -1;
    }
    parts.tm_mday += tomorrow != NULL;
    struct tm day = parts;
    day.tm_isdst = -1;
    mktime(&day); /* the 32nd is the 1st */
    day.tm_hour = parts.tm_hour;
    day.tm_min = parts.tm_min;
    day.tm_sec = parts.tm_sec;
    return from_calendar(&day, "", utc_ms);
}

int cm_when_parse(const char *text, int64_t now_ms, int64_t *utc_ms, char **error)
{
    int64_t length_ms = 0, at_ms = 0;
    char *unused = NULL;
    int failed = *text == '+' ? cm_parse_duration(text + 1, &length_ms, &unused) : from_words(text, now_ms, &at_ms);
    free(unused);
    if (failed) {
        *error = cm_format(_("\"%s\" is no time: write \"2026-12-01 18:00\", \"tomorrow 10:00\", \"18:00\" or \"+2h\""),
                           text);
        return -1;
    }
    at_ms = *text == '+' ? now_ms + length_ms : at_ms;
    if (at_ms < now_ms || at_ms > now_ms + FURTHEST_MS) {
        char *shown = cm_show_time(at_ms);
        *error = at_ms < now_ms ? cm_format(_("%s is over already"), shown)
                                : cm_format(_("%s is more than ten years away"), shown);
        free(shown);
        return -1;
    }
    *utc_ms = at_ms;
    return 0;
}
