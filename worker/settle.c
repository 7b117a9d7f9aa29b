/* worker/settle.c - writing attempts back: all that have ended since the last batch go in one statement, each
 * row under its epoch. What that frees (the next job of a lock key, a parent whose last child has ended) is
 * asked for after the commit, when nobody can miss it any more, and pushed. */
#include "common/clock.h"
#include "common/log.h"
#include "common/queue.h"
#include "worker/worker_internal.h"
#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 1000 };

static void
push_rows(struct worker *w, const struct dbres *res, bool front)
{
    AUTO_FREE struct queue_item *items = NULL;
    struct err err = { 0 };
    size_t n = 0;

    if (job_read_items(res, front, &items, &n, &err) == RC_OK && n > 0)
        queue_push_async(w->cache, items, n, NULL, NULL); /* a lost push is found by the scheduler's check */
}

static void
on_unblocked(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct worker *w = arg;

    w->unblocking--;
    if (rc == RC_OK)
        push_rows(w, res, true);
    else
        log_warn("settle.unblock_failed", KV_ERR(err)); /* the scheduler's check mends it */
    worker_maybe_end(w);
}

static void
unblock(struct worker *w, const char *const *locks, size_t locks_n, const int64_t *parents, size_t parents_n)
{
    if (locks_n + parents_n == 0)
        return;
    w->unblocking++;
    dba_run(w->write_db, SQL_job_unblock, DB_ARGS(db_texts(locks, locks_n), db_i64s(parents, parents_n)),
            on_unblocked, w);
}

/* What the first n that ended leave free. */
static void
unblock_ended(struct worker *w, size_t n)
{
    AUTO_FREE const char **locks = calloc(n + 1, sizeof *locks);
    AUTO_FREE int64_t *parents = calloc(2 * n + 1, sizeof *parents);
    size_t locks_n = 0, parents_n = 0;

    if (locks == NULL || parents == NULL)
        return;
    for (size_t i = 0; i < n; i++) {
        if (w->ended[i].job.lock_key != NULL)
            locks[locks_n++] = w->ended[i].job.lock_key;
        if (w->ended[i].job.parent_id != 0)
            parents[parents_n++] = w->ended[i].job.parent_id;
        if (w->ended[i].outcome ==
            OUTCOME_CHILDREN) /* its children may all have ended before it came to wait for them */
            parents[parents_n++] = w->ended[i].job.id;
    }
    unblock(w, locks, locks_n, parents, parents_n);
}

void
settle_unblock_strays(struct worker *w, const struct dbres *res)
{
    enum { STATE = 4, LOCK_KEY, PARENT };
    size_t rows = (size_t)dbres_rows(res), locks_n = 0, parents_n = 0, items_n = 0, free_n = 0;
    AUTO_FREE const char **locks = calloc(rows + 1, sizeof *locks);
    AUTO_FREE int64_t *parents = calloc(rows + 1, sizeof *parents);
    AUTO_FREE struct queue_item *items = NULL;
    struct err err = { 0 };

    if (locks == NULL || parents == NULL || job_read_items(res, true, &items, &items_n, &err) != RC_OK)
        return; /* the scheduler's check finds them */
    for (int row = 0; row < (int)rows; row++) {
        if (!dbres_null(res, row, LOCK_KEY))
            locks[locks_n++] = dbres_text(res, row, LOCK_KEY);
        else if (strcmp(dbres_text(res, row, STATE), "queued") == 0)
            items[free_n++] = items[row];
        if (!dbres_null(res, row, PARENT))
            parents[parents_n++] = dbres_i64(res, row, PARENT);
    }
    if (free_n > 0)
        queue_push_async(w->cache, items, free_n, NULL, NULL);
    unblock(w, locks, locks_n, parents, parents_n);
}

static void
ended_fini(struct ended *e)
{
    job_fini(&e->job);
    free(e->error);
}

static void
drop_first(struct worker *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ended_fini(&w->ended[i]);
    memmove(w->ended, w->ended + n, (w->ended_n - n) * sizeof *w->ended);
    w->ended_n -= n;
}

static void
on_settled(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct worker *w = arg;
    size_t n = w->settling;

    w->settling = 0;
    log_debug("settle.over", KV_INT("jobs", (int64_t)n), KV_INT("us", clock_mono() - w->settled_at));
    batches_settled(&w->batches, rc == RC_OK && w->ended[0].job.worker_id == w->id);
    if (rc == RC_UNAVAILABLE ||
        rc == RC_TIMEOUT) { /* kept; sent again when Postgres is back: a second time changes nothing */
        log_warn("settle.failed", KV_ERR(err), KV_INT("jobs", (int64_t)n));
        if (dba_is_up(w->write_db))
            loop_timer_after(w->again, 1000);
        return;
    }
    if (rc == RC_CONFLICT && !(w->settle_singly && n > 1)) {
        /* Someone enqueued a twin between our look at the dedupe keys and our write. Alone and again, it sees
         * the twin and gives its key up. */
        w->settle_singly = true;
        settle_flush(w);
        return;
    }
    if (rc == RC_OK) {
        push_rows(w, res, true);
        unblock_ended(w, n);
    } else { /* a bug, or a row no statement can mend: do not let it hold up the others; the reaper takes such
                jobs back when we end */
        log_error("settle.refused", KV_ERR(err), KV_INT("jobs", (int64_t)n));
    }
    drop_first(w, n);
    if (w->ended_n == 0)
        w->settle_singly = false;
    settle_flush(w);
    claim_more(w);
    worker_maybe_end(w);
}

/* Rows whose epoch had moved are left out; job_settle counts them itself. */
static void
on_done_settled(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct worker *w = arg;

    if (rc == RC_OK)
        counters_add(w->counters, COUNTER_refused_writes, "result", "",
                     (int64_t)w->settling - dbres_affected(res));
    on_settled(arg, rc, res, err);
}

static int
compare_ids(const void *a, const void *b)
{
    const struct settlement *x = a, *y = b;

    return (x->job->id > y->job->id) - (x->job->id < y->job->id);
}

/* What goes with the next statement, which is of one worker: after a burial, jobs claimed under the old id
 * are refused by themselves. By id, as all statements lock rows: two that meet wait, but not for each other.
 */
static size_t
next_lot(const struct worker *w, struct settlement s[static BATCH_MAX])
{
    size_t n = 0, max = w->settle_singly ? 1 : BATCH_MAX;

    for (; n < w->ended_n && n < max && w->ended[n].job.worker_id == w->ended[0].job.worker_id; n++) {
        struct ended *e = &w->ended[n];

        s[n] = (struct settlement){ .job = &e->job,
                                    .outcome = e->outcome,
                                    .delay_ms = e->delay_ms,
                                    .error = e->error,
                                    .touched = e->touched };
    }
    qsort(s, n, sizeof *s, compare_ids);
    return n;
}

/* The batches that are over with them. */
static enum rc
batches_over_with(struct worker *w, const struct settlement *s, size_t n, int64_t **over, size_t *over_n,
                  struct err *err)
{
    *over_n = 0;
    if ((*over = calloc(w->batches.n + 1, sizeof **over)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (size_t i = 0; i < n; i++)
        batches_settle(&w->batches, s[i].job->batch);
    if (s[0].job->worker_id == w->id) /* those of a buried id are the reaper's */
        *over_n = batches_over(&w->batches, *over);
    return RC_OK;
}

void
settle_flush(struct worker *w)
{
    AUTO(settle_args) args = NULL;
    AUTO_FREE int64_t *over = NULL;
    struct settlement s[BATCH_MAX];
    const struct db_arg *list;
    enum sql_id id;
    struct err err = { 0 };
    size_t n, argc, over_n;

    if (w->settling > 0 || w->ended_n == 0 || !dba_is_up(w->write_db))
        return;
    n = next_lot(w, s);
    if (batches_over_with(w, s, n, &over, &over_n, &err) != RC_OK ||
        settle_args_create(s[0].job->worker_id, s, n, over, over_n, &args, &err) != RC_OK) {
        batches_settled(&w->batches, false);
        loop_timer_after(w->again, 1000);
        return;
    }
    list = settle_args_get(args, &id, &argc);
    w->settling = n;
    w->settled_at = clock_mono();
    dba_run(w->write_db, id, list, argc, id == SQL_job_settle_done ? on_done_settled : on_settled, w);
}

void
settle_add(struct worker *w, struct job *job, const struct lane_result *r)
{
    if (r->outcome == OUTCOME_LOST) { /* no longer ours: nothing to write */
        batches_drop(&w->batches, job->batch);
        job_fini(job);
        return;
    }
    if (w->ended_n == w->ended_cap) {
        size_t cap = w->ended_cap == 0 ? 64 : 2 * w->ended_cap;
        struct ended *grown = realloc(w->ended, cap * sizeof *grown);

        if (grown == NULL) { /* the lease will take the job back */
            job_fini(job);
            return;
        }
        w->ended = grown;
        w->ended_cap = cap;
    }
    w->ended[w->ended_n++] = (struct ended){ .job = *job,
                                             .outcome = r->outcome,
                                             .touched = r->touched,
                                             .delay_ms = r->delay_ms,
                                             .error = r->error[0] != '\0' ? strdup(r->error) : NULL };
    *job = (struct job){ 0 };
    settle_flush(w);
}

void
settle_fini(struct worker *w)
{
    for (size_t i = 0; i < w->ended_n; i++)
        ended_fini(&w->ended[i]);
    free(w->ended);
    batches_fini(&w->batches);
}
