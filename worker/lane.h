/* worker/lane.h
 * lane - the memory that a worker's parent shares with one child: which of the jobs it was given the child
 * has begun, which it may not begin any more, and whether it is to stop.
 *
 * A child is given several short jobs at once, so that it need not wait for the parent between them. Should
 * one of them turn out long, the parent takes back those behind it. Both sides decide with one
 * compare-and-swap on one word, so that each job is either begun or taken back, never both, whatever the two
 * do meanwhile.
 *
 * Jobs are numbered from 1 by the parent, for each child anew.
 * Threads: each side one.
 */
#ifndef DESKMILL_WORKER_LANE_H
#define DESKMILL_WORKER_LANE_H

#include "common/err.h"
#include <stdbool.h>
#include <stdint.h>

struct lane;

/* Shared with whatever is forked from here on. */
enum rc lane_create(struct lane **out, struct err *err);
void lane_destroy(struct lane *l); /* this process's view of it; NULL is fine */

/* The parent's. */
void lane_reset(struct lane *l);                     /* before a fork: nothing begun, nothing taken back */
uint32_t lane_take_back(struct lane *l, uint32_t n); /* none up to number n may be begun from here on; returns
                                                        the last one that was begun, which may be n */
uint32_t lane_begun(const struct lane *l);
void lane_stop(struct lane *l); /* the child is to end its job at the next page */

/* The child's. */
bool lane_begin(struct lane *l, uint32_t n); /* false: taken back, leave it alone */
bool lane_stopped(const struct lane *l);

#endif
