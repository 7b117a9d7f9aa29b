#include "worker/sink.h"
#include "common/clock.h"
#include "common/log.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PG_EPOCH_US INT64_C(946684800000000)
#define CHUNK       ((size_t)256 << 10) /* of COPY data: goes out while the next is put together */
enum { HEAD_FIELDS = 3 };

/* A page that a lost connection or a deadlock ended is repeated after these pauses. A restart of the server
 * takes a few seconds. */
static const int pause_ms[] = { 50, 200, 1000, 3000, 5000 };

static const struct {
    enum sql_id ask, copy, stage, copy_stage, update, upsert, stale;
} statements[STREAM_COUNT] = {
#define STATEMENTS_(t, kind)                                                                                \
    [STREAM_##t] = { SQL_sink_ask_##t,    SQL_sink_copy_##t,   SQL_sink_stage_##t, SQL_sink_copy_stage_##t, \
                     SQL_sink_update_##t, SQL_sink_upsert_##t, SQL_sink_stale_##t },
    RECORD_TABLES(STATEMENTS_)
#undef STATEMENTS_
};

/* ---- asking ---- */

/* The arrays of one ask. */
struct question {
    struct db_arg args[4];
    const char **ids;
    int64_t *versions, *hashes;
};

static void
question_fini(struct question *q)
{
    free(q->ids);
    free(q->versions);
    free(q->hashes);
}

static enum rc
question_init(struct question *q, const struct job_ctx *ctx, const struct rows *rows, struct err *err)
{
    *q = (struct question){ .ids = malloc(rows->n * sizeof *q->ids),
                            .versions = malloc(rows->n * sizeof *q->versions),
                            .hashes = malloc(rows->n * sizeof *q->hashes) };
    if (q->ids == NULL || q->versions == NULL || q->hashes == NULL)
        return err_set(err, RC_INTERNAL, "no memory to ask for %zu rows", rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        q->ids[i] = rows_id(rows, i);
        q->versions[i] = rows->row[i].version;
        q->hashes[i] = rows->row[i].hash;
    }
    q->args[0] = db_i64(ctx->job->integration_id);
    q->args[1] = db_texts(q->ids, rows->n);
    q->args[2] = db_times(q->versions, rows->n);
    q->args[3] = db_i64s(q->hashes, rows->n);
    return RC_OK;
}

static void
take_verdicts(struct rows *rows, const struct dbres *res)
{
    for (size_t i = 0; i < rows->n; i++)
        rows->row[i].fate = 'u';
    for (int i = 0; i < dbres_rows(res); i++) {
        int64_t ord = dbres_i64(res, i, 0);

        assert(ord >= 1 && (size_t)ord <= rows->n);
        rows->row[ord - 1].fate = dbres_text(res, i, 1)[0];
    }
}

/* BEGIN and a question for each batch of rows, in one round trip. */
static enum rc
ask(struct job_ctx *ctx, struct sink_write *w, struct err *err)
{
    struct question questions[SINK_ROWS_MAX] = { 0 };
    struct db_call calls[SINK_ROWS_MAX + 1] = { { .id = SQL_begin } };
    struct dbres *res[SINK_ROWS_MAX + 1] = { NULL };
    size_t n = 1, of[SINK_ROWS_MAX + 1];
    enum rc rc = RC_OK;

    for (size_t i = 0; i < w->nrows && rc == RC_OK; i++) {
        if (w->rows[i]->n == 0)
            continue;
        rc = question_init(&questions[i], ctx, w->rows[i], err);
        of[n] = i;
        calls[n++] =
            (struct db_call){ .id = statements[w->rows[i]->stream].ask, .args = questions[i].args, .n = 4 };
    }
    if (rc == RC_OK)
        rc = db_pipeline(ctx->db, calls, n, res, err);
    for (size_t i = 1; i < n && rc == RC_OK; i++)
        take_verdicts(w->rows[of[i]], res[i]);
    for (size_t i = 0; i < n; i++)
        dbres_destroy(res[i]);
    for (size_t i = 0; i < w->nrows; i++)
        question_fini(&questions[i]);
    return rc;
}

/* ---- sending ---- */

static void
put_i64(struct buf *b, int64_t v)
{
    buf_put_be32(b, 8);
    buf_put_be64(b, (uint64_t)v);
}

static void
put_row(struct buf *b, const struct rows *rows, const struct row *row, int64_t integration, int64_t now)
{
    buf_put_be16(b, (uint16_t)(HEAD_FIELDS + record_tables[rows->stream].ncolumns));
    put_i64(b, integration);
    put_i64(b, row->hash);
    put_i64(b, now - PG_EPOCH_US);
    buf_put(b, rows->bytes.data + row->at, row->len);
}

static enum rc
flush_chunk(struct job_ctx *ctx, struct buf *b, size_t at_least, struct err *err)
{
    enum rc rc;

    if (b->failed)
        return err_set(err, RC_INTERNAL, "no memory for COPY");
    if (b->len < at_least)
        return RC_OK;
    rc = db_copy_put(ctx->db, b->data, b->len, err);
    buf_reset(b);
    return rc;
}

/* Rows with this fate (0 = all) by binary COPY. */
static enum rc
copy_rows(struct job_ctx *ctx, enum sql_id id, const struct rows *rows, char fate, struct err *err)
{
    static const char signature[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"; /* flags and extension: none */
    int64_t now = clock_now();
    struct buf b;
    enum rc rc;

    if ((rc = db_copy_begin(ctx->db, id, err)) != RC_OK)
        return rc;
    buf_init(&b, (size_t)1 << 30);
    buf_put(&b, signature, 19);
    for (size_t i = 0; i < rows->n && rc == RC_OK; i++) {
        if (fate != 0 && rows->row[i].fate != fate)
            continue;
        put_row(&b, rows, &rows->row[i], ctx->job->integration_id, now);
        rc = flush_chunk(ctx, &b, CHUNK, err);
    }
    buf_put_be16(&b, UINT16_MAX);
    if (rc == RC_OK)
        rc = flush_chunk(ctx, &b, 0, err);
    buf_fini(&b);
    if (rc == RC_INTERNAL)
        return rc; /* the rollback abandons the copy */
    return db_copy_end(ctx->db, NULL, err);
}

/* Into the temporary table. */
static enum rc
stage(struct job_ctx *ctx, const struct rows *rows, char fate, struct err *err)
{
    enum rc rc = db_run(ctx->db, statements[rows->stream].stage, DB_NO_ARGS, NULL, err);

    return rc != RC_OK ? rc : copy_rows(ctx, statements[rows->stream].copy_stage, rows, fate, err);
}

static int64_t
count_fate(const struct rows *rows, char fate)
{
    int64_t n = 0;

    for (size_t i = 0; i < rows->n; i++)
        n += rows->row[i].fate == fate;
    return n;
}

static enum rc
send_asked(struct job_ctx *ctx, const struct rows *rows, struct counts *c, struct err *err)
{
    AUTO(dbres) res = NULL;
    int64_t fresh = count_fate(rows, 'n'), changed = count_fate(rows, 'c'), updated = 0;
    enum rc rc = RC_OK;

    if (fresh > 0)
        rc = copy_rows(ctx, statements[rows->stream].copy, rows, 'n', err);
    if (rc == RC_OK && changed > 0 && (rc = stage(ctx, rows, 'c', err)) == RC_OK &&
        (rc = db_run(ctx->db, statements[rows->stream].update, DB_NO_ARGS, &res, err)) == RC_OK)
        updated = dbres_affected(res);
    c->inserted += fresh;
    c->updated += updated;
    c->unchanged += count_fate(rows, 'u');
    c->stale +=
        count_fate(rows, 's') + changed - updated; /* what changed under our hands is newer than ours */
    return rc;
}

static enum rc
send_upsert(struct job_ctx *ctx, const struct rows *rows, struct counts *c, struct err *err)
{
    AUTO(dbres) wrote = NULL;
    AUTO(dbres) stale = NULL;
    enum rc rc;

    if ((rc = stage(ctx, rows, 0, err)) != RC_OK ||
        (rc = db_run(ctx->db, statements[rows->stream].upsert, DB_NO_ARGS, &wrote, err)) != RC_OK ||
        (rc = db_run(ctx->db, statements[rows->stream].stale, DB_NO_ARGS, &stale, err)) != RC_OK)
        return rc;
    c->inserted += dbres_i64(wrote, 0, 0);
    c->updated += dbres_i64(wrote, 0, 1);
    c->stale += dbres_i64(stale, 0, 0);
    c->unchanged +=
        (int64_t)rows->n - dbres_i64(wrote, 0, 0) - dbres_i64(wrote, 0, 1) - dbres_i64(stale, 0, 0);
    for (size_t i = 0; i < rows->n; i++)
        rows->row[i].fate = 'c'; /* not known one by one: to be looked at */
    return RC_OK;
}

/* The whole page once. On failure the transaction is still to be rolled back. */
static enum rc
try_page(struct job_ctx *ctx, struct sink_write *w, bool upsert, struct err *err)
{
    struct counts c = { .pages = w->pages };
    enum rc rc = upsert ? db_begin(ctx->db, err) : ask(ctx, w, err);

    for (size_t i = 0; i < w->nrows && rc == RC_OK; i++) {
        struct rows *rows = w->rows[i];

        c.fetched += rows->fetched;
        c.rejected += rows->rejected;
        c.unchanged += rows->doubled;
        if (rows->n > 0)
            rc = upsert ? send_upsert(ctx, rows, &c, err) : send_asked(ctx, rows, &c, err);
    }
    if (rc == RC_OK && w->in_tx != NULL)
        rc = w->in_tx(ctx, &c, w->arg, err);
    if (rc != RC_OK)
        return rc;
    ctx_count(ctx, &c);
    return ctx_commit(ctx, w->calls, w->ncalls, &w->checkpoint, err);
}

static void
sleep_ms(int ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

    (void)nanosleep(&t, NULL);
}

/* What was counted, before and with a page. */
struct counted {
    struct counts attempt, total;
};

static struct counted
counted_so_far(const struct job_ctx *ctx)
{
    return (struct counted){ ctx->attempt, ctx->total };
}

static void
count_back(struct job_ctx *ctx, const struct counted *t)
{
    ctx->attempt = t->attempt;
    ctx->total = t->total;
}

/* The page, unless its last try turns out to have been committed: written again, its rows would count as
 * unchanged. */
static enum rc
try_again(struct job_ctx *ctx, struct sink_write *w, bool upsert, struct counted *with, struct err *err)
{
    bool landed = false;
    enum rc rc = ctx->doubtful != NULL ? ctx_landed(ctx, &w->checkpoint, &landed, err) : RC_OK;

    if (rc != RC_OK)
        return rc;
    if (landed) {
        count_back(ctx, with);
        log_info("page.landed");
        return RC_OK;
    }
    rc = try_page(ctx, w, upsert, err);
    *with = counted_so_far(ctx);
    return rc;
}

enum rc
sink_commit(struct job_ctx *ctx, struct sink_write *w, struct err *err)
{
    const struct counted before = counted_so_far(ctx);
    struct counted with = before;
    bool upsert = false;

    free(TAKE(ctx->doubtful)); /* of something else */
    for (size_t i = 0;; i++) {
        enum rc rc = try_again(ctx, w, upsert, &with, err);
        bool taken;

        if (rc == RC_OK)
            return RC_OK;
        taken = strcmp(db_sqlstate(ctx->db), "23505") == 0 && !upsert;
        ctx_rollback(ctx);
        count_back(ctx, &before);
        if (ctx->lost || i == COUNT_OF(pause_ms) || (rc != RC_UNAVAILABLE && !taken))
            return rc;
        log_info("page.repeated", KV_STR("why", taken ? "another writer was first" : err->text));
        upsert |= taken;
        if (!taken)
            sleep_ms(pause_ms[i]);
    }
}
