/* scheduler/ticks.h
 * ticks - cron schedules become jobs, each tick once: the tick's row, its job and the schedule's next tick
 * are one transaction.
 *
 * Runs twice safely: schedules are locked (SKIP LOCKED) while they are dealt with, and (schedule, tick) is
 * unique. A schedule that cannot run gets its reason in schedules.error and holds nobody up.
 */
#ifndef DESKMILL_SCHEDULER_TICKS_H
#define DESKMILL_SCHEDULER_TICKS_H

#include "scheduler/push.h"

struct ticks;
void ticks_destroy(struct ticks *t);
AUTO_DEFINE(ticks)
enum rc ticks_create(struct ticks **out, struct err *err);

/* One batch of new schedules (`fresh`: they get a next tick and do not fire) or of due ones. *n schedules
 * were dealt with. */
enum rc ticks_batch(struct ticks *t, struct db *db, struct push *push, bool fresh, size_t *n,
                    struct err *err);

#endif
