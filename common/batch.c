#include "common/batch.h"
#include <stdlib.h>
#include <string.h>

enum {
    PASSES_MAX = 100, /* generations that may come into being while they are cancelled */
    TRIES = 3,        /* against deadlocks, and twins that were enqueued at the same moment */
};

enum rc
batch_own(struct db *d, const struct job *job, bool *cancel, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(d, SQL_batch_own,
                        DB_ARGS(db_i64(job->id), db_i64(job->epoch), db_i64(job->worker_id)), &res, err);

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return err_set(err, RC_CONFLICT,
                       "job %" PRId64 ": epoch %" PRId32 " of worker %" PRId64 " is not current", job->id,
                       job->epoch, job->worker_id);
    *cancel = dbres_bool(res, 0, 0);
    return RC_OK;
}

/* A word that outlives the result it was read from. */
static const char *
state_word(const char *state)
{
    static const char *const words[] = { "scheduled", "queued", "running", "done", "dead", "cancelled" };

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strcmp(words[i], state) == 0)
            return words[i];
    return "";
}

static enum rc
not_found(int64_t id, struct err *err)
{
    return err_set(err, RC_NOT_FOUND, "id: there is no job %" PRId64, id);
}

/* ---- cancelling ---- */

/* Nothing of it waits or runs: it is not there, or has ended. */
static enum rc
refuse_cancel(struct db *d, int64_t id, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(d, SQL_job_state, DB_ARGS(db_i64(id)), &res, err);

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return not_found(id, err);
    return err_set(err, RC_CONFLICT,
                   "job %" PRId64 " is %s%s: only a waiting or running job can be cancelled", id,
                   dbres_text(res, 0, 0), dbres_bool(res, 0, 2) ? ", and asked to end already" : "");
}

/* One pass over what is visible now; *touched rows changed. */
static enum rc
cancel_pass(struct db *d, int64_t id, struct batch_changed *out, int64_t *parent, int *touched,
            struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(d, SQL_batch_cancel, DB_ARGS(db_i64(id)), &res, err);

    if (rc != RC_OK)
        return rc;
    *touched = dbres_rows(res);
    for (int row = 0; row < *touched; row++) {
        bool ended = strcmp(dbres_text(res, row, 1), "cancelled") == 0;

        out->ended += ended;
        out->running += !ended;
        if (dbres_i64(res, row, 0) == id) {
            out->state = ended ? "cancelled" : "running";
            *parent = dbres_i64(res, row, 2);
        }
    }
    return RC_OK;
}

/* Pass after pass until one finds nothing: the rows that a pass has changed stay held, so that no job of the
 * batch enqueues a child unseen after it. */
static enum rc
cancel_all(struct db *d, int64_t id, struct batch_changed *out, struct err *err)
{
    AUTO(dbres) woken = NULL;
    int64_t parent = 0;
    int touched = 1;
    enum rc rc = RC_OK;

    for (int pass = 0; pass < PASSES_MAX && touched > 0 && rc == RC_OK; pass++)
        rc = cancel_pass(d, id, out, &parent, &touched, err);
    if (rc != RC_OK)
        return rc;
    if (out->ended + out->running == 0)
        return refuse_cancel(d, id, err);
    if (parent == 0)
        return RC_OK;
    rc = db_run(d, SQL_job_unblock, DB_ARGS(db_texts(NULL, 0), db_i64s(&parent, 1)), &woken, err);
    return rc == RC_OK ? job_read_items(woken, false, &out->items, &out->n, err) : rc;
}

/* ---- retrying ---- */

/* Holds the parents of the batch. One that runs may have counted its children already: it is not to be
 * overtaken. *state is the job's own. */
static enum rc
hold_parents(struct db *d, int64_t id, const char **state, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(d, SQL_batch_hold, DB_ARGS(db_i64(id)), &res, err);

    if (rc != RC_OK)
        return rc;
    *state = NULL;
    for (int row = 0; row < dbres_rows(res); row++) {
        if (strcmp(dbres_text(res, row, 1), "running") == 0)
            return err_set(err, RC_CONFLICT,
                           "job %" PRId64 " runs at this moment: try again when it waits or has ended",
                           dbres_i64(res, row, 0));
        if (dbres_i64(res, row, 0) == id)
            *state = state_word(dbres_text(res, row, 1));
    }
    return *state != NULL ? RC_OK : not_found(id, err);
}

/* What was retried: counted, and those that may go at once as items. */
static enum rc
read_retried(const struct dbres *res, int64_t id, struct batch_changed *out, struct err *err)
{
    enum rc rc = job_read_items(res, false, &out->items, &out->n, err);
    size_t kept = 0;

    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < out->n; i++) {
        const char *state = state_word(dbres_text(res, (int)i, 4));

        if (out->items[i].job_id == id)
            out->state = state;
        if (strcmp(state, "queued") == 0)
            out->items[kept++] = out->items[i];
    }
    out->retried = (int64_t)out->n;
    out->n = kept;
    return RC_OK;
}

static enum rc
retry_all(struct db *d, int64_t id, bool cancelled, struct batch_changed *out, struct err *err)
{
    AUTO(dbres) res = NULL;
    const char *state;
    enum rc rc = hold_parents(d, id, &state, err);

    if (rc != RC_OK)
        return rc;
    if (!cancelled && strcmp(state, "cancelled") == 0)
        return err_set(err, RC_CONFLICT,
                       "cancelled: job %" PRId64
                       " was cancelled with its children; say true (--cancelled) to let them all wait again",
                       id);
    out->state = state;
    rc = db_run(d, SQL_batch_retry, DB_ARGS(db_i64(id), db_bool(cancelled)), &res, err);
    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return err_set(err, RC_CONFLICT, "job %" PRId64 " is %s: neither it nor anything below it is dead%s",
                       id, state, cancelled ? " or cancelled" : "");
    return read_retried(res, id, out, err);
}

/* ---- both ---- */

enum wish { CANCEL, RETRY_DEAD, RETRY_ALL };

static enum rc
attempt(struct db *d, int64_t id, enum wish wish, struct batch_changed *out, struct err *err)
{
    enum rc rc = db_begin(d, err);

    if (rc != RC_OK)
        return rc;
    rc = wish == CANCEL ? cancel_all(d, id, out, err) : retry_all(d, id, wish == RETRY_ALL, out, err);
    if (rc == RC_OK)
        rc = db_commit(d, err);
    if (rc != RC_OK)
        db_rollback(d);
    return rc;
}

/* A deadlock (rows of one batch that a settler holds in another order) and a twin that was enqueued between
 * our look at the dedupe keys and our write are nobody's fault: they are over when we come again. */
static bool
worth_another_try(struct db *d)
{
    return strcmp(db_sqlstate(d), "40P01") == 0 || strcmp(db_sqlstate(d), "23505") == 0;
}

static enum rc
fulfil(struct db *d, int64_t id, enum wish wish, struct batch_changed *out, struct err *err)
{
    struct batch_changed done;
    enum rc rc = RC_OK;

    for (int i = 0; i < TRIES; i++) {
        bool again;

        done = (struct batch_changed){ .state = "" };
        if ((rc = attempt(d, id, wish, &done, err)) == RC_OK) {
            *out = done;
            return RC_OK;
        }
        again = worth_another_try(d);
        free(done.items);
        if (!again)
            break;
    }
    return rc;
}

enum rc
batch_cancel(struct db *d, int64_t id, struct batch_changed *out, struct err *err)
{
    return fulfil(d, id, CANCEL, out, err);
}

enum rc
batch_retry(struct db *d, int64_t id, bool cancelled, struct batch_changed *out, struct err *err)
{
    return fulfil(d, id, cancelled ? RETRY_ALL : RETRY_DEAD, out, err);
}
