/*
 * Serving calls: one after another from the socket, or one from a file.
 */
#ifndef CM_WORKER_SERVE_H
#define CM_WORKER_SERVE_H

/* Says hello on the socket and serves until told to quit; the exit status. */
int cm_serve(int fd);
/* One call from a file, its messages on stdout; the exit status: 0 for ok, 1 for anything else. */
int cm_serve_file(const char *path);

#endif
