/* tests/unit/test_batch.c - a job and all below it, cancelled and tried again, against a real Postgres. The
 * trees are rows; what workers do meanwhile is in tests/isolation and tests/scenarios. */
#include "common/batch.h"
#include "tests/unit/tables.h"
#include "tests/unit/testdb.h"

static struct db *db;

static void
run(const char *sql)
{
    struct err err = { 0 };

    if (db_exec_text(db, sql, NULL, &err) != RC_OK)
        fail_msg("%s: %s", sql, err.text);
}

/* Each job's state, in the order of their ids, a letter each: s(cheduled) q r d(one) D(ead) c(ancelled); w =
 * scheduled and waiting for its children. */
static const char *
states(void)
{
    static char text[64];
    AUTO(dbres) r = NULL;
    struct err err = { 0 };

    if (db_exec_text(
            db,
            "SELECT string_agg(CASE WHEN state = 'scheduled' AND run_at IS NULL THEN 'w' WHEN state = 'dead' THEN 'D'"
            " ELSE left(state::text, 1) END, '' ORDER BY id) FROM jobs",
            &r, &err) != RC_OK)
        fail_msg("%s", err.text);
    (void)snprintf(text, sizeof text, "%s", dbres_text(r, 0, 0));
    return text;
}

/* A tree as rows: job 1 is the root, 2 to 4 are its children, 5 and 6 are those of 4. One letter each, as in
 * states(); '.' is no such job, 'R' one that runs and was asked to end, 'f' one that was folded into another.
 */
static void
plant(const char *tree)
{
    static const int parents[] = { 0, 1, 1, 1, 4, 4 };

    run("TRUNCATE jobs, sync_log RESTART IDENTITY CASCADE");
    for (int i = 0; tree[i] != '\0'; i++) {
        static const struct {
            char letter;
            const char *columns;
        } kinds[] = {
            { 's', "'scheduled', 'infinity', false, NULL, NULL" },
            { 'w', "'scheduled', NULL, false, NULL, NULL" },
            { 'q', "'queued', now(), false, NULL, NULL" },
            { 'r', "'running', now(), false, NULL, NULL" },
            { 'R', "'running', now(), true, NULL, NULL" },
            { 'd', "'done', now(), false, NULL, now()" },
            { 'D', "'dead', now(), false, NULL, now()" },
            { 'c', "'cancelled', now(), true, NULL, now()" },
            { 'f', "'cancelled', now(), false, 99, now()" },
        };
        char sql[512];

        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            if (kinds[k].letter != tree[i])
                continue;
            (void)snprintf(
                sql, sizeof sql,
                "INSERT INTO jobs (id, parent_id, kind, queue, origin, max_attempts, timeout_s, attempt, crashes, error, state,"
                " run_at, cancel_requested, folded_into, ended_at)"
                " VALUES (%d, nullif(%d, 0), 'noop', 'bulk', 'test', 8, 60, 3, 1, 'e', %s)",
                i + 1, parents[i], kinds[k].columns);
            run(sql);
        }
    }
}

static struct batch_case {
    const char *name, *tree;
    int64_t id;
    bool cancelled; /* retry: cancelled ones too */
    enum rc rc;
    const char *after;
    int64_t ended, running, retried, pushed;
} cancels[] = {
    { "what waits ends at once", "wqsD", 1, false, RC_OK, "cccD", 3, 0, 0, 0 },
    { "what runs is asked to end", "wrqr", 1, false, RC_OK, "crcr", 2, 2, 0, 0 },
    { "grandchildren too", "wdqwqr", 1, false, RC_OK, "cdcccr", 4, 1, 0, 0 },
    { "only what is below", "wdqwqr", 4, false, RC_OK, "wdqccr", 2, 1, 0, 0 },
    { "an ended parent's children can still be ended", "DqrD", 1, false, RC_OK, "DcrD", 1, 1, 0, 0 },
    { "the last child that ends sets its parent free", "wdqd", 3, false, RC_OK, "qdcd", 1, 0, 0, 1 },
    { "an ended batch is refused", "dddD", 1, false, RC_CONFLICT, "dddD", 0, 0, 0, 0 },
    { "asked twice is refused", "R", 1, false, RC_CONFLICT, "r", 0, 0, 0, 0 },
    { "there must be a job", "d", 7, false, RC_NOT_FOUND, "d", 0, 0, 0, 0 },
}, retries[] = {
    { "dead children wait again, and their parent for them", "DdDD", 1, false, RC_OK, "wdqq", 0, 0, 3, 2 },
    { "those that wait or run are left alone", "wrDq", 1, false, RC_OK, "wrqq", 0, 0, 1, 1 },
    { "a done parent is done no more", "ddcd", 1, true, RC_OK, "wdqd", 0, 0, 2, 1 },
    { "cancelled ones only if asked", "DdcD", 1, false, RC_OK, "wdcq", 0, 0, 2, 1 },
    { "dead and cancelled ones", "DdcD", 1, true, RC_OK, "wdqq", 0, 0, 3, 2 },
    { "a cancelled batch goes on", "cdcc", 1, true, RC_OK, "wdqq", 0, 0, 3, 2 },
    { "a cancelled batch goes on only if asked", "cdcD", 1, false, RC_CONFLICT, "cdcD", 0, 0, 0, 0 },
    { "every generation", "DddDDd", 1, false, RC_OK, "wddwqd", 0, 0, 3, 1 },
    { "a parent in between that was done", "DdDddD", 1, false, RC_OK, "wdqwdq", 0, 0, 4, 2 },
    { "only what is below", "DddDDd", 4, false, RC_OK, "Dddwqd", 0, 0, 2, 1 },
    { "a dead parent whose children are all done tries again itself", "Dddd", 1, false, RC_OK, "qddd", 0, 0, 1, 1 },
    { "a dead parent whose children still run waits for them", "Drdd", 1, false, RC_OK, "wrdd", 0, 0, 1, 0 },
    { "a folded job's work is another's", "Dffd", 1, true, RC_OK, "qccd", 0, 0, 1, 1 },
    { "nothing dead, nothing to retry", "wrdc", 1, false, RC_CONFLICT, "wrdc", 0, 0, 0, 0 },
    { "a parent that runs may be counting", "rDdd", 1, false, RC_CONFLICT, "rDdd", 0, 0, 0, 0 },
    { "nor may one below run", "wddrD", 1, false, RC_CONFLICT, "wddrD", 0, 0, 0, 0 },
    { "there must be a job", "D", 7, false, RC_NOT_FOUND, "D", 0, 0, 0, 0 },
};

static void
check(const struct batch_case *c, bool cancel)
{
    struct batch_changed b = { .items = NULL };
    struct err err = { 0 };
    enum rc rc;

    plant(c->tree);
    rc = cancel ? batch_cancel(db, c->id, &b, &err) : batch_retry(db, c->id, c->cancelled, &b, &err);
    if (rc != c->rc)
        fail_msg("%s: %s", rc_name(rc), err.text);
    assert_string_equal(states(), c->after);
    assert_int_equal(b.ended, c->ended);
    assert_int_equal(b.running, c->running);
    assert_int_equal(b.retried, c->retried);
    assert_int_equal(b.n, c->pushed);
    free(b.items);
}

static void
check_cancel(void **state)
{
    TESTDB_OR_SKIP();
    check(*state, true);
}

static void
check_retry(void **state)
{
    TESTDB_OR_SKIP();
    check(*state, false);
}

static int64_t
count(const char *where)
{
    AUTO(dbres) r = NULL;
    char sql[256];

    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM jobs WHERE %s", where);
    assert_int_equal(db_exec_text(db, sql, &r, NULL), RC_OK);
    return dbres_i64(r, 0, 0);
}

static void
retried_jobs_start_with_fresh_attempts(void **state)
{
    struct batch_changed b = { .items = NULL };

    (void)state;
    TESTDB_OR_SKIP();
    plant("cdcD");
    run("UPDATE jobs SET checkpoint = '{\"page\": 7}'");
    assert_int_equal(batch_retry(db, 1, true, &b, NULL), RC_OK);
    assert_int_equal(
        count(
            "id <> 2 AND attempt = 0 AND crashes = 0 AND NOT cancel_requested AND error IS NULL AND ended_at IS NULL"),
        3);
    assert_int_equal(count("checkpoint->>'page' = '7'"), 4);
    assert_int_equal(count("id = 2 AND attempt = 3"), 1);
    free(b.items);
}

static void
of_two_with_one_dedupe_key_the_first_keeps_it(void **state)
{
    struct batch_changed b = { .items = NULL };

    (void)state;
    TESTDB_OR_SKIP();
    plant("DDDD");
    run("UPDATE jobs SET dedupe_key = 'k' WHERE id IN (2, 3); UPDATE jobs SET dedupe_key = 'taken' WHERE id = 4;"
        "INSERT INTO jobs (id, kind, queue, origin, max_attempts, timeout_s, state, dedupe_key)"
        " VALUES (9, 'noop', 'bulk', 'test', 8, 60, 'queued', 'taken')");
    assert_int_equal(batch_retry(db, 1, false, &b, NULL), RC_OK);
    assert_int_equal(b.retried, 4);
    assert_int_equal(count("id = 2 AND dedupe_key = 'k'"), 1);
    assert_int_equal(count("id IN (3, 4) AND dedupe_key IS NULL AND state = 'queued'"), 2);
    free(b.items);
}

static void
only_its_owner_may_give_a_job_children(void **state)
{
    const struct job job = { .id = 1, .epoch = 2, .worker_id = 3 },
                     older = { .id = 1, .epoch = 1, .worker_id = 3 };
    bool cancel = true;

    (void)state;
    TESTDB_OR_SKIP();
    plant("r");
    run("UPDATE jobs SET epoch = 2, worker_id = 3");
    assert_int_equal(batch_own(db, &older, &cancel, NULL), RC_CONFLICT);
    assert_int_equal(batch_own(db, &job, &cancel, NULL), RC_OK);
    assert_false(cancel);
    run("UPDATE jobs SET cancel_requested = true");
    assert_int_equal(batch_own(db, &job, &cancel, NULL), RC_OK);
    assert_true(cancel);
}

int
main(void)
{
    int failed;

    if (testdb_make() != 0)
        return 1;
    if (testdb.url[0] != '\0')
        db = testdb_connect();
    TEST_TABLE(cancels, check_cancel);
    TEST_TABLE(retries, check_retry);
    TEST_ONE(retried_jobs_start_with_fresh_attempts);
    TEST_ONE(of_two_with_one_dedupe_key_the_first_keeps_it);
    TEST_ONE(only_its_owner_may_give_a_job_children);
    failed = TESTS_RUN("batch");
    db_destroy(db);
    testdb_drop();
    return failed;
}
