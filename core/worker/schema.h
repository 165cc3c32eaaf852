/*
 * Checking JSON against the part of JSON Schema that our questions use.
 */
#ifndef CM_WORKER_SCHEMA_H
#define CM_WORKER_SCHEMA_H

struct json_object;

/* NULL when `value` obeys `schema`, else one line that names the place (malloc'd). Knows type,
 * properties, required, additionalProperties (false), items, minItems, maxItems, enum, minimum,
 * maximum, minLength and maxLength (in characters). */
char *cm_schema_check(struct json_object *schema, struct json_object *value);

#endif
