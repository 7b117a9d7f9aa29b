/* tests/unit/test_wire.c - what one process says over the wire is what the other hears. */
#include "tests/unit/tables.h"
#include "worker/wire.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct wire_packet *packet;
static int fds[2];

static void
open_wire(void)
{
    assert_int_equal(wire_packet_create(&packet, NULL), RC_OK);
    assert_int_equal(wire_pair(fds, NULL), RC_OK);
}

/* -1 = closed already. */
static void
close_wire(void)
{
    wire_packet_destroy(packet);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
}

static void
close_end(int i)
{
    (void)close(fds[i]);
    fds[i] = -1;
}

static struct job
sample(int64_t id, char *args)
{
    static char kind[] = "issue_pull", checkpoint[] = "{\"cursor\":\"a\\\"b\"}";

    return (struct job){ .id = id,
                         .epoch = 3,
                         .worker_id = 5,
                         .integration_id = 7,
                         .attempt = 2,
                         .max_attempts = 8,
                         .crashes = 1,
                         .timeout_s = 900,
                         .queue = QUEUE_BULK,
                         .priority = 2,
                         .kind = kind,
                         .args = args,
                         .checkpoint = checkpoint };
}

static void
jobs_arrive_whole_and_in_order(void **state)
{
    static const int64_t ids[] = { INT64_C(9007199254740993), 2,
                                   3 }; /* the first is beyond a double's integers */
    char *const args[] = { (char[]){ "{\"full\":true}" }, (char[]){ "{}" }, (char[]){ "" } };
    struct job got;
    uint32_t number;

    (void)state;
    open_wire();
    for (uint32_t i = 0; i < COUNT_OF(ids); i++) {
        struct job sent = sample(ids[i], args[i]);

        assert_int_equal(wire_add(packet, &sent, 41 + i, NULL), RC_OK);
    }
    assert_int_equal(wire_send(packet, fds[0], NULL), RC_OK);
    assert_true(wire_receive(fds[1]));
    for (uint32_t i = 0; i < COUNT_OF(ids); i++) {
        assert_true(wire_next(&got, &number));
        assert_int_equal(number, 41 + i);
        assert_true(got.id == ids[i] && got.epoch == 3 && got.worker_id == 5 && got.integration_id == 7);
        assert_true(got.attempt == 2 && got.max_attempts == 8 && got.crashes == 1 && got.timeout_s == 900);
        assert_true(got.queue == QUEUE_BULK && got.priority == 2);
        assert_string_equal(got.kind, "issue_pull");
        assert_string_equal(got.args, args[i]);
        assert_string_equal(got.checkpoint, "{\"cursor\":\"a\\\"b\"}");
        assert_null(got.lock_key);
        assert_null(got.progress);
    }
    assert_false(wire_next(&got, &number));
    close_wire();
}

static void
a_job_too_large_for_a_packet_is_refused(void **state)
{
    char *args = malloc(300000);
    struct err err = { 0 };
    struct job big, small = sample(1, (char[]){ "{}" }), got = { 0 };
    uint32_t number;

    (void)state;
    open_wire();
    memset(args, ' ', 299999);
    args[299999] = '\0';
    big = sample(2, args);
    assert_int_equal(wire_add(packet, &small, 1, &err), RC_OK);
    assert_int_equal(wire_add(packet, &big, 2, &err), RC_LIMIT);
    assert_int_equal(wire_send(packet, fds[0], &err), RC_OK); /* what was in it before goes */
    assert_int_equal(wire_add(packet, &big, 2, &err), RC_LIMIT);
    assert_true(wire_receive(fds[1]) && wire_next(&got, &number));
    assert_int_equal(got.id, 1);
    assert_false(wire_next(&got, &number));
    free(args);
    close_wire();
}

static void
nudges_and_the_end_are_told_apart(void **state)
{
    (void)state;
    open_wire();
    assert_true(wire_nudged(fds[0]));
    assert_true(wire_nudge(fds[1]) && wire_nudge(fds[1]));
    assert_true(wire_nudged(fds[0]));
    close_end(1);
    assert_false(wire_nudged(fds[0]));
    close_wire();
}

/* The child went while jobs were on their way to it: the socket says so with an error before it says the end.
 */
static void
a_child_that_goes_with_jobs_unread_is_gone(void **state)
{
    struct job job = sample(1, (char[]){ "{}" });
    struct err err = { 0 };

    (void)state;
    open_wire();
    assert_int_equal(wire_add(packet, &job, 1, NULL), RC_OK);
    assert_int_equal(wire_send(packet, fds[0], NULL), RC_OK);
    close_end(1);
    assert_false(wire_nudged(fds[0]));
    assert_int_equal(wire_add(packet, &job, 2, NULL), RC_OK);
    assert_int_equal(wire_send(packet, fds[0], &err), RC_UNAVAILABLE);
    close_wire();
}

static void
a_parent_that_goes_is_heard(void **state)
{
    (void)state;
    open_wire();
    close_end(0);
    assert_false(wire_receive(fds[1]));
    assert_false(wire_nudge(fds[1]));
    close_wire();
}

int
main(void)
{
    TEST_ONE(jobs_arrive_whole_and_in_order);
    TEST_ONE(a_job_too_large_for_a_packet_is_refused);
    TEST_ONE(nudges_and_the_end_are_told_apart);
    TEST_ONE(a_child_that_goes_with_jobs_unread_is_gone);
    TEST_ONE(a_parent_that_goes_is_heard);
    return TESTS_RUN("wire");
}
