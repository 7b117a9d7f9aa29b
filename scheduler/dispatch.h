/* scheduler/dispatch.h
 * dispatch - Redis holds what it should: rebuilt when it was lost, mended where ids are missing.
 *
 * Redis carries a generation that must equal queue_state's, and queue_state the run id of the server that was
 * filled last. Anything else means that the lists cannot be trusted, and they are rebuilt from the rows:
 * dropped, then filled in the order in which the jobs are to run, on a connection of its own and a slice at a
 * time, so that ticks and reaping go on; workers claim meanwhile. An advisory lock sees to it that one
 * scheduler rebuilds, and queue_state changes in the last transaction: a rebuild that was cut off is begun
 * again.
 *
 * The check finds partial loss: a list with fewer ids than there are queued jobs that could run, twice in a
 * row, is dropped and filled again. Jobs that were queued a moment ago, and those that a worker has just
 * taken, do not count as missing.
 */
#ifndef DESKMILL_SCHEDULER_DISPATCH_H
#define DESKMILL_SCHEDULER_DISPATCH_H

#include "scheduler/push.h"

struct dispatch;
void dispatch_destroy(struct dispatch *d);
AUTO_DEFINE(dispatch)
enum rc dispatch_create(const char *database_url, int64_t check_ms, struct dispatch **out, struct err *err);

/* Looks at Redis, begins a rebuild where one is needed, and checks the lists where it is time to. */
enum rc dispatch_beat(struct dispatch *d, struct db *db, struct push *push, struct err *err);
/* Goes on rebuilding for a moment. */
enum rc dispatch_step(struct dispatch *d, struct push *push, struct err *err);
bool dispatch_rebuilding(const struct dispatch *d);
/* Another scheduler does it from here on. */
void dispatch_abandon(struct dispatch *d);

#endif
