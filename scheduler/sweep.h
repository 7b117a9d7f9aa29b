/* scheduler/sweep.h
 * sweep - retention: deletes what has served its time, a bounded batch at a time, so that nothing waits for
 * it.
 */
#ifndef DESKMILL_SCHEDULER_SWEEP_H
#define DESKMILL_SCHEDULER_SWEEP_H

#include "common/conf.h"
#include "common/db.h"
#include <stdbool.h>

struct sweep;
void sweep_destroy(struct sweep *s);
AUTO_DEFINE(sweep)
/* Options keep-done-days, keep-dead-days, keep-log-days; 0 = for ever. */
enum rc sweep_create(const struct conf *conf, struct sweep **out, struct err *err);

/* One batch of one table. *done: everything has been gone through, begin again in a minute or so. */
enum rc sweep_step(struct sweep *s, struct db *db, bool *done, struct err *err);

#endif
