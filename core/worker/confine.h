/*
 * Which sandbox a call gets, from its begin message.
 */
#ifndef CM_WORKER_CONFINE_H
#define CM_WORKER_CONFINE_H

struct json_object;

/* Enters the sandbox. NULL, or why it could not be entered (malloc'd). */
char *cm_confine(struct json_object *begin, struct json_object *inputs);

#endif
