/* api/handlers.h
 * handlers - the prototypes of all handlers, out of routes.def; each file in api/routes includes it.
 */
#ifndef DESKMILL_API_HANDLERS_H
#define DESKMILL_API_HANDLERS_H

#include "api/answer.h"
#include "api/request.h"

#define ROUTE(method, path, role, handler, takes, summary) \
    enum rc route_##handler(struct request *rq, struct answer *an, struct err *err);
#include "api/routes.def"
#undef ROUTE

#endif
