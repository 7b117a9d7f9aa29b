/* tests/unit/test_rates.c - what was done a second, between two answers of the api. */
#include "api/cli/rates.h"
#include "common/auto.h"
#include "tests/unit/tables.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* An answer: at second `at`, ids up to `enqueued`, `queued` jobs in the default queue; then workers. */
static json_t *
answer(int at, int enqueued, int queued, const char *is, const char *workers)
{
    char text[4096];
    json_t *j;

    (void)snprintf(
        text, sizeof text,
        "{\"at\": \"2030-01-01T00:00:%02dZ\", \"enqueued\": %d, \"queues\": [{\"queue\": \"live\", \"queued\": 0,"
        " \"queued_is\": \"exact\"}, {\"queue\": \"default\", \"queued\": %d, \"queued_is\": \"%s\"},"
        " {\"queue\": \"bulk\", \"queued\": 0, \"queued_is\": \"exact\"}], \"workers\": {\"items\": [%s]}}",
        at, enqueued, queued, is, workers);
    j = json_loads(text, 0, NULL);
    assert_non_null(j);
    return j;
}

#define WORKER(id, beat, n, done, failed)                                                 \
    "{\"id\": " #id ", \"beat_at\": \"2030-01-01T00:00:" #beat                            \
    "Z\", \"started\": {\"live\": 0, \"default\": " #n ", \"bulk\": 0}, \"done\": " #done \
    ", \"failed\": " #failed "}"

static struct rates_case {
    const char *name;
    int at[2], enqueued[2], queued[2];
    const char *is, *workers[2];
    double enqueued_rate, started, done, failed, in, out;
} cases[] = {
    { "between two beats",
      { 10, 12 },
      { 100, 140 },
      { 5, 9 },
      "exact",
      { WORKER(1, 08, 10, 8, 2), WORKER(1, 12, 50, 44, 4) },
      20,
      10,
      9,
      0.5,
      12,
      10 },
    { "workers are summed up, each by its own beats",
      { 10, 14 },
      { 0, 0 },
      { 0, 0 },
      "exact",
      { WORKER(1, 10, 0, 0, 0) "," WORKER(2, 09, 0, 0, 0),
        WORKER(1, 12, 4, 4, 0) "," WORKER(2, 13, 40, 40, 4) },
      0,
      12,
      12,
      1,
      12,
      12 },
    { "without a new beat nothing is known yet",
      { 10, 11 },
      { 0, 7 },
      { 0, 0 },
      "exact",
      { WORKER(1, 08, 10, 8, 2), WORKER(1, 08, 10, 8, 2) },
      7,
      -1,
      -1,
      -1,
      -1,
      -1 },
    { "a worker that has just come does not count yet",
      { 10, 12 },
      { 0, 0 },
      { 0, 0 },
      "exact",
      { WORKER(1, 08, 0, 0, 0), WORKER(1, 10, 4, 4, 0) "," WORKER(2, 10, 1000, 1000, 0) },
      0,
      2,
      2,
      0,
      2,
      2 },
    { "one that went takes nothing away",
      { 10, 12 },
      { 0, 0 },
      { 4, 0 },
      "exact",
      { WORKER(1, 08, 0, 0, 0) "," WORKER(2, 08, 500, 500, 0), WORKER(1, 10, 4, 4, 0) },
      0,
      2,
      2,
      0,
      0,
      2 },
    { "what was not counted to its end tells nothing of what came in",
      { 10, 12 },
      { 0, 0 },
      { 5000, 5000 },
      "about",
      { WORKER(1, 08, 0, 0, 0), WORKER(1, 10, 4, 4, 0) },
      0,
      2,
      2,
      0,
      -1,
      2 },
    { "no workers", { 10, 12 }, { 0, 2 }, { 0, 2 }, "exact", { "", "" }, 1, -1, -1, -1, -1, -1 },
};

static bool
same(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void
check(void **state)
{
    const struct rates_case *c = *state;
    struct rates r = { .workers_n = 0 };

    for (int i = 0; i < 2; i++) {
        json_t *j = answer(c->at[i], c->enqueued[i], c->queued[i], c->is, c->workers[i]);

        rates_look(&r, j);
        json_decref(j);
        if (i == 0)
            assert_true(r.enqueued_rate < 0 && r.started < 0 && r.queues[1].in < 0);
    }
    assert_true(same(r.enqueued_rate, c->enqueued_rate));
    assert_true(same(r.started, c->started));
    assert_true(same(r.done, c->done));
    assert_true(same(r.failed, c->failed));
    assert_true(same(r.queues[1].in, c->in));
    assert_true(same(r.queues[1].out, c->out));
    assert_true(rates_of_worker(&r, 99) < 0);
}

/* Looked at faster than workers beat, a rate stays until the next one is known. */
static void
a_rate_stays_until_the_next_beat(void **state)
{
    static const char *const beats[] = { WORKER(1, 08, 0, 0, 0), WORKER(1, 10, 20, 20, 0),
                                         WORKER(1, 10, 20, 20, 0), WORKER(1, 12, 20, 20, 0) };
    static const double want[] = { -1, 10, 10, 0 };
    struct rates r = { .workers_n = 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(beats); i++) {
        json_t *j = answer(10 + (int)i, 0, 0, "exact", beats[i]);

        rates_look(&r, j);
        json_decref(j);
        assert_true(same(rates_of_worker(&r, 1), want[i]));
    }
}

int
main(void)
{
    TEST_TABLE(cases, check);
    TEST_ONE(a_rate_stays_until_the_next_beat);
    return TESTS_RUN("rates");
}
