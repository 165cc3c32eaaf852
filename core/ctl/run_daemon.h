/*
 * The private clipmakerd of one run: it serves a single socketpair, in a session of its own, and
 * ends when this program does.
 */
#ifndef CM_CTL_RUN_DAEMON_H
#define CM_CTL_RUN_DAEMON_H

#include <stdint.h>
#include <sys/types.h>

struct cm_client;

struct cm_run_daemon {
    pid_t pid;
    struct cm_client *client;
    char *log_path;
    int64_t log_start; /* what earlier runs wrote ends here */
};

/* 0, or the exit status after a line on stderr. `state` must exist. */
int cm_run_daemon_start(struct cm_run_daemon *daemon, const char *config, const char *state, const char *output);
/* Closes the socket and waits; kills it when it does not end. Its wait status, or -1. */
int cm_run_daemon_end(struct cm_run_daemon *daemon);
/* The same, and frees what it held. */
void cm_run_daemon_release(struct cm_run_daemon *daemon);
/* The text of the last warning or error in its log; "" when there is none. malloc'd. */
char *cm_run_daemon_last_words(const struct cm_run_daemon *daemon);
/* Path of a program of ours: beside this one, or where it was installed. malloc'd. */
char *cm_run_program(int place, const char *name);

#endif
