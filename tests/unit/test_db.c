#include "common/clock.h"
#include "common/db.h"
#include "tests/unit/servers.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct db_options options = { .app_name = "test_db",
                                           .statement_timeout_ms = 5000,
                                           .lock_timeout_ms = 300 };

static struct db *
connect_db(void)
{
    struct err err = { 0 };
    struct db *d = NULL;

    OK(db_create(TEST_DB_URL(), &options, &d, &err));
    OK(db_connect(d, &err));
    return d;
}

/* One value of a query, as a number. */
static int64_t
ask(struct db *d, const char *sql)
{
    struct err err = { 0 };
    AUTO(dbres) res = NULL;

    OK(db_exec_text(d, sql, &res, &err));
    assert_int_equal(dbres_rows(res), 1);
    return dbres_i64(res, 0, 0);
}

/* Ends d's session from another one, and waits until it is gone. */
static void
terminate(struct db *d)
{
    AUTO(db) other = connect_db();
    char sql[128];

    (void)snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%" PRId64 ", 5000)::int",
                   ask(d, "SELECT pg_backend_pid()"));
    assert_int_equal(ask(other, sql), 1);
}

static void
test_a_url_that_cannot_be_read_is_refused_without_its_password(void **state)
{
    struct err err = { 0 };
    struct db *d = NULL;

    (void)state;
    assert_int_equal(db_create("postgresql://u:hunter2@h/x?nonsense=1", &options, &d, &err), RC_INVALID);
    assert_null(d);
    assert_null(strstr(err.text, "hunter2"));
    assert_int_equal(db_create("not a url", &options, &d, &err), RC_INVALID);
    assert_int_equal(db_create("password=hunter2 nonsense=1", &options, &d, &err), RC_INVALID);
    assert_null(strstr(err.text, "hunter2"));
}

static void
test_a_server_that_is_not_there_is_unavailable(void **state)
{
    struct err err = { 0 };
    AUTO(db) d = NULL;

    (void)state;
    OK(db_create("postgresql://u:hunter2@127.0.0.1:1/x", &options, &d, &err));
    assert_int_equal(db_connect(d, &err), RC_UNAVAILABLE);
    assert_null(strstr(err.text, "hunter2"));
    assert_int_equal(db_run(d, SQL_db_ping, DB_NO_ARGS, NULL, &err), RC_UNAVAILABLE);
}

static void
test_a_role_that_does_not_exist_is_denied(void **state)
{
    struct err err = { 0 };
    AUTO(db) d = NULL;
    char url[512];

    (void)state;
    (void)snprintf(url, sizeof url, "%s%cuser=nobody_of_that_name", TEST_DB_URL(),
                   strchr(TEST_DB_URL(), '?') ? '&' : '?');
    OK(db_create(url, &options, &d, &err));
    assert_int_equal(db_connect(d, &err), RC_DENIED);
}

static void
test_the_session_is_set_up(void **state)
{
    struct err err = { 0 };
    AUTO(db) d = connect_db();
    AUTO(dbres) res = NULL;

    (void)state;
    OK(db_exec_text(
        d,
        "SELECT current_setting('search_path'), current_setting('TimeZone'), current_setting('DateStyle'),"
        " current_setting('statement_timeout'), current_setting('lock_timeout'),"
        " current_setting('idle_in_transaction_session_timeout'), current_setting('application_name'),"
        " current_setting('client_min_messages')",
        &res, &err));
    assert_string_equal(dbres_text(res, 0, 0), "deskmill, public");
    assert_string_equal(dbres_text(res, 0, 1), "UTC");
    assert_memory_equal(dbres_text(res, 0, 2), "ISO", 3);
    assert_string_equal(dbres_text(res, 0, 3), "5s");
    assert_string_equal(dbres_text(res, 0, 4), "300ms");
    assert_string_equal(dbres_text(res, 0, 5), "1min");
    assert_string_equal(dbres_text(res, 0, 6), "test_db");
    assert_string_equal(dbres_text(res, 0, 7), "warning");
}

static void
test_every_kind_of_argument_arrives(void **state)
{
    static const int64_t ints[] = { 1, -2, INT64_MAX, INT64_MIN };
    static const char *const texts[] = { "a", NULL, "", "q\"uo,te{}" };
    static const int64_t times[] = { 0, DB_NO_TIME, 1700000000123456 };
    static const bool bools[] = { true, false };
    struct err err = { 0 };
    AUTO(db) d = connect_db();
    AUTO(dbres) r = NULL;
    AUTO_FREE unsigned char *bytes = NULL;
    size_t len = 0;

    (void)state;
    OK(db_run(d, SQL_db_test_values,
              DB_ARGS(db_i64(INT64_MIN), db_bool(true), db_dbl(0.1), db_textn("abcdef", 3),
                      db_bytea("\0\xff", 2), db_time(1700000000123456), db_i64s(ints, 4), db_texts(texts, 4),
                      db_times(times, 3), db_bools(bools, 2), db_null(), db_i64s(NULL, 0)),
              &r, &err));
    assert_true(dbres_i64(r, 0, 0) == INT64_MIN);
    assert_true(dbres_bool(r, 0, 1));
    assert_true(dbres_dbl(r, 0, 2) == 0.1);
    assert_string_equal(dbres_text(r, 0, 3), "abc");
    OK(dbres_bytea(r, 0, 4, &bytes, &len, &err));
    assert_int_equal(len, 2);
    assert_memory_equal(bytes, "\0\xff", 2);
    assert_true(dbres_time(r, 0, 5) == 1700000000123456);
    assert_string_equal(dbres_text(r, 0, 6), "{1,-2,9223372036854775807,-9223372036854775808}");
    assert_string_equal(dbres_text(r, 0, 7), "{a,NULL,\"\",\"q\\\"uo,te{}\"}");
    assert_string_equal(dbres_text(r, 0, 8),
                        "{\"1970-01-01 00:00:00+00\",NULL,\"2023-11-14 22:13:20.123456+00\"}");
    assert_string_equal(dbres_text(r, 0, 9), "{t,f}");
    assert_true(dbres_null(r, 0, 10));
    assert_string_equal(dbres_text(r, 0, 11), "{}");
    assert_int_equal(dbres_bytea(r, 0, 10, &bytes, &len, &err), RC_NOT_FOUND);
    assert_true(dbres_time(r, 0, 10) == DB_NO_TIME);
    assert_int_equal(dbres_i64(r, 0, 10), 0);
}

static void
test_infinite_times_are_none_and_dates_are_midnight(void **state)
{
    struct err err = { 0 };
    AUTO(db) d = connect_db();
    AUTO(dbres) r = NULL;

    (void)state;
    OK(db_exec_text(
        d, "SELECT 'infinity'::timestamptz, '-infinity'::timestamptz, date '2023-11-14', 'NaN'::float8", &r,
        &err));
    assert_true(dbres_time(r, 0, 0) == DB_NO_TIME);
    assert_true(dbres_time(r, 0, 1) == DB_NO_TIME);
    assert_true(dbres_time(r, 0, 2) == INT64_C(1699920000000000));
    assert_true(dbres_dbl(r, 0, 3) != dbres_dbl(r, 0, 3));
}

static struct error_case {
    const char *name, *sql;
    enum rc want;
    const char *sqlstate;
} error_cases[] = {
    { "our fence is a conflict", "DO $$BEGIN RAISE 'x' USING ERRCODE = 'DM409'; END$$", RC_CONFLICT,
      "DM409" },
    { "our not-found is not found", "DO $$BEGIN RAISE 'x' USING ERRCODE = 'DM404'; END$$", RC_NOT_FOUND,
      "DM404" },
    { "our invalid is invalid", "DO $$BEGIN RAISE 'x' USING ERRCODE = 'DM422'; END$$", RC_INVALID, "DM422" },
    { "a taken key is a conflict",
      "CREATE TEMP TABLE t (a int CONSTRAINT t_a UNIQUE); INSERT INTO t VALUES (1), (1)", RC_CONFLICT,
      "23505" },
    { "a broken check is invalid", "CREATE TEMP TABLE t (a int CHECK (a > 0)); INSERT INTO t VALUES (0)",
      RC_INVALID, "23514" },
    { "a bad number is invalid", "SELECT 'x'::int", RC_INVALID, "22P02" },
    { "no privilege is denied", "SET ROLE pg_monitor; CREATE TABLE pg_catalog.x ()", RC_DENIED, "42501" },
    { "a deadlock is unavailable", "DO $$BEGIN RAISE 'x' USING ERRCODE = '40P01'; END$$", RC_UNAVAILABLE,
      "40P01" },
    { "a statement out of time is a timeout", "SET statement_timeout = 20; SELECT pg_sleep(5)", RC_TIMEOUT,
      "57014" },
    { "bad SQL is our own mistake", "SELEC 1", RC_INTERNAL, "42601" },
};

static void
check_error(void **state)
{
    const struct error_case *c = *state;
    AUTO(db) d = connect_db();
    struct err err = { 0 };

    assert_int_equal(db_exec_text(d, c->sql, NULL, &err), c->want);
    assert_int_equal(err.rc, c->want);
    assert_string_equal(db_sqlstate(d), c->sqlstate);
    if (strcmp(c->sqlstate, "23505") == 0)
        assert_string_equal(db_constraint(d), "t_a");
    OK(db_run(d, SQL_db_ping, DB_NO_ARGS, NULL, &err));
    assert_string_equal(db_sqlstate(d), "");
}

static void
test_a_row_lock_that_does_not_come_is_a_timeout(void **state)
{
    AUTO(db) a = connect_db();
    AUTO(db) b = connect_db();
    struct err err = { 0 };

    (void)state;
    OK(db_begin(a, &err));
    OK(db_exec_text(a, "SELECT pg_advisory_xact_lock(4711)", NULL, &err));
    assert_int_equal(db_exec_text(b, "SELECT pg_advisory_xact_lock(4711)", NULL, &err), RC_TIMEOUT);
    assert_string_equal(db_sqlstate(b), "55P03");
    db_rollback(a);
    OK(db_exec_text(b, "SELECT pg_advisory_xact_lock(4711)", NULL, &err));
}

static void
test_an_error_names_the_line_of_the_text(void **state)
{
    AUTO(db) d = connect_db();
    struct err err = { 0 };

    (void)state;
    assert_int_equal(db_exec_text(d, "SELECT 'ö';\nSELECT 1;\nSELECT nix", NULL, &err), RC_INTERNAL);
    assert_non_null(strstr(err.text, "line 3"));
}

static void
test_a_session_ended_while_idle_is_made_anew(void **state)
{
    AUTO(db) d = connect_db();
    struct err err = { 0 };
    int64_t before;

    (void)state;
    OK(db_run(d, SQL_db_ping, DB_NO_ARGS, NULL, &err)); /* prepared in the session that ends */
    before = ask(d, "SELECT pg_backend_pid()");
    terminate(d);
    OK(db_run(d, SQL_db_ping, DB_NO_ARGS, NULL, &err));
    assert_int_not_equal(ask(d, "SELECT pg_backend_pid()"), before);
    assert_int_equal(ask(d, "SELECT count(*) FROM pg_prepared_statements WHERE name = 'db_ping'"), 1);
}

static void
test_a_session_ended_within_a_transaction_is_not_made_anew(void **state)
{
    AUTO(db) d = connect_db();
    struct err err = { 0 };

    (void)state;
    OK(db_begin(d, &err));
    terminate(d);
    assert_int_equal(db_run(d, SQL_db_ping, DB_NO_ARGS, NULL, &err), RC_UNAVAILABLE);
    assert_int_equal(db_run(d, SQL_db_ping, DB_NO_ARGS, NULL, &err),
                     RC_UNAVAILABLE); /* until it is rolled back */
    db_rollback(d);
    OK(db_run(d, SQL_db_ping, DB_NO_ARGS, NULL, &err));
    OK(db_begin(d, &err));
    terminate(d);
    assert_int_equal(db_commit(d, &err), RC_UNAVAILABLE);
    OK(db_run(d, SQL_db_ping, DB_NO_ARGS, NULL, &err));
}

static void
test_a_statement_that_may_have_run_is_not_run_again(void **state)
{
    AUTO(db) d = connect_db();
    AUTO(db) other = connect_db();
    struct err err = { 0 };

    (void)state;
    OK(db_exec_text(other, "DROP SEQUENCE IF EXISTS public.db_test_seq; CREATE SEQUENCE public.db_test_seq",
                    NULL, &err));
    /* nextval() is not undone by anything: it counts the runs */
    assert_int_equal(
        db_exec_text(
            d, "SELECT nextval('public.db_test_seq'), pg_terminate_backend(pg_backend_pid()), pg_sleep(5)",
            NULL, &err),
        RC_UNAVAILABLE);
    assert_int_equal(ask(other, "SELECT last_value FROM public.db_test_seq"), 1);
    OK(db_exec_text(other, "DROP SEQUENCE public.db_test_seq", NULL, &err));
    OK(db_run(d, SQL_db_ping, DB_NO_ARGS, NULL, &err));
}

static void
test_a_plan_that_the_schema_has_outgrown_is_made_anew(void **state)
{
    AUTO(db) d = connect_db();
    AUTO(dbres) r = NULL;
    struct dbres *both[2] = { NULL, NULL };
    struct err err = { 0 };
    const struct db_call calls[] = { { SQL_db_ping, DB_NO_ARGS }, { SQL_db_test_star, DB_NO_ARGS } };

    (void)state;
    OK(db_exec_text(d, "CREATE TEMP TABLE db_test_star AS SELECT 1 AS a", NULL, &err));
    OK(db_run(d, SQL_db_test_star, DB_NO_ARGS, NULL, &err));
    OK(db_exec_text(d, "ALTER TABLE db_test_star ADD b int DEFAULT 2", NULL, &err));
    OK(db_run(d, SQL_db_test_star, DB_NO_ARGS, &r, &err));
    assert_int_equal(dbres_i64(r, 0, 1), 2);
    OK(db_exec_text(d, "ALTER TABLE db_test_star ADD c int DEFAULT 3", NULL, &err));
    assert_int_equal(db_pipeline(d, calls, 2, both, &err), RC_UNAVAILABLE);
    OK(db_pipeline(d, calls, 2, both, &err));
    assert_int_equal(dbres_i64(both[1], 0, 2), 3);
    dbres_destroy(both[0]);
    dbres_destroy(both[1]);
    OK(db_exec_text(d, "DEALLOCATE ALL", NULL, &err));
    OK(db_run(d, SQL_db_test_star, DB_NO_ARGS, NULL, &err));
}

static void
test_committing_what_had_failed_is_an_error(void **state)
{
    AUTO(db) d = connect_db();
    struct err err = { 0 };

    (void)state;
    OK(db_begin(d, &err));
    assert_int_equal(db_exec_text(d, "SELECT 1/0", NULL, &err), RC_INVALID);
    assert_int_not_equal(db_commit(d, &err), RC_OK);
    db_rollback(d);
    OK(db_begin(d, &err));
    OK(db_commit(d, &err));
}

static void
test_a_pipeline_gives_each_result_and_prepares_on_the_way(void **state)
{
    AUTO(db) d = connect_db();
    struct err err = { 0 };
    struct dbres *res[4] = { NULL };
    const struct db_call calls[] = { { SQL_begin, DB_NO_ARGS },
                                     { SQL_db_test_echo, DB_ARGS(db_text("one")) },
                                     { SQL_db_test_echo, DB_ARGS(db_text("two")) },
                                     { SQL_commit, DB_NO_ARGS } };

    (void)state;
    for (int round = 0; round < 2; round++) {
        OK(db_pipeline(d, calls, 4, res, &err));
        assert_string_equal(dbres_text(res[1], 0, 0), "one");
        assert_string_equal(dbres_text(res[2], 0, 0), "two");
        for (int i = 0; i < 4; i++)
            dbres_destroy(res[i]);
    }
    OK(db_pipeline(d, NULL, 0, NULL, &err));
}

static void
test_a_pipeline_that_fails_in_the_middle_does_nothing(void **state)
{
    AUTO(db) d = connect_db();
    struct err err = { 0 };
    struct dbres *res[3] = { NULL };
    const struct db_call calls[] = { { SQL_db_test_insert, DB_ARGS(db_i64(1)) },
                                     { SQL_db_test_insert, DB_ARGS(db_i64(1)) },
                                     { SQL_db_test_insert, DB_ARGS(db_i64(2)) } };

    (void)state;
    OK(db_exec_text(d, "CREATE TEMP TABLE db_test_unique (a bigint PRIMARY KEY)", NULL, &err));
    assert_int_equal(db_pipeline(d, calls, 3, res, &err), RC_CONFLICT);
    assert_string_equal(db_sqlstate(d), "23505");
    assert_non_null(strstr(err.text, "db_test_insert"));
    assert_null(res[0]);
    assert_int_equal(ask(d, "SELECT count(*) FROM db_test_unique"), 0);
    OK(db_begin(d, &err));
    assert_int_equal(db_pipeline(d, calls, 3, res, &err), RC_CONFLICT);
    db_rollback(d);
    OK(db_pipeline(d, calls, 1, NULL, &err));
    assert_int_equal(ask(d, "SELECT count(*) FROM db_test_unique"), 1);
}

static void
test_a_pipeline_larger_than_every_buffer_does_not_lock_up(void **state)
{
    enum { N = 40, SIZE = 1 << 20 };
    AUTO(db) d = connect_db();
    AUTO_FREE char *big = malloc(SIZE);
    struct db_arg arg;
    struct db_call calls[N];
    struct dbres *res[N] = { NULL };
    struct err err = { 0 };

    (void)state;
    memset(big, 'x', SIZE);
    arg = db_textn(big, SIZE);
    for (int i = 0; i < N; i++)
        calls[i] = (struct db_call){ SQL_db_test_echo, &arg, 1 }; /* as much comes back as goes over */
    OK(db_pipeline(d, calls, N, res, &err));
    for (int i = 0; i < N; i++) {
        assert_int_equal(dbres_len(res[i], 0, 0), SIZE);
        dbres_destroy(res[i]);
    }
}

static void
test_a_pipeline_on_a_session_that_ends_is_unavailable(void **state)
{
    AUTO(db) d = connect_db();
    struct err err = { 0 };
    struct dbres *res[2] = { NULL };
    const struct db_call calls[] = { { SQL_db_test_suicide, DB_NO_ARGS }, { SQL_db_ping, DB_NO_ARGS } };

    (void)state;
    assert_int_equal(db_pipeline(d, calls, 2, res, &err), RC_UNAVAILABLE);
    assert_null(res[0]);
    OK(db_run(d, SQL_db_ping, DB_NO_ARGS, NULL, &err));
    terminate(d);
    OK(db_pipeline(d, calls + 1, 1, NULL, &err));
}

static void
test_copy_brings_rows_and_says_how_many(void **state)
{
    enum { ROWS = 200000 };
    AUTO(db) d = connect_db();
    AUTO_FREE char *rows = malloc((size_t)ROWS * 2);
    struct err err = { 0 };
    int64_t n = 0;

    (void)state;
    OK(db_exec_text(d, "CREATE TEMP TABLE db_test_copy (a int)", NULL, &err));
    for (size_t i = 0; i < ROWS; i++)
        memcpy(rows + i * 2, "7\n", 2);
    OK(db_copy_begin(d, SQL_db_test_copy, &err));
    OK(db_copy_put(d, rows, (size_t)ROWS * 2, &err));
    OK(db_copy_put(d, "8\n", 2, &err));
    OK(db_copy_end(d, &n, &err));
    assert_int_equal(n, ROWS + 1);
    assert_int_equal(ask(d, "SELECT sum(a) FROM db_test_copy"), 7 * ROWS + 8);
}

static void
test_copy_of_bad_rows_fails_and_leaves_none(void **state)
{
    AUTO(db) d = connect_db();
    struct err err = { 0 };
    int64_t n = -1;

    (void)state;
    OK(db_exec_text(d, "CREATE TEMP TABLE db_test_copy (a int)", NULL, &err));
    OK(db_copy_begin(d, SQL_db_test_copy, &err));
    (void)db_copy_put(d, "1\nx\n", 4, &err);
    assert_int_equal(db_copy_end(d, &n, &err), RC_INVALID);
    assert_int_equal(n, -1);
    OK(db_copy_begin(d, SQL_db_test_copy, &err));
    OK(db_copy_put(d, "1\n", 2, &err));
    db_rollback(d); /* abandoned */
    assert_int_equal(ask(d, "SELECT count(*) FROM db_test_copy"), 0);
    assert_int_not_equal(db_copy_begin(d, SQL_db_test_no_copy, &err), RC_OK);
}

static void
test_a_notification_ends_the_wait(void **state)
{
    AUTO(db) d = connect_db();
    AUTO(db) other = connect_db();
    struct err err = { 0 };
    bool notified = true;
    int fds[2];

    (void)state;
    OK(db_listen(d, SQL_db_test_listen, &err));
    OK(db_wait(d, -1, 0, &notified, &err));
    assert_false(notified);
    OK(db_wait(d, -1, 20, &notified, &err));
    assert_false(notified);
    OK(db_exec_text(other, "NOTIFY db_test", NULL, &err));
    OK(db_wait(d, -1, 5000, &notified, &err));
    assert_true(notified);
    OK(db_wait(d, -1, 20, &notified, &err));
    assert_false(notified);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    OK(db_wait(d, fds[0], -1, &notified, &err));
    assert_false(notified);
    close(fds[0]);
    close(fds[1]);
}

static void
test_a_listener_whose_session_ended_listens_again(void **state)
{
    AUTO(db) d = connect_db();
    AUTO(db) other = connect_db();
    struct err err = { 0 };
    bool notified = false;

    (void)state;
    OK(db_listen(d, SQL_db_test_listen, &err));
    terminate(d);
    OK(db_wait(d, -1, 5000, &notified, &err));
    assert_true(notified); /* something may have been missed */
    OK(db_exec_text(other, "NOTIFY db_test", NULL, &err));
    OK(db_wait(d, -1, 5000, &notified, &err));
    assert_true(notified);
}

static void
test_a_forked_child_leaves_the_session_alone(void **state)
{
    struct db *d = connect_db();
    struct err err = { 0 };
    int64_t pid = ask(d, "SELECT pg_backend_pid()");
    int status = 0;
    pid_t child;

    (void)state;
    if ((child = fork()) == 0) {
        db_destroy(d);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    OK(db_run(d, SQL_db_ping, DB_NO_ARGS, NULL, &err));
    assert_int_equal(ask(d, "SELECT pg_backend_pid()"), pid);
    db_destroy(d);
}

int
main(void)
{
    TEST_ONE(test_a_url_that_cannot_be_read_is_refused_without_its_password);
    TEST_ONE(test_a_server_that_is_not_there_is_unavailable);
    TEST_ONE(test_a_role_that_does_not_exist_is_denied);
    TEST_ONE(test_the_session_is_set_up);
    TEST_ONE(test_every_kind_of_argument_arrives);
    TEST_ONE(test_infinite_times_are_none_and_dates_are_midnight);
    TEST_ONE(test_a_row_lock_that_does_not_come_is_a_timeout);
    TEST_ONE(test_an_error_names_the_line_of_the_text);
    TEST_ONE(test_a_session_ended_while_idle_is_made_anew);
    TEST_ONE(test_a_session_ended_within_a_transaction_is_not_made_anew);
    TEST_ONE(test_a_statement_that_may_have_run_is_not_run_again);
    TEST_ONE(test_a_plan_that_the_schema_has_outgrown_is_made_anew);
    TEST_ONE(test_committing_what_had_failed_is_an_error);
    TEST_ONE(test_a_pipeline_gives_each_result_and_prepares_on_the_way);
    TEST_ONE(test_a_pipeline_that_fails_in_the_middle_does_nothing);
    TEST_ONE(test_a_pipeline_larger_than_every_buffer_does_not_lock_up);
    TEST_ONE(test_a_pipeline_on_a_session_that_ends_is_unavailable);
    TEST_ONE(test_copy_brings_rows_and_says_how_many);
    TEST_ONE(test_copy_of_bad_rows_fails_and_leaves_none);
    TEST_ONE(test_a_notification_ends_the_wait);
    TEST_ONE(test_a_listener_whose_session_ended_listens_again);
    TEST_ONE(test_a_forked_child_leaves_the_session_alone);
    TEST_TABLE(error_cases, check_error);
    return TESTS_RUN("db");
}
