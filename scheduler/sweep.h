/* scheduler/sweep.h
 * sweep - retention, by age and by bytes: deletes what has served its time, a bounded batch at a time, so
 * that nothing waits for it.
 *
 * By bytes: where the live rows of a table (their widths and a share of the indexes, not the file, which a
 * DELETE does not shrink) exceed the bound, the oldest finished ones go until nine tenths of it are left;
 * dead jobs only when no other finished one is left, unfinished ones never.
 */
#ifndef DESKMILL_SCHEDULER_SWEEP_H
#define DESKMILL_SCHEDULER_SWEEP_H

#include "common/conf.h"
#include "common/db.h"
#include <stdbool.h>

struct sweep;
void sweep_destroy(struct sweep *s);
AUTO_DEFINE(sweep)
/* Options sweep-ms, keep-*-days, *-max-mb; 0 = for ever, without bound. */
enum rc sweep_create(const struct conf *conf, struct sweep **out, struct err *err);

/* One batch of one chore. *wait: microseconds until the next; 0 while something is left to do. */
enum rc sweep_step(struct sweep *s, struct db *db, int64_t *wait, struct err *err);

#endif
