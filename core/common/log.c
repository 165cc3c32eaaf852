/*
 * The log: one line, one write, so lines of several processes never mix.
 */
#include "core/common/log.h"

#include <errno.h>
#include <libintl.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/text.h"

#define SECRET_MIN_BYTES 6
#define DOMAIN "clipmaker"

static const char *const level_names[] = {"", "debug", "info", "warn", "error"};

static struct {
    pthread_mutex_t lock;
    const char *who;
    enum cm_log_format format;
    int level;
    char *job, *task;
    int64_t fence;
    char **secrets;
    size_t secret_count, secret_room;
} the_log = {.lock = PTHREAD_MUTEX_INITIALIZER, .who = "clipmaker", .format = CM_LOG_JSON, .level = 2};

void cm_log_open(const char *who, enum cm_log_format format, int level)
{
    the_log.who = who;
    the_log.format = format;
    the_log.level = level;
}

void cm_log_context(const char *job, const char *task, int64_t fence)
{
    pthread_mutex_lock(&the_log.lock);
    free(the_log.job);
    free(the_log.task);
    the_log.job = job ? cm_strdup(job) : NULL;
    the_log.task = task ? cm_strdup(task) : NULL;
    the_log.fence = fence;
    pthread_mutex_unlock(&the_log.lock);
}

void cm_log_secret(const char *secret)
{
    if (!secret || strlen(secret) < SECRET_MIN_BYTES) {
        return;
    }
    pthread_mutex_lock(&the_log.lock);
    int known = 0;
    for (size_t i = 0; i < the_log.secret_count; i++) {
        known |= !strcmp(the_log.secrets[i], secret);
    }
    if (!known) {
        the_log.secrets = cm_grow(the_log.secrets, &the_log.secret_room, the_log.secret_count, sizeof(char *));
        the_log.secrets[the_log.secret_count++] = cm_strdup(secret);
    }
    pthread_mutex_unlock(&the_log.lock);
}

/* The text with every registered secret replaced; malloc'd. */
static char *without_secrets(const char *text)
{
    struct cm_text out = {0};
    if (!the_log.secret_count) {
        return cm_strdup(text);
    }
    while (*text) {
        size_t secret_bytes = 0;
        for (size_t i = 0; i < the_log.secret_count; i++) {
            size_t bytes = strlen(the_log.secrets[i]);
            if (bytes > secret_bytes && !strncmp(text, the_log.secrets[i], bytes)) {
                secret_bytes = bytes;
            }
        }
        if (secret_bytes) {
            cm_text_add(&out, "***");
            text += secret_bytes;
        } else {
            cm_text_add_bytes(&out, text++, 1);
        }
    }
    return cm_text_take(&out);
}

/* How many bytes the UTF-8 character at `text` takes, or 0 when it is none. */
static size_t character_bytes(const char *text)
{
    for (size_t bytes = 1; bytes <= 4 && memchr(text, '\0', bytes) == NULL; bytes++) {
        if (cm_is_utf8(text, bytes)) {
            return bytes;
        }
    }
    return 0;
}

/* How many characters from here on need no care, whatever they are written into. */
static size_t plain_bytes(const char *text)
{
    const char *at = text;
    while (*at >= 0x20 && *at < 0x7f && *at != '"' && *at != '\\') {
        at++;
    }
    return (size_t)(at - text);
}

/* Adds the text so that it cannot break the line: control characters and bad UTF-8 are replaced;
 * in JSON, quotes are escaped. */
static void add_clean(struct cm_text *out, const char *text, int json)
{
    while (*text) {
        size_t plain = plain_bytes(text);
        cm_text_add_bytes(out, text, plain);
        text += plain;
        if (!*text) {
            return;
        }
        size_t bytes = character_bytes(text);
        unsigned char c = (unsigned char)*text;
        if (bytes == 0) {
            cm_text_add(out, "?");
            bytes = 1;
        } else if (json && (c == '"' || c == '\\')) {
            cm_text_addf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            cm_text_addf(out, json ? "\\u%04x" : " ", c);
        } else {
            cm_text_add_bytes(out, text, bytes);
        }
        text += bytes;
    }
}

char *cm_log_clean(const char *text)
{
    pthread_mutex_lock(&the_log.lock);
    char *masked = without_secrets(text);
    pthread_mutex_unlock(&the_log.lock);
    struct cm_text out = {0};
    add_clean(&out, masked, 0);
    free(masked);
    return cm_text_take(&out);
}

static void add_field(struct cm_text *line, const char *name, const char *value)
{
    cm_text_addf(line, ",\"%s\":\"", name);
    add_clean(line, value, 1);
    cm_text_add(line, "\"");
}

static void add_json_line(struct cm_text *line, int level, const char *text)
{
    struct timespec now;
    struct tm parts;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    cm_text_addf(line, "{\"t\":\"%s.%03dZ\",\"level\":\"%s\"", stamp, (int)(now.tv_nsec / 1000000), level_names[level]);
    add_field(line, "who", the_log.who);
    cm_text_addf(line, ",\"pid\":%d", (int)getpid());
    if (the_log.job) {
        add_field(line, "job", the_log.job);
    }
    if (the_log.task) {
        add_field(line, "task", the_log.task);
        cm_text_addf(line, ",\"fence\":%lld", (long long)the_log.fence);
    }
    add_field(line, "text", text);
    cm_text_add(line, "}\n");
}

static void add_plain_line(struct cm_text *line, int level, const char *text)
{
    cm_text_addf(line, "%s: ", the_log.who);
    if (level != 2) {
        cm_text_addf(line, "%s: ", level_names[level]);
    }
    add_clean(line, text, 0);
    cm_text_add(line, "\n");
}

static void write_all(const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t done = write(STDERR_FILENO, bytes, count);
        if (done < 0 && errno != EINTR) {
            return;
        }
        bytes += done > 0 ? done : 0;
        count -= done > 0 ? (size_t)done : 0;
    }
}

static void put(int level, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
static void put(int level, const char *format, va_list arguments)
{
    if (level < the_log.level || level < 1 || level > 4) {
        return;
    }
    int saved_errno = errno;
    char *text = cm_vformat(format, arguments);
    struct cm_text line = {0};
    pthread_mutex_lock(&the_log.lock);
    char *clean = without_secrets(text);
    if (the_log.format == CM_LOG_JSON) {
        add_json_line(&line, level, clean);
    } else {
        add_plain_line(&line, level, clean);
    }
    write_all(line.bytes, line.length);
    pthread_mutex_unlock(&the_log.lock);
    cm_text_free(&line);
    free(clean);
    free(text);
    errno = saved_errno;
}

void cm_log_at(int level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put(level, format, arguments);
    va_end(arguments);
}

int cm_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put(4, format, arguments);
    va_end(arguments);
    return -1;
}

void cm_fatal(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put(4, format, arguments);
    va_end(arguments);
    exit(status);
}

void cm_assert_failed(const char *what, const char *file, int line)
{
    cm_log_at(4, "bug: %s:%d: %s does not hold", file, line, what);
    abort();
}

const char *cm_words(const char *english)
{
    /* gettext("") is the catalogue's header, not an empty text. */
    return *english ? dgettext(DOMAIN, english) : english;
}

/* The user's locale was never generated on this machine, as on a small server: its language can
 * still be spoken, in UTF-8. */
static void use_absent_locale(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    const char *wanted = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !(wanted && *wanted); i++) {
        wanted = getenv(names[i]);
    }
    if (setlocale(LC_ALL, "C.UTF-8") && wanted && *wanted) {
        setenv("LANGUAGE", wanted, 0);
    }
}

void cm_words_open(void)
{
    if (!setlocale(LC_ALL, "")) {
        use_absent_locale();
    }
    setlocale(LC_NUMERIC, "C");
    char *folder = cm_place(CM_PLACE_LOCALE);
    bindtextdomain(DOMAIN, folder);
    bind_textdomain_codeset(DOMAIN, "UTF-8");
    free(folder);
}
