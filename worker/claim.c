/* worker/claim.c - getting jobs: ids from Redis, or from the rows themselves while Redis is away; then one
 * conditional update that makes them ours.
 *
 * Redis may be there and yet hold less than it should: it was emptied, has come back with old data, or had no
 * room for more. A generation that is missing tells, and nobody can tell in the first moments of a
 * connection; so long, a claim that finds the lists empty looks into the rows too. The scheduler makes the
 * lists whole again, but work does not wait for it.
 *
 * One claim is under way at a time. It asks for as many jobs as the slots have room for. When it comes back
 * short, nothing is left to take: the worker blocks on the wake-up key. The block is bounded, so that a token
 * lost with a Redis costs seconds, not for ever.
 *
 * A claim's commit does not wait for the disk. If the server crashes before it got there, the job's row says
 * `queued` again under the old epoch, while a child of ours runs it. The next claim must not give the epoch
 * that this child carries, or the fence could not tell the two apart if we are the one to claim it: after a
 * connection was lost, our claims give epochs above all that we were ever given.
 *
 * And a claim whose answer is lost may have been made all the same: its jobs run under our name, and nobody
 * runs them. claim_strays() looks for such with every beat; not only after a connection was lost, for a claim
 * that was on its way then may be carried out long after. */
#include "common/clock.h"
#include "common/log.h"
#include "common/queue.h"
#include "worker/worker_internal.h"
#include <stdlib.h>
#include <string.h>

enum {
    WAIT_S = 5,
    SCAN_MS = 250,
    DISTRUST_MS = 1000,     /* after each sign that the lists lack something */
    NEWCOMER_MS = 5 * 1000, /* the scheduler has looked at a Redis that came back by then */
};

/* Whether jobs may wait in rows of which the lists know nothing. */
static bool
rows_too(const struct worker *w)
{
    return !cachea_is_up(w->cache) || clock_mono() < w->distrust_until;
}

/* The rows are scanned four times a second while they must be; that is the only polling there is. */
static void
scan_rows(struct worker *w)
{
    if (!w->scanning)
        loop_timer_every(w->scan, SCAN_MS);
    w->scanning = true;
}

static void
distrust(struct worker *w, int64_t ms)
{
    int64_t until = clock_mono() + ms * 1000;

    if (w->distrust_until < until)
        w->distrust_until = until;
    scan_rows(w);
}

static bool
may_claim(const struct worker *w)
{
    return w->state == WORKER_ACTIVE && w->locked && !w->claiming &&
           (!w->waiting || rows_too(w) || w->left) && slots_want(w) > 0;
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

/* The claim is over. Ask again if it brought all that was asked for, or if the rows have yet to be asked; if
 * not, there is nothing left to take. */
static void
claim_over(struct worker *w)
{
    w->claiming = false;
    log_debug("claim.over", KV_INT("wanted", w->wanted), KV_INT("got", w->got),
              KV_INT("us", clock_mono() - w->claimed_at), KV_INT("job_us", w->job_us));
    worker_maybe_end(w);
    if (w->got >= w->wanted || (w->got > 0 && rows_too(w)))
        claim_more(w);
    else
        wait_for_work(w);
}

/* Where each id stands in the order of the turns, by id. */
struct place {
    int64_t id;
    size_t nth;
};

static int
compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

/* The rows come in the order of their ids; they are to start in the order in which Redis gave them, n in all.
 * order[nth] = row, or -1 if that job was not to be had. */
static void
put_in_order(const struct dbres *res, const int64_t *ids, size_t n, int *order)
{
    struct place places[CLAIM_MAX];

    for (size_t i = 0; i < n; i++) {
        places[i] = (struct place){ ids[i], i };
        order[i] = -1;
    }
    qsort(places, n, sizeof *places, compare_places);
    for (int row = 0; row < dbres_rows(res); row++) {
        const struct place key = { .id = dbres_i64(res, row, 0) };
        const struct place *found = bsearch(&key, places, n, sizeof *places, compare_places);

        if (found != NULL)
            order[found->nth] = row;
    }
}

/* Rows 0 to n - 1, or in `order`. */
static void
take_rows(struct worker *w, int64_t claimant, int64_t batch, const struct dbres *res, const int *order,
          size_t n)
{
    struct err err = { 0 };

    if (!batches_open(&w->batches, batch, dbres_rows(res)))
        return; /* no memory: claim_strays() gives them back */
    for (size_t i = 0; i < n; i++) {
        int row = order != NULL ? order[i] : (int)i;
        struct job job;

        if (row < 0)
            continue;
        if (job_read(res, row, claimant, batch, &job, &err) != RC_OK) { /* the lease will take it back */
            log_error("job.unreadable", KV_ERR(&err));
            continue;
        }
        if (w->epoch_seen < job.epoch)
            w->epoch_seen = job.epoch;
        counters_add(w->counters, COUNTER_claims, queue_names[job.queue], "", 1);
        slots_give(w, &job);
    }
    slots_send(w);
}

static void claim_rows(struct worker *w, const int64_t *ids, size_t n);

/* What one claim asked for, to go on with one by one if two of its jobs and another worker raced for one lock
 * key. */
struct claim {
    struct worker *w;
    int64_t worker_id; /* under which it was made: we may be buried, and registered anew, before it is back */
    int64_t batch;
    size_t n;
    int64_t ids[];
};

static void
on_claimed(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct claim *c = arg;
    struct worker *w = c->w;
    int order[CLAIM_MAX];

    if (rc == RC_OK) {
        put_in_order(res, c->ids, c->n, order);
        take_rows(w, c->worker_id, c->batch, res, order, c->n);
        if ((size_t)dbres_rows(res) < c->n)
            dba_run(w->db, SQL_kind_note, DB_ARGS(db_i64s(c->ids, c->n), db_texts(w->kinds, w->kinds_n)),
                    NULL, NULL);
    } else if (rc == RC_CONFLICT && c->n > 1) {
        for (size_t i = 0; i < c->n; i++)
            claim_rows(w, &c->ids[i], 1);
    } else if (rc != RC_CONFLICT) {
        log_warn("claim.failed", KV_ERR(err));
    }
    free(c);
    if (--w->claims == 0)
        claim_over(w);
}

static void
claim_rows(struct worker *w, const int64_t *ids, size_t n)
{
    struct claim *c = malloc(sizeof *c + n * sizeof c->ids[0]);

    if (c == NULL || w->id == 0) { /* without memory, or buried meanwhile. The ids are in Postgres and in our
                                      own list: the scheduler brings them back */
        free(c);
        if (w->claims == 0)
            claim_over(w);
        return;
    }
    w->claims++;
    c->w = w;
    c->worker_id = w->id;
    c->n = n;
    c->batch = ++w->batch;
    memcpy(c->ids, ids, n * sizeof c->ids[0]);
    dba_run(w->db, SQL_job_claim,
            DB_ARGS(db_i64(w->id), db_i64s(c->ids, n), db_texts(w->kinds, w->kinds_n), db_i64(c->batch),
                    db_i64(w->epoch_floor)),
            on_claimed, c);
}

static void
on_rows(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct worker *w = arg;

    w->got = rc == RC_OK ? dbres_rows(res) : 0;
    if (rc == RC_OK)
        take_rows(w, w->claimant, w->batch, res, NULL, (size_t)dbres_rows(res));
    else if (rc != RC_CONFLICT) /* a race for a lock key: the next scan sees who won */
        log_warn("claim.failed", KV_ERR(err));
    claim_over(w);
}

static void
claim_from_rows(struct worker *w)
{
    w->batch++;
    dba_run(w->db, SQL_job_claim_rows,
            DB_ARGS(db_i64(w->id), db_i64(w->wanted), db_texts(w->kinds, w->kinds_n), db_i64(w->batch),
                    db_i64(w->epoch_floor)),
            on_rows, w);
}

static void
on_ids(void *arg, enum rc rc, const struct reply *r, const struct err *err)
{
    struct worker *w = arg;
    size_t n = rc == RC_OK ? reply_len(r) : 0;
    int64_t ids[n + 1];

    for (size_t i = 0; i < n; i++)
        ids[i] = reply_int(reply_at(r, i));
    if (rc != RC_OK)
        log_warn("claim.failed", KV_ERR(err));
    if (rc != RC_OK || (n > 0 && ids[n - 1] == 0))
        distrust(w, DISTRUST_MS);
    if (n > 0 && ids[n - 1] == 0)
        n--;
    w->got = (int)n;
    if (n > 0)
        claim_rows(w, ids, n);
    else if (rows_too(w))
        claim_from_rows(w);
    else
        claim_over(w);
}

/* A newer producer's job may meet an older worker, which leaves it in kind_waits. Those are few, and looked
 * for with the beat; while there are more of them than room, every other claim is of them. */
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
    w->claimant = w->id;
    w->claimed_at = clock_mono();
    w->was_left = w->left && (w->waiting || !w->was_left);
    if (w->was_left)
        dba_run(w->db, SQL_kind_find, DB_ARGS(db_texts(w->kinds, w->kinds_n), db_i64(w->wanted)), on_left, w);
    else if (cachea_is_up(w->cache))
        queue_claim_async(w->cache, w->id, w->wanted, on_ids, w);
    else
        claim_from_rows(w);
}

void
claim_scan(void *worker)
{
    struct worker *w = worker;

    if (!rows_too(w)) {
        loop_timer_stop(w->scan);
        w->scanning = false;
    }
    claim_more(w);
}

/* While we wait for a wake-up nothing else is asked of Redis: one that hangs is noticed by its silence now.
 */
void
claim_ping(void *worker)
{
    struct worker *w = worker;

    if (w->waiting && cachea_is_up(w->cache))
        cachea_runv(w->cache, 1, (const char *[]){ "PING" }, NULL, NULL);
}

/* Postgres went: what we claim from here on must not be taken for what we claimed before. */
void
claim_db_lost(struct worker *w)
{
    w->epoch_floor = w->epoch_seen + 1;
}

static void
on_strays(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct worker *w = arg;

    if (rc != RC_OK || dbres_rows(res) == 0) {
        if (rc != RC_OK && rc != RC_UNAVAILABLE)
            log_warn("claim.strays_failed",
                     KV_ERR(err)); /* a twin was enqueued just now, say: with the next beat */
        return;
    }
    log_warn("claim.strays", KV_INT("jobs", dbres_rows(res)));
    settle_unblock_strays(w, res);
}

void
claim_strays(struct worker *w)
{
    AUTO_FREE int64_t *known = calloc(w->batches.n + 1, sizeof *known);

    if (w->id == 0 || w->claiming || !dba_is_up(w->db) || known == NULL)
        return;
    for (size_t i = 0; i < w->batches.n; i++)
        known[i] = w->batches.v[i].number;
    dba_run(w->db, SQL_job_strays, DB_ARGS(db_i64(w->id), db_i64s(known, w->batches.n)), on_strays, w);
}

/* Redis came or went. */
void
claim_cache_changed(struct worker *w)
{
    if (cachea_is_up(w->cache))
        distrust(w, NEWCOMER_MS);
    else
        scan_rows(w);
    claim_more(w);
}
