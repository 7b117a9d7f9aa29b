/* tests/unit/test_counters.c - counts are added up in the table, whoever writes them, and survive a failure.
 */
#include "common/counters.h"
#include "tests/unit/stage.h"
#include "tests/unit/testdb.h"

static struct db *db;

static int64_t
value(const char *sql)
{
    return testdb_value(db, sql);
}

#define START()                           \
    do {                                  \
        TESTDB_OR_SKIP();                 \
        (void)value("TRUNCATE counters"); \
    } while (0)

static struct counters *
make(void)
{
    struct counters *c = NULL;
    struct err err = { 0 };

    OK(counters_create(&c, &err));
    return c;
}

static void
what_two_processes_count_is_added_up_by_label(void **state)
{
    AUTO(counters) one = NULL;
    AUTO(counters) two = NULL;
    struct err err = { 0 };

    (void)state;
    START();
    one = make();
    two = make();
    for (int i = 0; i < 1000; i++)
        counters_add(one, COUNTER_attempts, "noop", i % 10 == 0 ? "retry" : "done", 1);
    counters_add(one, COUNTER_claims, "live", "", 5);
    counters_add(two, COUNTER_claims, "live", "", 7);
    counters_add(two, COUNTER_claims, "bulk", "", 1);
    OK(counters_write(one, db, &err));
    OK(counters_write(two, db, &err));
    OK(counters_write(two, db, &err)); /* nothing new */
    assert_int_equal(
        value("SELECT value FROM counters WHERE (name, label, label2) = ('attempts', 'noop', 'done')"), 900);
    assert_int_equal(
        value("SELECT value FROM counters WHERE (name, label, label2) = ('attempts', 'noop', 'retry')"), 100);
    assert_int_equal(value("SELECT value FROM counters WHERE (name, label) = ('claims', 'live')"), 12);
    assert_int_equal(value("SELECT count(*) FROM counters"), 4);
}

static void
what_could_not_be_written_goes_with_the_next(void **state)
{
    AUTO(counters) c = NULL;
    struct err err = { 0 };

    (void)state;
    START();
    c = make();
    counters_add(c, COUNTER_claims, "live", "", 3);
    (void)value("ALTER TABLE counters RENAME TO away");
    assert_int_not_equal(counters_write(c, db, &err), RC_OK);
    (void)value("ALTER TABLE away RENAME TO counters");
    counters_add(c, COUNTER_claims, "live", "", 4);
    OK(counters_write(c, db, &err));
    assert_int_equal(value("SELECT value FROM counters"), 7);
}

static void
on_ping(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    (void)res;
    stage_came(arg, rc, err);
}

static void
on_a_loop_too(void **state)
{
    AUTO(counters) c = NULL;
    struct stage *s;
    struct err err = { 0 };

    (void)state;
    START();
    c = make();
    counters_add(c, COUNTER_workers_lost, "silent", "", 2);
    s = stage_create();
    OK(dba_create(s->loop, testdb.url, &(struct db_options){ .app_name = "unit" }, stage_on_state, s, &s->dba,
                  &err));
    counters_send(c, s->dba); /* not connected yet: kept */
    s->stop_when_up = true;
    stage_run(s);
    counters_send(c, s->dba);
    counters_add(c, COUNTER_workers_lost, "silent", "", 1);
    counters_send(c, s->dba); /* the first is on its way: kept */
    s->stop_when_up = false;
    tickets[0] = (struct ticket){ s, 0 };
    dba_run(s->dba, SQL_db_ping, DB_NO_ARGS, on_ping, &tickets[0]); /* calls come back in order */
    stage_run_until(s, 1);
    dba_destroy(s->dba);
    stage_destroy(s);
    assert_int_equal(value("SELECT value FROM counters"), 2);
    OK(counters_write(c, db, &err));
    assert_int_equal(value("SELECT value FROM counters"), 3);
}

static void
a_flood_of_labels_is_bounded(void **state)
{
    AUTO(counters) c = NULL;
    struct err err = { 0 };

    (void)state;
    START();
    c = make();
    for (int i = 0; i < 5000; i++) {
        char label[200];

        (void)snprintf(label, sizeof label, "%d%0*d", i, 150, 0);
        counters_add(c, COUNTER_attempts, label, "done", 1);
    }
    OK(counters_write(c, db, &err));
    assert_in_range(value("SELECT count(*) FROM counters"), 500, 1000);
}

static void
one_rare_event(void **state)
{
    struct err err = { 0 };

    (void)state;
    START();
    OK(counters_add_now(db, COUNTER_jobs_taken_back, "queued", 4, &err));
    OK(counters_add_now(db, COUNTER_jobs_taken_back, "queued", 1, &err));
    assert_int_equal(
        value(
            "SELECT value FROM counters WHERE name = 'jobs_taken_back' AND changed_at > now() - interval '1 min'"),
        5);
}

int
main(void)
{
    int failed;

    if (testdb_make() != 0)
        return 1;
    if (testdb.url[0] != '\0')
        db = testdb_connect();
    TEST_ONE(what_two_processes_count_is_added_up_by_label);
    TEST_ONE(what_could_not_be_written_goes_with_the_next);
    TEST_ONE(on_a_loop_too);
    TEST_ONE(a_flood_of_labels_is_bounded);
    TEST_ONE(one_rare_event);
    failed = TESTS_RUN("counters");
    db_destroy(db);
    testdb_drop();
    return failed;
}
