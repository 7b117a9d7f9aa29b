/* test_budget - the shared allowance, against a real Redis (TEST_REDIS_URL) and without one. */
#include "common/budget.h"
#include "common/clock.h"
#include "tests/unit/tables.h"
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_MS 300

static int64_t next_integration;

/* One worker's view: its own connection, an integration of this test's own. */
struct side {
    struct cache *cache;
    struct budget *budget;
};

static void
side_open(struct side *s, const char *url, int64_t integration)
{
    struct err err = { 0 };

    if (cache_create(url, 2000, &s->cache, &err) != RC_OK ||
        budget_create(s->cache, integration, &s->budget, &err) != RC_OK)
        fail_msg("%s", err.text);
    budget_set_window_ms(s->budget, WINDOW_MS);
}

static void
side_close(struct side *s)
{
    budget_destroy(s->budget);
    cache_destroy(s->cache);
}

/* Opens `n` sides on one integration that nobody has used, or skips the test. */
static void
sides_open(struct side *s, size_t n)
{
    const char *url = getenv("TEST_REDIS_URL");

    if (url == NULL)
        skip();
    if (next_integration == 0)
        next_integration = clock_now() / 1000 * 100 + getpid() % 100;
    next_integration++;
    for (size_t i = 0; i < n; i++)
        side_open(&s[i], url, next_integration);
}

static int
take(struct side *s, const struct budget_class *c, int want, bool bulk, int64_t *wait_ms)
{
    struct err err = { 0 };
    int granted = -1;
    int64_t wait = -1;

    if (budget_take(s->budget, c, want, bulk, &granted, &wait, &err) != RC_OK)
        fail_msg("%s", err.text);
    assert_in_range(granted, 0, want);
    assert_true(granted > 0 || wait > 0);
    if (wait_ms != NULL)
        *wait_ms = wait;
    return granted;
}

static void
nap_ms(int64_t ms)
{
    (void)poll(NULL, 0, (int)ms);
}

/* Waits as told until tokens come, at most 10 s. */
static int
take_patiently(struct side *s, const struct budget_class *c, int want)
{
    int64_t deadline = clock_mono() + 10 * CLOCK_SECOND, wait;
    int n;

    while ((n = take(s, c, want, false, &wait)) == 0) {
        if (clock_mono() > deadline)
            fail_msg("no token within 10 s");
        nap_ms(wait);
    }
    return n;
}

/* The vendor's side: each grant lies somewhere between `before` and `after`. */
struct grant {
    int64_t before, after;
    int n;
};

/* Grants that fit in one window for certain, whatever their exact moments, may not be more than the limit
 * together. */
static void
assert_no_window_holds_more(const struct grant *g, size_t count, int limit)
{
    for (size_t i = 0; i < count; i++) {
        int sum = 0;

        for (size_t j = i; j < count && g[j].after - g[i].before <= WINDOW_MS * 1000; j++)
            sum += g[j].n;
        if (sum > limit)
            fail_msg("%d calls in a window of %d", sum, limit);
    }
}

static void
test_no_window_holds_more_than_the_limit(void **state)
{
    const struct budget_class c = { .name = "search", .limit = 10, .limit_max = 10 };
    struct side s[2];
    struct grant grants[2000];
    size_t count = 0;
    int total = 0;
    int64_t start, wait;
    unsigned seed = 7;

    (void)state;
    sides_open(s, 2);
    start = clock_mono();
    while (clock_mono() - start < 5 * WINDOW_MS * 1000 && count < COUNT_OF(grants)) {
        struct grant g = { .before = clock_mono() };

        g.n = take(&s[rand_r(&seed) % 2], &c, 1 + rand_r(&seed) % 3, false, &wait);
        g.after = clock_mono();
        if (g.n > 0)
            grants[count++] = g;
        else if (wait > WINDOW_MS + 1)
            fail_msg("told to wait %" PRId64 " ms", wait);
        total += g.n;
        nap_ms(rand_r(&seed) % (g.n > 0 ? 5 : 20));
    }
    assert_no_window_holds_more(grants, count, 10);
    assert_true(total >= 20); /* two windows' worth out of five: nothing got lost */
    side_close(&s[0]);
    side_close(&s[1]);
}

static void
test_tokens_come_back_when_told(void **state)
{
    const struct budget_class c = { .name = "search", .limit = 3, .limit_max = 3 };
    struct side s;
    int64_t wait, t0;

    (void)state;
    sides_open(&s, 1);
    assert_int_equal(take(&s, &c, 99, false, NULL), 3); /* as many as there are */
    t0 = clock_mono();
    assert_int_equal(take(&s, &c, 1, false, &wait), 0);
    assert_in_range(wait, 1, WINDOW_MS + 1);
    assert_int_equal(take_patiently(&s, &c, 99), 3);
    assert_true(clock_mono() - t0 < 5 * CLOCK_SECOND);
    side_close(&s);
}

static void
test_two_workers_share(void **state)
{
    const struct budget_class c = { .name = "search", .limit = 6, .limit_max = 6 };
    const struct budget_class other = { .name = "issues", .limit = 6, .limit_max = 6 };
    struct side s[2];

    (void)state;
    sides_open(s, 2);
    budget_set_window_ms(s[0].budget, 60000);
    budget_set_window_ms(s[1].budget, 60000);
    assert_int_equal(take(&s[0], &c, 4, false, NULL), 4);
    assert_int_equal(take(&s[1], &c, 4, false, NULL), 2);
    assert_int_equal(take(&s[0], &c, 1, false, NULL), 0);
    assert_int_equal(take(&s[1], &other, 6, false, NULL), 6); /* each class has its own */
    side_close(&s[0]);
    side_close(&s[1]);
}

static struct reserve_case {
    const char *name;
    int limit, bulk_gets;
} reserves[] = {
    { "bulk leaves a fifth of 20", 20, 16 }, { "bulk leaves a fifth of 10", 10, 8 },
    { "bulk leaves one of 2", 2, 1 },        { "bulk leaves one of 4", 4, 3 },
    { "bulk may have the only one", 1, 1 },
};

static void
check_reserve(void **state)
{
    const struct reserve_case *r = *state;
    const struct budget_class c = { .name = "search", .limit = r->limit, .limit_max = r->limit };
    struct side s;
    int64_t wait;

    sides_open(&s, 1);
    budget_set_window_ms(s.budget, 60000);
    assert_int_equal(take(&s, &c, 1000, true, NULL), r->bulk_gets);
    assert_int_equal(take(&s, &c, 1, true, &wait), 0);
    assert_in_range(wait, 1, 60001);
    if (r->limit > r->bulk_gets)
        assert_int_equal(take(&s, &c, 1000, false, NULL), r->limit - r->bulk_gets);
    side_close(&s);
}

static void
test_no_limit(void **state)
{
    const struct budget_class c = { .name = "free", .limit = 0, .limit_max = 0 };
    struct side s;
    int64_t wait;

    (void)state;
    sides_open(&s, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(take(&s, &c, 50, i % 2 == 0, NULL), 50);
    budget_learn(s.budget, &c, 3, -1); /* teaches nothing */
    assert_int_equal(take(&s, &c, 50, true, NULL), 50);
    budget_learn(s.budget, &c, -1, 400); /* but a 429 shuts it all the same */
    assert_int_equal(take(&s, &c, 1, false, &wait), 0);
    assert_in_range(wait, 1, 400);
    assert_int_equal(take_patiently(&s, &c, 5), 5);
    side_close(&s);
}

static void
test_a_higher_limit_is_learned(void **state)
{
    const struct budget_class c = { .name = "search", .limit = 4, .limit_max = 12 };
    struct side s[2];

    (void)state;
    sides_open(s, 2);
    budget_set_window_ms(s[0].budget, 60000);
    budget_set_window_ms(s[1].budget, 60000);
    assert_int_equal(take(&s[0], &c, 1, false, NULL), 1);
    budget_learn(s[0].budget, &c, 3, -1); /* 4 together: what we knew */
    assert_int_equal(take(&s[0], &c, 100, false, NULL), 3);
    budget_learn(s[0].budget, &c, 7, -1); /* 8 together */
    assert_int_equal(take(&s[1], &c, 100, false, NULL), 4);
    budget_learn(s[1].budget, &c, 119, -1); /* never beyond limit_max */
    assert_int_equal(take(&s[0], &c, 100, false, NULL), 4);
    budget_learn(s[0].budget, &c, 0, -1); /* a low count is no lower limit */
    assert_int_equal(take(&s[0], &c, 100, false, NULL), 0);
    side_close(&s[0]);
    side_close(&s[1]);
}

static void
test_a_429_shuts_and_opens_again(void **state)
{
    const struct budget_class c = { .name = "search", .limit = 10, .limit_max = 20 };
    struct side s[2];
    int64_t wait;

    (void)state;
    sides_open(s, 2);
    assert_int_equal(take(&s[0], &c, 2, false, NULL), 2);
    budget_learn(s[0].budget, &c, -1, 700);
    budget_learn(s[1].budget, &c, -1, 700); /* the same blow */
    assert_int_equal(take(&s[1], &c, 1, false, &wait), 0);
    assert_in_range(wait, 1, 700);
    assert_int_equal(take_patiently(&s[1], &c, 100), 9); /* and the limit went down by a tenth, once */
    budget_learn(s[1].budget, &c, 9, -1);                /* the vendor says: still 10 */
    assert_int_equal(take(&s[0], &c, 100, false, NULL), 1);
    side_close(&s[0]);
    side_close(&s[1]);
}

static void
test_the_limit_falls_to_half_and_no_further(void **state)
{
    const struct budget_class c = { .name = "search", .limit = 6, .limit_max = 6 };
    struct side s;

    (void)state;
    sides_open(&s, 1);
    for (int i = 0; i < 8; i++) {
        budget_learn(s.budget, &c, -1, 1);
        (void)take_patiently(&s, &c, 1);
    }
    nap_ms(WINDOW_MS + 1); /* let all come back: there's nothing to ask for it without spending */
    assert_int_equal(take_patiently(&s, &c, 100), 3);
    side_close(&s);
}

static void
test_waits_without_a_header_double(void **state)
{
    const struct budget_class c = { .name = "search", .limit = 100, .limit_max = 100 };
    struct side s;
    int64_t wait;

    (void)state;
    sides_open(&s, 1);
    budget_learn(s.budget, &c, -1, 0);
    assert_int_equal(take(&s, &c, 1, false, &wait), 0);
    assert_in_range(wait, 1, 1000);
    assert_int_equal(take_patiently(&s, &c, 1), 1);
    budget_learn(s.budget, &c, -1, 0); /* and again, with no good answer in between */
    assert_int_equal(take(&s, &c, 1, false, &wait), 0);
    assert_in_range(wait, 1001, 2000);
    assert_int_equal(take_patiently(&s, &c, 1), 1);
    budget_learn(s.budget, &c, -1, -1); /* a good answer ends the row */
    budget_learn(s.budget, &c, -1, 0);
    assert_int_equal(take(&s, &c, 1, false, &wait), 0);
    assert_in_range(wait, 1, 1000);
    side_close(&s);
}

static void
test_keys_go_by_themselves(void **state)
{
    const struct budget_class c = { .name = "search", .limit = 10, .limit_max = 10 };
    struct side s;

    (void)state;
    sides_open(&s, 1);
    (void)take(&s, &c, 1, false, NULL);
    for (size_t i = 0; i < 2; i++) {
        AUTO(reply) r = NULL;
        struct err err = { 0 };
        char key[96];

        (void)snprintf(key, sizeof key, i == 0 ? "dm:b:{%" PRId64 ":search}" : "dm:bl:{%" PRId64 ":search}",
                       next_integration);
        assert_int_equal(cache_run(s.cache, &r, &err, "PTTL", key, NULL), RC_OK);
        assert_in_range(reply_int(r), 1, WINDOW_MS * 1000);
    }
    side_close(&s);
}

static void
test_the_scripts_check_their_arguments(void **state)
{
    static const char *const bad[][7] = {
        { "h", "l", "x", "10", "10", "1", "0" },     { "h", "l", "300", "-1", "10", "1", "0" },
        { "h", "l", "300", "10", "10", "0", "0" },   { "h", "l", "300", "10", "10", "1", "2" },
        { "h", "l", "300", "10", "10", "1.5", "0" }, { "h", "l", "0", "10", "10", "1", "0" },
    };
    struct side s;
    struct err err = { 0 };

    (void)state;
    sides_open(&s, 1);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(cache_script(s.cache, SCRIPT_budget_take, 2, 7, bad[i], NULL, &err), RC_PROTOCOL);
    assert_int_equal(cache_script(s.cache, SCRIPT_budget_take, 2, 6, bad[0], NULL, &err), RC_PROTOCOL);
    assert_int_equal(cache_script(s.cache, SCRIPT_budget_learn, 1, 3, bad[0], NULL, &err), RC_PROTOCOL);
    side_close(&s);
}

static void
test_a_lost_half_is_mended(void **state)
{
    const struct budget_class c = { .name = "search", .limit = 4, .limit_max = 4 };
    struct side s;
    struct err err = { 0 };
    char key[96];

    (void)state;
    sides_open(&s, 1);
    for (int i = 0; i < 2; i++) {
        (void)take(&s, &c, 4, false, NULL);
        (void)snprintf(key, sizeof key, i == 0 ? "dm:b:{%" PRId64 ":search}" : "dm:bl:{%" PRId64 ":search}",
                       next_integration);
        assert_int_equal(cache_run(s.cache, NULL, &err, "DEL", key, NULL), RC_OK);
        assert_int_equal(take(&s, &c, 100, false, NULL), 4); /* forgotten, not stuck and not doubled */
        assert_int_equal(take(&s, &c, 1, false, NULL), 0);
        assert_true(take_patiently(&s, &c, 4) <= 4);
    }
    side_close(&s);
}

/* Nobody listens on port 1. */
#define NO_REDIS "redis://127.0.0.1:1"

static void
test_without_redis_a_quarter(void **state)
{
    const struct budget_class c = { .name = "search", .limit = 8, .limit_max = 8 };
    struct side s;
    int64_t start, wait;
    int total = 0;

    (void)state;
    side_open(&s, NO_REDIS, 1);
    start = clock_mono();
    while (clock_mono() - start < 4 * WINDOW_MS * 1000) {
        int n = take(&s, &c, 5, false, &wait);

        assert_in_range(n, 0, 1);
        assert_in_range(n > 0 ? 1 : wait, 1, WINDOW_MS);
        total += n;
        nap_ms(5);
    }
    assert_in_range(total, 2, 9); /* 2 in each of 4 windows, and one for the fence */
    side_close(&s);
}

static void
test_without_redis_a_429_still_counts(void **state)
{
    const struct budget_class c = { .name = "free", .limit = 0, .limit_max = 0 };
    struct side s;
    int64_t wait;

    (void)state;
    side_open(&s, NO_REDIS, 1);
    assert_int_equal(take(&s, &c, 7, false, NULL), 7);
    budget_learn(s.budget, &c, -1, 300);
    assert_int_equal(take(&s, &c, 1, false, &wait), 0);
    assert_in_range(wait, 1, 300);
    assert_int_equal(take_patiently(&s, &c, 1), 1);
    budget_learn(s.budget, &c, -1, 0);
    assert_int_equal(take(&s, &c, 1, false, &wait), 0);
    assert_in_range(wait, 1001, 2000); /* the second in a row */
    side_close(&s);
}

static void
test_nonsense_is_refused(void **state)
{
    static const struct budget_class bad[] = {
        { .name = "", .limit = 1 },        { .name = "a}b", .limit = 1 },
        { .name = "a b", .limit = 1 },     { .name = "a", .limit = -1 },
        { .name = "a", .limit = 2000000 }, { .name = "abcdefghijklmnopqrstuvwxyzabcdefghijkl", .limit = 1 }
    };
    static const struct budget_class good = { .name = "a", .limit = 1 };
    struct side s;
    struct err err = { 0 };
    int n;
    int64_t wait;

    (void)state;
    side_open(&s, NO_REDIS, 1);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(budget_take(s.budget, &bad[i], 1, false, &n, &wait, &err), RC_INVALID);
        budget_learn(s.budget, &bad[i], 1, 1);
    }
    assert_int_equal(budget_take(s.budget, &good, 0, false, &n, &wait, &err), RC_INVALID);
    side_close(&s);
}

int
main(void)
{
    TEST_ONE(test_no_window_holds_more_than_the_limit);
    TEST_ONE(test_tokens_come_back_when_told);
    TEST_ONE(test_two_workers_share);
    TEST_TABLE(reserves, check_reserve);
    TEST_ONE(test_no_limit);
    TEST_ONE(test_a_higher_limit_is_learned);
    TEST_ONE(test_a_429_shuts_and_opens_again);
    TEST_ONE(test_the_limit_falls_to_half_and_no_further);
    TEST_ONE(test_waits_without_a_header_double);
    TEST_ONE(test_keys_go_by_themselves);
    TEST_ONE(test_the_scripts_check_their_arguments);
    TEST_ONE(test_a_lost_half_is_mended);
    TEST_ONE(test_without_redis_a_quarter);
    TEST_ONE(test_without_redis_a_429_still_counts);
    TEST_ONE(test_nonsense_is_refused);
    return TESTS_RUN("budget");
}
