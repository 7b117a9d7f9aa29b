#include "scheduler/due.h"
#include "tests/unit/tables.h"
#include <string.h>

#define MAX 4 /* ticks asked for at most */

/* Moments are minutes after 2026-03-02 00:00 UTC, a Monday; NONE is DUE_NONE. */
#define NONE (-1)

static struct due_case {
    const char *name;
    const char *cron;
    enum due_misfire misfire;
    int window, next_tick;
    double now;
    bool no_overlap, busy, paused;
    struct {
        int at;
        bool run;
    } ticks[MAX];
    size_t n;
    int next, passed_from, passed_to;
} cases[] = {
    { .name = "a new schedule gets its next tick and does not fire",
      .cron = "*/5 * * * *",
      .next_tick = NONE,
      .now = 7,
      .next = 10,
      .passed_from = NONE,
      .passed_to = NONE },
    { .name = "a new schedule at the very tick waits for the next",
      .cron = "*/5 * * * *",
      .next_tick = NONE,
      .now = 10,
      .next = 15,
      .passed_from = NONE,
      .passed_to = NONE },
    { .name = "nothing is due before its time",
      .cron = "* * * * *",
      .next_tick = 5,
      .now = 4.99,
      .next = 5,
      .passed_from = NONE,
      .passed_to = NONE },
    { .name = "a tick on time runs",
      .cron = "* * * * *",
      .next_tick = 5,
      .now = 5,
      .ticks = { { 5, true } },
      .n = 1,
      .next = 6,
      .passed_from = NONE,
      .passed_to = NONE },
    { .name = "a tick between the expression's own is taken as it is",
      .cron = "0 * * * *",
      .next_tick = 7,
      .now = 7.5,
      .ticks = { { 7, true } },
      .n = 1,
      .next = 60,
      .passed_from = NONE,
      .passed_to = NONE },

    { .name = "run once: the newest of the missed ones runs",
      .cron = "* * * * *",
      .next_tick = 5,
      .now = 8.5,
      .ticks = { { 8, true } },
      .n = 1,
      .next = 9,
      .passed_from = 5,
      .passed_to = 7 },
    { .name = "run once: after a year of minutes too",
      .cron = "* * * * *",
      .next_tick = 5,
      .now = 525600.5,
      .ticks = { { 525600, true } },
      .n = 1,
      .next = 525601,
      .passed_from = 5,
      .passed_to = 525599 },
    { .name = "run once: a rare tick is found far back",
      .cron = "0 12 3 3 *",
      .next_tick = 36 * 60,
      .now = 300 * 1440,
      .ticks = { { 36 * 60, true } },
      .n = 1,
      .next = (365 + 1) * 1440 + 720,
      .passed_from = NONE,
      .passed_to = NONE },
    { .name = "run once: busy without overlap records the tick and makes no job",
      .cron = "* * * * *",
      .next_tick = 5,
      .now = 5,
      .no_overlap = true,
      .busy = true,
      .ticks = { { 5, false } },
      .n = 1,
      .next = 6,
      .passed_from = NONE,
      .passed_to = NONE },
    { .name = "run once: free without overlap runs",
      .cron = "* * * * *",
      .next_tick = 5,
      .now = 5,
      .no_overlap = true,
      .ticks = { { 5, true } },
      .n = 1,
      .next = 6,
      .passed_from = NONE,
      .passed_to = NONE },

    { .name = "skip: up to a minute late is on time",
      .cron = "*/5 * * * *",
      .misfire = DUE_SKIP,
      .next_tick = 5,
      .now = 6,
      .ticks = { { 5, true } },
      .n = 1,
      .next = 10,
      .passed_from = NONE,
      .passed_to = NONE },
    { .name = "skip: later than that it passes",
      .cron = "*/5 * * * *",
      .misfire = DUE_SKIP,
      .next_tick = 5,
      .now = 6.1,
      .next = 10,
      .passed_from = 5,
      .passed_to = 5 },
    { .name = "skip: of several missed, one that is on time runs",
      .cron = "*/5 * * * *",
      .misfire = DUE_SKIP,
      .next_tick = 5,
      .now = 20.5,
      .ticks = { { 20, true } },
      .n = 1,
      .next = 25,
      .passed_from = 5,
      .passed_to = 15 },

    { .name = "run all: each within the window",
      .cron = "* * * * *",
      .misfire = DUE_RUN_ALL,
      .window = 60,
      .next_tick = 5,
      .now = 7.5,
      .ticks = { { 5, true }, { 6, true }, { 7, true } },
      .n = 3,
      .next = 8,
      .passed_from = NONE,
      .passed_to = NONE },
    { .name = "run all: older ones pass",
      .cron = "* * * * *",
      .misfire = DUE_RUN_ALL,
      .window = 2,
      .next_tick = 5,
      .now = 60,
      .ticks = { { 58, true }, { 59, true }, { 60, true } },
      .n = 3,
      .next = 61,
      .passed_from = 5,
      .passed_to = 57 },
    { .name = "run all: a full batch goes on with the next",
      .cron = "* * * * *",
      .misfire = DUE_RUN_ALL,
      .window = 60,
      .next_tick = 5,
      .now = 30,
      .ticks = { { 5, true }, { 6, true }, { 7, true }, { 8, true } },
      .n = 4,
      .next = 9,
      .passed_from = NONE,
      .passed_to = NONE },
    { .name = "run all: all older than the window, none due",
      .cron = "0 0 * * *",
      .misfire = DUE_RUN_ALL,
      .window = 60,
      .next_tick = 0,
      .now = 720,
      .next = 1440,
      .passed_from = 0,
      .passed_to = 0 },
    { .name = "run all: no window still takes what is on time",
      .cron = "* * * * *",
      .misfire = DUE_RUN_ALL,
      .window = 0,
      .next_tick = 5,
      .now = 5.5,
      .ticks = { { 5, true } },
      .n = 1,
      .next = 6,
      .passed_from = NONE,
      .passed_to = NONE },
    { .name = "run all: no window is longer than ticks are remembered",
      .cron = "0 0 * * *",
      .misfire = DUE_RUN_ALL,
      .window = 100 * 1440,
      .next_tick = 0,
      .now = 9 * 1440,
      .ticks = { { 2 * 1440, true }, { 3 * 1440, true }, { 4 * 1440, true }, { 5 * 1440, true } },
      .n = 4,
      .next = 6 * 1440,
      .passed_from = 0,
      .passed_to = 1440 },
    { .name = "run all: without overlap only the first runs",
      .cron = "* * * * *",
      .misfire = DUE_RUN_ALL,
      .window = 60,
      .next_tick = 5,
      .now = 6,
      .no_overlap = true,
      .ticks = { { 5, true }, { 6, false } },
      .n = 2,
      .next = 7,
      .passed_from = NONE,
      .passed_to = NONE },
    { .name = "run all: busy without overlap runs none",
      .cron = "* * * * *",
      .misfire = DUE_RUN_ALL,
      .window = 60,
      .next_tick = 5,
      .now = 6,
      .no_overlap = true,
      .busy = true,
      .ticks = { { 5, false }, { 6, false } },
      .n = 2,
      .next = 7,
      .passed_from = NONE,
      .passed_to = NONE },

    { .name = "a paused integration's ticks move on silently",
      .cron = "* * * * *",
      .next_tick = 5,
      .now = 8,
      .paused = true,
      .next = 9,
      .passed_from = NONE,
      .passed_to = NONE },
};

static int64_t
moment(double minutes)
{
    return clock_days(2026, 3, 2) * CLOCK_DAY + (int64_t)(minutes * 60) * CLOCK_SECOND;
}

static int64_t
moment_or_none(int minutes)
{
    return minutes == NONE ? DUE_NONE : moment(minutes);
}

static void
check(void **state)
{
    const struct due_case *c = *state;
    struct cron cron;
    struct err err = { 0 };
    struct due_tick ticks[MAX];
    struct due due;
    struct due_schedule s = {
        .cron = &cron,
        .misfire = c->misfire,
        .window = c->window * CLOCK_MINUTE,
        .next_tick = moment_or_none(c->next_tick),
        .no_overlap = c->no_overlap,
        .busy = c->busy,
        .active = !c->paused,
    };

    assert_int_equal(cron_parse(c->cron, &cron, &err), RC_OK);
    assert_int_equal(zone_find("UTC", &s.zone, &err), RC_OK);
    due_decide(&s, moment(c->now), ticks, MAX, &due);
    assert_int_equal(due.n, c->n);
    for (size_t i = 0; i < c->n; i++) {
        assert_int_equal(ticks[i].at, moment(c->ticks[i].at));
        assert_int_equal(ticks[i].run, c->ticks[i].run);
    }
    assert_int_equal(due.next, moment_or_none(c->next));
    assert_int_equal(due.passed_from, moment_or_none(c->passed_from));
    assert_int_equal(due.passed_to, moment_or_none(c->passed_to));
}

static void
misfire_words_are_those_of_the_schema(void **state)
{
    (void)state;
    assert_int_equal(due_misfire_by_name("run_once"), DUE_RUN_ONCE);
    assert_int_equal(due_misfire_by_name("run_all"), DUE_RUN_ALL);
    assert_int_equal(due_misfire_by_name("skip"), DUE_SKIP);
}

int
main(void)
{
    TEST_TABLE(cases, check);
    TEST_ONE(misfire_words_are_those_of_the_schema);
    return TESTS_RUN("due");
}
