/*
 * One connection to PostgreSQL, in pipeline mode: commands are gathered, sent together, and their
 * answers taken in order. It connects again by itself and brings the schema up to date.
 */
#ifndef CM_DAEMON_STORE_POSTGRES_SESSION_H
#define CM_DAEMON_STORE_POSTGRES_SESSION_H

#include <libpq-fe.h>
#include <stddef.h>

#include "core/daemon/store/row.h"

struct cm_session;

/* The URL as libpq takes it; not connected yet. */
struct cm_session *cm_session_new(const char *url);
void cm_session_free(struct cm_session *session);

/* Connects when it is not. 0, or -1: trouble. */
int cm_session_connect(struct cm_session *session);
int cm_session_is_connected(const struct cm_session *session);
/* What was wrong last, in one line for people, without the password; lives until the next command. */
const char *cm_session_trouble(const struct cm_session *session);
/* Whether that may be gone when the server or its disk is back. */
int cm_session_is_passing(const struct cm_session *session);

typedef void (*cm_session_fn)(void *arg, const PGresult *result);

/* Adds a command with `count` values (NULL: null) to what the next run sends. take, when not NULL, gets a
 * copy of arg_bytes of `arg` and the command's good answer. */
void cm_session_send(struct cm_session *session, const char *text, int count, const char *const *values,
                     cm_session_fn take, const void *arg, size_t arg_bytes);
/* The same with a row's columns as values, or just those of its key. */
void cm_session_send_row(struct cm_session *session, const char *text, enum cm_table table, const void *row,
                         int keys_only);
/* Sends what was gathered and takes the answers. 0, or -1: trouble with one of them, and those behind it
 * were not executed; or the connection is lost. */
int cm_session_run(struct cm_session *session);
/* Ends what is left of a transaction. */
void cm_session_roll_back(struct cm_session *session);

/* A text in SQLite's dialect, as sql.h has them, in PostgreSQL's; malloc'd. `behind` stands at its end. */
char *cm_session_text(const char *lite, const char *behind);

#endif
