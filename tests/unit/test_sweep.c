/* tests/unit/test_sweep.c - retention against a real Postgres: what goes by age, what goes by bytes, and what
 * never does. */
#include "scheduler/scheduler.h"
#include "scheduler/sweep.h"
#include "tests/unit/servers.h"
#include "tests/unit/tables.h"
#include "tests/unit/testdb.h"

static struct db *db;

static int64_t
value(const char *sql)
{
    return testdb_value(db, sql);
}

/* Jobs `from` to `to` in that state, that ended `age` ago (null: they have not ended); as old as that, and a
 * day. */
static void
jobs(int from, int to, const char *state, const char *age, const char *more)
{
    char sql[1000];

    (void)snprintf(
        sql, sizeof sql,
        "INSERT INTO jobs (id, kind, queue, state, origin, max_attempts, timeout_s, args, created_at, ended_at)"
        " SELECT g, 'noop', 'default', '%s', 'api', 3, 300, '{}', now() - coalesce(%s, '30 d'::interval) - interval '1 d',"
        " now() - %s FROM generate_series(%d, %d) g",
        state, age, age, from, to);
    (void)value(sql);
    if (more != NULL)
        (void)value(more);
}

static void
start(void)
{
    (void)value("TRUNCATE jobs, sync_log, schedule_ticks, schedules, workers RESTART IDENTITY CASCADE");
    (void)value("SELECT pg_stat_reset_single_table_counters('jobs'::regclass)");
}

#define START()           \
    do {                  \
        TESTDB_OR_SKIP(); \
        start();          \
    } while (0)

/* One pass with these options. How many steps it took. */
static int
pass(struct sweep *s)
{
    int64_t wait = 0;
    struct err err = { 0 };
    int steps = 0;

    for (; wait == 0 && steps < 10000; steps++)
        OK(sweep_step(s, db, &wait, &err));
    assert_true(wait > 0);
    return steps;
}

static struct sweep *
make(const char *const *options)
{
    char *argv[16] = { (char *)"scheduler", (char *)"--database-url=postgresql:///x",
                       (char *)"--redis-url=redis://127.0.0.1" };
    int argc = 3;
    AUTO(conf) conf = NULL;
    struct sweep *s = NULL;
    struct err err = { 0 };

    for (; *options != NULL; options++)
        argv[argc++] = (char *)*options;
    OK(conf_load("scheduler", "", scheduler_options, argc, argv, NULL, &conf, &err));
    OK(sweep_create(conf, &s, &err));
    return s;
}
#define SWEEP(...) make((const char *const[]){ __VA_ARGS__, NULL })

static struct age_case {
    const char *name;
    const char *state, *age;
    const char *option;
    bool goes;
} ages[] = {
    { "a done job older than its days goes", "done", "'8 d'::interval", "--keep-done-days=7", true },
    { "a younger one stays", "done", "'6 d'::interval", "--keep-done-days=7", false },
    { "done for ever", "done", "'900 d'::interval", "--keep-done-days=0", false },
    { "a cancelled one has days of its own", "cancelled", "'3 d'::interval", "--keep-cancelled-days=2",
      true },
    { "and is not done", "cancelled", "'3 d'::interval", "--keep-done-days=2", false },
    { "a dead one stays unless told otherwise", "dead", "'900 d'::interval", "--keep-done-days=7", false },
    { "a dead one goes when told", "dead", "'3 d'::interval", "--keep-dead-days=2", true },
    { "a queued one never goes", "queued", "NULL::interval", "--keep-done-days=1", false },
    { "nor a scheduled one", "scheduled", "NULL::interval", "--keep-done-days=1", false },
    { "nor a running one", "running", "NULL::interval", "--keep-done-days=1", false },
};

static void
by_age(void **state)
{
    const struct age_case *c = *state;
    AUTO(sweep) s = NULL;

    START();
    jobs(1, 10, c->state, c->age, NULL);
    s = SWEEP(c->option);
    (void)pass(s);
    assert_int_equal(value("SELECT count(*) FROM jobs"), c->goes ? 0 : 10);
}

static void
a_walk_meets_every_row_in_bounded_steps_and_stops_where_all_are_young(void **state)
{
    AUTO(sweep) s = NULL;

    (void)state;
    START();
    jobs(1, 2500, "done", "'8 d'::interval", NULL);
    jobs(2501, 2600, "queued", "NULL::interval", NULL);
    jobs(2601, 4000, "done", "'8 d'::interval", NULL);
    jobs(4001, 30000, "done", "'1 h'::interval", "UPDATE jobs SET created_at = ended_at WHERE id > 4000");
    s = SWEEP("--keep-done-days=7");
    assert_true(pass(s) < 20); /* four full batches, one into the young ones, and the other chores */
    assert_int_equal(value("SELECT count(*) FROM jobs"), 100 + 26000);
    assert_int_equal(value("SELECT min(id) FROM jobs"), 2501);
}

/* Parent 1 with children 2 and 3. */
static void
family(const char *parent, const char *one, const char *two)
{
    jobs(1, 1, parent, "'9 d'::interval", NULL);
    jobs(2, 2, one, "'9 d'::interval", NULL);
    jobs(3, 3, two, "'9 d'::interval", "UPDATE jobs SET parent_id = 1 WHERE id IN (2, 3)");
    (void)value("UPDATE jobs SET ended_at = NULL WHERE state IN ('scheduled', 'queued', 'running')");
}

static struct family_case {
    const char *name, *parent, *one, *two;
    int64_t left;
} families[] = {
    { "a family that has ended goes as one", "done", "done", "done", 0 },
    { "no child goes before its parent may", "scheduled", "done", "done", 3 },
    { "a parent stays for a child that is not done", "done", "done", "running", 2 },
    { "a parent stays for a dead child", "done", "done", "dead", 2 },
    { "the children of a dead parent stay", "dead", "done", "done", 3 },
};

static void
by_family(void **state)
{
    const struct family_case *c = *state;
    AUTO(sweep) s = NULL;

    START();
    family(c->parent, c->one, c->two);
    s = SWEEP("--keep-done-days=7");
    (void)pass(s); /* children, then in the next pass their parent */
    (void)pass(s);
    assert_int_equal(value("SELECT count(*) FROM jobs"), c->left);
    assert_int_equal(value("SELECT count(*) FROM jobs c WHERE parent_id IS NOT NULL AND NOT EXISTS"
                           " (SELECT FROM jobs p WHERE p.id = c.parent_id)"),
                     0);
}

static void
ticks_outlive_their_jobs_and_workers_their_last_day(void **state)
{
    AUTO(sweep) s = NULL;

    (void)state;
    START();
    (void)value("INSERT INTO organizations (slug, name) VALUES ('acme', 'Acme') ON CONFLICT DO NOTHING");
    (void)value(
        "INSERT INTO schedules (organization_id, kind, cron, timezone) SELECT id, 'noop', '@hourly', 'UTC' FROM organizations");
    jobs(1, 3, "done", "'7 d 12 h'::interval", NULL);
    (void)value(
        "INSERT INTO schedule_ticks (schedule_id, tick, job_id, created_at)"
        " SELECT s.id, j.created_at + j.id * interval '1 min', j.id, now() - interval '7 d 12 h' FROM schedules s, jobs j");
    (void)value("INSERT INTO schedule_ticks (schedule_id, tick, job_id, created_at)"
                " SELECT s.id, now() - interval '9 d', 99, now() - interval '9 d' FROM schedules s");
    (void)value(
        "INSERT INTO workers (host, pid, slots, version, state, ended_at) VALUES ('h', 1, 1, '0', 'dead', now() - interval '25 h'),"
        " ('h', 2, 1, '0', 'stopped', now() - interval '23 h'), ('h', 3, 1, '0', 'active', NULL)");
    (void)value(
        "INSERT INTO sync_log (job_id, epoch, kind, started_at) VALUES (1, 1, 'noop', now() - interval '91 d'), (1, 2, 'noop', now())");
    s = SWEEP("--keep-done-days=7", "--keep-log-days=90");
    (void)pass(s);
    assert_int_equal(value("SELECT count(*) FROM jobs"), 0);
    assert_int_equal(value("SELECT count(*) FROM schedule_ticks"), 3);
    assert_int_equal(value("SELECT sum(pid) FROM workers"), 2 + 3);
    assert_int_equal(value("SELECT count(*) FROM sync_log"), 1);
}

/* ---- by bytes ---- */

/* The statistics know what is there: first what this session still holds back is told, then all is counted
 * (the other way round it would be counted twice). */
static void
count_rows(const char *table)
{
    char sql[100];

    (void)value("SELECT pg_stat_force_next_flush()");
    (void)snprintf(sql, sizeof sql, "VACUUM ANALYZE %s", table);
    (void)value(sql);
}

#define WIDE \
    "UPDATE jobs SET args = jsonb_build_object('x', repeat(md5(id::text), 20))" /* does not compress away */

static int64_t
live_bytes(void)
{
    return value("SELECT coalesce(sum(pg_column_size(j.*)), 0)::int8 + 104 * count(*) FROM jobs j");
}

static void
the_oldest_that_have_ended_go_until_nine_tenths_are_left(void **state)
{
    const int64_t mb = 1024 * 1024;
    AUTO(sweep) s = NULL;
    int64_t before;

    (void)state;
    START();
    jobs(1, 100, "dead", "'3 h'::interval", NULL);
    jobs(101, 200, "queued", "NULL::interval", NULL);
    jobs(201, 5000, "done", "'2 h'::interval", WIDE);
    count_rows("jobs");
    before = live_bytes();
    assert_true(before > 3 * mb);
    s = SWEEP("--jobs-max-mb=2", "--keep-done-days=0", "--keep-cancelled-days=0");
    (void)pass(s);
    assert_in_range(live_bytes(), 2 * mb / 10 * 9 - 1000 * 1000,
                    2 * mb / 10 * 9 + 200 * 1000); /* to a batch */
    assert_int_equal(value("SELECT count(*) FROM jobs WHERE state IN ('dead', 'queued')"), 200);
    assert_int_equal(value("SELECT max(id) - min(id) + 1 - count(*) FROM jobs WHERE state = 'done'"), 0);
    assert_int_equal(value("SELECT max(id) FROM jobs"), 5000);

    /* The file is as large as it was, and yet nothing more goes: not now, not after the next vacuum. */
    before = value("SELECT count(*) FROM jobs");
    assert_true(value("SELECT pg_total_relation_size('jobs')") > 3 * mb);
    (void)pass(s);
    (void)pass(s);
    (void)value("VACUUM jobs");
    (void)pass(s);
    assert_int_equal(value("SELECT count(*) FROM jobs"), before);
}

static void
dead_ones_go_last_and_unfinished_ones_never(void **state)
{
    AUTO(sweep) s = NULL;

    (void)state;
    START();
    jobs(1, 1500, "dead", "'3 h'::interval", NULL);
    jobs(1501, 3000, "queued", "NULL::interval", NULL);
    jobs(3001, 3500, "cancelled", "'2 h'::interval", NULL);
    jobs(3501, 3600, "done", "'10 s'::interval", "UPDATE jobs SET created_at = now() WHERE id > 3500");
    (void)value(WIDE);
    count_rows("jobs");
    s = SWEEP("--jobs-max-mb=1", "--keep-done-days=0", "--keep-cancelled-days=0");
    (void)pass(s);
    assert_int_equal(value("SELECT count(*) FROM jobs WHERE state = 'cancelled'"), 0);
    assert_int_equal(value("SELECT count(*) FROM jobs WHERE state = 'dead'"), 0);
    assert_int_equal(value("SELECT count(*) FROM jobs WHERE state = 'queued'"), 1500);
    assert_int_equal(value("SELECT count(*) FROM jobs WHERE state = 'done'"), 100); /* ended a moment ago */
}

static void
a_parent_goes_after_its_children_and_before_the_dead(void **state)
{
    AUTO(sweep) s = NULL;

    (void)state;
    START();
    jobs(1, 1, "done", "'3 h'::interval", NULL);
    jobs(2, 3000, "done", "'3 h'::interval", "UPDATE jobs SET parent_id = 1 WHERE id > 1");
    jobs(3001, 3400, "dead", "'3 h'::interval", WIDE);
    count_rows("jobs");
    s = SWEEP("--jobs-max-mb=1", "--keep-done-days=0", "--keep-cancelled-days=0");
    (void)pass(s);
    assert_true(value("SELECT count(*) FROM jobs WHERE state = 'done' AND id > 1") < 1100);
    assert_int_equal(value("SELECT count(*) FROM jobs WHERE id = 1"), 1);
    assert_int_equal(value("SELECT count(*) FROM jobs WHERE state = 'dead'"), 400);
}

static void
the_sync_log_has_a_bound_too(void **state)
{
    AUTO(sweep) s = NULL;

    (void)state;
    START();
    (void)value(
        "INSERT INTO sync_log (job_id, epoch, kind, outcome, started_at, error) SELECT g, 1, 'noop',"
        " CASE WHEN g <= 10 THEN 'running' ELSE 'done' END, now() - interval '1 h', repeat(md5(g::text), 20)"
        " FROM generate_series(1, 4000) g");
    count_rows("sync_log");
    s = SWEEP("--log-max-mb=1");
    (void)pass(s);
    assert_in_range(value("SELECT sum(pg_column_size(l.*)) + 104 * count(*) FROM sync_log l"), 100 * 1000,
                    1000 * 1000);
    assert_int_equal(value("SELECT count(*) FROM sync_log WHERE outcome = 'running'"), 10);
    assert_int_equal(value("SELECT max(job_id) FROM sync_log"), 4000);
}

int
main(void)
{
    int failed;

    if (testdb_make() != 0)
        return 1;
    if (testdb.url[0] != '\0')
        db = testdb_connect();
    TEST_TABLE(ages, by_age);
    TEST_TABLE(families, by_family);
    TEST_ONE(a_walk_meets_every_row_in_bounded_steps_and_stops_where_all_are_young);
    TEST_ONE(ticks_outlive_their_jobs_and_workers_their_last_day);
    TEST_ONE(the_oldest_that_have_ended_go_until_nine_tenths_are_left);
    TEST_ONE(dead_ones_go_last_and_unfinished_ones_never);
    TEST_ONE(a_parent_goes_after_its_children_and_before_the_dead);
    TEST_ONE(the_sync_log_has_a_bound_too);
    failed = TESTS_RUN("sweep");
    db_destroy(db);
    testdb_drop();
    return failed;
}
