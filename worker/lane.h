/* worker/lane.h
 * lane - the memory that a worker's parent shares with one child: which of the jobs it was given the child
 * has begun, which it may not begin any more, how those it ran have ended, and whether it is to stop.
 *
 * A child is given several short jobs at once, so that it need not wait for the parent between them. Should
 * one of them turn out long, the parent takes back those behind it. Both sides decide with one
 * compare-and-swap on one word, so that each job is either begun or taken back, never both, whatever the two
 * do meanwhile.
 *
 * Results lie here from the moment they exist, whatever becomes of the child. The parent is told of them only
 * if it is not about to look anyway.
 *
 * Jobs are numbered from 1 by the parent, for each child anew. At most LANE_JOBS may be given and not yet
 * read. Threads: each side one.
 */
#ifndef DESKMILL_WORKER_LANE_H
#define DESKMILL_WORKER_LANE_H

#include "common/job.h"

enum { LANE_JOBS = 256 };

struct lane_result {
    uint32_t number;
    enum outcome outcome;
    bool touched;
    int64_t delay_ms;
    int64_t us;      /* microseconds that the job took */
    char error[256]; /* "" = none */
};

struct lane;

/* Shared with whatever is forked from here on. */
enum rc lane_create(struct lane **out, struct err *err);
void lane_destroy(struct lane *l); /* this process's view of it; NULL is fine */

/* The parent's. */
void lane_reset(struct lane *l);                     /* before a fork: nothing begun, taken back or ended */
uint32_t lane_take_back(struct lane *l, uint32_t n); /* none up to number n may be begun from here on; returns
                                                        the last one that was begun, which may be n */
uint32_t lane_begun(const struct lane *l);
void lane_stop(struct lane *l); /* the child is to end its job at the next page */
/* Before reading results: what ends from here on is told of again. */
void lane_look(struct lane *l);
/* The next result, in the order in which jobs were begun; NULL if there is none. Gone with the next call.
 * What a broken child may have written is the caller's to doubt; the error ends in a 0. */
const struct lane_result *lane_read(struct lane *l);

/* The child's. */
bool lane_begin(struct lane *l, uint32_t n); /* false: taken back, leave it alone */
bool lane_stopped(const struct lane *l);
/* Where to write the result of the job that was begun last. */
struct lane_result *lane_result(struct lane *l);
/* It is written. True: the parent must be told. */
bool lane_end(struct lane *l);

#endif
