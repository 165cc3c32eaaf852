/*
 * Rows as JSON, for the control socket and for whoever reads a store that no daemon serves.
 */
#ifndef CM_DAEMON_STORE_ROW_JSON_H
#define CM_DAEMON_STORE_ROW_JSON_H

#include "core/daemon/store/row.h"

struct json_object;

/* Every column under its name: states and holds as words, facts as the object they are, paths
 * absolute below `state`. */
struct json_object *cm_row_json(enum cm_table table, const void *row, const char *state);

#endif
