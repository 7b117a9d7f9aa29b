/* common/counters.h
 * counters - how often what happened, kept in table `counters`, so that the figures outlive every process.
 *
 * What happens often is counted in the process and written now and then (a worker's parent: with its beat),
 * what is rare is written at once. A figure may be short of what a process that was killed had not written
 * yet, and count a batch twice whose commit was not confirmed: good enough to watch, never to decide by.
 *
 * Threads: one thread at a time.
 */
#ifndef DESKMILL_COUNTERS_H
#define DESKMILL_COUNTERS_H

#include "common/dba.h"

enum counter {
#define COUNTER(id, metric, label, label2, unit, help) COUNTER_##id,
#include "common/counters.def"
#undef COUNTER
    COUNTER_COUNT
};

struct counter_info {
    const char *name; /* in the table */
    const char *metric, *label, *label2, *help;
    int64_t unit;
};
extern const struct counter_info counter_infos[COUNTER_COUNT];

struct counters; /* what one process has counted and not yet written */
void counters_destroy(struct counters *c);
AUTO_DEFINE(counters)
enum rc counters_create(struct counters **out, struct err *err);

/* Labels ("" = none) are words out of a small set: names of kinds, queues, outcomes. They are copied. */
void counters_add(struct counters *c, enum counter id, const char *label, const char *label2, int64_t n);

/* Writes what was counted. In a transaction of its own: the rows are everyone's. On failure it stays counted.
 */
enum rc counters_write(struct counters *c, struct db *db, struct err *err);
/* The same on a loop: does nothing while the last batch is on its way. `c` must outlive `d`. */
void counters_send(struct counters *c, struct dba *d);

/* One rare event, written at once. */
enum rc counters_add_now(struct db *db, enum counter id, const char *label, int64_t n, struct err *err);

#endif
