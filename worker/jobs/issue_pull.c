/* worker/jobs/issue_pull.c - bring the changes of an integration's issues since the watermark; the first
 * time, all of them; then accounts and people, when what is known of them is old or lacks someone. Safe to
 * run twice: every page commits together with the place to go on from, and the sink refuses older rows and
 * leaves unchanged ones alone.
 *
 * What must hold, so that no change is lost:
 *  1. The watermark (stream_cursors 'issues') never moves back, moves only in the transaction that commits
 * the last page of a walk, and only to a value the vendor returned: the newest updated_at seen. Whatever
 * changed up to then has been read, by this walk or by the walk through history. Our clock only bounds it:
 * not further than 10 minutes ahead of us (one broken record must not blind us to all that follow), and not
 * more than 20 days behind (a desk that sleeps for months is not searched from its last change each time; so
 * our clock may be 20 days ahead of the vendor's before that harms).
 *  2. A live walk begins lookback_s before the watermark (what the vendor indexes late) and its window
 * reaches *beyond now*. An issue that changes while the walk goes through the pages stays in such a window,
 * at its place (the order is by creation), so that no other issue moves up over a page boundary unseen. A
 * window that ends now would lose exactly that neighbour wherever cursors count rows. This is why settling
 * time is part of the look back, not of the window's end.
 *  3. A change made during a walk of several pages may come too late for its page. So such a walk advances
 * the watermark to the newest change seen less the time that the walk took: not beyond the vendor's time at
 * its first page. Where our clock was set back meanwhile it advances only to the newest change of that page.
 * If it brought anything, another round follows at once.
 *  4. After a long silence the live window would be wider than the 30 days the vendor allows. Then closed
 * windows of 20 days come first. An issue that changes leaves a closed window; so one of several pages is
 * walked until a pass finds nothing to write (at most 3 times).
 *  5. History (the first pull, and args.full) goes by created_at, newest first, in windows of 30 days:
 * creation times don't change, so nothing moves while it is read, edits included, and a team sees its current
 * tickets first. The watermark is set to the newest change on its very first page: from there on live rounds
 * follow what changes. How far down it has come is in stream_cursors 'issues_history'; it ends before the
 * earliest issue, found by a few searches for one record, never by "some empty windows". A job that dies
 * half-way leaves the rest to the next one.
 *  6. A walk is frozen in the checkpoint (window, cursor, page). A cursor that the vendor refuses restarts
 * just that walk. */
#include "common/clock.h"
#include "common/log.h"
#include "worker/jobs.h"
#include "worker/jobs/idset.h"
#include "worker/jobs/vendor.h"
#include <string.h>

#define HISTORY_SPAN   (30 * CLOCK_DAY)
#define LIVE_SPAN      (29 * CLOCK_DAY) /* the vendor takes 30, and the connector widens by seconds */
#define LIVE_REACH     (28 * CLOCK_DAY) /* older than that, and the window would not reach beyond now */
#define CATCH_UP_SPAN  (20 * CLOCK_DAY)
#define WATERMARK_LAG  (20 * CLOCK_DAY)
#define WATERMARK_LEAD (10 * CLOCK_MINUTE)
#define LIVE_AGAIN     (60 * CLOCK_SECOND) /* so long may history keep live changes waiting */
#define LACKS_AFTER    (15 * CLOCK_MINUTE) /* between two readings of the directory because it lacks someone */
enum { ROUNDS_MAX = 3, PASSES_MAX = 3 };

enum step { STEP_LIVE, STEP_HISTORY, STEP_DIRECTORY, STEP_END };
static const char *const step_names[] = { "live", "history", "directory", "end" };

struct pull {
    struct job_ctx *ctx;
    struct fetch *fetch;
    const struct integration *in; /* borrowed from fetch */
    /* stream_cursors */
    int64_t watermark; /* DB_NO_TIME: nothing was ever read */
    int64_t bottom;    /* history is read down to here; DB_NO_TIME = not begun */
    bool history_done;
    int64_t directory_at; /* when it was last read; DB_NO_TIME = never */
    bool directory_lacks; /* noted by an earlier job */
    /* this job */
    int64_t earliest;     /* no issue is older; DB_NO_TIME = not found out yet */
    struct search search; /* for the earliest */
    bool full;
    enum step step;
    int directory_next; /* index into the connector's list */
    bool live_done, directory_done;
    int64_t live_at; /* when the last live round ended */
    int rounds, passes;
    bool again;                    /* the closed window just walked needs another pass */
    struct idset accounts, people; /* referred to by issues that were written */
    /* what a page's statements point to */
    struct db_arg args[3][5];
    struct db_call calls[3];
    size_t ncalls;
};

/* ---- statements and the checkpoint ---- */

static void
add_call(struct pull *p, enum sql_id id, const char *stream, int64_t watermark, bool completed)
{
    struct db_arg *a = p->args[p->ncalls];

    a[0] = db_i64(p->in->id);
    a[1] = db_text(stream);
    a[2] = db_time(watermark);
    a[3] = db_bool(completed);
    a[4] = db_i64(p->ctx->job->id);
    p->calls[p->ncalls++] = (struct db_call){ .id = id, .args = a, .n = 5 };
}

/* `k` is the walk to go on with, NULL between walks. */
static json_t *
save(const struct pull *p, const struct walk *k)
{
    return json_pack("{s:s, s:o*, s:o, s:i, s:b, s:o, s:b, s:o, s:b, s:i}", "step", step_names[p->step],
                     "walk", k != NULL ? walk_save(k) : NULL, "search", search_save(&p->search), "directory",
                     p->directory_next, "full", p->full, "earliest", json_time(p->earliest), "live_done",
                     p->live_done, "live_at", json_time(p->live_at), "directory_done", p->directory_done,
                     "passes", p->passes);
}

static bool
flag(const json_t *j, const char *name)
{
    return json_is_true(json_object_get(j, name));
}

static enum rc
load_cursors(struct pull *p, struct err *err)
{
    AUTO(dbres) r = NULL;
    enum rc rc = db_run(p->ctx->db, SQL_cursor_load, DB_ARGS(db_i64(p->in->id)), &r, err);

    if (rc != RC_OK)
        return rc;
    for (int i = 0; i < dbres_rows(r); i++) {
        const char *stream = dbres_text(r, i, 0);

        if (strcmp(stream, "issues") == 0) {
            p->watermark = dbres_time(r, i, 1);
        } else if (strcmp(stream, "issues_history") == 0) {
            p->bottom = dbres_time(r, i, 1);
            p->history_done = !dbres_null(r, i, 2);
        } else if (strcmp(stream, "users") == 0) {
            p->directory_at = dbres_time(r, i, 2);
            p->directory_lacks = !dbres_null(r, i, 3);
        }
    }
    return RC_OK;
}

/* args.full: history begins anew, once for each job; also when this job does not see the end of it. */
static enum rc
forget_history(struct pull *p, struct err *err)
{
    json_t *checkpoint;
    enum rc rc;

    p->full = true;
    p->bottom = DB_NO_TIME;
    p->history_done = false;
    p->ncalls = 0;
    add_call(p, SQL_cursor_descend, "issues_history", DB_NO_TIME, false);
    checkpoint = save(p, NULL);
    rc = ctx_save(p->ctx, p->calls, p->ncalls, &checkpoint, err);
    json_decref(checkpoint);
    return rc;
}

static enum rc
load_time(const json_t *c, const char *name, int64_t *out, struct err *err)
{
    enum rc rc = json_get_time(c, name, out, err);

    return rc == RC_OK || rc == RC_NOT_FOUND ? RC_OK : err_wrap(err, "checkpoint");
}

static enum rc
load(struct pull *p, const json_t *args, struct err *err)
{
    const json_t *c = p->ctx->checkpoint;
    const char *step = json_string_value(json_object_get(c, "step"));
    enum rc rc;

    p->earliest = p->in->history_from;
    if ((rc = load_cursors(p, err)) != RC_OK ||
        (rc = search_load(&p->search, json_object_get(c, "search"), err)) != RC_OK ||
        (rc = load_time(c, "earliest", &p->earliest, err)) != RC_OK ||
        (rc = load_time(c, "live_at", &p->live_at, err)) != RC_OK)
        return rc;
    p->full = flag(c, "full");
    p->live_done = flag(c, "live_done");
    p->directory_done = flag(c, "directory_done");
    p->directory_next = (int)json_integer_value(json_object_get(c, "directory"));
    p->passes = (int)json_integer_value(json_object_get(c, "passes"));
    if (p->directory_next < 0 || p->directory_next > p->in->connector->ndirectory)
        p->directory_next = 0;
    for (int i = 0; step != NULL && i < STEP_END; i++)
        if (strcmp(step, step_names[i]) == 0)
            p->step = (enum step)i;
    return flag(args, "full") && !p->full ? forget_history(p, err) : RC_OK;
}

/* ---- live ---- */

static bool
is_open(const struct walk *k)
{
    return k->call.to - k->call.from == LIVE_SPAN;
}

static int64_t
clamp(int64_t t, int64_t low, int64_t high)
{
    return t < low ? low : t > high ? high : t;
}

/* Invariants 1 and 3. */
static int64_t
reached(const struct walk *k)
{
    int64_t now = clock_now(), t = k->newest;

    if (!is_open(k))
        return k->call.to;
    if (k->page > 1) /* a clock that was set back, or another host's, says nothing about how long it took */
        t = t != DB_NO_TIME && now > k->began ? t - (now - k->began) : k->newest_first;
    if (t == DB_NO_TIME)
        return now - WATERMARK_LAG;
    return clamp(t, now - WATERMARK_LAG, now + WATERMARK_LEAD);
}

/* Invariant 4: may something have moved past us in this window? Asked before its last page is written, so the
 * first pass over several pages is never the only one. */
static bool
needs_another_pass(const struct pull *p, const struct walk *k)
{
    return !is_open(k) && k->page > 1 && p->passes + 1 < PASSES_MAX && (p->passes == 0 || k->wrote > 0);
}

static enum rc
live_page(struct walk *k, bool last, struct sink_write *w, struct err *err)
{
    struct pull *p = k->owner;

    (void)err;
    p->ncalls = 0;
    if (last) {
        p->again = needs_another_pass(p, k);
        add_call(p, SQL_cursor_advance, "issues", p->again ? DB_NO_TIME : reached(k), is_open(k));
    }
    w->calls = p->calls;
    w->ncalls = p->ncalls;
    w->checkpoint = save(p, last ? NULL : k);
    return RC_OK;
}

static void
collect_ids(struct walk *k, const struct rows *rows)
{
    struct pull *p = k->owner;
    size_t len = 0;

    for (size_t i = 0; i < rows->n; i++) {
        const char *s;

        if (rows->row[i].fate != 'n' && rows->row[i].fate != 'c')
            continue;
        if ((s = rows_text(rows, i, COL_issues_account_id, &len)) != NULL)
            idset_add(&p->accounts, s, len);
        if ((s = rows_text(rows, i, COL_issues_assignee_id, &len)) != NULL)
            idset_add(&p->people, s, len);
        if ((s = rows_text(rows, i, COL_issues_requester_id, &len)) != NULL)
            idset_add(&p->people, s, len);
    }
}

/* A walk of this step, going on where the checkpoint says if it is of this step. */
static enum outcome
walk(struct pull *p, struct walk *k, const struct call *question, struct err *err)
{
    const json_t *saved = json_object_get(p->ctx->checkpoint, "walk");
    enum rc rc;

    walk_init(k, p->ctx, p->fetch, question, p);
    if (saved != NULL && (rc = walk_load(k, saved, err)) != RC_OK)
        return ctx_outcome(p->ctx, rc);
    return OUTCOME_DONE;
}

static enum outcome
live(struct pull *p, struct err *err)
{
    struct call c = { .kind = CALL_ISSUES, .axis = AXIS_UPDATED };
    struct walk k;
    enum outcome o;

    c.from = p->watermark - p->in->lookback_s * CLOCK_SECOND;
    c.to = c.from + (clock_now() - c.from <= LIVE_REACH ? LIVE_SPAN : CATCH_UP_SPAN);
    if ((o = walk(p, &k, &c, err)) == OUTCOME_DONE) {
        k.on_page = live_page;
        if (p->directory_at != DB_NO_TIME)
            k.on_committed = collect_ids;
        o = walk_run(&k, err);
    }
    if (o == OUTCOME_DONE && p->again) {
        p->passes++;
    } else if (o == OUTCOME_DONE) {
        p->passes = 0;
        p->watermark = reached(&k) > p->watermark ? reached(&k) : p->watermark;
        p->live_done = is_open(&k) && (k.page == 1 || k.wrote == 0 || ++p->rounds == ROUNDS_MAX);
        p->live_at = clock_now();
    }
    walk_fini(&k);
    return o;
}

/* ---- history ---- */

static enum rc
history_page(struct walk *k, bool last, struct sink_write *w, struct err *err)
{
    struct pull *p = k->owner;
    int64_t now = clock_now();

    (void)err;
    p->ncalls = 0;
    if (last) {
        add_call(p, SQL_cursor_descend, "issues_history", k->call.from,
                 p->earliest != DB_NO_TIME && k->call.from <= p->earliest);
        if (p->watermark == DB_NO_TIME)
            add_call(p, SQL_cursor_advance, "issues",
                     clamp(k->newest_first == DB_NO_TIME ? 0 : k->newest_first, now - WATERMARK_LAG,
                           now + WATERMARK_LEAD),
                     false);
    }
    w->calls = p->calls;
    w->ncalls = p->ncalls;
    w->checkpoint = save(p, last ? NULL : k);
    return RC_OK;
}

/* Nothing was created before `bottom`: history is complete without another window. */
static enum outcome
end_history(struct pull *p, struct err *err)
{
    json_t *checkpoint;
    enum rc rc;

    p->ncalls = 0;
    add_call(p, SQL_cursor_descend, "issues_history", p->bottom, true);
    checkpoint = save(p, NULL);
    rc = ctx_save(p->ctx, p->calls, p->ncalls, &checkpoint, err);
    json_decref(checkpoint);
    if (rc == RC_OK)
        p->history_done = true;
    return ctx_outcome(p->ctx, rc);
}

/* The window below `bottom`; the first reaches beyond now. */
static enum outcome
history_window(struct pull *p, struct err *err)
{
    struct call c = { .kind = CALL_ISSUES, .axis = AXIS_CREATED };
    struct walk k;
    enum outcome o;

    c.to = p->bottom != DB_NO_TIME ? p->bottom : clock_now() + CLOCK_DAY;
    c.from = c.to - HISTORY_SPAN;
    if (p->earliest != DB_NO_TIME && c.from < p->earliest)
        c.from = p->earliest < c.to ? p->earliest : c.to;
    if ((o = walk(p, &k, &c, err)) == OUTCOME_DONE) {
        k.on_page = history_page;
        o = walk_run(&k, err);
    }
    if (o == OUTCOME_DONE) {
        p->bottom = k.call.from;
        p->history_done = p->earliest != DB_NO_TIME && p->bottom <= p->earliest;
    }
    walk_fini(&k);
    return o;
}

/* An attempt that ends between two walks leaves its place, or a small budget would be spent on the same
 * questions again and again. */
static enum outcome
keep(struct pull *p, enum outcome o, struct err *err)
{
    json_t *checkpoint;
    struct err why = *err;
    enum rc rc = RC_OK;

    if (o != OUTCOME_LOST) {
        checkpoint = save(p, NULL);
        rc = ctx_save(p->ctx, NULL, 0, &checkpoint, err);
        json_decref(checkpoint);
    }
    if (rc != RC_OK)
        return ctx_outcome(p->ctx, rc);
    *err = why;
    return o;
}

static enum outcome
history(struct pull *p, struct err *err)
{
    bool resuming = json_object_get(p->ctx->checkpoint, "walk") != NULL;
    enum outcome o = OUTCOME_DONE;

    if (!resuming && p->bottom != DB_NO_TIME && p->earliest == DB_NO_TIME) {
        o = vendor_earliest(p->ctx, p->fetch, p->bottom, &p->search, &p->earliest, err);
        if (o != OUTCOME_DONE)
            return keep(p, o, err);
        if (p->earliest == DB_NO_TIME)
            return end_history(p, err);
    }
    if ((o = history_window(p, err)) == OUTCOME_DONE && p->watermark == DB_NO_TIME)
        o = ctx_outcome(p->ctx, load_cursors(p, err));
    if (p->history_done || clock_now() - p->live_at > LIVE_AGAIN)
        p->live_done = false;
    return o;
}

/* ---- directory: accounts and people ---- */

static enum rc
directory_page(struct walk *k, bool last, struct sink_write *w, struct err *err)
{
    struct pull *p = k->owner;

    (void)err;
    w->checkpoint = save(p, last ? NULL : k);
    if (last)
        (void)json_object_set_new(w->checkpoint, "directory", json_integer(p->directory_next + 1));
    return RC_OK;
}

static enum rc
end_directory(struct pull *p, struct err *err)
{
    json_t *checkpoint;
    enum rc rc;

    p->directory_next = 0;
    p->directory_done = true;
    p->ncalls = 0;
    add_call(p, SQL_cursor_advance, "accounts", DB_NO_TIME, true);
    add_call(p, SQL_cursor_advance, "users", DB_NO_TIME, true);
    checkpoint = save(p, NULL);
    rc = ctx_save(p->ctx, p->calls, p->ncalls, &checkpoint, err);
    json_decref(checkpoint);
    return rc;
}

/* A list that this token may not read does not keep the issues from us; it is named in the job's progress. */
static bool
pass_over(struct pull *p, const struct walk *k, const struct err *err)
{
    json_t *why;

    if (k->status != 403)
        return false;
    why = json_pack("{s:s}", p->in->connector->endpoints[k->call.kind].label, err->text);
    log_warn("directory.not_permitted", KV_ERR(err));
    ctx_set_progress(p->ctx, "not_permitted", &why);
    return true;
}

static enum outcome
directory(struct pull *p, struct err *err)
{
    struct call c = { .from = DB_NO_TIME, .to = DB_NO_TIME };
    enum outcome o = OUTCOME_DONE;
    struct walk k = { 0 };

    if (p->directory_next < p->in->connector->ndirectory) {
        c.kind = p->in->connector->directory[p->directory_next];
        if ((o = walk(p, &k, &c, err)) == OUTCOME_DONE) {
            k.on_page = directory_page;
            o = walk_run(&k, err);
        }
    }
    if (o == OUTCOME_DEAD && pass_over(p, &k, err))
        o = OUTCOME_DONE;
    walk_fini(&k);
    if (o == OUTCOME_DONE && ++p->directory_next >= p->in->connector->ndirectory)
        o = ctx_outcome(p->ctx, end_directory(p, err));
    return o;
}

static bool
directory_is_old(const struct pull *p)
{
    return p->directory_at == DB_NO_TIME ||
           clock_now() - p->directory_at > p->in->directory_refresh_s * CLOCK_SECOND ||
           (p->directory_lacks && clock_now() - p->directory_at > LACKS_AFTER);
}

/* Do the issues written now refer to someone we don't know? Too soon after the last reading that is noted for
 * a later job. */
static enum outcome
look_for_strangers(struct pull *p, struct err *err)
{
    AUTO(dbres) r = NULL;
    enum rc rc;

    if (idset_len(&p->accounts) + idset_len(&p->people) == 0)
        return OUTCOME_DONE;
    rc = db_run(p->ctx->db, SQL_directory_lacks,
                DB_ARGS(db_i64(p->in->id), idset_arg(&p->accounts), idset_arg(&p->people)), &r, err);
    if (rc == RC_OK && dbres_bool(r, 0, 0)) {
        struct db_arg args[] = { db_i64(p->in->id), db_text("users"), db_text("lacks") };
        struct db_call call = { .id = SQL_cursor_note, .args = args, .n = COUNT_OF(args) };

        p->directory_lacks = true;
        if (!directory_is_old(p))
            rc = ctx_save(p->ctx, &call, 1, NULL, err);
    }
    idset_fini(&p->accounts);
    idset_fini(&p->people);
    return ctx_outcome(p->ctx, rc);
}

/* ---- the job ---- */

/* A walk that was interrupted is what comes next; else live first, then history, then the directory. */
static enum step
next_step(const struct pull *p)
{
    if (json_object_get(p->ctx->checkpoint, "walk") != NULL)
        return p->step;
    if (p->watermark != DB_NO_TIME && !p->live_done)
        return STEP_LIVE;
    if (!p->history_done)
        return STEP_HISTORY;
    if (!p->directory_done && (p->directory_next > 0 || directory_is_old(p)))
        return STEP_DIRECTORY;
    return STEP_END;
}

static enum outcome
take_step(struct pull *p, struct err *err)
{
    switch (p->step) {
    case STEP_LIVE:
        return live(p, err);
    case STEP_HISTORY:
        return history(p, err);
    case STEP_DIRECTORY:
        return directory(p, err);
    case STEP_END:
        break;
    }
    return OUTCOME_DONE;
}

static enum outcome
run(struct pull *p, struct err *err)
{
    enum outcome o = OUTCOME_DONE, why;

    while (o == OUTCOME_DONE && (p->step = next_step(p)) != STEP_END) {
        o = take_step(p, err);
        if (o == OUTCOME_DONE && p->step == STEP_LIVE && p->live_done)
            o = look_for_strangers(p, err);
        if (o == OUTCOME_DONE && next_step(p) != STEP_END && ctx_stop(p->ctx, &why))
            return why;
    }
    return o;
}

enum outcome
job_run_issue_pull(struct job_ctx *ctx, const json_t *args, struct err *err)
{
    AUTO(fetch) fetch = NULL;
    struct pull p = { .ctx = ctx,
                      .watermark = DB_NO_TIME,
                      .bottom = DB_NO_TIME,
                      .directory_at = DB_NO_TIME,
                      .earliest = DB_NO_TIME,
                      .live_at = clock_now() };
    enum outcome o = vendor_open(ctx, false, &fetch, err);
    enum rc rc;

    if (o != OUTCOME_DONE)
        return o;
    p.fetch = fetch;
    p.in = fetch_integration(fetch);
    if ((rc = load(&p, args, err)) != RC_OK)
        return ctx_outcome(ctx, rc);
    o = run(&p, err);
    idset_fini(&p.accounts);
    idset_fini(&p.people);
    ctx_flush(ctx);
    return ctx->lost ? OUTCOME_LOST : o;
}
