/* api/request.h
 * request - what a handler is given, checked as far as the route's row allows: the path's parts, the query,
 * the body.
 *
 * Every reader names the field at fault in *err ("limit: 5000 is not within 1 to 1000").
 *
 * Ownership: everything is borrowed and lives as long as the request.
 */
#ifndef DESKMILL_API_REQUEST_H
#define DESKMILL_API_REQUEST_H

#include "api/app.h"
#include "api/router.h"
#include "common/json.h"
#include <limits.h>

enum { REQUEST_QUERY_MAX = 16, REQUEST_QUERY_TEXT = 8192 };

struct request {
    struct app *app;
    struct db *db;
    struct cache *cache;
    enum role role;
    struct route_match match;
    struct request_param {
        const char *name, *value; /* decoded */
    } query[REQUEST_QUERY_MAX];
    size_t query_n;
    char query_text[REQUEST_QUERY_TEXT]; /* what `query` points into */
    json_t *body;                        /* an object; {} when none was sent */
};

/* The path's parameter; "" never. */
const char *request_path(const struct request *rq, const char *name);
/* The path's parameter as a row's id. RC_NOT_FOUND if it cannot be one. */
enum rc request_id(const struct request *rq, const char *name, int64_t *out, struct err *err);

/* NULL if the query does not have it. */
const char *request_query(const struct request *rq, const char *name);
/* `out` is untouched when the query does not have it. */
enum rc request_query_int(const struct request *rq, const char *name, int64_t min, int64_t max, int64_t *out,
                          struct err *err);
enum rc request_query_bool(const struct request *rq, const char *name, bool *out, struct err *err);
enum rc request_query_time(const struct request *rq, const char *name, int64_t *out, struct err *err);
/* One of `choices` ("a|b|c"); *out is NULL when the query does not have it. */
enum rc request_query_choice(const struct request *rq, const char *name, const char *choices,
                             const char **out, struct err *err);

/* `limit` (1 to 1000, 50 if not given) and `cursor` (`start` if not given). */
struct page {
    int64_t limit, cursor;
};
enum rc request_page(const struct request *rq, int64_t start, struct page *out, struct err *err);

/* Fields of the body. A missing or null one is RC_INVALID, or the default where one is given by an _or
 * function. */
enum rc body_string(const struct request *rq, const char *name, size_t min, size_t max, const char **out,
                    struct err *err);
enum rc body_string_or(const struct request *rq, const char *name, size_t min, size_t max, const char *def,
                       const char **out, struct err *err);
enum rc body_choice_or(const struct request *rq, const char *name, const char *choices, const char *def,
                       const char **out, struct err *err);
enum rc body_bool_or(const struct request *rq, const char *name, bool def, bool *out, struct err *err);
enum rc body_int_or(const struct request *rq, const char *name, int64_t min, int64_t max, int64_t def,
                    int64_t *out, struct err *err);
enum rc body_time_or(const struct request *rq, const char *name, int64_t def, int64_t *out, struct err *err);
enum rc body_object_or_null(const struct request *rq, const char *name, json_t **out, struct err *err);
/* A short name for addresses and commands: lower case, digits and dashes, at most 63 of them. */
enum rc body_slug(const struct request *rq, const char *name, const char **out, struct err *err);
bool body_has(const struct request *rq, const char *name); /* there and not null */

/* Whether `value` is one of "a|b|c". */
bool is_choice(const char *choices, const char *value);

/* The sentence of a lower layer made one about `name`: "cron: minute: ...". */
enum rc field_wrap(const char *name, struct err *err);

#endif
