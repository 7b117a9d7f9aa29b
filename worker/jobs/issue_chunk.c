/* worker/jobs/issue_chunk.c - bring the issues that were created in one span of a backfill. Safe to run
 * twice: same guards as the live pull, its own cursor in its own checkpoint, and no watermark of anybody's is
 * touched.
 *
 * By created_at, not updated_at: a span of creation times names the same issues whenever it is asked, so
 * chunks neither overlap nor miss one however long the backfill takes; by updated_at an issue would move out
 * of its chunk with each edit, at the worst from one not yet run into one that has. (Nor does the 30 days'
 * limit hold there.) What changes meanwhile is the live pull's. */
#include "worker/jobs.h"
#include "worker/jobs/vendor.h"

static enum rc
on_page(struct walk *k, bool last, struct sink_write *w, struct err *err)
{
    (void)err;
    w->checkpoint = last ? json_pack("{s:b}", "read", true) : json_pack("{s:o}", "walk", walk_save(k));
    return RC_OK;
}

static enum outcome
run(struct job_ctx *ctx, struct fetch *f, const json_t *args, struct err *err)
{
    const json_t *saved = json_object_get(ctx->checkpoint, "walk");
    struct call c = { .kind = CALL_ISSUES, .axis = AXIS_CREATED };
    struct walk k;
    enum outcome o;
    enum rc rc;

    if (json_is_true(json_object_get(ctx->checkpoint, "read")))
        return OUTCOME_DONE; /* an earlier attempt committed the last page and could not say so */
    if (json_get_time(args, "from", &c.from, err) != RC_OK ||
        json_get_time(args, "to", &c.to, err) != RC_OK) {
        (void)err_wrap(err, "args");
        return OUTCOME_DEAD;
    }
    walk_init(&k, ctx, f, &c, NULL);
    k.on_page = on_page;
    rc = saved != NULL ? walk_load(&k, saved, err) : RC_OK;
    o = rc == RC_OK ? walk_run(&k, err) : ctx_outcome(ctx, rc);
    walk_fini(&k);
    return o;
}

enum outcome
job_run_issue_chunk(struct job_ctx *ctx, const json_t *args, struct err *err)
{
    AUTO(fetch) f = NULL;
    enum outcome o = vendor_open(ctx, true, &f, err);

    if (o == OUTCOME_DONE) {
        o = run(ctx, f, args, err);
        ctx_flush(ctx);
    }
    return ctx->lost ? OUTCOME_LOST : o;
}
