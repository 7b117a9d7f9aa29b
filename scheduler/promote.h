/* scheduler/promote.h
 * promote - scheduled jobs whose moment has come are queued. Safe to run side by side: each row is taken by
 * one.
 */
#ifndef DESKMILL_SCHEDULER_PROMOTE_H
#define DESKMILL_SCHEDULER_PROMOTE_H

#include "scheduler/push.h"

/* One batch; *n jobs were promoted and pushed. */
enum rc promote_batch(struct db *db, struct push *push, size_t *n, struct err *err);

/* Parents that wait although none of their children does any more. */
enum rc promote_orphans(struct db *db, struct push *push, struct err *err);

#endif
