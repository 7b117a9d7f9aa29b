/* worker/batches.h
 * batches - how many jobs of each batch we claimed are still to be written back, so that the batch's row in
 * job_claims goes with the last of them.
 *
 * Threads: one.
 */
#ifndef DESKMILL_WORKER_BATCHES_H
#define DESKMILL_WORKER_BATCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch {
    int64_t number;
    int left;     /* its jobs that are not written back */
    int settling; /* those of them that are on their way */
};
struct batches {
    struct batch *v; /* by number, ascending */
    size_t n, cap;
};

void batches_fini(struct batches *b);

/* A batch of `jobs` jobs has come (0: only its row is to go); numbers ascend. False: no memory (the row is
 * left to the reaper). */
bool batches_open(struct batches *b, int64_t number, int jobs);
/* The lowest number there is, INT64_MAX if there is none. */
int64_t batches_oldest(const struct batches *b);
/* One of its jobs needs no writing back. Unknown numbers are fine. */
void batches_drop(struct batches *b, int64_t number);

/* One more of its jobs is on its way. */
void batches_settle(struct batches *b, int64_t number);
/* The batches that are over once what is on its way has arrived. `over` has room for b->n. */
size_t batches_over(const struct batches *b, int64_t *over);
/* It has arrived; those batches are forgotten. Or it has not: nothing is on its way any more. */
void batches_settled(struct batches *b, bool arrived);

#endif
