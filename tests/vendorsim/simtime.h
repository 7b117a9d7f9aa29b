/* simtime - moments as microseconds since 1970 UTC, their RFC 3339 text, and a clock that tests can move.
 *
 * Threads: a simclock has no lock of its own; the simulator's lock guards it.
 */
#ifndef VENDORSIM_SIMTIME_H
#define VENDORSIM_SIMTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define TIME_NONE INT64_MIN
#define USEC      INT64_C(1000000)
#define MINUTE_US (60 * USEC)
#define HOUR_US   (3600 * USEC)
#define DAY_US    (86400 * USEC)

struct simclock {
    int64_t base;    /* what the clock said ... */
    int64_t started; /* ... at this monotonic moment */
    bool frozen;
};

int64_t mono_us(void); /* monotonic, for waits and windows */
int64_t wall_us(void);

void simclock_set(struct simclock *c, int64_t us);
void simclock_freeze(struct simclock *c, bool frozen);
int64_t simclock_now(const struct simclock *c);

/* False when `s` is not RFC 3339 with a zone. */
bool simtime_parse(const char *s, int64_t *us);
/* Quoted, in UTC; trailing zeros of the fraction are left out, as Go does; TIME_NONE gives null. */
void simtime_put(struct buf *b, int64_t us);
int simtime_weekday(int64_t us); /* 0 = Sunday */

#endif
