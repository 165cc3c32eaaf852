/*
 * Dying on order, for tests.
 */
#include "core/daemon/crashpoint.h"

#include <signal.h>
#include <stdlib.h>

#include "core/common/log.h"
#include "core/common/units.h"

static long passed;

static long wanted(void)
{
    static long at = -1;
    if (at < 0) {
        const char *text = getenv("CLIPMAKER_CRASH_AT");
        int64_t value = 0;
        char *error = NULL;
        if (text && cm_parse_int(text, &value, &error) != 0) {
            cm_warn("CLIPMAKER_CRASH_AT: %s", error);
        }
        free(error);
        at = value > 0 ? (long)value : 0;
    }
    return at;
}

void cm_crash_point(const char *where)
{
    passed++;
    if (wanted() == passed) {
        cm_warn("crash point %ld (%s): dying as CLIPMAKER_CRASH_AT asks", passed, where);
        raise(SIGKILL);
    }
}

long cm_crash_points_passed(void)
{
    return passed;
}
