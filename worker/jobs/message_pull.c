/* worker/jobs/message_pull.c - read the messages of the issues that changed after they were last read. Safe
 * to run twice: what is due is a query over the issues, answered anew for each run; messages and the mark
 * that they were read commit together.
 *
 * The mark is the latest_message_time that the issue had when it was chosen: if a message comes in between,
 * the issue is due again. One issue whose answer is broken is passed over in this run and stays due; an
 * answer that fails for all of a batch is the vendor's trouble, and the job's reason to come back later. */
#include "common/log.h"
#include "worker/jobs.h"
#include "worker/jobs/vendor.h"
#include <assert.h>
#include <string.h>

#define ROWS_MAX ((size_t)256 << 20)
enum { CHOSEN_MAX = 32, PASSED_MAX = 1000 };

struct item {
    char *id;
    int64_t latest; /* DB_NO_TIME = none */
    char *cursor;   /* of its next page */
    enum { ITEM_OPEN, ITEM_READ, ITEM_FAILED } state;
};

struct messages {
    struct job_ctx *ctx;
    struct fetch *fetch;
    struct item items[CHOSEN_MAX];
    size_t n;
    struct rows rows;    /* of all items together */
    const char **passed; /* owned ids to be left out for the rest of this run */
    size_t npassed, nread;
    struct err first; /* why the first was passed over */
};

static void
forget_items(struct messages *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->items[i].id);
        free(m->items[i].cursor);
    }
    m->n = 0;
}

static void
messages_fini(struct messages *m)
{
    forget_items(m);
    for (size_t i = 0; i < m->npassed; i++)
        free((char *)(uintptr_t)m->passed[i]);
    free(m->passed);
    rows_fini(&m->rows);
}

static enum rc
choose(struct messages *m, struct err *err)
{
    AUTO(dbres) r = NULL;
    enum rc rc;

    forget_items(m);
    rc = db_run(
        m->ctx->db, SQL_messages_due,
        DB_ARGS(db_i64(m->ctx->job->integration_id), db_i64(CHOSEN_MAX), db_texts(m->passed, m->npassed)), &r,
        err);
    for (int i = 0; rc == RC_OK && i < dbres_rows(r); i++) {
        m->items[m->n] = (struct item){ .id = strdup(dbres_text(r, i, 0)), .latest = dbres_time(r, i, 1) };
        if (m->items[m->n++].id == NULL)
            rc = err_set(err, RC_INTERNAL, "no memory for issues");
    }
    return rc;
}

/* Not again in this run. */
static void
pass_over(struct messages *m, struct item *it, const struct err *why)
{
    const char **more = realloc(m->passed, (m->npassed + 1) * sizeof *more);

    it->state = ITEM_FAILED;
    if (m->npassed == 0)
        m->first = *why;
    log_info("messages.passed_over", KV_STR("issue", it->id), KV_ERR(why));
    if (more == NULL)
        return;
    m->passed = more;
    m->passed[m->npassed++] = TAKE(it->id);
    it->id = strdup(m->passed[m->npassed - 1]); /* the batch still looks at it; NULL is not looked at */
}

/* Another page of the same issue; a cursor that stays the same leads nowhere. */
static void
go_on(struct messages *m, struct item *it, const char *cursor)
{
    char *next;
    struct err e = { 0 };

    if (it->cursor != NULL && strcmp(it->cursor, cursor) == 0) {
        (void)err_set(&e, RC_PROTOCOL, "the same cursor came twice");
        pass_over(m, it, &e);
        return;
    }
    if ((next = strdup(cursor)) == NULL) {
        (void)err_set(&e, RC_INTERNAL, "no memory for a cursor");
        pass_over(m, it, &e);
        return;
    }
    free(it->cursor);
    it->cursor = next;
}

static void
take_answer(struct messages *m, struct item *it, struct fetched *r)
{
    struct err e = { 0 };

    if (r->rc ==
        RC_NOT_FOUND) { /* deleted at the vendor; the issue itself is the consistency check's business */
        it->state = ITEM_READ;
        return;
    }
    if (r->rc != RC_OK) {
        pass_over(m, it, &r->err);
        return;
    }
    for (size_t i = 0; i < r->page.unknown.n; i++)
        ctx_unknown(m->ctx, r->page.unknown.entries[i].name, r->page.unknown.entries[i].times);
    if (rows_append(&m->rows, &r->page.rows, &e) != RC_OK)
        pass_over(m, it, &e);
    else if (r->page.more)
        go_on(m, it, r->page.cursor.data);
    else
        it->state = ITEM_READ;
}

/* Up to a batch of the open items. OUTCOME_SNOOZE: without budget for the rest. */
static enum outcome
read_batch(struct messages *m, bool *any, struct err *err)
{
    struct call calls[FETCH_PARALLEL];
    struct item *of[FETCH_PARALLEL];
    struct fetched *r;
    size_t n = 0, failed = 0;
    enum outcome o = OUTCOME_DONE, why;
    enum rc rc;

    for (size_t i = 0; i < m->n && n < FETCH_PARALLEL; i++) {
        if (m->items[i].state != ITEM_OPEN)
            continue;
        calls[n] = (struct call){ .kind = CALL_MESSAGES,
                                  .from = DB_NO_TIME,
                                  .to = DB_NO_TIME,
                                  .issue_id = m->items[i].id,
                                  .cursor = m->items[i].cursor };
        of[n++] = &m->items[i];
    }
    if (!(*any = n > 0))
        return OUTCOME_DONE;
    if ((rc = fetch_start(m->fetch, calls, n, err)) != RC_OK)
        return ctx_outcome(m->ctx, rc);
    if (!fetch_finish(m->fetch, m->ctx, &r, &why))
        return why;
    for (size_t i = 0; i < n; i++) {
        if (r[i].wait_ms > 0 || r[i].status == 401 || r[i].status == 403) {
            if (o != OUTCOME_DEAD)
                o = vendor_failure(m->ctx, fetch_integration(m->fetch), &r[i], err);
            continue;
        }
        take_answer(m, of[i], &r[i]);
        failed += of[i]->state == ITEM_FAILED;
    }
    if (o == OUTCOME_DONE && failed == n) {
        *err = r[0].err.rc != RC_OK ? r[0].err : m->first;
        o = OUTCOME_RETRY;
    }
    return o;
}

/* What was read, and that it was. Half-read issues stay due, but what came of them is kept. */
static enum rc
write_items(struct messages *m, struct err *err)
{
    const char *ids[CHOSEN_MAX];
    int64_t latest[CHOSEN_MAX];
    struct db_arg args[3];
    struct db_call call = { .id = SQL_messages_read, .args = args, .n = COUNT_OF(args) };
    struct sink_write w = { .rows = { &m->rows }, .nrows = 1, .pages = 1, .calls = &call };
    size_t n = 0;
    enum rc rc;

    for (size_t i = 0; i < m->n; i++) {
        if (m->items[i].state != ITEM_READ)
            continue;
        ids[n] = m->items[i].id;
        latest[n++] = m->items[i].latest;
    }
    if (n == 0 && m->rows.fetched == 0)
        return RC_OK;
    args[0] = db_i64(m->ctx->job->integration_id);
    args[1] = db_texts(ids, n);
    args[2] = db_times(latest, n);
    w.ncalls = n > 0;
    rows_finish(&m->rows);
    if ((rc = sink_commit(m->ctx, &w, err)) == RC_OK)
        m->nread += n;
    return rc;
}

static enum outcome
read_chosen(struct messages *m, struct err *err)
{
    struct err why = { 0 };
    enum outcome o = OUTCOME_DONE;
    bool any = true;
    enum rc rc;

    rows_reset(&m->rows, STREAM_messages);
    while (o == OUTCOME_DONE && any)
        o = read_batch(m, &any, &why);
    if (o == OUTCOME_LOST || (rc = write_items(m, err)) == RC_OK) {
        if (o != OUTCOME_DONE)
            *err = why;
        return o;
    }
    return ctx_outcome(m->ctx, rc);
}

static enum outcome
run(struct messages *m, struct err *err)
{
    enum outcome o = OUTCOME_DONE, why;
    json_t *passed;
    enum rc rc;

    while (o == OUTCOME_DONE) {
        if ((rc = choose(m, err)) != RC_OK)
            return ctx_outcome(m->ctx, rc);
        if (m->n == 0 || m->npassed >= PASSED_MAX)
            break;
        o = read_chosen(m, err);
        if (o == OUTCOME_DONE && ctx_stop(m->ctx, &why))
            return why;
    }
    if (m->npassed > 0) {
        passed = json_integer((json_int_t)m->npassed);
        ctx_set_progress(m->ctx, "passed_over", &passed);
        m->ctx->unsaved = true;
    }
    if (o == OUTCOME_DONE && m->npassed > 0 && m->nread == 0) {
        *err = m->first;
        o = OUTCOME_RETRY;
    }
    return o;
}

enum outcome
job_run_message_pull(struct job_ctx *ctx, const json_t *args, struct err *err)
{
    AUTO(fetch) f = NULL;
    struct messages m = { .ctx = ctx };
    enum outcome o = vendor_open(ctx, false, &f, err);

    (void)args;
    if (o != OUTCOME_DONE)
        return o;
    m.fetch = f;
    rows_init(&m.rows, ROWS_MAX);
    o = run(&m, err);
    messages_fini(&m);
    ctx_flush(ctx);
    return ctx->lost ? OUTCOME_LOST : o;
}
