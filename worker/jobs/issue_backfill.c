/* worker/jobs/issue_backfill.c - fan a span of history out into chunks of 30 days, and sum them up when they
 * have ended. Safe to run twice: all chunks are enqueued in the transaction that notes so in the checkpoint;
 * a run after that only counts. */
#include "common/clock.h"
#include "worker/jobs.h"
#include "worker/jobs/vendor.h"
#include <inttypes.h>
#include <string.h>

enum { CHUNKS_MAX = 1000 };

/* Out of budget, say: the next attempt goes on with the search where this one stopped. */
static enum outcome
keep(struct job_ctx *ctx, const struct search *search, enum outcome o, struct err *err)
{
    json_t *checkpoint;
    struct err why = *err;
    enum rc rc = RC_OK;

    if (o != OUTCOME_LOST) {
        checkpoint = json_pack("{s:o}", "search", search_save(search));
        rc = ctx_save(ctx, NULL, 0, &checkpoint, err);
        json_decref(checkpoint);
    }
    if (rc != RC_OK)
        return ctx_outcome(ctx, rc);
    *err = why;
    return o;
}

/* The span: args, or from the earliest issue (its midnight, UTC) to now. */
static enum outcome
find_span(struct job_ctx *ctx, const json_t *args, int64_t *from, int64_t *to, struct err *err)
{
    AUTO(fetch) f = NULL;
    struct search search;
    enum outcome o;
    enum rc rc;

    if ((rc = json_get_time(args, "to", to, err)) == RC_NOT_FOUND)
        *to = clock_now();
    else if (rc != RC_OK)
        return OUTCOME_DEAD;
    if ((rc = json_get_time(args, "from", from, err)) == RC_OK)
        return OUTCOME_DONE;
    if (rc != RC_NOT_FOUND)
        return OUTCOME_DEAD;
    if ((o = vendor_open(ctx, true, &f, err)) != OUTCOME_DONE)
        return o;
    if ((rc = search_load(&search, json_object_get(ctx->checkpoint, "search"), err)) != RC_OK)
        return ctx_outcome(ctx, rc);
    if ((o = vendor_earliest(ctx, f, *to, &search, from, err)) != OUTCOME_DONE)
        return keep(ctx, &search, o, err);
    if (*from == DB_NO_TIME)
        *from = *to; /* nothing there: no chunks */
    else
        *from -= (*from % CLOCK_DAY + CLOCK_DAY) % CLOCK_DAY;
    return OUTCOME_DONE;
}

static enum rc
enqueue_chunks(struct job_ctx *ctx, int64_t from, int64_t to, int64_t n, struct err *err)
{
    AUTO_FREE struct job_spec *specs = calloc((size_t)n + 1, sizeof *specs);
    json_auto_t *all = json_array();
    enum rc rc;

    if (specs == NULL)
        return err_set(err, RC_INTERNAL, "no memory for %" PRId64 " chunks", n);
    for (int64_t i = 0; i < n; i++) {
        /* the newest first: what people look at */
        int64_t at = from + (n - 1 - i) * CHUNK_SPAN, end = at + CHUNK_SPAN < to ? at + CHUNK_SPAN : to;
        json_t *args = json_pack("{s:o, s:o}", "from", json_time(at), "to", json_time(end));

        (void)json_array_append_new(all, args);
        specs[i] = (struct job_spec){ .kind = "issue_chunk",
                                      .args = args,
                                      .integration_id = ctx->job->integration_id,
                                      .parent_id = ctx->job->id,
                                      .origin = "job" };
    }
    if ((rc = db_begin(ctx->db, err)) == RC_OK && n > 0)
        rc = ctx_enqueue(ctx, specs, (size_t)n, err);
    return rc;
}

static enum outcome
fan_out(struct job_ctx *ctx, const json_t *args, struct err *err)
{
    int64_t from, to, n;
    enum outcome o = find_span(ctx, args, &from, &to, err);
    json_t *checkpoint, *chunks;
    enum rc rc;

    if (o != OUTCOME_DONE)
        return o;
    n = to > from ? (to - from + CHUNK_SPAN - 1) / CHUNK_SPAN : 0;
    if (n > CHUNKS_MAX) {
        (void)err_set(err, RC_INVALID,
                      "args.from: %" PRId64 " chunks of 30 days are more than %d; begin later", n,
                      CHUNKS_MAX);
        return OUTCOME_DEAD;
    }
    ctx->window_from = from;
    ctx->window_to = to;
    checkpoint = json_pack("{s:b, s:o, s:o, s:I}", "fanned_out", true, "from", json_time(from), "to",
                           json_time(to), "chunks", (json_int_t)n);
    chunks = json_integer(n);
    ctx_set_progress(ctx, "chunks", &chunks);
    rc = enqueue_chunks(ctx, from, to, n, err);
    if (rc == RC_OK)
        rc = ctx_commit(ctx, NULL, 0, &checkpoint, err);
    if (rc != RC_OK)
        ctx_rollback(ctx);
    json_decref(checkpoint);
    if (rc != RC_OK)
        return ctx_outcome(ctx, rc);
    return n > 0 ? OUTCOME_CHILDREN : OUTCOME_DONE;
}

static enum outcome
sum_up(struct job_ctx *ctx, struct err *err)
{
    static const char *const names[] = { "chunks", "chunks_done", "chunks_dead", "chunks_cancelled",
                                         "chunks_left" };
    AUTO(dbres) r = NULL;
    int64_t n[COUNT_OF(names)];
    enum rc rc;

    if ((rc = db_run(ctx->db, SQL_children_count, DB_ARGS(db_i64(ctx->job->id)), &r, err)) != RC_OK)
        return ctx_outcome(ctx, rc);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        json_t *value = json_integer(n[i] = dbres_i64(r, 0, (int)i));

        ctx_set_progress(ctx, names[i], &value);
    }
    if ((rc = ctx_save(ctx, NULL, 0, NULL, err)) != RC_OK)
        return ctx_outcome(ctx, rc);
    if (ctx->cancel)
        return OUTCOME_CANCELLED; /* asked while we fanned out: so were the chunks */
    if (n[4] > 0)
        return OUTCOME_CHILDREN; /* woken too early, or some of them are tried again */
    if (n[2] == 0)
        return OUTCOME_DONE;
    (void)err_set(err, RC_INVALID,
                  "%" PRId64 " of %" PRId64 " chunks are dead: `deskmill jobs --parent %" PRId64
                  " --state dead` says why, `deskmill job retry %" PRId64 " --children` tries them again",
                  n[2], n[0], ctx->job->id, ctx->job->id);
    return OUTCOME_DEAD;
}

enum outcome
job_run_issue_backfill(struct job_ctx *ctx, const json_t *args, struct err *err)
{
    bool fanned_out = json_is_true(json_object_get(ctx->checkpoint, "fanned_out"));
    enum outcome o = fanned_out ? sum_up(ctx, err) : fan_out(ctx, args, err);

    ctx_flush(ctx);
    return ctx->lost ? OUTCOME_LOST : o;
}
