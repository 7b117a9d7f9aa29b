#include "common/job.h"
#include "common/backoff.h"
#include "common/json.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CRASHES_MAX = 3 }; /* children one job may crash without progress in between */

const char *const outcome_names[OUTCOME_COUNT] = {
    [OUTCOME_DONE] = "done",      [OUTCOME_RETRY] = "retry",     [OUTCOME_DEAD] = "dead",
    [OUTCOME_SNOOZE] = "snoozed", [OUTCOME_DRAINED] = "drained", [OUTCOME_CANCELLED] = "cancelled",
    [OUTCOME_CHILDREN] = "done",  [OUTCOME_CRASHED] = "crashed", [OUTCOME_TIMEOUT] = "timeout",
    [OUTCOME_LOST] = "lost",
};

/* ---- enqueue
 * ------------------------------------------------------------------------------------------------ */

/* The specs as columns, which is how they travel. The strings that are ours are freed with it. */
struct spec_columns {
    size_t n;
    const char **kind, **queue, **origin;
    char **args, **lock_key, **dedupe_key;
    int64_t *priority, *integration_id, *parent_id, *schedule_id, *tick, *max_attempts, *timeout_s, *run_at;
};

static void
spec_columns_fini(struct spec_columns *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->args != NULL ? c->args[i] : NULL);
        free(c->lock_key != NULL ? c->lock_key[i] : NULL);
        free(c->dedupe_key != NULL ? c->dedupe_key[i] : NULL);
    }
    free(c->kind);
    free(c->queue);
    free(c->origin);
    free(c->args);
    free(c->lock_key);
    free(c->dedupe_key);
    free(c->priority);
    free(c->integration_id);
    free(c->parent_id);
    free(c->schedule_id);
    free(c->tick);
    free(c->max_attempts);
    free(c->timeout_s);
    free(c->run_at);
}

static bool
spec_columns_init(struct spec_columns *c, size_t n)
{
    *c = (struct spec_columns){ .n = n };
    return (c->kind = calloc(n, sizeof *c->kind)) != NULL &&
           (c->queue = calloc(n, sizeof *c->queue)) != NULL &&
           (c->origin = calloc(n, sizeof *c->origin)) != NULL &&
           (c->args = calloc(n, sizeof *c->args)) != NULL &&
           (c->lock_key = calloc(n, sizeof *c->lock_key)) != NULL &&
           (c->dedupe_key = calloc(n, sizeof *c->dedupe_key)) != NULL &&
           (c->priority = calloc(n, sizeof *c->priority)) != NULL &&
           (c->integration_id = calloc(n, sizeof *c->integration_id)) != NULL &&
           (c->parent_id = calloc(n, sizeof *c->parent_id)) != NULL &&
           (c->schedule_id = calloc(n, sizeof *c->schedule_id)) != NULL &&
           (c->tick = calloc(n, sizeof *c->tick)) != NULL &&
           (c->max_attempts = calloc(n, sizeof *c->max_attempts)) != NULL &&
           (c->timeout_s = calloc(n, sizeof *c->timeout_s)) != NULL &&
           (c->run_at = calloc(n, sizeof *c->run_at)) != NULL;
}

static enum rc
spec_column(struct spec_columns *c, size_t i, const struct job_spec *s, struct err *err)
{
    const struct jobkind *k = jobkind_find(s->kind);
    enum rc rc;

    if (k == NULL)
        return err_set(err, RC_INVALID, "kind: there is no kind of job called \"%s\"", s->kind);
    if ((rc = jobkind_check_args(k, s->args, s->integration_id, err)) != RC_OK ||
        (rc = jobkind_key(k->lock, s->integration_id, s->args, &c->lock_key[i], err)) != RC_OK ||
        (rc = jobkind_key(k->dedupe, s->integration_id, s->args, &c->dedupe_key[i], err)) != RC_OK)
        return rc;
    c->args[i] = s->args != NULL ? json_text(s->args) : strdup("{}");
    if (c->args[i] == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    c->kind[i] = k->name;
    c->queue[i] = queue_names[k->queue];
    c->origin[i] = s->origin;
    c->priority[i] = s->priority != 0 ? s->priority - 1 : k->priority;
    c->integration_id[i] = s->integration_id;
    c->parent_id[i] = s->parent_id;
    c->schedule_id[i] = s->schedule_id;
    c->tick[i] = s->schedule_id != 0 ? s->tick : DB_NO_TIME;
    c->max_attempts[i] = k->max_attempts;
    c->timeout_s[i] = k->timeout_s;
    c->run_at[i] = s->run_at != 0 ? s->run_at : DB_NO_TIME;
    return RC_OK;
}

/* Gives those that met a waiting job with their dedupe key that job's id. `missing` tells whether any has
 * neither been created nor found (the waiting job was claimed in between). */
static enum rc
find_waiting(struct db *d, const struct spec_columns *c, struct job_enqueued *out, bool *missing,
             struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc =
        db_run(d, SQL_job_waiting, DB_ARGS(db_texts((const char *const *)c->dedupe_key, c->n)), &res, err);

    if (rc != RC_OK)
        return rc;
    for (int row = 0; row < dbres_rows(res); row++) {
        size_t i = (size_t)dbres_i64(res, row, 0) - 1;
        int queue = queue_by_name(dbres_text(res, row, 3));

        if (out[i].created)
            continue;
        out[i].job_id = dbres_i64(res, row, 1);
        out[i].queued = dbres_bool(res, row, 2);
        out[i].item = (struct queue_item){ .job_id = out[i].job_id,
                                           .integration_id = dbres_i64(res, row, 4),
                                           .queue = queue < 0 ? QUEUE_DEFAULT : (enum queue_name)queue,
                                           .priority = (int)dbres_i64(res, row, 5) };
    }
    *missing = false;
    for (size_t i = 0; i < c->n; i++)
        if (out[i].job_id == 0)
            *missing = true;
    return RC_OK;
}

static enum rc
enqueue_columns(struct db *d, const struct spec_columns *c, struct job_enqueued *out, bool *missing,
                struct err *err)
{
    AUTO(dbres) res = NULL;
    bool all = true;
    enum rc rc =
        db_run(d, SQL_job_enqueue,
               DB_ARGS(db_texts(c->kind, c->n), db_texts(c->queue, c->n), db_i64s(c->priority, c->n),
                       db_i64s(c->integration_id, c->n), db_i64s(c->parent_id, c->n),
                       db_i64s(c->schedule_id, c->n), db_times(c->tick, c->n), db_texts(c->origin, c->n),
                       db_texts((const char *const *)c->args, c->n),
                       db_texts((const char *const *)c->lock_key, c->n),
                       db_texts((const char *const *)c->dedupe_key, c->n), db_i64s(c->max_attempts, c->n),
                       db_i64s(c->timeout_s, c->n), db_times(c->run_at, c->n)),
               &res, err);

    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < c->n; i++) {
        int row = (int)i;

        out[i] = (struct job_enqueued){ .job_id = dbres_i64(res, row, 0),
                                        .created = !dbres_null(res, row, 0),
                                        .queued = dbres_bool(res, row, 1) };
        out[i].item = (struct queue_item){ .job_id = out[i].job_id,
                                           .integration_id = c->integration_id[i],
                                           .queue = (enum queue_name)queue_by_name(c->queue[i]),
                                           .priority = (int)c->priority[i] };
        all = all && out[i].created;
    }
    *missing = false;
    return all ? RC_OK : find_waiting(d, c, out, missing, err);
}

enum rc
job_enqueue(struct db *d, const struct job_spec *specs, size_t n, struct job_enqueued *out, struct err *err)
{
    struct spec_columns c;
    bool missing = true;
    enum rc rc = RC_OK;

    if (n == 0)
        return RC_OK;
    if (!spec_columns_init(&c, n))
        rc = err_set(err, RC_INTERNAL, "no memory");
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        rc = spec_column(&c, i, &specs[i], err);
    if (rc == RC_OK)
        rc = enqueue_columns(d, &c, out, &missing, err);
    spec_columns_fini(&c);
    if (rc != RC_OK || !missing)
        return rc;
    /* The waiting twin was claimed between our two statements: those few go in by themselves, now that the
     * way is free. */
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        if (out[i].job_id == 0)
            rc = job_enqueue(d, &specs[i], 1, &out[i], err);
    return rc;
}

enum rc
job_push(struct cache *c, const struct job_enqueued *jobs, size_t n, struct err *err)
{
    AUTO_FREE struct queue_item *items = calloc(n + 1, sizeof *items);
    size_t count = 0;

    if (items == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (size_t i = 0; i < n; i++)
        if (jobs[i].queued)
            items[count++] = jobs[i].item;
    return count == 0 ? RC_OK : queue_push(c, items, count, err);
}

/* ---- a claimed job
 * ------------------------------------------------------------------------------------------ */

void
job_fini(struct job *j)
{
    free(j->kind);
    free(j->lock_key);
    free(j->args);
    free(j->checkpoint);
    free(j->progress);
    *j = (struct job){ 0 };
}

static char *
copy_or_null(const struct dbres *r, int row, int col)
{
    return dbres_null(r, row, col) ? NULL : strdup(dbres_text(r, row, col));
}

enum rc
job_read(const struct dbres *r, int row, int64_t worker_id, int64_t batch, struct job *out, struct err *err)
{
    int queue = queue_by_name(dbres_text(r, row, 3));
    struct job j = {
        .id = dbres_i64(r, row, 0),
        .epoch = (int32_t)dbres_i64(r, row, 1),
        .worker_id = worker_id,
        .batch = batch,
        .kind = copy_or_null(r, row, 2),
        .queue = queue < 0 ? QUEUE_DEFAULT : (enum queue_name)queue,
        .priority = (int)dbres_i64(r, row, 4),
        .integration_id = dbres_i64(r, row, 5),
        .parent_id = dbres_i64(r, row, 6),
        .attempt = (int)dbres_i64(r, row, 7),
        .max_attempts = (int)dbres_i64(r, row, 8),
        .crashes = (int)dbres_i64(r, row, 9),
        .timeout_s = (int)dbres_i64(r, row, 10),
        .lock_key = copy_or_null(r, row, 11),
        .args = copy_or_null(r, row, 12),
        .checkpoint = copy_or_null(r, row, 13),
        .progress = copy_or_null(r, row, 14),
    };

    if (j.kind == NULL || j.args == NULL) {
        job_fini(&j);
        return err_set(err, RC_INTERNAL, "no memory");
    }
    *out = j;
    return RC_OK;
}

/* ---- settling
 * ----------------------------------------------------------------------------------------------- */

enum { SETTLE_ARGS = 11, SETTLE_DONE_ARGS = 4 };
struct settle_args {
    size_t n;
    bool plain; /* all of them */
    int64_t *ids, *epochs, *delays, *over;
    const char **states, **outcomes, **errors;
    char **own_errors; /* the same texts, to be freed */
    bool *charged, *crashed, *touched;
    struct db_arg args[SETTLE_ARGS];
};

void
settle_args_destroy(struct settle_args *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; a->own_errors != NULL && i < a->n; i++)
        free(a->own_errors[i]);
    free(a->ids);
    free(a->epochs);
    free(a->delays);
    free(a->over);
    free(a->states);
    free(a->outcomes);
    free(a->errors);
    free(a->own_errors);
    free(a->charged);
    free(a->crashed);
    free(a->touched);
    free(a);
}

/* Where a job goes from here. */
struct fate {
    const char *state;
    bool charged, crashed;
    int64_t delay_ms; /* of `scheduled`, by Postgres's clock; -1: when its children have ended */
};

static struct fate
fate_of_failure(const struct job *j, bool crashed)
{
    bool dead = j->attempt + 1 >= j->max_attempts || (crashed && j->crashes + 1 >= CRASHES_MAX);

    return (struct fate){
        .state = dead ? "dead" : "scheduled",
        .charged = true,
        .crashed = crashed,
        .delay_ms = dead ? -1 : backoff_jitter_ms(&backoff_job, j->attempt + 1),
    };
}

static struct fate
fate_of(const struct settlement *s)
{
    static const char *const ends[OUTCOME_COUNT] = {
        [OUTCOME_DONE] = "done",
        [OUTCOME_DEAD] = "dead",
        [OUTCOME_CANCELLED] = "cancelled",
        [OUTCOME_DRAINED] = "queued",
    };

    switch (s->outcome) {
    case OUTCOME_RETRY:
    case OUTCOME_TIMEOUT:
        return fate_of_failure(s->job, false);
    case OUTCOME_CRASHED:
        return fate_of_failure(s->job, true);
    case OUTCOME_SNOOZE:
        return (struct fate){ .state = "scheduled", .delay_ms = s->delay_ms };
    case OUTCOME_CHILDREN:
        return (struct fate){ .state = "scheduled", .delay_ms = -1 };
    default:
        assert(ends[s->outcome] != NULL);
        return (struct fate){ .state = ends[s->outcome], .delay_ms = -1 };
    }
}

/* One for job_settle_done. */
static bool
is_plain(const struct settlement *s)
{
    return s->outcome == OUTCOME_DONE && !s->touched && s->error == NULL;
}

static bool
settle_args_alloc(struct settle_args *a, size_t n)
{
    a->n = n;
    return (a->ids = calloc(n, sizeof *a->ids)) != NULL &&
           (a->epochs = calloc(n, sizeof *a->epochs)) != NULL &&
           (a->delays = calloc(n, sizeof *a->delays)) != NULL &&
           (a->states = calloc(n, sizeof *a->states)) != NULL &&
           (a->outcomes = calloc(n, sizeof *a->outcomes)) != NULL &&
           (a->errors = calloc(n, sizeof *a->errors)) != NULL &&
           (a->own_errors = calloc(n, sizeof *a->own_errors)) != NULL &&
           (a->charged = calloc(n, sizeof *a->charged)) != NULL &&
           (a->crashed = calloc(n, sizeof *a->crashed)) != NULL &&
           (a->touched = calloc(n, sizeof *a->touched)) != NULL;
}

enum rc
settle_args_create(int64_t worker_id, const struct settlement *s, size_t n, const int64_t *over,
                   size_t over_n, struct settle_args **out, struct err *err)
{
    AUTO(settle_args) a = calloc(1, sizeof *a);

    assert(n > 0);
    if (a == NULL || !settle_args_alloc(a, n) || (a->over = calloc(over_n + 1, sizeof *a->over)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (size_t i = 0; i < over_n; i++)
        a->over[i] = over[i];
    a->plain = true;
    for (size_t i = 0; i < n; i++) {
        struct fate f = fate_of(&s[i]);

        a->plain = a->plain && is_plain(&s[i]);
        a->ids[i] = s[i].job->id;
        a->epochs[i] = s[i].job->epoch;
        a->states[i] = f.state;
        a->charged[i] = f.charged;
        a->crashed[i] = f.crashed;
        a->delays[i] = f.delay_ms;
        a->errors[i] = a->own_errors[i] = s[i].error != NULL ? strdup(s[i].error) : NULL;
        a->outcomes[i] = outcome_names[s[i].outcome];
        a->touched[i] = s[i].touched;
    }
    memcpy(a->args,
           (struct db_arg[SETTLE_ARGS]){ db_i64(worker_id), db_i64s(a->ids, n), db_i64s(a->epochs, n),
                                         db_texts(a->states, n), db_bools(a->charged, n),
                                         db_bools(a->crashed, n), db_i64s(a->delays, n),
                                         db_texts(a->errors, n), db_texts(a->outcomes, n),
                                         db_bools(a->touched, n), db_i64s(a->over, over_n) },
           sizeof a->args);
    if (a->plain)
        a->args[3] = db_i64s(a->over, over_n);
    *out = TAKE(a);
    return RC_OK;
}

const struct db_arg *
settle_args_get(const struct settle_args *a, enum sql_id *id, size_t *n)
{
    *id = a->plain ? SQL_job_settle_done : SQL_job_settle;
    *n = a->plain ? SETTLE_DONE_ARGS : SETTLE_ARGS;
    return a->args;
}

enum rc
job_read_items(const struct dbres *r, bool front, struct queue_item **out, size_t *n, struct err *err)
{
    size_t rows = (size_t)dbres_rows(r);
    struct queue_item *items = calloc(rows + 1, sizeof *items);

    if (items == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (size_t i = 0; i < rows; i++) {
        int queue = queue_by_name(dbres_text(r, (int)i, 1));

        items[i] = (struct queue_item){ .job_id = dbres_i64(r, (int)i, 0),
                                        .integration_id = dbres_i64(r, (int)i, 2),
                                        .queue = queue < 0 ? QUEUE_DEFAULT : (enum queue_name)queue,
                                        .priority = (int)dbres_i64(r, (int)i, 3),
                                        .front = front };
    }
    *out = items;
    *n = rows;
    return RC_OK;
}

/* ---- a person's wishes
 * -------------------------------------------------------------------------------------- */

/* Why nothing happened to job `id`: it does not exist, or its state does not allow it. */
static enum rc
refuse(struct db *d, int64_t id, const char *wish, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(d, SQL_job_state, DB_ARGS(db_i64(id)), &res, err);

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return err_set(err, RC_NOT_FOUND, "id: there is no job %" PRId64, id);
    return err_set(err, RC_CONFLICT, "job %" PRId64 " is %s: %s", id, dbres_text(res, 0, 0), wish);
}

enum rc
job_retry(struct db *d, int64_t id, struct job_enqueued *out, struct err *err)
{
    AUTO(dbres) res = NULL;
    AUTO_FREE struct queue_item *items = NULL;
    size_t n;
    enum rc rc = db_run(d, SQL_job_retry, DB_ARGS(db_i64(id)), &res, err);

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return refuse(d, id, "only a dead or cancelled job can be retried", err);
    if ((rc = job_read_items(res, false, &items, &n, err)) != RC_OK)
        return rc;
    *out = (struct job_enqueued){ .job_id = id, .created = false, .queued = true, .item = items[0] };
    return RC_OK;
}
