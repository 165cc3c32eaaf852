/*
 * What is wrong with a configuration: one line for each slip, with its place and what to do.
 */
#ifndef CM_DAEMON_CONFIG_COMPLAINTS_H
#define CM_DAEMON_CONFIG_COMPLAINTS_H

#include <stddef.h>

/* Everything that is wrong, one line each, in the order found. */
struct cm_complaints {
    char **lines;
    size_t count, room;
};

/* "FILE:LINE: words"; line 0 leaves the line out, file NULL both. */
void cm_complain(struct cm_complaints *complaints, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void cm_complaints_free(struct cm_complaints *complaints);

/* "; did you mean X?" or "". malloc'd. */
char *cm_did_you_mean(const char *wrong, const char *const *names, size_t count);

#endif
