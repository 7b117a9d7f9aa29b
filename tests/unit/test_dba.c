#include "common/clock.h"
#include "common/dba.h"
#include "tests/unit/stage.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct db_options options = { .app_name = "test_dba" };

static void
on_result(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct ticket *t = arg;
    struct stage *s = t->s;

    stage_came(t, rc, err);
    assert_true((res != NULL) == (rc == RC_OK));
    if (res != NULL && dbres_rows(res) > 0)
        (void)snprintf(s->texts[t->i], sizeof s->texts[0], "%s", dbres_text(res, 0, 0));
}

static struct stage *
stage_open_url(const char *url, const struct db_options *o)
{
    struct stage *s = stage_create();
    struct err err = { 0 };

    OK(dba_create(s->loop, url, o, stage_on_state, s, &s->dba, &err));
    return s;
}

static struct stage *
stage_open(void)
{
    struct stage *s = stage_open_url(TEST_DB_URL(), &options);

    s->stop_when_up = true;
    stage_run(s);
    assert_true(dba_is_up(s->dba));
    s->stop_when_up = false;
    return s;
}

static void
stage_close(struct stage *s)
{
    dba_destroy(s->dba);
    stage_destroy(s);
}

static void
call(struct stage *s, size_t i, enum sql_id id, const struct db_arg *args, size_t n)
{
    tickets[i] = (struct ticket){ s, i };
    s->in_run = true;
    dba_run(s->dba, id, args, n, on_result, &tickets[i]);
    s->in_run = false;
}

static void
terminate(const char *pid)
{
    AUTO(db) other = NULL;
    struct err err = { 0 };
    char sql[128];

    OK(db_create(TEST_DB_URL(), &options, &other, &err));
    (void)snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%s, 5000)", pid);
    OK(db_exec_text(other, sql, NULL, &err));
}

static void
results_come_in_order_each_once(void **state)
{
    enum { N = 3000 };
    struct stage *s = stage_open();
    char text[24];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        (void)snprintf(text, sizeof text, "%zu", i);
        call(s, i, SQL_db_test_echo, DB_ARGS(db_text(text)));
    }
    assert_int_equal(dba_in_flight(s->dba), N);
    stage_run_until(s, N);
    assert_int_equal(dba_in_flight(s->dba), 0);
    for (size_t i = 0; i < N; i++) {
        (void)snprintf(text, sizeof text, "%zu", i);
        assert_int_equal(s->order[i], i);
        assert_int_equal(s->times[i], 1);
        assert_string_equal(s->texts[i], text);
    }
    stage_close(s);
}

static void
a_call_that_fails_does_not_touch_the_next(void **state)
{
    struct stage *s = stage_open();

    (void)state;
    call(s, 0, SQL_db_test_create_unique, DB_NO_ARGS);
    call(s, 1, SQL_db_test_insert, DB_ARGS(db_i64(1)));
    call(s, 2, SQL_db_test_insert, DB_ARGS(db_i64(1)));
    call(s, 3, SQL_db_test_insert, DB_ARGS(db_i64(2)));
    call(s, 4, SQL_db_test_divide, DB_ARGS(db_i64(0)));
    call(s, 5, SQL_db_test_fence, DB_NO_ARGS);
    call(s, 6, SQL_db_test_wrong, DB_NO_ARGS); /* cannot be prepared */
    call(s, 7, SQL_db_test_wrong, DB_NO_ARGS);
    call(s, 8, SQL_db_test_count, DB_NO_ARGS);
    dba_run(s->dba, SQL_db_ping, DB_NO_ARGS, NULL, NULL); /* fire and forget */
    call(s, 9, SQL_db_ping, DB_NO_ARGS);
    stage_run_until(s, 10);
    assert_int_equal(s->rcs[1], RC_OK);
    assert_int_equal(s->rcs[2], RC_CONFLICT);
    assert_int_equal(s->rcs[3], RC_OK);
    assert_int_equal(s->rcs[4], RC_INVALID);
    assert_int_equal(s->rcs[5], RC_CONFLICT);
    assert_int_equal(s->rcs[6], RC_INTERNAL);
    assert_int_not_equal(s->rcs[7], RC_OK);
    assert_string_equal(s->texts[8], "2");
    assert_int_equal(s->rcs[9], RC_OK);
    call(s, 10, SQL_db_test_wrong, DB_NO_ARGS); /* and still says why */
    stage_run_until(s, 11);
    assert_int_equal(s->rcs[10], RC_INTERNAL);
    stage_close(s);
}

static void
a_session_that_ends_fails_all_in_flight_once_and_comes_back(void **state)
{
    struct stage *s = stage_open();
    char pid[24];

    (void)state;
    call(s, 0, SQL_db_test_backend, DB_NO_ARGS);
    stage_run_until(s, 1);
    (void)snprintf(pid, sizeof pid, "%s", s->texts[0]);
    call(s, 1, SQL_db_test_suicide, DB_NO_ARGS);
    for (size_t i = 2; i < 50; i++)
        call(s, i, SQL_db_ping, DB_NO_ARGS);
    s->stop_when_down = true;
    stage_run(s);
    assert_false(dba_is_up(s->dba));
    assert_int_equal(s->called, 50); /* before anyone was told "down" */
    for (size_t i = 1; i < 50; i++) {
        assert_int_equal(s->times[i], 1);
        assert_int_equal(s->rcs[i], RC_UNAVAILABLE);
    }
    call(s, 50, SQL_db_ping, DB_NO_ARGS); /* while down */
    stage_run_until(s, 51);
    assert_int_equal(s->rcs[50], RC_UNAVAILABLE);
    s->stop_when_up = true;
    stage_run(s);
    assert_int_equal(s->ups, 2);
    s->stop_when_up = false;
    call(s, 51, SQL_db_ping, DB_NO_ARGS); /* prepared again */
    call(s, 52, SQL_db_test_backend, DB_NO_ARGS);
    stage_run_until(s, 53);
    assert_int_equal(s->rcs[51], RC_OK);
    assert_string_not_equal(s->texts[52], pid);
    stage_close(s);
}

static void
a_session_ended_while_idle_is_noticed(void **state)
{
    struct stage *s = stage_open();

    (void)state;
    call(s, 0, SQL_db_test_backend, DB_NO_ARGS);
    stage_run_until(s, 1);
    s->stop_when_down = true;
    terminate(s->texts[0]);
    stage_run(s);
    assert_int_equal(s->downs, 1);
    assert_int_equal(s->down_rc, RC_UNAVAILABLE);
    s->stop_when_down = false;
    s->stop_when_up = true;
    stage_run(s);
    assert_true(dba_is_up(s->dba));
    stage_close(s);
}

static void
a_plan_that_the_schema_has_outgrown_is_made_anew(void **state)
{
    struct stage *s = stage_open();

    (void)state;
    call(s, 0, SQL_db_test_create_star, DB_NO_ARGS);
    call(s, 1, SQL_db_test_star, DB_NO_ARGS);
    call(s, 2, SQL_db_test_alter_star, DB_NO_ARGS);
    call(s, 3, SQL_db_test_star, DB_NO_ARGS);
    stage_run_until(s, 4);
    assert_int_equal(s->rcs[1], RC_OK);
    assert_int_equal(s->rcs[3], RC_UNAVAILABLE);
    call(s, 4, SQL_db_test_star, DB_NO_ARGS);
    call(s, 5, SQL_db_test_star, DB_NO_ARGS);
    stage_run_until(s, 6);
    assert_int_equal(s->rcs[4], RC_OK);
    assert_int_equal(s->rcs[5], RC_OK);
    stage_close(s);
}

static void
large_calls_do_not_lock_up(void **state)
{
    enum { N = 40, SIZE = 1 << 20 };
    struct stage *s = stage_open();
    AUTO_FREE char *big = malloc(SIZE);

    (void)state;
    memset(big, 'x', SIZE);
    for (size_t i = 0; i < N; i++)
        call(s, i, SQL_db_test_echo, DB_ARGS(db_textn(big, SIZE)));
    stage_run_until(s, N);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(s->rcs[i], RC_OK);
    stage_close(s);
}

static void
destroying_answers_everything(void **state)
{
    struct stage *s = stage_open();

    (void)state;
    for (size_t i = 0; i < 10; i++)
        call(s, i, SQL_db_test_sleep, DB_ARGS(db_dbl(3)));
    dba_destroy(s->dba);
    s->dba = NULL;
    assert_int_equal(s->called, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(s->times[i], 1);
        assert_int_equal(s->rcs[i], RC_UNAVAILABLE);
    }
    assert_int_equal(s->downs, 0);
    stage_close(s);
}

static void
on_result_destroys(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct ticket *t = arg;
    struct stage *s = t->s;

    dba_destroy(s->dba);
    s->dba = NULL;
    on_result(arg, rc, res, err); /* both are still there */
    loop_stop(s->loop);
}

static void
it_may_be_destroyed_within_a_callback(void **state)
{
    struct stage *s = stage_open();

    (void)state;
    for (size_t i = 0; i < 3; i++)
        tickets[i] = (struct ticket){ s, i };
    dba_run(s->dba, SQL_db_ping, DB_NO_ARGS, on_result, &tickets[0]);
    dba_run(s->dba, SQL_db_ping, DB_NO_ARGS, on_result_destroys, &tickets[1]);
    dba_run(s->dba, SQL_db_ping, DB_NO_ARGS, on_result, &tickets[2]);
    stage_run(s);
    assert_int_equal(s->called, 3);
    assert_int_equal(s->rcs[1], RC_OK);
    assert_int_equal(s->rcs[2], RC_UNAVAILABLE);
    stage_close(s);
}

static void
it_may_be_destroyed_while_a_lost_connection_is_settled(void **state)
{
    struct stage *s = stage_open();

    (void)state;
    for (size_t i = 0; i < 3; i++)
        tickets[i] = (struct ticket){ s, i };
    dba_run(s->dba, SQL_db_test_suicide, DB_NO_ARGS, on_result_destroys, &tickets[0]);
    dba_run(s->dba, SQL_db_ping, DB_NO_ARGS, on_result, &tickets[1]);
    dba_run(s->dba, SQL_db_ping, DB_NO_ARGS, on_result, &tickets[2]);
    stage_run(s);
    assert_int_equal(s->called, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(s->times[i], 1);
    stage_close(s);
}

static void
a_server_that_does_not_answer_is_dropped(void **state)
{
    /* the server's own timeout is switched off, so that only ours is left */
    const struct db_options quick = { .app_name = "test_dba",
                                      .connect_timeout_ms = 1000,
                                      .statement_timeout_ms = 100 };
    struct stage *s = stage_open_url(TEST_DB_URL(), &quick);
    int64_t start;

    (void)state;
    s->stop_when_up = true;
    stage_run(s);
    s->stop_when_up = false;
    call(s, 0, SQL_db_test_no_timeout, DB_NO_ARGS);
    call(s, 1, SQL_db_test_sleep, DB_ARGS(db_dbl(8)));
    start = clock_mono();
    stage_run_until(s, 2);
    assert_int_equal(s->rcs[1], RC_UNAVAILABLE);
    assert_in_range((clock_mono() - start) / 1000, 1000, 4000);
    stage_close(s);
}

static void
a_server_that_is_not_there_is_tried_again(void **state)
{
    struct stage *s = stage_open_url("postgresql://u:hunter2@127.0.0.1:1/x", &options);

    (void)state;
    s->stop_when_down = true;
    stage_run(s);
    stage_run(s);
    assert_int_equal(s->downs, 2);
    assert_int_equal(s->ups, 0);
    assert_int_equal(s->down_rc, RC_UNAVAILABLE);
    stage_close(s);
}

int
main(void)
{
    TEST_ONE(results_come_in_order_each_once);
    TEST_ONE(a_call_that_fails_does_not_touch_the_next);
    TEST_ONE(a_session_that_ends_fails_all_in_flight_once_and_comes_back);
    TEST_ONE(a_session_ended_while_idle_is_noticed);
    TEST_ONE(a_plan_that_the_schema_has_outgrown_is_made_anew);
    TEST_ONE(large_calls_do_not_lock_up);
    TEST_ONE(destroying_answers_everything);
    TEST_ONE(it_may_be_destroyed_within_a_callback);
    TEST_ONE(it_may_be_destroyed_while_a_lost_connection_is_settled);
    TEST_ONE(a_server_that_does_not_answer_is_dropped);
    TEST_ONE(a_server_that_is_not_there_is_tried_again);
    return TESTS_RUN("dba");
}
