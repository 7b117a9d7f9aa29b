/* api/router.h
 * router - which row of api/routes.def a method and a path mean, and the parts of the path.
 *
 * Paths are matched segment by segment before they are decoded, so that an encoded slash stays inside its
 * segment: /api/v1/integrations/acme%2Fpylon has the id "acme/pylon".
 *
 * Threads: constants.
 */
#ifndef DESKMILL_API_ROUTER_H
#define DESKMILL_API_ROUTER_H

#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>

struct request;
struct answer;

/* What a caller must be. With one key from the environment its bearer is all of them but PUBLIC's nobody. */
enum role { PUBLIC, VIEWER, OPERATOR, ADMIN };

typedef enum rc (*route_fn)(struct request *rq, struct answer *an, struct err *err);

struct route {
    const char *method, *path; /* "/api/v1/jobs/{id}" */
    enum role role;
    route_fn fn;
    const char
        *takes; /* names separated by spaces: query parameters, or the body's keys for POST and PATCH */
    const char *summary; /* for the OpenAPI document and for people */
};
extern const struct route routes[]; /* ends with a NULL method */

enum { ROUTE_PARAMS_MAX = 2, ROUTE_VALUE_MAX = 256 };
struct route_match {
    const struct route *route; /* NULL: no such path, or not with this method (then `allow` is not empty) */
    char allow[64];            /* "GET, HEAD, POST" */
    size_t n;
    struct route_param {
        char name[32], value[ROUTE_VALUE_MAX];
    } params[ROUTE_PARAMS_MAX];
};

/* `path` as it came over the wire, without the query. RC_INVALID: its encoding is broken. */
enum rc router_match(const struct route *table, const char *method, const char *path, struct route_match *out,
                     struct err *err);

/* Whether `name` is one of the words of `takes`. */
bool route_takes(const struct route *r, const char *name);
bool route_has_body(const struct route *r);

/* Undoes %XX, and '+' where `plus`; false for broken escapes, NUL, or more than `size` - 1 bytes. */
bool router_decode(const char *s, size_t n, bool plus, char *out, size_t size);

#endif
