/*
 * A real PostgreSQL server for one test program: in a folder of its own, on a unix socket only, as an
 * unprivileged user, and gone with the program.
 */
#ifndef CM_TESTS_POSTGRES_SERVER_H
#define CM_TESTS_POSTGRES_SERVER_H

/* 0: it runs. -1: PostgreSQL is not installed. Anything else that fails ends the program. */
int postgres_server_start(void);
/* "postgresql://…", of a database that is there and empty; borrowed. */
const char *postgres_server_url(void);
/* Where its socket lies. */
const char *postgres_server_folder(void);
/* Drops all that tests left in the database. */
void postgres_server_empty(void);
/* Runs statements as another client. */
void postgres_server_run(const char *sql);
/* The number that a query gives. */
long long postgres_server_ask(const char *sql);
/* Ends the server at once, as a crash would, and starts it again; after `down_ms` of it being away. */
void postgres_server_crash(int down_ms);
/* Stops the server and all that it has for its clients where they are, or lets them go on. */
void postgres_server_freeze(int on);
void postgres_server_stop(void);

#endif
