/* scheduler/signals.h
 * signals - what may need a person, said in the log when it begins and when it ends: jobs that take too long,
 * queues that nobody takes from. /metrics shows the same by the same statements (common/sql/signals.def).
 */
#ifndef DESKMILL_SCHEDULER_SIGNALS_H
#define DESKMILL_SCHEDULER_SIGNALS_H

#include "common/conf.h"
#include "common/db.h"

struct signals;
void signals_destroy(struct signals *s);
AUTO_DEFINE(signals)
/* Option stuck-s. */
enum rc signals_create(const struct conf *conf, struct signals **out, struct err *err);

/* Looks once: job.slow for each attempt that has become slow, queue.stuck and queue.unstuck. Also lets go, a
 * thousand at a time, of jobs in kind_waits that do not wait any more. */
enum rc signals_look(struct signals *s, struct db *db, struct err *err);

#endif
