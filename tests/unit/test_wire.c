/* tests/unit/test_wire.c - what one process says over the wire is what the other hears. */
#include "tests/unit/tables.h"
#include "worker/wire.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct job
sample(const char *args)
{
    return (struct job){ .id = INT64_C(9007199254740993), /* beyond a double's integers */
                         .epoch = 3,
                         .worker_id = 5,
                         .integration_id = 7,
                         .attempt = 2,
                         .max_attempts = 8,
                         .crashes = 1,
                         .timeout_s = 900,
                         .queue = QUEUE_BULK,
                         .priority = 2,
                         .kind = strdup("issue_pull"),
                         .args = strdup(args),
                         .checkpoint = strdup("{\"cursor\":\"a\\\"b\"}") };
}

static void
a_job_arrives_whole(void **state)
{
    struct job sent = sample("{\"full\":true}"), got = { 0 };
    enum wire_type type;
    uint32_t number;
    int fds[2];

    (void)state;
    assert_int_equal(wire_pair(fds, NULL), RC_OK);
    assert_int_equal(wire_send_job(fds[0], &sent, 41, NULL), RC_OK);
    assert_int_equal(wire_receive_job(fds[1], true, &type, &got, &number, NULL), RC_OK);
    assert_int_equal(type, WIRE_JOB);
    assert_int_equal(number, 41);
    assert_true(got.id == sent.id && got.epoch == 3 && got.worker_id == 5 && got.integration_id == 7);
    assert_true(got.attempt == 2 && got.max_attempts == 8 && got.crashes == 1 && got.timeout_s == 900);
    assert_true(got.queue == QUEUE_BULK && got.priority == 2);
    assert_string_equal(got.kind, sent.kind);
    assert_string_equal(got.args, sent.args);
    assert_string_equal(got.checkpoint, sent.checkpoint);
    assert_null(got.lock_key);
    assert_null(got.progress);
    job_fini(&sent);
    job_fini(&got);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void
a_job_too_large_for_a_packet_is_refused(void **state)
{
    char *args = malloc(300000);
    struct err err = { 0 };
    struct job sent;
    int fds[2];

    (void)state;
    memset(args, ' ', 299999);
    args[299999] = '\0';
    sent = sample(args);
    assert_int_equal(wire_pair(fds, NULL), RC_OK);
    assert_int_equal(wire_send_job(fds[0], &sent, 1, &err), RC_LIMIT);
    job_fini(&sent);
    free(args);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void
results_and_the_end_are_told_apart(void **state)
{
    struct wire_result sent = { .number = 7,
                                .outcome = OUTCOME_SNOOZE,
                                .delay_ms = 61000,
                                .touched = true,
                                .error = "waits" },
                       got;
    enum wire_type type;
    int fds[2];

    (void)state;
    assert_int_equal(wire_pair(fds, NULL), RC_OK);
    assert_int_equal(wire_receive_result(fds[0], false, &type, &got, NULL), RC_OK);
    assert_int_equal(type, WIRE_NOTHING);
    assert_int_equal(wire_send_result(fds[1], &sent, NULL), RC_OK);
    assert_int_equal(wire_receive_result(fds[0], true, &type, &got, NULL), RC_OK);
    assert_int_equal(type, WIRE_RESULT);
    assert_int_equal(got.number, 7);
    assert_int_equal(got.outcome, OUTCOME_SNOOZE);
    assert_int_equal(got.delay_ms, 61000);
    assert_true(got.touched);
    assert_string_equal(got.error, "waits");
    (void)close(fds[1]);
    assert_int_equal(wire_receive_result(fds[0], true, &type, &got, NULL), RC_OK);
    assert_int_equal(type, WIRE_END);
    (void)close(fds[0]);
}

/* What a broken child may send. */
static void
a_result_that_is_none_is_refused(void **state)
{
    struct wire_result sent = { .outcome = (enum outcome)OUTCOME_COUNT }, got;
    enum wire_type type;
    int fds[2];

    (void)state;
    assert_int_equal(wire_pair(fds, NULL), RC_OK);
    assert_int_equal(wire_send_result(fds[1], &sent, NULL), RC_OK);
    assert_int_equal(wire_receive_result(fds[0], true, &type, &got, NULL), RC_PROTOCOL);
    assert_int_equal(send(fds[1], "x", 1, 0), 1);
    assert_int_equal(wire_receive_result(fds[0], true, &type, &got, NULL), RC_PROTOCOL);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

int
main(void)
{
    TEST_ONE(a_job_arrives_whole);
    TEST_ONE(a_job_too_large_for_a_packet_is_refused);
    TEST_ONE(results_and_the_end_are_told_apart);
    TEST_ONE(a_result_that_is_none_is_refused);
    return TESTS_RUN("wire");
}
