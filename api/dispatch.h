/* api/dispatch.h
 * dispatch - from a request as it came over the wire to its answer: route, key, query, body, handler,
 * problem.
 *
 * Knows nothing of the HTTP library; server.c knows nothing of routes.
 *
 * Threads: any number at once.
 */
#ifndef DESKMILL_API_DISPATCH_H
#define DESKMILL_API_DISPATCH_H

#include "api/answer.h"
#include "api/request.h"

struct wire_request {
    const char *method, *path;         /* the path is still encoded */
    const struct request_param *query; /* still encoded; a value may be NULL */
    size_t query_n;
    const char *authorization, *api_key; /* headers, or NULL */
    const char *body;
    size_t body_len;
    bool too_large; /* the body went past the ceiling and was thrown away */
    size_t body_max;
};

/* Always leaves an answer. *route: the row that matched, for the log, or NULL. */
void dispatch(struct app *a, const struct wire_request *w, struct answer *an, const struct route **route);

#endif
