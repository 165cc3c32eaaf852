/*
 * The log: one JSON object a line on stderr, or plain lines when a person watches.
 *
 *   {"t":"2026-01-02T03:04:05.678Z","level":"info","who":"clipmakerd","pid":1,"job":"…","text":"…"}
 *
 * Four verbs with fixed meaning: info, warn, fatal (the world is wrong: exits with a sysexits
 * status), assert (our bug: aborts). Registered secrets are replaced by "***" wherever they occur.
 */
#ifndef CM_COMMON_LOG_H
#define CM_COMMON_LOG_H

#include <stdint.h>

enum cm_log_format {
    CM_LOG_JSON = 1,
    CM_LOG_PLAIN
};

void cm_log_open(const char *who, enum cm_log_format format, int level); /* enum cm_log_level; default info, JSON */
/* Fields added to every later line of this process; NULL clears. */
void cm_log_context(const char *job, const char *task, int64_t fence);
void cm_log_secret(const char *secret); /* shorter than 6 bytes are not masked */
/* The text fit for people and for JSON: secrets masked, one line, valid UTF-8; malloc'd. */
char *cm_log_clean(const char *text);
void cm_log_at(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define cm_debug(...) cm_log_at(1, __VA_ARGS__)
#define cm_info(...) cm_log_at(2, __VA_ARGS__)
#define cm_warn(...) cm_log_at(3, __VA_ARGS__)
#define cm_error(...) cm_log_at(4, __VA_ARGS__)
/* Logs, returns -1: `return cm_fail("cannot open %s: %s", …)`. */
int cm_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cm_fatal(int status, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
void cm_assert_failed(const char *what, const char *file, int line) __attribute__((noreturn));
#define cm_assert(condition) ((condition) ? (void)0 : cm_assert_failed(#condition, __FILE__, __LINE__))

/* Words for people, in the language of the locale (gettext domain "clipmaker"). */
const char *cm_words(const char *english) __attribute__((format_arg(1)));
#define _(text) cm_words(text)
#define N_(text) text
void cm_words_open(void); /* setlocale + bindtextdomain; numbers stay in the C locale */

#endif
