/*
 * Points in time as people write them on a command line.
 */
#ifndef CM_CTL_WHEN_H
#define CM_CTL_WHEN_H

#include <stdint.h>

/*
 * "2026-12-01 18:00", "2026-12-01T18:00:00" (local time), the same with "Z" or "+03:00" behind it, "18:00", "today
 * 18:00", "tomorrow 10:00", "+2h". 0, or -1 with one line in *error (malloc'd): no time at all, one that the clocks
 * skip, or one that is over at `now_ms`.
 */
int cm_when_parse(const char *text, int64_t now_ms, int64_t *utc_ms, char **error);

#endif
