/* rng - a small seeded generator. The same seed gives the same numbers on every machine.
 *
 * rng_mix() derives the seed of one record from the seed of the run, so that a record can be made again,
 * alone.
 */
#ifndef VENDORSIM_RNG_H
#define VENDORSIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t s;
};

static inline uint64_t
rng_next(struct rng *r)
{
    uint64_t z = (r->s += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint64_t
rng_mix(uint64_t seed, uint64_t kind, uint64_t index)
{
    struct rng r = { seed ^ (kind * UINT64_C(0xd6e8feb86659fd93)) };

    r.s = rng_next(&r) ^ (index * UINT64_C(0xa0761d6478bd642f));
    return rng_next(&r);
}

/* A number in [0, n); 0 when n is 0. */
static inline uint32_t
rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

static inline int64_t
rng_between(struct rng *r, int64_t lo, int64_t hi) /* both included; lo when hi < lo */
{
    if (hi <= lo)
        return lo;
    return lo + (int64_t)(rng_next(r) % (uint64_t)(hi - lo + 1));
}

static inline bool
rng_chance(struct rng *r, uint32_t permille)
{
    return rng_below(r, 1000) < permille;
}

static inline double
rng_unit(struct rng *r) /* [0, 1) */
{
    return (double)(rng_next(r) >> 11) * 0x1.0p-53;
}

#endif
