/* tests/unit/test_lane.c - each job is begun or taken back, never both. */
#include "tests/unit/tables.h"
#include "worker/lane.h"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct lane *
make(void)
{
    struct lane *l = NULL;

    assert_int_equal(lane_create(&l, NULL), RC_OK);
    return l;
}

static void
what_is_taken_back_cannot_be_begun(void **state)
{
    struct lane *l = make();

    (void)state;
    assert_true(lane_begin(l, 1));
    assert_int_equal(lane_take_back(l, 3), 1);
    assert_false(lane_begin(l, 2));
    assert_false(lane_begin(l, 3));
    assert_true(lane_begin(l, 4));
    assert_int_equal(lane_begun(l), 4);
    assert_int_equal(lane_take_back(l, 4), 4); /* too late for that one */
    lane_reset(l);
    assert_int_equal(lane_begun(l), 0);
    assert_true(lane_begin(l, 1));
    lane_destroy(l);
}

static void
a_stop_is_seen_by_the_child(void **state)
{
    struct lane *l = make();
    int status;
    pid_t pid;

    (void)state;
    assert_false(lane_stopped(l));
    if ((pid = fork()) == 0) {
        while (!lane_stopped(l))
            continue;
        _exit(EXIT_SUCCESS);
    }
    lane_stop(l);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    lane_reset(l);
    assert_false(lane_stopped(l));
    lane_destroy(l);
}

/* A child begins a million jobs as fast as it can and says how many it could not; the parent takes back now
 * and then, and adds up what it was told it took. */
static void
both_sides_agree_on_every_job(void **state)
{
    enum { JOBS = 1000000, AHEAD = 50 };
    struct lane *l = make();
    uint32_t taken = 0, refused = 0, upto = 0, begun;
    int out[2], status;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(out), 0);
    if ((pid = fork()) == 0) {
        for (uint32_t n = 1; n <= JOBS; n++)
            refused += !lane_begin(l, n);
        _exit(write(out[1], &refused, sizeof refused) == sizeof refused ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    do {
        begun = lane_begun(l);
        if (begun < JOBS && begun + AHEAD <= JOBS && begun + AHEAD > upto) {
            uint32_t last = lane_take_back(l, begun + AHEAD);
            uint32_t from = last > upto ? last : upto; /* those up to `upto` were taken, or begun, before */

            taken += begun + AHEAD > from ? begun + AHEAD - from : 0;
            upto = begun + AHEAD;
        }
    } while (waitpid(pid, &status, WNOHANG) == 0);
    assert_int_equal(status, 0);
    assert_int_equal(read(out[0], &refused, sizeof refused), sizeof refused);
    assert_int_equal(refused, taken);
    assert_true(taken > 0);
    (void)close(out[0]);
    (void)close(out[1]);
    lane_destroy(l);
}

static void
results_are_told_of_once_until_someone_looks(void **state)
{
    struct lane *l = make();
    const struct lane_result *r;

    (void)state;
    for (uint32_t n = 1; n <= 3; n++) {
        struct lane_result *mine;

        assert_true(lane_begin(l, n));
        mine = lane_result(l);
        assert_int_equal(mine->number, n);
        mine->outcome = OUTCOME_SNOOZE;
        mine->delay_ms = n * 1000;
        (void)snprintf(mine->error, sizeof mine->error, "waits %u", n);
        assert_int_equal(lane_end(l), n != 2); /* the second comes while the first has not been looked at */
        if (n == 2)
            lane_look(l);
    }
    for (uint32_t n = 1; n <= 3; n++) {
        r = lane_read(l);
        assert_non_null(r);
        assert_true(r->number == n && r->outcome == OUTCOME_SNOOZE && r->delay_ms == n * 1000);
    }
    assert_null(lane_read(l));
    lane_destroy(l);
}

/* A child runs rounds of as many jobs as a lane holds, and nudges when told to; nothing is lost, and the
 * parent never waits in vain. */
static void
a_child_and_its_parent_miss_nothing(void **state)
{
    enum { JOBS = 200 * LANE_JOBS };
    struct lane *l = make();
    const struct lane_result *r;
    uint32_t seen = 0, asked = 0;
    int nudges[2] = { -1, -1 }, go[2] = { -1, -1 }, status;
    char c;
    pid_t pid;

    (void)state;
    assert_true(pipe(nudges) == 0 && pipe(go) == 0);
    if ((pid = fork()) == 0) {
        for (uint32_t n = 1; n <= JOBS; n++) {
            if (n % LANE_JOBS == 1 && read(go[0], &c, 1) != 1)
                _exit(EXIT_FAILURE);
            (void)lane_begin(l, n);
            lane_result(l)->us = n;
            if (lane_end(l) && write(nudges[1], "!", 1) != 1)
                _exit(EXIT_FAILURE);
        }
        _exit(EXIT_SUCCESS);
    }
    while (seen < JOBS) {
        if (seen == asked) {
            assert_int_equal(write(go[1], "!", 1), 1);
            asked += LANE_JOBS;
        }
        assert_int_equal(read(nudges[0], &c, 1), 1);
        lane_look(l);
        while ((r = lane_read(l)) != NULL)
            assert_true(r->number == ++seen && r->us == seen);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)close(nudges[0]);
    (void)close(nudges[1]);
    (void)close(go[0]);
    (void)close(go[1]);
    lane_destroy(l);
}

int
main(void)
{
    TEST_ONE(what_is_taken_back_cannot_be_begun);
    TEST_ONE(a_stop_is_seen_by_the_child);
    TEST_ONE(both_sides_agree_on_every_job);
    TEST_ONE(results_are_told_of_once_until_someone_looks);
    TEST_ONE(a_child_and_its_parent_miss_nothing);
    return TESTS_RUN("lane");
}
