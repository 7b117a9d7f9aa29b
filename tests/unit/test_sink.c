/* tests/unit/test_sink.c - pages into a real Postgres: what is written, what is left alone, who wins, and
 * that a refused page leaves nothing. */
#include "common/clock.h"
#include "tests/unit/tables.h"
#include "tests/unit/testdb.h"
#include "worker/sink.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct db *db, *other; /* other: another writer */
static int64_t worker;
static struct job job;
static struct job_ctx ctx;
static struct rows rows;
static struct record rec;
static struct tally unknown;

static int64_t
value(const char *sql)
{
    return testdb_value(db, sql);
}

static void
run(struct db *d, const char *sql)
{
    struct err err = { 0 };

    if (db_exec_text(d, sql, NULL, &err) != RC_OK)
        fail_msg("%s: %s", sql, err.text);
}

static void
assert_text(const char *sql, const char *want)
{
    AUTO(dbres) r = NULL;
    struct err err = { 0 };

    if (db_exec_text(db, sql, &r, &err) != RC_OK)
        fail_msg("%s: %s", sql, err.text);
    assert_int_equal(dbres_rows(r), 1);
    assert_string_equal(dbres_text(r, 0, 0), want);
}

/* A running job of ours, and an empty desk. */
static void
begin(void)
{
    run(db,
        "TRUNCATE accounts, users, issues, messages, sync_log; DELETE FROM stream_cursors; DELETE FROM jobs;");
    worker = value("INSERT INTO workers (host, pid, slots, version) VALUES ('h', 1, 1, 'v') RETURNING id");
    job = (struct job){ .worker_id = worker, .epoch = 3, .kind = (char[]){ "issue_pull" } };
    job.integration_id = value("SELECT id FROM integrations");
    job.id = value(
        "INSERT INTO jobs (kind, queue, state, integration_id, origin, max_attempts, timeout_s, epoch, worker_id, started_at)"
        " SELECT 'issue_pull', 'live', 'running', i.id, 'cli', 3, 60, 3, w.id, now() FROM integrations i,"
        " (SELECT max(id) AS id FROM workers) w RETURNING id");
    assert_int_equal(ctx_init(&ctx, &job, NULL, db, NULL, NULL, NULL), RC_OK);
    ctx.touched = true;
    rows_init(&rows, 1 << 24);
    record_init(&rec, &unknown);
    rows_reset(&rows, STREAM_issues);
}

static void
end(void)
{
    ctx_fini(&ctx);
    rows_fini(&rows);
    record_fini(&rec);
    db_rollback(db);
    db_rollback(other);
}

static void
add(const char *id, int64_t updated_s, const char *title)
{
    record_reset(&rec, STREAM_issues);
    record_set_text(&rec, COL_issues_id, id, strlen(id));
    record_set_text(&rec, COL_issues_title, title, strlen(title));
    record_set_number(&rec, COL_issues_updated_at, updated_s * CLOCK_SECOND);
    assert_int_equal(rows_add(&rows, &rec, NULL), RC_OK);
}

/* Commits what was added; the next page begins empty. The counts are of this page alone. */
static enum rc
commit_page(struct counts *c, enum rc (*in_tx)(struct job_ctx *, const struct counts *, void *, struct err *))
{
    struct sink_write w = { .rows = { &rows }, .nrows = 1, .pages = 1, .in_tx = in_tx };
    struct counts before = ctx.attempt;
    struct err err = { 0 };
    enum rc rc;

    rows_finish(&rows);
    rc = sink_commit(&ctx, &w, &err);
    if (rc != RC_OK)
        print_message("%s\n", err.text);
    *c = (struct counts){ .fetched = ctx.attempt.fetched - before.fetched,
                          .inserted = ctx.attempt.inserted - before.inserted,
                          .updated = ctx.attempt.updated - before.updated,
                          .unchanged = ctx.attempt.unchanged - before.unchanged,
                          .stale = ctx.attempt.stale - before.stale };
    rows_reset(&rows, STREAM_issues);
    return rc;
}

#define PAGE(ins, upd, unch, old)                                                         \
    do {                                                                                  \
        struct counts c_;                                                                 \
        assert_int_equal(commit_page(&c_, NULL), RC_OK);                                  \
        assert_int_equal(c_.inserted, ins);                                               \
        assert_int_equal(c_.updated, upd);                                                \
        assert_int_equal(c_.unchanged, unch);                                             \
        assert_int_equal(c_.stale, old);                                                  \
        assert_int_equal(c_.fetched, c_.inserted + c_.updated + c_.unchanged + c_.stale); \
    } while (0)

static void
new_changed_unchanged_and_stale_rows_each_get_their_due(void **state)
{
    int64_t ctid_a, writes;

    (void)state;
    TESTDB_OR_SKIP();
    begin();
    add("a", 100, "one");
    add("b", 100, "two");
    PAGE(2, 0, 0, 0);
    ctid_a = value("SELECT xmin::text::bigint FROM issues WHERE id = 'a'");
    add("a", 100, "one");
    add("b", 200, "two, edited");
    add("c", 100, "three");
    PAGE(1, 1, 1, 0);
    assert_int_equal(value("SELECT xmin::text::bigint FROM issues WHERE id = 'a'"),
                     ctid_a); /* not even touched */
    add("b", 150, "an older page of b");
    PAGE(0, 0, 0, 1);
    assert_text("SELECT title FROM issues WHERE id = 'b'", "two, edited");
    writes = value("SELECT sum(fetched) FROM sync_log");
    assert_int_equal(writes, 6);
    assert_text("SELECT progress->>'inserted' FROM jobs WHERE state = 'running'", "3");
    end();
}

static void
an_edit_within_the_same_timestamp_is_written(void **state)
{
    (void)state;
    TESTDB_OR_SKIP();
    begin();
    add("a", 100, "one");
    PAGE(1, 0, 0, 0);
    add("a", 100, "one, edited at once");
    PAGE(0, 1, 0, 0);
    end();
}

static void
a_record_that_comes_twice_in_a_page_is_one_row(void **state)
{
    (void)state;
    TESTDB_OR_SKIP();
    begin();
    add("a", 100, "older");
    add("a", 200, "newer");
    PAGE(1, 0, 1, 0);
    assert_text("SELECT title FROM issues", "newer");
    end();
}

static void
a_deleted_row_that_comes_back_is_there_again(void **state)
{
    (void)state;
    TESTDB_OR_SKIP();
    begin();
    add("a", 100, "one");
    PAGE(1, 0, 0, 0);
    run(db, "UPDATE issues SET deleted_at = now()");
    add("a", 100, "one");
    PAGE(0, 1, 0, 0);
    assert_int_equal(value("SELECT count(*) FROM issues WHERE deleted_at IS NULL"), 1);
    end();
}

static void
an_update_leaves_alone_what_is_not_the_vendors(void **state)
{
    (void)state;
    TESTDB_OR_SKIP();
    begin();
    add("a", 100, "one");
    PAGE(1, 0, 0, 0);
    run(db, "UPDATE issues SET messages_read_for = '2026-01-01Z'");
    add("a", 200, "two");
    PAGE(0, 1, 0, 0);
    assert_int_equal(value("SELECT count(*) FROM issues WHERE messages_read_for = '2026-01-01Z'"), 1);
    end();
}

static void
every_type_of_column_arrives_as_it_was(void **state)
{
    static const char tags[] = "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1\0\0\0\1a\0\0\0\2b,";
    size_t at;

    (void)state;
    TESTDB_OR_SKIP();
    begin();
    record_reset(&rec, STREAM_issues);
    record_set_text(&rec, COL_issues_id, "\xc3\xa9", 2);
    record_set_number(&rec, COL_issues_number, -5);
    record_set_number(&rec, COL_issues_created_at, INT64_C(1767225600123456));
    at = rec.scratch.len;
    buf_put(&rec.scratch, tags, sizeof tags - 1);
    record_set_scratch(&rec, COL_issues_tags, at);
    at = rec.scratch.len;
    buf_puts(&rec.scratch, "{\"b\": [1, 2], \"a\": \"\xe7\xa9\xba\"}");
    record_set_scratch(&rec, COL_issues_custom_fields, at);
    assert_int_equal(rows_add(&rows, &rec, NULL), RC_OK);
    PAGE(1, 0, 0, 0);
    assert_text(
        "SELECT concat_ws(' ', id, number, created_at AT TIME ZONE 'UTC', tags::text, custom_fields::text, title IS NULL) FROM issues",
        "\xc3\xa9 -5 2026-01-01 00:00:00.123456 {a,\"b,\"} {\"a\": \"\xe7\xa9\xba\", \"b\": [1, 2]} t");
    end();
}

/* ---- another writer ---- */

/* The other writer holds a row uncommitted while we ask, so that to us it is new, and commits it once we wait
 * for it. */
static void *
commit_when_waited_for(void *arg)
{
    AUTO(db) watch = testdb_connect();

    (void)arg;
    for (int i = 0; i < 500; i++) {
        AUTO(dbres) r = NULL;
        struct timespec t = { .tv_nsec = 10000000 };

        if (db_exec_text(watch, "SELECT count(*) FROM pg_locks WHERE NOT granted", &r, NULL) == RC_OK &&
            dbres_i64(r, 0, 0) > 0)
            break;
        (void)nanosleep(&t, NULL);
    }
    (void)db_exec_text(other, "COMMIT", NULL, NULL);
    return NULL;
}

static void
they_insert(const char *when)
{
    char sql[300];

    (void)snprintf(sql, sizeof sql,
                   "BEGIN; INSERT INTO issues (integration_id, id, title, updated_at, row_hash, synced_at)"
                   " SELECT id, 'b', 'theirs', '%s', 1, now() FROM integrations",
                   when);
    run(other, sql);
}

static void
a_page_overtaken_by_an_older_row_wins_through_the_guards(void **state)
{
    struct counts c;
    pthread_t t;

    (void)state;
    TESTDB_OR_SKIP();
    begin();
    they_insert("1970-01-01 00:00:50Z");
    add("a", 100, "ours");
    add("b", 100, "ours");
    assert_int_equal(pthread_create(&t, NULL, commit_when_waited_for, NULL), 0);
    assert_int_equal(commit_page(&c, NULL), RC_OK);
    (void)pthread_join(t, NULL);
    assert_int_equal(c.inserted, 1);
    assert_int_equal(c.updated, 1);
    assert_text("SELECT string_agg(title, ' ' ORDER BY id) FROM issues", "ours ours");
    assert_text("SELECT progress->>'fetched' FROM jobs WHERE state = 'running'", "2");
    end();
}

static void
a_page_overtaken_by_a_newer_row_yields(void **state)
{
    struct counts c;
    pthread_t t;

    (void)state;
    TESTDB_OR_SKIP();
    begin();
    they_insert("1970-01-01 00:05:00Z");
    add("a", 100, "ours");
    add("b", 100, "ours");
    add("c", 100, "ours");
    assert_int_equal(pthread_create(&t, NULL, commit_when_waited_for, NULL), 0);
    assert_int_equal(commit_page(&c, NULL), RC_OK);
    (void)pthread_join(t, NULL);
    assert_int_equal(c.inserted, 2);
    assert_int_equal(c.stale, 1);
    assert_text("SELECT string_agg(title, ' ' ORDER BY id) FROM issues", "ours theirs ours");
    end();
}

/* Our question saw an old row, and by the time of our update the other's newer one is there. */
static void
an_update_overtaken_by_a_newer_row_yields(void **state)
{
    struct counts c;
    pthread_t t;

    (void)state;
    TESTDB_OR_SKIP();
    begin();
    add("b", 100, "first");
    PAGE(1, 0, 0, 0);
    run(other,
        "BEGIN; UPDATE issues SET title = 'theirs', updated_at = '1970-01-01 00:05:00Z', row_hash = 1 WHERE id = 'b'");
    add("b", 200, "ours");
    assert_int_equal(pthread_create(&t, NULL, commit_when_waited_for, NULL), 0);
    assert_int_equal(commit_page(&c, NULL), RC_OK);
    (void)pthread_join(t, NULL);
    assert_int_equal(c.stale, 1);
    assert_text("SELECT title FROM issues", "theirs");
    end();
}

/* ---- the fence ---- */

static void
a_page_whose_job_is_no_longer_ours_leaves_nothing(void **state)
{
    json_t *checkpoint = json_pack("{s:i}", "page", 7);
    struct sink_write w = { .rows = { &rows }, .nrows = 1, .pages = 1, .checkpoint = checkpoint };
    struct err err = { 0 };

    (void)state;
    if (testdb.url[0] == '\0')
        json_decref(checkpoint);
    TESTDB_OR_SKIP();
    begin();
    run(db, "UPDATE jobs SET epoch = 4");
    add("a", 100, "too late");
    rows_finish(&rows);
    assert_int_equal(sink_commit(&ctx, &w, &err), RC_CONFLICT);
    assert_true(ctx.lost);
    assert_int_equal(ctx_outcome(&ctx, RC_CONFLICT), OUTCOME_LOST);
    assert_int_equal(value("SELECT count(*) FROM issues"), 0);
    assert_int_equal(value("SELECT count(*) FROM sync_log"), 0);
    assert_int_equal(value("SELECT count(checkpoint) FROM jobs"), 0);
    assert_int_equal(ctx.attempt.fetched, 0);
    assert_null(ctx.checkpoint);
    assert_ptr_equal(w.checkpoint, checkpoint); /* still ours to free */
    json_decref(checkpoint);
    ctx_flush(&ctx); /* of a lost job: nothing */
    assert_int_equal(value("SELECT count(*) FROM sync_log"), 0);
    end();
}

static enum rc
fail_in_tx(struct job_ctx *c, const struct counts *wrote, void *arg, struct err *err)
{
    (void)c;
    (void)arg;
    assert_int_equal(wrote->inserted, 1);
    return err_set(err, RC_INTERNAL, "no");
}

static void
a_page_that_fails_half_way_leaves_nothing_and_can_be_repeated(void **state)
{
    struct counts c;

    (void)state;
    TESTDB_OR_SKIP();
    begin();
    add("a", 100, "one");
    assert_int_equal(commit_page(&c, fail_in_tx), RC_INTERNAL);
    assert_int_equal(value("SELECT count(*) FROM issues"), 0);
    assert_int_equal(c.inserted, 0);
    add("a", 100, "one");
    PAGE(1, 0, 0, 0);
    end();
}

static void
a_lost_connection_repeats_the_page(void **state)
{
    struct counts c;

    (void)state;
    TESTDB_OR_SKIP();
    begin();
    add("a", 100, "one");
    PAGE(1, 0, 0, 0);
    run(other,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    add("a", 200, "two");
    assert_int_equal(commit_page(&c, NULL), RC_OK);
    assert_int_equal(c.updated, 1);
    end();
}

/* ---- what a request to cancel does ---- */

static void
a_cancelled_job_stops_at_its_page(void **state)
{
    enum outcome why = OUTCOME_DONE;

    (void)state;
    TESTDB_OR_SKIP();
    begin();
    add("a", 100, "one");
    PAGE(1, 0, 0, 0);
    assert_false(ctx_stop(&ctx, &why));
    run(db, "UPDATE jobs SET cancel_requested = true");
    add("b", 100, "two");
    PAGE(1, 0, 0, 0);
    assert_true(ctx_stop(&ctx, &why));
    assert_int_equal(why, OUTCOME_CANCELLED);
    end();
}

int
main(void)
{
    int failed;

    if (testdb_make() != 0)
        return EXIT_FAILURE;
    if (testdb.url[0] != '\0') {
        db = testdb_connect();
        other = testdb_connect();
        run(db, "INSERT INTO organizations (slug, name) VALUES ('o', 'O');"
                "INSERT INTO integrations (organization_id, name, vendor, base_url, credentials)"
                " SELECT id, 'i', 'pylon', 'http://127.0.0.1:1', '\\x00' FROM organizations");
    }
    TEST_ONE(new_changed_unchanged_and_stale_rows_each_get_their_due);
    TEST_ONE(an_edit_within_the_same_timestamp_is_written);
    TEST_ONE(a_record_that_comes_twice_in_a_page_is_one_row);
    TEST_ONE(a_deleted_row_that_comes_back_is_there_again);
    TEST_ONE(an_update_leaves_alone_what_is_not_the_vendors);
    TEST_ONE(every_type_of_column_arrives_as_it_was);
    TEST_ONE(a_page_overtaken_by_an_older_row_wins_through_the_guards);
    TEST_ONE(a_page_overtaken_by_a_newer_row_yields);
    TEST_ONE(an_update_overtaken_by_a_newer_row_yields);
    TEST_ONE(a_page_whose_job_is_no_longer_ours_leaves_nothing);
    TEST_ONE(a_page_that_fails_half_way_leaves_nothing_and_can_be_repeated);
    TEST_ONE(a_lost_connection_repeats_the_page);
    TEST_ONE(a_cancelled_job_stops_at_its_page);
    failed = TESTS_RUN("sink");
    db_destroy(db);
    db_destroy(other);
    testdb_drop();
    return failed;
}
