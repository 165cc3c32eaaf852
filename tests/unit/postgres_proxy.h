/*
 * Stands between a store and its PostgreSQL server, and breaks the connection at the moments that
 * matter: around a commit.
 */
#ifndef CM_TESTS_POSTGRES_PROXY_H
#define CM_TESTS_POSTGRES_PROXY_H

enum postgres_cut {
    CUT_NEVER = 1,
    CUT_BEFORE_WRITES, /* changes and COMMIT never arrive */
    CUT_BEFORE_ANSWER, /* they arrive and are committed; the answer does not */
    CUT_LATE_WRITES,   /* the store has lost its connection long before they arrive, and then are committed */
    CUT_KINDS_PLUS_1
};

/* Begins to pass on what comes to a socket in `folder` to the server whose socket is in `server`. */
void postgres_proxy_start(const char *folder, const char *server);
/* The next commit is cut that way, once. */
void postgres_proxy_cut(enum postgres_cut how);
/* How many were cut since the start. */
int postgres_proxy_cuts(void);
void postgres_proxy_stop(void);

#endif
