#include "common/backoff.h"
#include "common/clock.h"
#include <assert.h>
#include <sys/random.h>

const struct backoff backoff_job = { .base_ms = 5000, .cap_ms = 900000 };
const struct backoff backoff_connect = { .base_ms = 100, .cap_ms = 5000 };

int64_t
backoff_ms(const struct backoff *b, int attempt)
{
    int64_t ms = b->base_ms;

    assert(b->base_ms > 0 && b->cap_ms >= b->base_ms);
    for (int i = 1; i < attempt && ms < b->cap_ms; i++)
        ms = ms > b->cap_ms / 2 ? b->cap_ms : ms * 2;
    return ms;
}

/* The kernel's random numbers need no seed and no lock, and differ between the children of one fork. */
static uint64_t
random_u64(void)
{
    uint64_t r = 0;

    if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r)
        r = (uint64_t)clock_mono() *
            UINT64_C(0x9e3779b97f4a7c15); /* before the kernel has any: the clock will do */
    return r;
}

int64_t
backoff_jitter_ms(const struct backoff *b, int attempt)
{
    int64_t whole = backoff_ms(b, attempt);
    int64_t half = whole - whole / 2;

    return half + (int64_t)(random_u64() % (uint64_t)(whole - half + 1));
}
