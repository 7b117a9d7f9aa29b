#include "worker/ctx.h"
#include "common/batch.h"
#include "common/log.h"
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FENCE_CALLS_MAX = 16 };

/* The members of struct counts by the names they have in jobs.progress and sync_log, in the order of
 * ctx_log's parameters. */
#define COUNT_(name)                         \
    {                                        \
#name, offsetof(struct counts, name) \
    }
static const struct {
    const char *name;
    size_t at;
} count_fields[] = { COUNT_(requests), COUNT_(bytes),     COUNT_(pages), COUNT_(fetched), COUNT_(inserted),
                     COUNT_(updated),  COUNT_(unchanged), COUNT_(stale), COUNT_(rejected) };

static int64_t *
count_at(struct counts *c, size_t i)
{
    return (int64_t *)(void *)((char *)c + count_fields[i].at);
}

/* What an earlier attempt counted; what else it left in the progress stays. */
static enum rc
read_progress(struct job_ctx *ctx, const char *text, struct err *err)
{
    if (text == NULL)
        return RC_OK;
    if (json_parse_object(text, strlen(text), &ctx->extra_progress, err) != RC_OK)
        return err_wrap(err, "progress");
    for (size_t i = 0; i < COUNT_OF(count_fields); i++) {
        *count_at(&ctx->total, i) =
            json_integer_value(json_object_get(ctx->extra_progress, count_fields[i].name));
        (void)json_object_del(ctx->extra_progress, count_fields[i].name);
    }
    return RC_OK;
}

enum rc
ctx_init(struct job_ctx *ctx, const struct job *job, const struct conf *conf, struct db *db,
         struct cache *cache, const struct lane *lane, struct err *err)
{
    *ctx = (struct job_ctx){ .job = job,
                             .conf = conf,
                             .db = db,
                             .cache = cache,
                             .lane = lane,
                             .window_from = DB_NO_TIME,
                             .window_to = DB_NO_TIME };
    if (job->checkpoint != NULL &&
        json_parse_object(job->checkpoint, strlen(job->checkpoint), &ctx->checkpoint, err) != RC_OK)
        return err_wrap(err, "checkpoint");
    return read_progress(ctx, job->progress, err);
}

void
ctx_note(struct job_ctx *ctx, enum counter id, const char *label, int64_t n)
{
    if (ctx->counters != NULL || counters_create(&ctx->counters, NULL) == RC_OK)
        counters_add(ctx->counters, id, label, "", n);
}

/* Mere figures: where they cannot be written they are let go. */
static void
write_notes(struct job_ctx *ctx)
{
    if (ctx->counters == NULL)
        return;
    db_rollback(ctx->db);
    (void)counters_write(ctx->counters, ctx->db, NULL);
    counters_destroy(ctx->counters);
}

void
ctx_fini(struct job_ctx *ctx)
{
    write_notes(ctx);
    json_decref(ctx->checkpoint);
    json_decref(ctx->extra_progress);
    json_decref(ctx->unknown);
    free(ctx->enqueued);
    free(ctx->doubtful);
    *ctx = (struct job_ctx){ 0 };
}

bool
ctx_stop(struct job_ctx *ctx, enum outcome *why)
{
    bool stopped = ctx->lane != NULL && lane_stopped(ctx->lane);

    if (ctx->cancel)
        *why = OUTCOME_CANCELLED;
    else if (stopped)
        *why = OUTCOME_DRAINED;
    return ctx->cancel || stopped;
}

void
ctx_count(struct job_ctx *ctx, const struct counts *c)
{
    struct counts add = *c;

    for (size_t i = 0; i < COUNT_OF(count_fields); i++) {
        *count_at(&ctx->total, i) += *count_at(&add, i);
        *count_at(&ctx->attempt, i) += *count_at(&add, i);
        ctx->unsaved |= *count_at(&add, i) != 0;
    }
}

void
ctx_unknown(struct job_ctx *ctx, const char *name, int64_t times)
{
    if (ctx->unknown == NULL)
        ctx->unknown = json_object();
    times += json_integer_value(json_object_get(ctx->unknown, name));
    (void)json_object_set_new(ctx->unknown, name, json_integer(times));
}

void
ctx_set_progress(struct job_ctx *ctx, const char *key, json_t **value)
{
    if (ctx->extra_progress == NULL)
        ctx->extra_progress = json_object();
    (void)json_object_set_new(ctx->extra_progress, key, TAKE(*value));
}

static json_t *
progress_json(struct job_ctx *ctx)
{
    json_t *j = json_object();

    for (size_t i = 0; i < COUNT_OF(count_fields); i++)
        (void)json_object_set_new(j, count_fields[i].name, json_integer(*count_at(&ctx->total, i)));
    if (ctx->extra_progress != NULL)
        (void)json_object_update(j, ctx->extra_progress);
    return j;
}

static void
log_args(struct job_ctx *ctx, const char *unknown, struct db_arg args[static 14])
{
    size_t n = 0;

    args[n++] = db_i64(ctx->job->id);
    args[n++] = db_i64(ctx->job->epoch);
    args[n++] = db_time(ctx->window_from);
    args[n++] = db_time(ctx->window_to);
    for (size_t i = 0; i < COUNT_OF(count_fields); i++)
        args[n++] = db_i64(*count_at(&ctx->attempt, i));
    args[n++] = db_text(unknown);
}

/* Someone else runs the job now. Seen here, so that the log has it whatever the job does about it. */
static void
refused(struct job_ctx *ctx, const struct err *err)
{
    ctx->lost = true;
    ctx_note(ctx, COUNTER_refused_writes, "page", 1);
    log_warn("job.refused", KV_INT("job", ctx->job->id), KV_INT("epoch", ctx->job->epoch), KV_ERR(err));
}

static void
note_refusal(struct job_ctx *ctx, const struct err *err)
{
    if (strcmp(db_sqlstate(ctx->db), "DM409") == 0)
        refused(ctx, err);
}

void
ctx_rollback(struct job_ctx *ctx)
{
    db_rollback(ctx->db);
    ctx->enqueued_n = 0;
}

static void
push_enqueued(struct job_ctx *ctx)
{
    struct err err = { 0 };

    if (ctx->enqueued_n > 0 && job_push(ctx->cache, ctx->enqueued, ctx->enqueued_n, &err) != RC_OK)
        log_warn("job.push_failed", KV_INT("jobs", (int64_t)ctx->enqueued_n),
                 KV_ERR(&err)); /* the scheduler's check finds them */
    ctx->enqueued_n = 0;
}

static void
take_checkpoint(struct job_ctx *ctx, json_t **checkpoint)
{
    if (checkpoint == NULL || *checkpoint == NULL)
        return;
    json_decref(ctx->checkpoint);
    ctx->checkpoint = TAKE(*checkpoint);
}

static enum rc
commit(struct job_ctx *ctx, bool begin, const struct db_call *calls, size_t n, json_t **checkpoint,
       struct err *err)
{
    json_auto_t *progress = progress_json(ctx);
    AUTO_FREE char *progress_text = json_text(progress);
    const json_t *going = checkpoint != NULL && *checkpoint != NULL ? *checkpoint : ctx->checkpoint;
    AUTO_FREE char *checkpoint_text = going != NULL ? json_text(going) : NULL;
    AUTO_FREE char *unknown = ctx->unknown != NULL ? json_text(ctx->unknown) : NULL;
    struct db_arg fence[] = { db_i64(ctx->job->id), db_i64(ctx->job->epoch), db_i64(ctx->job->worker_id),
                              db_text(checkpoint_text), db_text(progress_text) };
    struct db_arg row[14];
    struct db_call all[FENCE_CALLS_MAX];
    struct dbres *res[FENCE_CALLS_MAX] = { NULL };
    struct err local = { 0 };
    size_t at, m = 0;
    enum rc rc;

    assert(n + 4 <= FENCE_CALLS_MAX);
    err = err != NULL ? err : &local;
    free(TAKE(ctx->doubtful)); /* whoever did not ask takes it as not committed */
    if (progress_text == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a job's progress");
    if (begin)
        all[m++] = (struct db_call){ .id = SQL_begin };
    for (size_t i = 0; i < n; i++)
        all[m++] = calls[i];
    at = m;
    all[m++] = (struct db_call){ .id = SQL_ctx_fence, .args = fence, .n = COUNT_OF(fence) };
    if (ctx->touched) {
        log_args(ctx, unknown, row);
        all[m++] = (struct db_call){ .id = SQL_ctx_log, .args = row, .n = COUNT_OF(row) };
    }
    all[m++] = (struct db_call){ .id = SQL_commit };
    if ((rc = db_pipeline(ctx->db, all, m, res, err)) != RC_OK) {
        note_refusal(ctx, err);
        if (rc == RC_UNAVAILABLE)
            ctx->doubtful = TAKE(progress_text);
        ctx_rollback(ctx);
        return rc;
    }
    ctx->cancel = dbres_bool(res[at], 0, 0);
    ctx->unsaved = false;
    take_checkpoint(ctx, checkpoint);
    for (size_t i = 0; i < m; i++)
        dbres_destroy(res[i]);
    push_enqueued(ctx);
    return RC_OK;
}

enum rc
ctx_commit(struct job_ctx *ctx, const struct db_call *calls, size_t n, json_t **checkpoint, struct err *err)
{
    return commit(ctx, false, calls, n, checkpoint, err);
}

enum rc
ctx_save(struct job_ctx *ctx, const struct db_call *calls, size_t n, json_t **checkpoint, struct err *err)
{
    return commit(ctx, true, calls, n, checkpoint, err);
}

enum rc
ctx_landed(struct job_ctx *ctx, json_t **checkpoint, bool *landed, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(ctx->db, SQL_ctx_landed,
                        DB_ARGS(db_i64(ctx->job->id), db_i64(ctx->job->epoch), db_i64(ctx->job->worker_id),
                                db_text(ctx->doubtful)),
                        &res, err);

    if (rc != RC_OK)
        return rc;
    *landed = dbres_bool(res, 0, 0);
    free(TAKE(ctx->doubtful));
    if (*landed) {
        ctx->unsaved = false;
        take_checkpoint(ctx, checkpoint);
    }
    return RC_OK;
}

void
ctx_flush(struct job_ctx *ctx)
{
    struct err err = { 0 };

    if (!ctx->unsaved || ctx->lost || ctx->doubtful != NULL)
        return; /* what may have been committed is not overwritten with less */
    if (commit(ctx, true, NULL, 0, NULL, &err) != RC_OK && !ctx->lost)
        log_warn("job.counts_lost", KV_INT("job", ctx->job->id), KV_ERR(&err));
}

/* Before children are enqueued: our row is held, so that who cancels us sees all of them or is seen by us. */
static enum rc
own_children(struct job_ctx *ctx, const struct job_spec *specs, size_t n, struct err *err)
{
    bool children = false;
    enum rc rc;

    for (size_t i = 0; i < n; i++)
        children = children || specs[i].parent_id == ctx->job->id;
    if (!children)
        return RC_OK;
    if ((rc = batch_own(ctx->db, ctx->job, &ctx->cancel, err)) == RC_CONFLICT)
        refused(ctx, err);
    if (rc == RC_OK && ctx->cancel)
        return err_set(err, RC_CONFLICT, "job %" PRId64 " is to be cancelled: it gets no children",
                       ctx->job->id);
    return rc;
}

enum rc
ctx_enqueue(struct job_ctx *ctx, const struct job_spec *specs, size_t n, struct err *err)
{
    struct job_enqueued *more;
    enum rc rc = own_children(ctx, specs, n, err);

    if (rc != RC_OK)
        return rc;
    if ((more = realloc(ctx->enqueued, (ctx->enqueued_n + n) * sizeof *more)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for %zu jobs", n);
    ctx->enqueued = more;
    ctx->enqueued_cap = ctx->enqueued_n + n;
    if ((rc = job_enqueue(ctx->db, specs, n, more + ctx->enqueued_n, err)) == RC_OK)
        ctx->enqueued_n += n;
    return rc;
}

enum outcome
ctx_outcome(const struct job_ctx *ctx, enum rc rc)
{
    if (ctx->lost)
        return OUTCOME_LOST;
    if (ctx->cancel && rc == RC_CONFLICT)
        return OUTCOME_CANCELLED;
    return rc == RC_OK ? OUTCOME_DONE : rc == RC_INVALID ? OUTCOME_DEAD : OUTCOME_RETRY;
}
