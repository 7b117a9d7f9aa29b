/* common/backoff.h
 * backoff - how long to wait before trying again: exponential, capped, with jitter.
 */
#ifndef DESKMILL_BACKOFF_H
#define DESKMILL_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t base_ms; /* the first wait, > 0 */
    int64_t cap_ms;  /* no wait is longer, >= base_ms */
};

/* Jobs: 5 s, 10 s, 20 s ... capped at 15 minutes. Connections: 100 ms doubling to 5 s. */
extern const struct backoff backoff_job;
extern const struct backoff backoff_connect;

/* The wait before the retry number `attempt` (1 = after the first failure), without jitter. Never overflows.
 */
int64_t backoff_ms(const struct backoff *b, int attempt);

/* The same with jitter: uniform in [half, whole], so that retries of one failure spread out but none comes at
 * once. */
int64_t backoff_jitter_ms(const struct backoff *b, int attempt);

#endif
