/* api/health.h
 * health - how the whole service is doing, asked once: for /readyz, /metrics and /api/sync/status.
 */
#ifndef DESKMILL_API_HEALTH_H
#define DESKMILL_API_HEALTH_H

#include "api/request.h"

struct health {
    struct err postgres, redis, schema; /* rc RC_OK: fine */
    bool leader;                        /* a scheduler's lease is fresh */
    int64_t workers, slots;             /* alive */
    int64_t queued, running, rebuilds;  /* queued: up to 1,001 of each queue */
    bool has_integration;
};
/* Asks both servers; what cannot be reached is told in the fields, and figures are then 0. */
void health_check(struct request *rq, struct health *out);

#endif
