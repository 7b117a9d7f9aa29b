#include "worker/jobs/vendor.h"
#include "common/clock.h"
#include "common/log.h"
#include <assert.h>
#include <string.h>

enum { PAUSED_SNOOZE_MS = 60000, RESTARTS_MAX = 2, LOOK_EVERY = 10 };
#define NO_DESK_BEFORE INT64_C(631152000000000) /* 1990 */

enum outcome
vendor_open(struct job_ctx *ctx, bool bulk, struct fetch **out, struct err *err)
{
    AUTO(integration) in = NULL;
    enum rc rc = integration_load(ctx->db, ctx->conf, ctx->job->integration_id, &in, err);

    if (rc == RC_OK)
        rc = fetch_create(ctx->conf, &in, bulk, out, err);
    switch (rc) {
    case RC_OK:
        return OUTCOME_DONE;
    case RC_UNAVAILABLE: /* paused, refused, or the database is away: later in any case */
        ctx->snooze_ms = PAUSED_SNOOZE_MS;
        return OUTCOME_SNOOZE;
    case RC_NOT_FOUND:
    case RC_INVALID:
    case RC_DENIED:
        return OUTCOME_DEAD;
    default:
        return OUTCOME_RETRY;
    }
}

/* In a fenced transaction like all else: a job that is no longer ours must not stop an integration. */
static enum outcome
refuse(struct job_ctx *ctx, const struct err *why, struct err *err)
{
    struct db_arg args[] = { db_i64(ctx->job->integration_id), db_text(why->text) };
    struct db_call call = { .id = SQL_integration_refuse, .args = args, .n = COUNT_OF(args) };
    enum rc rc = ctx_save(ctx, &call, 1, NULL, err);

    if (rc != RC_OK)
        return ctx_outcome(ctx, rc);
    log_warn("integration.refused", KV_INT("integration", ctx->job->integration_id),
             KV_STR("why", why->text));
    return OUTCOME_DEAD;
}

enum outcome
vendor_failure(struct job_ctx *ctx, const struct integration *in, const struct fetched *r, struct err *err)
{
    enum outcome o;

    (void)in;
    *err = r->err;
    if (r->wait_ms > 0) {
        ctx->snooze_ms = r->wait_ms;
        ctx_note(ctx, COUNTER_budget_waits, "snoozed", 1);
        ctx_note(ctx, COUNTER_budget_wait_ms, "snoozed", r->wait_ms);
        return OUTCOME_SNOOZE;
    }
    if (r->rc == RC_DENIED && r->status == 401) {
        o = refuse(ctx, &r->err, err);
        if (o == OUTCOME_DEAD)
            *err = r->err;
        return o;
    }
    if ((r->rc == RC_DENIED && r->status == 403) || r->rc == RC_INVALID)
        return OUTCOME_DEAD;
    return OUTCOME_RETRY;
}

enum outcome
vendor_ask(struct job_ctx *ctx, struct fetch *f, const struct call *c, struct fetched **out, struct err *err)
{
    enum outcome why;
    enum rc rc = fetch_start(f, c, 1, err);

    if (rc != RC_OK)
        return ctx_outcome(ctx, rc);
    return fetch_finish(f, ctx, out, &why) ? OUTCOME_DONE : why;
}

/* ---- the earliest issue ---- */

json_t *
json_time(int64_t t)
{
    char text[CLOCK_TEXT];

    return t == DB_NO_TIME ? json_null() : json_string(clock_format(t, text));
}

static enum rc
load_time(const json_t *j, const char *name, int64_t *out, struct err *err)
{
    enum rc rc = json_get_time(j, name, out, err);

    if (rc != RC_NOT_FOUND)
        return rc;
    *out = DB_NO_TIME;
    return RC_OK;
}

/* The newest issue created up to `at`: *created, or DB_NO_TIME. */
static enum outcome
newest_before(struct job_ctx *ctx, struct fetch *f, int64_t at, int64_t *created, struct err *err)
{
    struct call c = { .kind = CALL_ISSUES, .axis = AXIS_CREATED, .from = DB_NO_TIME, .to = at, .limit = 1 };
    struct fetched *r = NULL;
    enum outcome o = vendor_ask(ctx, f, &c, &r, err);

    *created = DB_NO_TIME;
    if (o != OUTCOME_DONE || r == NULL)
        return o;
    if (r->rc != RC_OK)
        return vendor_failure(ctx, fetch_integration(f), r, err);
    if (r->page.rows.n == 0)
        return OUTCOME_DONE;
    *created = rows_time(&r->page.rows, 0, COL_issues_created_at);
    if (*created == DB_NO_TIME || *created > at)
        *created = at; /* without an order or a time all we know is that there is something */
    return OUTCOME_DONE;
}

json_t *
search_save(const struct search *s)
{
    return json_pack("{s:o, s:o, s:I}", "none", json_time(s->none), "some", json_time(s->some), "step",
                     (json_int_t)s->step);
}

enum rc
search_load(struct search *s, const json_t *j, struct err *err)
{
    *s = SEARCH_NONE;
    if (j == NULL)
        return RC_OK;
    if (load_time(j, "none", &s->none, err) != RC_OK || load_time(j, "some", &s->some, err) != RC_OK)
        return err_wrap(err, "checkpoint");
    s->step = (int64_t)json_integer_value(json_object_get(j, "step"));
    return RC_OK;
}

/* Backwards in growing steps until there is nothing, then by halves. */
static enum outcome
probe(struct job_ctx *ctx, struct fetch *f, struct search *s, struct err *err)
{
    int64_t at = s->none == DB_NO_TIME ? s->some - s->step : s->none + (s->some - s->none) / 2, found;
    enum outcome o;

    if (at < NO_DESK_BEFORE) { /* a vendor that always finds something is not asked for ever */
        s->none = NO_DESK_BEFORE;
        s->some = NO_DESK_BEFORE;
        return OUTCOME_DONE;
    }
    if ((o = newest_before(ctx, f, at, &found, err)) != OUTCOME_DONE)
        return o;
    if (found == DB_NO_TIME)
        s->none = at;
    else
        s->some = found;
    s->step *= 2;
    return OUTCOME_DONE;
}

enum outcome
vendor_earliest(struct job_ctx *ctx, struct fetch *f, int64_t before, struct search *s, int64_t *earliest,
                struct err *err)
{
    enum outcome o = OUTCOME_DONE;

    *earliest = DB_NO_TIME;
    if (s->some == DB_NO_TIME) {
        s->step = CHUNK_SPAN;
        o = newest_before(ctx, f, before, &s->some, err);
        if (o != OUTCOME_DONE || s->some == DB_NO_TIME)
            return o;
    }
    while (o == OUTCOME_DONE && (s->none == DB_NO_TIME || s->some - s->none > CHUNK_SPAN))
        o = probe(ctx, f, s, err);
    if (o == OUTCOME_DONE)
        *earliest = s->none;
    return o;
}

enum rc
vendor_messages_due(struct job_ctx *ctx, const struct counts *wrote, void *arg, struct err *err)
{
    const bool *look = arg;
    struct job_spec spec = { .kind = "message_pull",
                             .integration_id = ctx->job->integration_id,
                             .origin = "job" };
    AUTO(dbres) due = NULL;
    enum rc rc;

    if (!*look)
        return RC_OK;
    if (wrote->inserted == 0) { /* a new issue's messages are due for certain */
        rc = db_run(ctx->db, SQL_messages_due,
                    DB_ARGS(db_i64(spec.integration_id), db_i64(1), db_texts(NULL, 0)), &due, err);
        if (rc != RC_OK || dbres_rows(due) == 0)
            return rc;
    }
    return ctx_enqueue(ctx, &spec, 1, err);
}

/* ---- walks ---- */

void
walk_init(struct walk *k, struct job_ctx *ctx, struct fetch *f, const struct call *question, void *owner)
{
    *k = (struct walk){ .ctx = ctx,
                        .fetch = f,
                        .call = *question,
                        .began = clock_now(),
                        .newest = DB_NO_TIME,
                        .newest_first = DB_NO_TIME,
                        .owner = owner };
}

void
walk_fini(struct walk *k)
{
    free(k->cursor);
    free(k->seen);
    *k = (struct walk){ 0 };
}

json_t *
walk_save(const struct walk *k)
{
    return json_pack("{s:o, s:o, s:s?, s:I, s:o, s:o, s:o}", "from", json_time(k->call.from), "to",
                     json_time(k->call.to), "cursor", k->cursor, "page", (json_int_t)k->page, "began",
                     json_time(k->began), "newest", json_time(k->newest), "newest_first",
                     json_time(k->newest_first));
}

enum rc
walk_load(struct walk *k, const json_t *j, struct err *err)
{
    const char *cursor = json_string_value(json_object_get(j, "cursor"));
    if (load_time(j, "from", &k->call.from, err) != RC_OK || load_time(j, "to", &k->call.to, err) != RC_OK ||
        load_time(j, "began", &k->began, err) != RC_OK || load_time(j, "newest", &k->newest, err) != RC_OK ||
        load_time(j, "newest_first", &k->newest_first, err) != RC_OK)
        return err_wrap(err, "checkpoint");
    k->page = json_integer_value(json_object_get(j, "page"));
    if (cursor != NULL && (k->cursor = strdup(cursor)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a cursor");
    return RC_OK;
}

static uint64_t
hash(const char *s)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (; *s != '\0'; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

static enum rc
note_cursor(struct walk *k, const char *cursor, struct err *err)
{
    uint64_t h = hash(cursor);

    for (size_t i = 0; i < k->nseen; i++)
        if (k->seen[i] == h)
            return err_set(err, RC_PROTOCOL, "%s: the same cursor came twice: following it would never end",
                           fetch_integration(k->fetch)->connector->endpoints[k->call.kind].label);
    if (k->nseen == k->cap_seen) {
        size_t cap = k->cap_seen == 0 ? 64 : k->cap_seen * 2;
        uint64_t *more = realloc(k->seen, cap * sizeof *more);

        if (more == NULL)
            return err_set(err, RC_INTERNAL, "no memory for cursors");
        k->seen = more;
        k->cap_seen = cap;
    }
    k->seen[k->nseen++] = h;
    return RC_OK;
}

static enum rc
ask_next(struct walk *k, struct err *err)
{
    struct call c = k->call;

    c.cursor = k->cursor;
    return fetch_start(k->fetch, &c, 1, err);
}

/* A cursor that the vendor no longer knows: the question is asked from its first page again. */
static bool
may_restart(struct walk *k, const struct fetched *r)
{
    if (r->status != 400 || k->cursor == NULL || k->restarts == RESTARTS_MAX)
        return false;
    log_info("walk.restarted", KV_ERR(&r->err), KV_INT("page", k->page));
    k->restarts++;
    free(TAKE(k->cursor));
    k->page = 0;
    k->nseen = 0;
    k->began = clock_now();
    k->newest = k->newest_first = DB_NO_TIME;
    return true;
}

/* The page after this one, and that it can't be one we had. */
static enum rc
step(struct walk *k, const struct rows *before, const struct page *p, struct err *err)
{
    enum rc rc;

    if (before != NULL && p->rows.n > 0 && rows_all_in(&p->rows, before))
        return err_set(err, RC_PROTOCOL, "%s: page %lld holds nothing but records of page %lld",
                       fetch_integration(k->fetch)->connector->endpoints[k->call.kind].label,
                       (long long)k->page + 1, (long long)k->page);
    free(TAKE(k->cursor));
    if (p->more) {
        if ((rc = note_cursor(k, p->cursor.data, err)) != RC_OK)
            return rc;
        if ((k->cursor = strdup(p->cursor.data)) == NULL)
            return err_set(err, RC_INTERNAL, "no memory for a cursor");
    }
    if (p->rows.newest != DB_NO_TIME && (k->newest == DB_NO_TIME || p->rows.newest > k->newest))
        k->newest = p->rows.newest;
    if (k->page == 0)
        k->newest_first = p->rows.newest;
    k->page++;
    return RC_OK;
}

static enum rc
write_page(struct walk *k, struct page *p, struct err *err)
{
    struct sink_write w = { .rows = { &p->rows }, .nrows = 1, .pages = 1 };
    int64_t before = k->ctx->attempt.inserted + k->ctx->attempt.updated;
    enum rc rc;

    for (size_t i = 0; i <= TALLY_MAX; i++)
        if ((i < p->unknown.n || i == TALLY_MAX) && p->unknown.entries[i].times > 0)
            ctx_unknown(k->ctx, p->unknown.entries[i].name, p->unknown.entries[i].times);
    if (k->call.kind == CALL_ISSUES) {
        k->look = !p->more || k->page % LOOK_EVERY == 0;
        w.in_tx = vendor_messages_due;
        w.arg = &k->look;
    }
    if ((rc = k->on_page(k, !p->more, &w, err)) == RC_OK)
        rc = sink_commit(k->ctx, &w, err);
    json_decref(w.checkpoint);
    if (rc != RC_OK)
        return rc;
    k->wrote += k->ctx->attempt.inserted + k->ctx->attempt.updated - before;
    if (k->on_committed != NULL)
        k->on_committed(k, &p->rows);
    return RC_OK;
}

/* For the sync log: the span of all walks of this attempt. */
static void
note_window(struct job_ctx *ctx, int64_t from, int64_t to)
{
    if (ctx->window_from == DB_NO_TIME || from < ctx->window_from)
        ctx->window_from = from;
    if (ctx->window_to == DB_NO_TIME || to > ctx->window_to)
        ctx->window_to = to;
}

enum outcome
walk_run(struct walk *k, struct err *err)
{
    const struct rows *before = NULL;
    enum outcome why;
    enum rc rc;

    if (k->call.kind == CALL_ISSUES)
        note_window(k->ctx, k->call.from, k->call.to);
    if (k->cursor != NULL && (rc = note_cursor(k, k->cursor, err)) != RC_OK)
        return ctx_outcome(k->ctx, rc);
    if ((rc = ask_next(k, err)) != RC_OK)
        return ctx_outcome(k->ctx, rc);
    for (;;) {
        struct fetched *r;

        if (!fetch_finish(k->fetch, k->ctx, &r, &why))
            return why;
        k->status = r->status;
        if (r->rc != RC_OK && may_restart(k, r)) {
            before = NULL;
            if ((rc = ask_next(k, err)) != RC_OK)
                return ctx_outcome(k->ctx, rc);
            continue;
        }
        if (r->rc != RC_OK)
            return vendor_failure(k->ctx, fetch_integration(k->fetch), r, err);
        if ((rc = step(k, before, &r->page, err)) != RC_OK ||
            (k->cursor != NULL && (rc = ask_next(k, err)) != RC_OK) ||
            (rc = write_page(k, &r->page, err)) != RC_OK)
            return ctx_outcome(k->ctx, rc);
        if (k->cursor == NULL)
            return OUTCOME_DONE;
        if (ctx_stop(k->ctx, &why))
            return why;
        before = &r->page.rows;
    }
}
