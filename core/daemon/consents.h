/*
 * Who consented to what: notes of the store, "consent OWNER" with the recipient as their name, and the engine's
 * knowledge of them.
 */
#ifndef CM_DAEMON_CONSENTS_H
#define CM_DAEMON_CONSENTS_H

#include <stddef.h>
#include <stdint.h>

struct cm_consents;
struct cm_daemon;

struct cm_consents *cm_consents_new(struct cm_daemon *daemon);
void cm_consents_free(struct cm_consents *consents);

/* Reads them and tells the engine; `done`, which may be NULL, when that happened. error: NULL, or why it could not.
 * Where other daemons share the store it is read anew every few seconds. */
typedef void (*cm_consents_fn)(void *arg, const char *error);
void cm_consents_read(struct cm_consents *consents, cm_consents_fn done, void *arg);

/* Writes; cm_consents_read afterwards sees it. A withdrawal counts from now on for whatever has not begun. */
void cm_consents_give(struct cm_consents *consents, const char *owner, const char *const *recipients, size_t count);
void cm_consents_withdraw(struct cm_consents *consents, const char *owner);

/* UTC, when this owner consented to this recipient; 0: not. As last read. */
int64_t cm_consents_given(const struct cm_consents *consents, const char *owner, const char *recipient);

#endif
