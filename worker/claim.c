/* worker/claim.c - getting jobs: ids from Redis, or from the rows themselves while Redis is away; then one
 * conditional update that makes them ours.
 *
 * One claim is under way at a time. It asks for as many jobs as the slots have room for. When it comes back
 * short, nothing is left to take: the worker blocks on the wake-up key. The block is bounded, so that a token
 * lost with a Redis costs seconds, not for ever.
 *
 * A claim's commit does not wait for the disk. If the server crashes before it got there, the job's row says
 * `queued` again under the old epoch, and the child that runs it is refused by the fence, whose commit would
 * have carried the claim to the disk with it (the log is written in order). Whoever claims next gets the same
 * epoch, but not the same owner; and if that is us again, the row is once more just what our child takes it
 * to be: take_jobs() leaves it to that child. */
#include "common/clock.h"
#include "common/log.h"
#include "common/queue.h"
#include "worker/worker_internal.h"
#include <stdlib.h>
#include <string.h>

enum { WAIT_S = 5, SCAN_MS = 250 };

static bool
may_claim(const struct worker *w)
{
    return w->state == WORKER_ACTIVE && w->locked && !w->claiming && (!w->waiting || w->left) &&
           slots_want(w) > 0;
}

static void
on_wake(void *arg, enum rc rc, const struct reply *r, const struct err *err)
{
    struct worker *w = arg;

    (void)r;
    (void)err;
    w->waiting = false;
    if (rc == RC_OK)
        claim_more(w);
    /* otherwise claim_cache_changed() goes on when the connection is back, and the scan timer meanwhile */
}

static void
wait_for_work(struct worker *w)
{
    if (w->state != WORKER_ACTIVE || w->waiting || !cachea_is_up(w->wait_cache))
        return;
    w->waiting = true;
    queue_wait_async(w->wait_cache, WAIT_S, on_wake, w);
}

/* The claim is over. Ask again if it brought all that was asked for; if not, there is nothing left to take.
 */
static void
claim_over(struct worker *w)
{
    w->claiming = false;
    log_debug("claim.over", KV_INT("wanted", w->wanted), KV_INT("got", w->got),
              KV_INT("us", clock_mono() - w->claimed_at), KV_INT("job_us", w->job_us));
    worker_maybe_end(w);
    if (w->got >= w->wanted)
        claim_more(w);
    else
        wait_for_work(w);
}

/* A job of a batch that a crash of Postgres undid is ours still, in a slot, or ended and not yet written
 * back. It belongs to the new batch from now on: the row of the old one is gone. */
static bool
move_to_batch(struct worker *w, const struct job *job)
{
    struct job *held = slots_find(w, job->id);

    for (size_t i = 0; i < w->ended_n && held == NULL; i++)
        if (w->ended[i].job.id == job->id)
            held = &w->ended[i].job;
    if (held == NULL || held->epoch != job->epoch || held->worker_id != job->worker_id)
        return false;
    batches_drop(&w->batches, held->batch);
    held->batch = job->batch;
    return true;
}

static void
take_job(struct worker *w, struct job *job)
{
    if (batches_oldest(&w->batches) <= w->undone && move_to_batch(w, job))
        job_fini(job);
    else
        slots_give(w, job);
}

static void
take_jobs(struct worker *w, int64_t batch, const struct dbres *res)
{
    struct err err = { 0 };

    if (dbres_rows(res) == 0)
        return;
    (void)batches_open(&w->batches, batch, dbres_rows(res));
    for (int row = 0; row < dbres_rows(res); row++) {
        struct job job;

        if (job_read(res, row, w->id, batch, &job, &err) != RC_OK) { /* the lease will take it back */
            log_error("job.unreadable", KV_ERR(&err));
            continue;
        }
        counters_add(w->counters, COUNTER_claims, queue_names[job.queue], "", 1);
        take_job(w, &job);
    }
}

static void claim_rows(struct worker *w, const int64_t *ids, size_t n);

/* What one claim asked for, to go on with one by one if two of its jobs and another worker raced for one lock
 * key. */
struct claim {
    struct worker *w;
    int64_t batch;
    size_t n;
    int64_t ids[];
};

static void
on_claimed(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct claim *c = arg;
    struct worker *w = c->w;

    if (rc == RC_OK)
        take_jobs(w, c->batch, res);
    if (rc == RC_OK && (size_t)dbres_rows(res) < c->n)
        dba_run(w->db, SQL_kind_note, DB_ARGS(db_i64s(c->ids, c->n), db_texts(w->kinds, w->kinds_n)), NULL,
                NULL);
    else if (rc == RC_CONFLICT && c->n > 1)
        for (size_t i = 0; i < c->n; i++)
            claim_rows(w, &c->ids[i], 1);
    else if (rc != RC_OK && rc != RC_CONFLICT)
        log_warn("claim.failed", KV_ERR(err));
    free(c);
    if (--w->claims == 0)
        claim_over(w);
}

static void
claim_rows(struct worker *w, const int64_t *ids, size_t n)
{
    struct claim *c = malloc(sizeof *c + n * sizeof c->ids[0]);

    if (c == NULL) { /* the ids are in Postgres and in our own list: the scheduler's check brings them back */
        if (w->claims == 0)
            claim_over(w);
        return;
    }
    w->claims++;
    c->w = w;
    c->n = n;
    c->batch = ++w->batch;
    memcpy(c->ids, ids, n * sizeof c->ids[0]);
    dba_run(w->db, SQL_job_claim,
            DB_ARGS(db_i64(w->id), db_i64s(c->ids, n), db_texts(w->kinds, w->kinds_n), db_i64(c->batch)),
            on_claimed, c);
}

static void
on_ids(void *arg, enum rc rc, const struct reply *r, const struct err *err)
{
    struct worker *w = arg;
    size_t n = rc == RC_OK ? reply_len(r) : 0;
    int64_t ids[n + 1];

    if (rc != RC_OK)
        log_warn("claim.failed", KV_ERR(err));
    w->got = (int)n;
    if (n == 0) {
        claim_over(w);
        return;
    }
    for (size_t i = 0; i < n; i++)
        ids[i] = reply_int(reply_at(r, i));
    claim_rows(w, ids, n);
}

static void
on_rows(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct worker *w = arg;

    w->got = rc == RC_OK ? dbres_rows(res) : 0;
    if (rc == RC_OK)
        take_jobs(w, w->batch, res);
    else if (rc != RC_CONFLICT) /* a race for a lock key: the next scan sees who won */
        log_warn("claim.failed", KV_ERR(err));
    claim_over(w);
}

/* A newer producer's job may meet an older worker, which leaves it in kind_waits. Those are few, and looked
 * for with the beat; while there are more of them than slots, every other claim is of them. */
static void
on_left(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct worker *w = arg;
    size_t n = rc == RC_OK ? (size_t)dbres_rows(res) : 0;
    int64_t ids[n + 1];

    (void)err; /* again with the next beat */
    w->left = (int)n == w->wanted;
    w->got = w->wanted = (int)n;
    for (size_t i = 0; i < n; i++)
        ids[i] = dbres_i64(res, (int)i, 0);
    if (n > 0)
        claim_rows(w, ids, n);
    else
        claim_over(w);
}

void
claim_more(struct worker *w)
{
    if (!may_claim(w) || !dba_is_up(w->db))
        return;
    w->wanted = slots_want(w);
    w->claiming = true;
    w->claimed_at = clock_mono();
    w->was_left = w->left && (w->waiting || !w->was_left);
    if (w->was_left)
        dba_run(w->db, SQL_kind_find, DB_ARGS(db_texts(w->kinds, w->kinds_n), db_i64(w->wanted)), on_left, w);
    else if (cachea_is_up(w->cache))
        queue_claim_async(w->cache, w->id, w->wanted, on_ids, w);
    else
        dba_run(w->db, SQL_job_claim_rows,
                DB_ARGS(db_i64(w->id), db_i64(w->wanted), db_texts(w->kinds, w->kinds_n), db_i64(++w->batch)),
                on_rows, w);
}

/* Redis came or went. Without it the rows are scanned, four times a second; that is the only polling there
 * is. */
void
claim_cache_changed(struct worker *w)
{
    if (cachea_is_up(w->cache))
        loop_timer_stop(w->scan);
    else
        loop_timer_every(w->scan, SCAN_MS);
    claim_more(w);
}
