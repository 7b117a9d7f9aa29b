/* limiter - how many calls of one endpoint are accepted in any stretch of `window_us`. Rejected calls do not
 * count.
 *
 * Ownership: in the caller's storage; an all-zero limiter lets everything through and may be `fini`ed.
 * Threads:   the simulator's lock guards it.
 */
#ifndef VENDORSIM_LIMITER_H
#define VENDORSIM_LIMITER_H

#include <stddef.h>
#include <stdint.h>

/* Moments not older than a window, and the most there ever were at once. */
struct ring {
    int64_t *at;
    size_t head, len, cap, most;
};

struct limiter {
    int64_t allowed; /* 0: no limit */
    int64_t window_us;
    struct ring window;
    struct ring minute; /* for the statistics: always 60 s */
};

void limiter_fini(struct limiter *l);
void limiter_set(struct limiter *l, int64_t allowed, int64_t window_us);
/* 0 when a call may pass at `now`, else the microseconds until one may. */
int64_t limiter_wait(struct limiter *l, int64_t now);
void limiter_count(struct limiter *l, int64_t now); /* a call has been accepted */
int64_t limiter_left(const struct limiter *l);      /* further calls that would pass now; -1: no limit */

#endif
