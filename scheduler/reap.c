#include "scheduler/reap.h"
#include "common/clock.h"
#include "common/counters.h"
#include "common/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNLOCKED_MAX = 256 };
enum suspect_column { ID, SILENT, BEAT_AT, SILENT_MS, HOST, PID, TOO_EARLY };
enum gone_column { GONE_ID, GONE_MS, GONE_JOBS };
enum reaped_column { JOB_ID, JOB_QUEUE, JOB_INTEGRATION, JOB_PRIORITY, JOB_STATE, JOB_LOCK, JOB_PARENT };

struct reap {
    int64_t lease_ms;
    int64_t grace_until; /* clock_mono */
    struct unlocked {
        int64_t id, beat_at;
    } unlocked[UNLOCKED_MAX]; /* seen without their lock in the last pass */
    size_t n;
};

void
reap_destroy(struct reap *r)
{
    free(r);
}

enum rc
reap_create(int64_t lease_ms, struct reap **out, struct err *err)
{
    struct reap *r = calloc(1, sizeof *r);

    if (r == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    r->lease_ms = lease_ms;
    *out = r;
    return RC_OK;
}

void
reap_grace(struct reap *r)
{
    r->grace_until = clock_mono() + r->lease_ms * 1000;
    r->n = 0;
}

/* ---- burial ---- */

/* What the worker had taken from Redis and not yet made running goes back to the lists. */
static enum rc
give_back_taken(struct db *db, struct push *push, int64_t worker_id, struct err *err)
{
    AUTO(dbres) res = NULL;
    AUTO_FREE int64_t *ids = NULL;
    struct cache *cache = push_cache(push);
    struct err why = { 0 };
    size_t n = 0;
    enum rc rc;

    if (cache == NULL)
        return RC_OK;
    if (queue_taken(cache, worker_id, &ids, &n, &why) != RC_OK) {
        push_failed(push, &why);
        return RC_OK;
    }
    if (n == 0)
        return RC_OK;
    if ((rc = db_run(db, SQL_reap_taken, DB_ARGS(db_i64s(ids, n)), &res, err)) != RC_OK ||
        (rc = push_rows(push, res, true, err)) != RC_OK)
        return rc;
    if (push_cache(push) != NULL && queue_forget(cache, worker_id, &why) != RC_OK)
        push_failed(push, &why);
    return RC_OK;
}

static enum rc
bury(struct db *db, struct push *push, const struct dbres *suspects, int row, struct err *err)
{
    AUTO(dbres) buried = NULL;
    int64_t id = dbres_i64(suspects, row, ID);
    char app[64];
    enum rc rc = db_run(db, SQL_worker_bury, DB_ARGS(db_i64(id)), &buried, err);

    if (rc != RC_OK || dbres_rows(buried) == 0)
        return rc; /* it stopped by itself, or another scheduler buried it */
    log_warn("worker.lost", KV_INT("worker", id), KV_STR("host", dbres_text(suspects, row, HOST)),
             KV_INT("worker_pid", dbres_i64(suspects, row, PID)),
             KV_STR("why", dbres_bool(suspects, row, SILENT) ? "silent" : "disconnected"),
             KV_INT("ms", dbres_i64(suspects, row, SILENT_MS)));
    (void)counters_add_now(db, COUNTER_workers_lost,
                           dbres_bool(suspects, row, SILENT) ? "silent" : "disconnected", 1, NULL);
    (void)snprintf(app, sizeof app, JOB_CHILD_APP_NAME, id);
    if ((rc = db_run(db, SQL_worker_end_sessions, DB_ARGS(db_text(app)), NULL, err)) != RC_OK)
        return rc;
    return give_back_taken(db, push, id, err);
}

/* Whether the worker was without its lock in the last pass too, and has not beaten since. */
static bool
was_unlocked(const struct reap *r, int64_t id, int64_t beat_at)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->unlocked[i].id == id)
            return r->unlocked[i].beat_at == beat_at;
    return false;
}

enum rc
reap_bury(struct reap *r, struct db *db, struct push *push, struct err *err)
{
    AUTO(dbres) res = NULL;
    struct unlocked seen[UNLOCKED_MAX];
    size_t n = 0;
    enum rc rc;

    if (clock_mono() < r->grace_until)
        return RC_OK;
    rc = db_run(db, SQL_reap_suspects, DB_ARGS(db_i64(r->lease_ms)), &res, err);
    for (int row = 0; rc == RC_OK && row < dbres_rows(res); row++) {
        int64_t id = dbres_i64(res, row, ID), beat_at = dbres_time(res, row, BEAT_AT);

        if (dbres_bool(res, row, TOO_EARLY))
            continue;
        if (dbres_bool(res, row, SILENT) || was_unlocked(r, id, beat_at))
            rc = bury(db, push, res, row, err);
        else if (n < UNLOCKED_MAX)
            seen[n++] = (struct unlocked){ .id = id, .beat_at = beat_at };
    }
    if (rc == RC_OK) {
        memcpy(r->unlocked, seen, n * sizeof *seen);
        r->n = n;
    }
    return rc;
}

/* ---- taking jobs back ---- */

/* Lock keys and parents of the reaped jobs: what may go now. */
static enum rc
unblock(struct db *db, struct push *push, const struct dbres *reaped, struct err *err)
{
    AUTO(dbres) res = NULL;
    size_t rows = (size_t)dbres_rows(reaped), nlocks = 0, nparents = 0;
    AUTO_FREE const char **locks = calloc(rows, sizeof *locks);
    AUTO_FREE int64_t *parents = calloc(rows, sizeof *parents);
    enum rc rc;

    if (locks == NULL || parents == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (int row = 0; row < (int)rows; row++) {
        if (!dbres_null(reaped, row, JOB_LOCK))
            locks[nlocks++] = dbres_text(reaped, row, JOB_LOCK);
        if (!dbres_null(reaped, row, JOB_PARENT))
            parents[nparents++] = dbres_i64(reaped, row, JOB_PARENT);
    }
    rc = db_run(db, SQL_job_unblock, DB_ARGS(db_texts(locks, nlocks), db_i64s(parents, nparents)), &res, err);
    return rc == RC_OK ? push_rows(push, res, true, err) : rc;
}

/* *n jobs were taken back. One with a lock key is not pushed by itself: unblock() finds whose turn it is. */
static enum rc
take_back(struct db *db, struct push *push, int64_t worker_id, int64_t ms, size_t *n, struct err *err)
{
    const struct db_arg worker = db_i64(worker_id);
    const struct db_call calls[] = { { SQL_job_reap, &worker, 1 },
                                     { SQL_job_reap_log, &worker, 1 },
                                     { SQL_job_reap_claims, &worker, 1 } };
    struct dbres *each[COUNT_OF(calls)] = { NULL };
    AUTO(dbres) res = NULL;
    AUTO_FREE struct queue_item *items = NULL;
    size_t free_to_go = 0, queued = 0;
    enum rc rc = db_pipeline(db, calls, COUNT_OF(calls), each, err); /* one transaction */

    res = each[0];
    dbres_destroy(each[1]);
    dbres_destroy(each[2]);
    if (rc != RC_OK || dbres_rows(res) == 0)
        return rc;
    if ((rc = job_read_items(res, true, &items, n, err)) != RC_OK)
        return rc;
    for (int row = 0; row < (int)*n; row++) {
        const char *state = dbres_text(res, row, JOB_STATE);

        log_warn("job.reclaimed", KV_INT("job", dbres_i64(res, row, JOB_ID)), KV_INT("worker", worker_id),
                 KV_STR("state", state), KV_INT("ms", ms));
        queued += strcmp(state, "queued") == 0;
        if (strcmp(state, "queued") == 0 && dbres_null(res, row, JOB_LOCK))
            items[free_to_go++] = items[row];
    }
    (void)counters_add_now(db, COUNTER_jobs_taken_back, "queued", (int64_t)queued, NULL);
    (void)counters_add_now(db, COUNTER_jobs_taken_back, "ended", (int64_t)(*n - queued), NULL);
    push_items(push, items, free_to_go);
    return unblock(db, push, res, err);
}

enum rc
reap_take_back(struct db *db, struct push *push, bool *again, struct err *err)
{
    AUTO(dbres) gone = NULL;
    enum rc rc = db_run(db, SQL_reap_gone, DB_NO_ARGS, &gone, err);

    *again = false;
    for (int row = 0; rc == RC_OK && row < dbres_rows(gone); row++) {
        size_t n = 0;

        rc = take_back(db, push, dbres_i64(gone, row, GONE_ID), dbres_i64(gone, row, GONE_MS), &n, err);
        *again = *again || n < (size_t)dbres_i64(gone, row, GONE_JOBS);
    }
    return rc;
}
