/*
 * A plugin's options outside the plugin: the table as JSON (`clipmaker-worker --describe`), and
 * checking and filling by that table. The daemon checks with the JSON alone and never loads the
 * plugin; the worker fills the block.
 */
#ifndef CM_COMMON_OPTIONS_H
#define CM_COMMON_OPTIONS_H

#include <stddef.h>

struct cm_option;
struct json_object;

/* [{"name","type","required","writable","default","choices":[…],"min","max","help"}]; new reference. */
struct json_object *cm_options_describe(const struct cm_option *options);

/* Checks one value, given as text, against one described option. NULL, or one line why not,
 * naming type and range (malloc'd). A secret's text may still be a reference. */
char *cm_option_check(struct json_object *described, const char *text);

/* Fills `block` (options_size bytes, zeroed) from {"name":"text"}; absent ones get their default.
 * Secrets are given resolved. Strings are malloc'd and live as long as the block: free with
 * cm_options_release, which wipes secrets. NULL, or one line (malloc'd). */
char *cm_options_fill(const struct cm_option *options, void *block, struct json_object *values);
void cm_options_release(const struct cm_option *options, void *block);

/* "file:/path", "env:NAME", "credential:NAME" ($CREDENTIALS_DIRECTORY/NAME) → the secret, malloc'd,
 * trailing newline cut; NULL with *error. Anything else is refused: secrets do not stand in configs. */
char *cm_secret_resolve(const char *reference, char **error);
/* Whether a text is written like one of these. */
int cm_secret_is_reference(const char *text);

#endif
