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

int
main(void)
{
    TEST_ONE(what_is_taken_back_cannot_be_begun);
    TEST_ONE(a_stop_is_seen_by_the_child);
    TEST_ONE(both_sides_agree_on_every_job);
    return TESTS_RUN("lane");
}
