/*
 * Durations, sizes, rates and times of day as people write them.
 *
 * Each parser takes the whole text and returns 0, or -1 with one line in *error (malloc'd) that
 * says what was expected; *value is set only on success.
 */
#ifndef CM_COMMON_UNITS_H
#define CM_COMMON_UNITS_H

#include <stdint.h>

int cm_parse_duration(const char *text, int64_t *ms,
                      char **error); /* "250ms" "15s" "10m" "1h30m" "2d"; bare number: seconds */
int cm_parse_size(const char *text, int64_t *bytes, char **error); /* "512" "25MB" "4GiB" */
int cm_parse_rate(const char *text, int64_t *us, char **error);    /* "5/s" "100/m" "0"; microseconds between */
int cm_parse_int(const char *text, int64_t *value, char **error);
int cm_parse_real(const char *text, double *value, char **error); /* independent of the locale */
int cm_parse_bool(const char *text, int *value, char **error);    /* true/false, yes/no, on/off */
char *cm_show_duration(int64_t ms);                               /* "1h30m", malloc'd */
char *cm_show_time(int64_t utc_ms);                               /* "2026-12-01 18:00:00", local, malloc'd; "" for 0 */
char *cm_show_size(int64_t bytes);                                /* "4.0 GiB", malloc'd */
int64_t cm_utc_ms(void);
int64_t cm_boot_ms(void);    /* CLOCK_BOOTTIME */
void cm_uuid7(char out[37]); /* a new UUIDv7 in text */

#endif
