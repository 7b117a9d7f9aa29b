/* common/budget.h
 * budget - a vendor's request allowance, shared by every worker: per (integration, endpoint class), in Redis.
 *
 * A class has `limit` tokens. A token that was spent comes back one window (60 s + 1 s for the network) after
 * it was spent, so that no window of the vendor's ever sees more than `limit` calls, however the vendor
 * slides it, and yet the whole allowance can be used, in a burst or evenly. That second is for the call to
 * get there: take no more tokens than are used at once. Bulk work leaves a reserve of tokens untouched for
 * live work.
 *
 * A 429 shuts the class until the moment the vendor named. What headers teach (a higher or lower limit) is
 * kept beside the tokens. Redis's clock decides. Without Redis, each caller paces itself at a quarter of the
 * limit by its own monotonic clock: at most that many too many, stated in the README.
 *
 * Threads: one thread at a time.
 */
#ifndef DESKMILL_BUDGET_H
#define DESKMILL_BUDGET_H

#include "common/auto.h"
#include "common/cache.h"
#include "common/err.h"
#include <stdbool.h>
#include <stdint.h>

struct budget_class {
    const char *name; /* "search": part of the key */
    int limit;        /* calls per minute to assume until the vendor teaches better; 0 = no limit */
    int limit_max;    /* never learn beyond this */
};

struct budget;
void budget_destroy(struct budget *b);
AUTO_DEFINE(budget)
/* Borrows the cache. */
enum rc budget_create(struct cache *c, int64_t integration_id, struct budget **out, struct err *err);

/* Takes up to `want` tokens. *granted may be less; if it is 0, *wait_ms tells when to ask again (> 0). `bulk`
 * respects the reserve (a fifth of the limit, at least 1 when the limit is above 1). RC_OK also without
 * Redis; RC_INVALID for a class that makes no sense (a name with one of "{}: " or of more than 31 bytes, a
 * limit out of range). */
enum rc budget_take(struct budget *b, const struct budget_class *c, int want, bool bulk, int *granted,
                    int64_t *wait_ms, struct err *err);

/* After an answer. `remaining` is from its headers (-1 = none). `retry_after_ms` is of a 429 (-1 = the answer
 * was no 429; a 429 without a usable header counts as 0 and waits 1 s, doubling up to 60 s with each in a
 * row).
 *
 * `remaining` calls and the one just answered prove a limit of that many together; a higher limit than ours
 * is learned (at most limit_max). What else we have spent proves nothing, as the vendor's window may have
 * begun after it. A 429 means that the limit is lower than we think: it goes down by a tenth, never below
 * half the class's own. 429s that come in while the class is shut belong to the same blow: they can lengthen
 * it but do not count again. */
void budget_learn(struct budget *b, const struct budget_class *c, int64_t remaining, int64_t retry_after_ms);

/* Another window than the vendors' minute: for tests. */
void budget_set_window_ms(struct budget *b, int64_t ms);

#endif
