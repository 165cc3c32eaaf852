/*
 * The list of what is wrong with a configuration.
 */
#include "core/daemon/config/complaints.h"

#include <stdarg.h>
#include <stdlib.h>

#include "core/common/log.h"
#include "core/common/text.h"

void cm_complain(struct cm_complaints *complaints, const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *words = cm_vformat(cm_words(format), arguments);
    va_end(arguments);
    complaints->lines = cm_grow(complaints->lines, &complaints->room, complaints->count, sizeof(char *));
    char **place = &complaints->lines[complaints->count++];
    if (file && line > 0) {
        *place = cm_format("%s:%d: %s", file, line, words);
    } else {
        *place = file ? cm_format("%s: %s", file, words) : cm_strdup(words);
    }
    free(words);
}

void cm_complaints_free(struct cm_complaints *complaints)
{
    for (size_t i = 0; i < complaints->count; i++) {
        free(complaints->lines[i]);
    }
    free(complaints->lines);
    *complaints = (struct cm_complaints){0};
}

char *cm_did_you_mean(const char *wrong, const char *const *names, size_t count)
{
    const char *near = cm_nearest(wrong, names, count);
    return near ? cm_format("; did you mean %s?", near) : cm_strdup("");
}
