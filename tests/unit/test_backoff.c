#include "common/backoff.h"
#include "tests/unit/tables.h"
#include <limits.h>
#include <stdbool.h>

static const struct backoff one_ms = { .base_ms = 1, .cap_ms = 1 };
static const struct backoff huge = { .base_ms = INT64_MAX / 3, .cap_ms = INT64_MAX };

static struct backoff_case {
    const char *name;
    const struct backoff *b;
    int attempt;
    int64_t want_ms;
} cases[] = {
    { "a job's first retry waits 5 s", &backoff_job, 1, 5000 },
    { "the second twice as long", &backoff_job, 2, 10000 },
    { "the third twice that", &backoff_job, 3, 20000 },
    { "the last below the cap", &backoff_job, 8, 640000 },
    { "the cap holds", &backoff_job, 9, 900000 },
    { "the cap holds forever", &backoff_job, INT_MAX, 900000 },
    { "no attempt yet counts as the first", &backoff_job, 0, 5000 },
    { "nor does a negative one hurt", &backoff_job, -3, 5000 },
    { "a connection starts at 100 ms", &backoff_connect, 1, 100 },
    { "a connection doubles", &backoff_connect, 4, 800 },
    { "a connection ends at 5 s", &backoff_connect, 7, 5000 },
    { "base and cap may be the same", &one_ms, 5, 1 },
    { "doubling does not overflow", &huge, 2, INT64_MAX / 3 * 2 },
    { "at the end of the range", &huge, 3, INT64_MAX },
};

static void
check(void **state)
{
    const struct backoff_case *c = *state;

    assert_int_equal(backoff_ms(c->b, c->attempt), c->want_ms);
}

static void
check_jitter_bounds(void **state)
{
    const struct backoff_case *c = *state;

    for (int i = 0; i < 200; i++) {
        int64_t ms = backoff_jitter_ms(c->b, c->attempt);

        assert_true(ms >= c->want_ms / 2 && ms > 0);
        assert_true(ms <= c->want_ms);
    }
}

/* 400 draws out of 51 values miss a given one with a chance of 0.04 %: so the ends are looked for in thirds.
 */
static void
jitter_spreads_over_the_whole_half(void **state)
{
    bool low = false, high = false;

    (void)state;
    for (int i = 0; i < 400; i++) {
        int64_t ms = backoff_jitter_ms(&backoff_connect, 1);

        low = low || ms < 67;
        high = high || ms > 83;
    }
    assert_true(low);
    assert_true(high);
}

int
main(void)
{
    TEST_TABLE(cases, check);
    TEST_TABLE(cases, check_jitter_bounds);
    TEST_ONE(jitter_spreads_over_the_whole_half);
    return TESTS_RUN("backoff");
}
