/* tests/unit/test_job.c - job states against a real Postgres: who may move them, and what a refused move
 * leaves behind. */
#include "common/job.h"
#include "common/json.h"
#include "tests/unit/tables.h"
#include "tests/unit/testdb.h"
#include <inttypes.h>
#include <string.h>

static struct db *db;
static int64_t worker, other;

static int64_t
value(const char *sql)
{
    return testdb_value(db, sql);
}

static const char *
state_of(int64_t job)
{
    static char state[32];
    AUTO(dbres) r = NULL;

    assert_int_equal(db_run(db, SQL_job_state, DB_ARGS(db_i64(job)), &r, NULL), RC_OK);
    (void)snprintf(state, sizeof state, "%s", dbres_rows(r) > 0 ? dbres_text(r, 0, 0) : "none");
    return state;
}

static int64_t
column(int64_t job, const char *name)
{
    char sql[200];

    (void)snprintf(sql, sizeof sql, "SELECT %s FROM jobs WHERE id = %" PRId64, name, job);
    return value(sql);
}

/* An empty table of jobs, two workers, one integration (id 1). */
static void
start(void)
{
    (void)value("TRUNCATE jobs, sync_log RESTART IDENTITY CASCADE");
    (void)value("UPDATE integrations SET state = 'active'");
}

#define START()           \
    do {                  \
        TESTDB_OR_SKIP(); \
        start();          \
    } while (0)

static struct job_enqueued
enqueue(const char *kind, const char *args, int64_t integration, int64_t parent)
{
    json_auto_t *j = json_loads(args, 0, NULL);
    struct job_spec spec = {
        .kind = kind, .args = j, .integration_id = integration, .parent_id = parent, .origin = "api"
    };
    struct job_enqueued out = { 0 };
    struct err err = { 0 };

    if (job_enqueue(db, &spec, 1, &out, &err) != RC_OK)
        fail_msg("%s", err.text);
    return out;
}

static int64_t batch; /* of the last claim */

/* How many of `ids` this worker got; the first one's row in *job. */
static int
claim_as(int64_t by, const int64_t *ids, size_t n, struct job *job)
{
    static const char *const kinds[] = { "noop", "issue_pull", "issue_backfill", "issue_chunk",
                                         "message_pull" };
    AUTO(dbres) r = NULL;
    struct err err = { 0 };

    if (job != NULL)
        *job = (struct job){ 0 };
    batch++;
    if (db_run(db, SQL_job_claim,
               DB_ARGS(db_i64(by), db_i64s(ids, n), db_texts(kinds, 5), db_i64(batch), db_i64(0)), &r,
               &err) != RC_OK)
        fail_msg("%s", err.text);
    if (dbres_rows(r) > 0 && job != NULL)
        assert_int_equal(job_read(r, 0, by, batch, job, NULL), RC_OK);
    return dbres_rows(r);
}

/* Gives how many jobs are to be pushed. */
static int
settle(struct job *job, enum outcome outcome, int64_t delay_ms, const char *error)
{
    AUTO(settle_args) a = NULL;
    AUTO(dbres) r = NULL;
    struct settlement s = { .job = job,
                            .outcome = outcome,
                            .delay_ms = delay_ms,
                            .error = error,
                            .touched = job->integration_id != 0 };
    const struct db_arg *args;
    enum sql_id id = SQL_job_settle;
    struct err err = { 0 };
    size_t n = 0;

    assert_int_equal(settle_args_create(job->worker_id, &s, 1, &(int64_t){ job->batch }, 1, &a, NULL), RC_OK);
    args = settle_args_get(a, &id, &n);
    if (db_run(db, id, args, n, &r, &err) != RC_OK)
        fail_msg("%s", err.text);
    return dbres_rows(r);
}

static enum rc
fence(const struct job *job, struct err *err)
{
    AUTO(dbres) r = NULL;
    char sql[200];

    (void)snprintf(sql, sizeof sql,
                   "SELECT own_job(%" PRId64 ", %" PRId32 ", %" PRId64 ", '{\"page\": 2}', '{\"pages\": 1}')",
                   job->id, job->epoch, job->worker_id);
    return db_exec_text(db, sql, &r, err);
}

static void
a_claim_raises_the_epoch_and_only_one_wins(void **state)
{
    struct job job = { 0 };
    int64_t id;

    (void)state;
    START();
    id = enqueue("noop", "{}", 0, 0).job_id;
    assert_int_equal(claim_as(worker, &id, 1, &job), 1);
    assert_int_equal(job.epoch, 1);
    assert_string_equal(job.kind, "noop");
    assert_int_equal(claim_as(other, &id, 1, NULL), 0);
    assert_string_equal(state_of(id), "running");
    job_fini(&job);
}

static void
a_batch_is_inserted_in_order_and_bad_specs_write_nothing(void **state)
{
    struct job_spec specs[3] = { { .kind = "noop", .origin = "api" },
                                 { .kind = "issue_pull", .integration_id = 1, .origin = "api" },
                                 { .kind = "nonsense", .origin = "api" } };
    struct job_enqueued out[3] = { 0 };
    struct err err = { 0 };

    (void)state;
    START();
    assert_int_equal(job_enqueue(db, specs, 3, out, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "nonsense"));
    assert_int_equal(value("SELECT count(*) FROM jobs"), 0);
    assert_int_equal(job_enqueue(db, specs, 2, out, &err), RC_OK);
    assert_true(out[0].created && out[1].created && out[0].job_id < out[1].job_id);
    assert_int_equal(out[1].item.queue, QUEUE_LIVE);
    assert_int_equal(out[1].item.integration_id, 1);
}

static void
a_waiting_twin_is_found_and_a_running_one_does_not_count(void **state)
{
    struct job_enqueued first, second, third;
    struct job job = { 0 };

    (void)state;
    START();
    first = enqueue("issue_pull", "{}", 1, 0);
    second = enqueue("issue_pull", "{}", 1, 0);
    assert_false(second.created);
    assert_true(second.queued);
    assert_int_equal(second.job_id, first.job_id);
    assert_int_equal(claim_as(worker, &first.job_id, 1, &job), 1);
    third = enqueue("issue_pull", "{}", 1, 0);
    assert_true(third.created);
    job_fini(&job);
}

static void
what_comes_back_to_wait_takes_a_fresh_twins_work_over(void **state)
{
    struct job_enqueued first, twin;
    struct job job = { 0 };

    (void)state;
    START();
    first = enqueue("issue_pull", "{}", 1, 0);
    assert_int_equal(claim_as(worker, &first.job_id, 1, &job), 1);
    twin = enqueue("issue_pull", "{}", 1, 0);
    assert_true(twin.created);
    settle(&job, OUTCOME_SNOOZE, 60000, "no budget");
    assert_string_equal(state_of(first.job_id), "scheduled");
    assert_string_equal(state_of(twin.job_id), "cancelled");
    assert_int_equal(column(twin.job_id, "folded_into"), first.job_id);
    assert_int_equal(enqueue("issue_pull", "{}", 1, 0).job_id, first.job_id);
    job_fini(&job);
}

static void
a_retry_gives_up_its_dedupe_key_to_a_twin_that_has_run(void **state)
{
    struct job_enqueued first, twin;
    struct job job = { 0 };

    (void)state;
    START();
    first = enqueue("issue_pull", "{}", 1, 0);
    assert_int_equal(claim_as(worker, &first.job_id, 1, &job), 1);
    twin = enqueue("issue_pull", "{}", 1, 0);
    (void)value("UPDATE jobs SET epoch = 1 WHERE state = 'queued'");
    settle(&job, OUTCOME_RETRY, 0, "503");
    assert_string_equal(state_of(first.job_id), "scheduled");
    assert_string_equal(state_of(twin.job_id), "queued");
    assert_int_equal(
        value("SELECT count(*) FROM jobs WHERE dedupe_key IS NULL AND attempt = 1 AND error = '503'"), 1);
    assert_int_equal(enqueue("issue_pull", "{}", 1, 0).job_id, twin.job_id);
    job_fini(&job);
}

static void
one_lock_key_runs_once_and_the_next_is_named_when_it_is_free(void **state)
{
    struct job job = { 0 };
    AUTO(dbres) r = NULL;
    const char *lock = "x";
    int64_t ids[2];

    (void)state;
    START();
    ids[0] = enqueue("noop", "{\"lock\": \"x\"}", 0, 0).job_id;
    ids[1] = enqueue("noop", "{\"lock\": \"x\"}", 0, 0).job_id;
    assert_int_equal(claim_as(worker, ids, 2, &job), 1);
    assert_int_equal(job.id, ids[0]);
    assert_int_equal(claim_as(other, &ids[1], 1, NULL), 0);
    settle(&job, OUTCOME_DONE, 0, NULL);
    assert_int_equal(db_run(db, SQL_job_unblock, DB_ARGS(db_texts(&lock, 1), db_i64s(NULL, 0)), &r, NULL),
                     RC_OK);
    assert_int_equal(dbres_rows(r), 1);
    assert_int_equal(dbres_i64(r, 0, 0), ids[1]);
    assert_int_equal(claim_as(other, &ids[1], 1, NULL), 1);
    job_fini(&job);
}

static void
a_paused_integrations_jobs_wait(void **state)
{
    int64_t id;

    (void)state;
    START();
    id = enqueue("issue_pull", "{}", 1, 0).job_id;
    (void)value("UPDATE integrations SET state = 'paused'");
    assert_int_equal(claim_as(worker, &id, 1, NULL), 0);
    (void)value("UPDATE integrations SET state = 'active'");
    assert_int_equal(claim_as(worker, &id, 1, NULL), 1);
}

static void
the_fence_refuses_an_old_epoch_and_another_owner(void **state)
{
    struct job job = { 0 }, again = { 0 };
    struct err err = { 0 };
    int64_t id;

    (void)state;
    START();
    id = enqueue("noop", "{}", 0, 0).job_id;
    assert_int_equal(claim_as(worker, &id, 1, &job), 1);
    assert_int_equal(fence(&job, &err), RC_OK);
    assert_int_equal(value("SELECT (checkpoint->>'page')::int FROM jobs"), 2);
    assert_int_equal(db_run(db, SQL_job_reap, DB_ARGS(db_i64(worker)), NULL, NULL), RC_OK);
    assert_string_equal(state_of(id), "queued");
    assert_int_equal(fence(&job, &err), RC_CONFLICT);
    assert_string_equal(db_sqlstate(db), "DM409");
    assert_int_equal(claim_as(other, &id, 1, &again), 1);
    assert_int_equal(again.epoch, 2);
    assert_int_equal(fence(&job, &err), RC_CONFLICT);
    assert_int_equal(fence(&again, &err), RC_OK);
    settle(&job, OUTCOME_DONE, 0, NULL); /* the old owner's word counts for nothing */
    assert_string_equal(state_of(id), "running");
    job_fini(&job);
    job_fini(&again);
}

static struct fate_case {
    const char *name;
    enum outcome outcome;
    const char *setup; /* SQL on the row before it is claimed */
    const char *want_state;
    int want_attempt;
} fates[] = {
    { "done is done", OUTCOME_DONE, NULL, "done", 0 },
    { "a failure is charged and scheduled", OUTCOME_RETRY, NULL, "scheduled", 1 },
    { "the last failure is death", OUTCOME_RETRY, "UPDATE jobs SET attempt = max_attempts - 1", "dead", 3 },
    { "what can never succeed is dead at once", OUTCOME_DEAD, NULL, "dead", 0 },
    { "a snooze is not charged", OUTCOME_SNOOZE, "UPDATE jobs SET attempt = max_attempts - 1", "scheduled",
      2 },
    { "a drain is not charged", OUTCOME_DRAINED, "UPDATE jobs SET attempt = max_attempts - 1", "queued", 2 },
    { "a crash is charged", OUTCOME_CRASHED, "UPDATE jobs SET max_attempts = 8", "scheduled", 1 },
    { "the third crash is death", OUTCOME_CRASHED, "UPDATE jobs SET max_attempts = 8, crashes = 2", "dead",
      1 },
    { "a timeout is charged", OUTCOME_TIMEOUT, NULL, "scheduled", 1 },
    { "cancelled is the end", OUTCOME_CANCELLED, NULL, "cancelled", 0 },
    { "a parent waits for its children", OUTCOME_CHILDREN, NULL, "scheduled", 0 },
};

static void
check_fate(void **state)
{
    const struct fate_case *c = *state;
    struct job job = { 0 };
    int64_t id;

    START();
    id = enqueue("noop", "{}", 0, 0).job_id;
    if (c->setup != NULL)
        (void)value(c->setup);
    assert_int_equal(claim_as(worker, &id, 1, &job), 1);
    settle(&job, c->outcome, 60000, "why");
    assert_string_equal(state_of(id), c->want_state);
    assert_int_equal(column(id, "attempt"), c->want_attempt);
    assert_int_equal(column(id, "coalesce(worker_id, 0)"), 0);
    job_fini(&job);
}

static void
a_parent_goes_on_when_its_last_child_has_ended(void **state)
{
    struct job parent = { 0 }, child = { 0 };
    AUTO(dbres) before = NULL;
    AUTO(dbres) after = NULL;
    int64_t id, kids[2];

    (void)state;
    START();
    id = enqueue("noop", "{}", 0, 0).job_id;
    assert_int_equal(claim_as(worker, &id, 1, &parent), 1);
    kids[0] = enqueue("noop", "{}", 0, id).job_id;
    kids[1] = enqueue("noop", "{}", 0, id).job_id;
    settle(&parent, OUTCOME_CHILDREN, 0, NULL);
    assert_int_equal(claim_as(worker, &kids[0], 1, &child), 1);
    settle(&child, OUTCOME_DONE, 0, NULL);
    assert_int_equal(db_run(db, SQL_job_unblock, DB_ARGS(db_texts(NULL, 0), db_i64s(&id, 1)), &before, NULL),
                     RC_OK);
    assert_int_equal(dbres_rows(before), 0);
    job_fini(&child);
    assert_int_equal(claim_as(worker, &kids[1], 1, &child), 1);
    settle(&child, OUTCOME_DEAD, 0, "no");
    assert_int_equal(db_run(db, SQL_job_unblock, DB_ARGS(db_texts(NULL, 0), db_i64s(&id, 1)), &after, NULL),
                     RC_OK);
    assert_int_equal(dbres_rows(after), 1);
    assert_string_equal(state_of(id), "queued");
    job_fini(&child);
    job_fini(&parent);
}

static void
a_dead_job_can_be_retried_and_a_done_one_cannot(void **state)
{
    struct job_enqueued out;
    struct job job = { 0 };
    struct err err = { 0 };
    int64_t id;

    (void)state;
    START();
    id = enqueue("noop", "{}", 0, 0).job_id;
    assert_int_equal(claim_as(worker, &id, 1, &job), 1);
    settle(&job, OUTCOME_DEAD, 0, "no");
    assert_int_equal(job_retry(db, id, &out, &err), RC_OK);
    assert_string_equal(state_of(id), "queued");
    assert_true(out.queued && out.item.job_id == id);
    job_fini(&job);
    assert_int_equal(claim_as(worker, &id, 1, &job), 1);
    settle(&job, OUTCOME_DONE, 0, NULL);
    assert_int_equal(job_retry(db, id, &out, &err), RC_CONFLICT);
    assert_int_equal(job_retry(db, 12345, &out, &err), RC_NOT_FOUND);
    job_fini(&job);
}

static void
the_tenth_loss_without_progress_is_death(void **state)
{
    int64_t id;

    (void)state;
    START();
    id = enqueue("noop", "{}", 0, 0).job_id;
    (void)value("UPDATE jobs SET losses = 9");
    assert_int_equal(claim_as(worker, &id, 1, NULL), 1);
    assert_int_equal(db_run(db, SQL_job_reap, DB_ARGS(db_i64(worker)), NULL, NULL), RC_OK);
    assert_string_equal(state_of(id), "dead");
}

static void
an_attempt_leaves_one_sync_log_row(void **state)
{
    struct job job = { 0 };
    int64_t id;

    (void)state;
    START();
    id = enqueue("issue_pull", "{}", 1, 0).job_id;
    assert_int_equal(claim_as(worker, &id, 1, &job), 1);
    settle(&job, OUTCOME_RETRY, 0, "503 from search");
    assert_int_equal(
        value(
            "SELECT count(*) FROM sync_log WHERE outcome = 'retry' AND error = '503 from search' AND epoch = 1"),
        1);
    job_fini(&job);
}

static void
a_worker_that_was_given_up_gets_nothing(void **state)
{
    char sql[120];
    int64_t id;

    (void)state;
    START();
    id = enqueue("noop", "{}", 0, 0).job_id;
    (void)snprintf(sql, sizeof sql, "UPDATE workers SET state = 'dead' WHERE id = %" PRId64 " RETURNING id",
                   other);
    assert_int_equal(value(sql), other);
    assert_int_equal(claim_as(other, &id, 1, NULL), 0);
    assert_int_equal(claim_as(0, &id, 1, NULL), 0); /* it has heard of it, and not yet registered anew */
    assert_string_equal(state_of(id), "queued");
    (void)snprintf(sql, sizeof sql, "UPDATE workers SET state = 'active' WHERE id = %" PRId64 " RETURNING id",
                   other);
    assert_int_equal(value(sql), other);
    assert_int_equal(claim_as(other, &id, 1, NULL), 1);
}

static int64_t
register_worker(void)
{
    AUTO(dbres) r = NULL;

    if (db_run(db, SQL_worker_register,
               DB_ARGS(db_text("unit"), db_i64(1), db_i64(1), db_text("0"), db_null()), &r, NULL) != RC_OK)
        return 0;
    return dbres_i64(r, 0, 0);
}

/* A claim whose answer was lost: the job runs under the worker's name, and the worker does not know of it. */
static void
jobs_that_their_worker_does_not_know_go_back(void **state)
{
    AUTO(dbres) r = NULL;
    int64_t known = 0, ids[2];
    struct job job = { 0 };

    (void)state;
    for (size_t i = 0; i < 2; i++)
        ids[i] = enqueue("noop", "{}", 0, 0).job_id;
    assert_int_equal(claim_as(worker, &ids[0], 1, &job), 1);
    known = batch;
    assert_int_equal(claim_as(worker, &ids[1], 1, NULL), 1);
    assert_int_equal(db_run(db, SQL_job_strays, DB_ARGS(db_i64(worker), db_i64s(&known, 1)), &r, NULL),
                     RC_OK);
    assert_int_equal(dbres_rows(r), 1);
    assert_int_equal(dbres_i64(r, 0, 0), ids[1]);
    assert_int_equal(fence(&job, NULL), RC_OK); /* the one it knows is still its own */
    assert_int_equal(claim_as(other, &ids[1], 1, NULL), 1);
    job_fini(&job);
}

static void
a_claim_gives_no_epoch_below_the_least(void **state)
{
    static const char *const kinds[] = { "noop" };
    int64_t id = enqueue("noop", "{}", 0, 0).job_id;
    AUTO(dbres) r = NULL;

    (void)state;
    batch++;
    assert_int_equal(
        db_run(db, SQL_job_claim,
               DB_ARGS(db_i64(worker), db_i64s(&id, 1), db_texts(kinds, 1), db_i64(batch), db_i64(7)), &r,
               NULL),
        RC_OK);
    assert_int_equal(dbres_i64(r, 0, 1), 7);
}

static void
only_what_waits_again_is_pushed(void **state)
{
    struct job job;
    int64_t ids[2];

    (void)state;
    (void)value("WITH d AS (DELETE FROM job_claims RETURNING 1) SELECT count(*) FROM d");
    for (size_t i = 0; i < 2; i++)
        ids[i] = enqueue("noop", "{}", 0, 0).job_id;
    assert_int_equal(claim_as(worker, &ids[0], 1, &job), 1);
    assert_int_equal(settle(&job, OUTCOME_DONE, 0, NULL), 0);
    job_fini(&job);
    assert_int_equal(claim_as(worker, &ids[1], 1, &job), 1);
    assert_int_equal(settle(&job, OUTCOME_DRAINED, 0, NULL), 1);
    job_fini(&job);
    assert_int_equal(value("SELECT count(*) FROM job_claims"), 0);
}

int
main(void)
{
    int failed;

    if (testdb_make() != 0)
        return 1;
    if (testdb.url[0] != '\0') {
        db = testdb_connect();
        worker = register_worker();
        other = register_worker();
        if (db_exec_text(db,
                         "INSERT INTO organizations (slug, name) VALUES ('o', 'O');"
                         "INSERT INTO integrations (organization_id, name, vendor, base_url, credentials)"
                         " SELECT id, 'i', 'pylon', 'http://127.0.0.1:1', '\\x00' FROM organizations",
                         NULL, NULL) != RC_OK)
            return 1;
    }
    TEST_ONE(a_claim_raises_the_epoch_and_only_one_wins);
    TEST_ONE(a_batch_is_inserted_in_order_and_bad_specs_write_nothing);
    TEST_ONE(a_waiting_twin_is_found_and_a_running_one_does_not_count);
    TEST_ONE(what_comes_back_to_wait_takes_a_fresh_twins_work_over);
    TEST_ONE(a_retry_gives_up_its_dedupe_key_to_a_twin_that_has_run);
    TEST_ONE(one_lock_key_runs_once_and_the_next_is_named_when_it_is_free);
    TEST_ONE(a_paused_integrations_jobs_wait);
    TEST_ONE(only_what_waits_again_is_pushed);
    TEST_ONE(jobs_that_their_worker_does_not_know_go_back);
    TEST_ONE(a_claim_gives_no_epoch_below_the_least);
    TEST_ONE(the_fence_refuses_an_old_epoch_and_another_owner);
    TEST_TABLE(fates, check_fate);
    TEST_ONE(a_parent_goes_on_when_its_last_child_has_ended);
    TEST_ONE(a_dead_job_can_be_retried_and_a_done_one_cannot);
    TEST_ONE(the_tenth_loss_without_progress_is_death);
    TEST_ONE(an_attempt_leaves_one_sync_log_row);
    TEST_ONE(a_worker_that_was_given_up_gets_nothing);
    failed = TESTS_RUN("job");
    db_destroy(db);
    testdb_drop();
    return failed;
}
