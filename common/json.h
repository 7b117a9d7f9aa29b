/* common/json.h
 * json - jansson, with the checks that arguments, configuration and the api need, made once.
 *
 * For small documents of ours. Vendors' pages go through common/doc.h, which is an order of magnitude faster.
 * Ownership: as in jansson; json_auto_t cleans up.
 */
#ifndef DESKMILL_JSON_H
#define DESKMILL_JSON_H

#include "common/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One JSON object, all of the `len` bytes; duplicate keys, trailing bytes, other types and NUL bytes are
 * RC_INVALID with line and column. The input is not quoted in the error: it may hold secrets. */
enum rc json_parse_object(const char *text, size_t len, json_t **out, struct err *err);

/* Compact text, keys in insertion order; the caller frees it. NULL only without memory. */
char *json_text(const json_t *j);

/* The field `name` of `obj`, checked. Missing or null is RC_NOT_FOUND (text: "name: is required"), a wrong
 * type or a value out of range is RC_INVALID naming the field and what would be right. A string is borrowed
 * from `obj`; its bounds count bytes. */
enum rc json_get_string(const json_t *obj, const char *name, size_t min, size_t max, const char **out,
                        struct err *err);
enum rc json_get_int(const json_t *obj, const char *name, int64_t min, int64_t max, int64_t *out,
                     struct err *err);
enum rc json_get_bool(const json_t *obj, const char *name, bool *out, struct err *err);
enum rc json_get_time(const json_t *obj, const char *name, int64_t *out,
                      struct err *err); /* RFC 3339 or a date */

/* RC_INVALID, naming the first key of `obj` that is not in `allowed` (NULL-terminated) and listing what is.
 */
enum rc json_only_keys(const json_t *obj, const char *const allowed[], struct err *err);

#endif
