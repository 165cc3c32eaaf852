/*
 * What libconfig would swallow or misread, found in the bytes of a file before it sees them.
 */
#ifndef CM_DAEMON_CONFIG_SCAN_H
#define CM_DAEMON_CONFIG_SCAN_H

#include <stddef.h>

struct cm_complaints;

/* @include lines, numbers beyond 32 bits, bytes that are no UTF-8 text. Returns how many complaints were added. */
size_t cm_conf_scan(const char *text, size_t bytes, const char *file, struct cm_complaints *complaints);

#endif
