/* api/watch.h
 * watch - what /metrics says of queues, tenants, running jobs and past events. However much waits, it looks
 * at a bounded number of rows and lists: depths beyond 5,000 are Redis's figure, or for want of one a lower
 * bound, or what ANALYZE estimated.
 */
#ifndef DESKMILL_API_WATCH_H
#define DESKMILL_API_WATCH_H

#include "api/request.h"
#include "common/buf.h"

/* Postgres answers. A statement that fails leaves its figures out. */
void watch_put(struct request *rq, struct buf *b);

#endif
