#include "scheduler/ticks.h"
#include "common/json.h"
#include "common/log.h"
#include "scheduler/due.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 1000,       /* schedules a transaction */
    BATCH_TICKS = 2000, /* ticks a transaction; run_all may bring many of one schedule */
    SCHEDULE_TICKS = 1000,
    LATER_MAX = 256,
};
#define LATER_US (5 * CLOCK_SECOND)

enum column {
    ID,
    KIND,
    ARGS,
    CRON,
    ZONE,
    MISFIRE,
    WINDOW,
    NO_OVERLAP,
    BUSY,
    NEXT_TICK,
    INTEGRATION,
    ACTIVE,
    NOW
};

struct ticks {
    size_t limit; /* 1 after a batch failed, doubling while they succeed: one schedule's trouble is found and
                     set aside */
    int64_t later_ids[LATER_MAX], later_until[LATER_MAX]; /* set aside until (clock_mono) */
    size_t later;
    struct due_tick scratch[SCHEDULE_TICKS];
};

/* A tick on its way to becoming a row and perhaps a job. */
struct tick {
    int64_t schedule_id, at, job_id;
    bool run, created, known;
};

/* All that one transaction does. Schedules are rows of `res`. */
struct batch {
    struct dbres *res;
    size_t n;
    int64_t now;
    json_t *args[BATCH];
    struct tick ticks[BATCH_TICKS];
    size_t nticks;
    struct job_spec specs[BATCH_TICKS];
    struct job_enqueued jobs[BATCH_TICKS];
    size_t spec_tick[BATCH_TICKS]; /* the tick that spec i is for */
    size_t nspecs;
    int64_t moved_ids[BATCH], moved_last[BATCH], moved_next[BATCH];
    size_t nmoved;
    struct {
        int64_t id, from, to;
    } passed[BATCH];
    size_t npassed;
    int64_t broken_ids[BATCH];
    char *broken_why[BATCH];
    size_t nbroken;
};

static void
batch_destroy(struct batch *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->n; i++)
        json_decref(b->args[i]);
    for (size_t i = 0; i < b->nbroken; i++)
        free(b->broken_why[i]);
    dbres_destroy(b->res);
    free(b);
}
AUTO_DEFINE(batch)

void
ticks_destroy(struct ticks *t)
{
    free(t);
}

enum rc
ticks_create(struct ticks **out, struct err *err)
{
    struct ticks *t = calloc(1, sizeof *t);

    if (t == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    t->limit = BATCH;
    *out = t;
    return RC_OK;
}

/* ---- deciding ---- */

static enum rc
break_schedule(struct batch *b, int64_t id, const char *why, struct err *err)
{
    if ((b->broken_why[b->nbroken] = strdup(why)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    b->broken_ids[b->nbroken++] = id;
    return RC_OK;
}

/* Reads schedule `row` into `s`, `cron` and b->args. RC_INVALID: it cannot run, and why. */
static enum rc
read_schedule(struct batch *b, int row, struct due_schedule *s, struct cron *cron, struct err *err)
{
    const struct dbres *r = b->res;
    const struct jobkind *kind = jobkind_find(dbres_text(r, row, KIND));
    json_t **args = &b->args[row];
    const struct zone *zone;
    enum rc rc;

    if (kind == NULL)
        return err_set(err, RC_INVALID, "kind: there is no kind of job called \"%s\"",
                       dbres_text(r, row, KIND));
    if ((rc = json_parse_object(dbres_text(r, row, ARGS), dbres_len(r, row, ARGS), args, err)) != RC_OK)
        return err_wrap(err, "args");
    if ((rc = jobkind_check_args(kind, *args, dbres_i64(r, row, INTEGRATION), err)) != RC_OK)
        return rc;
    if ((rc = cron_parse(dbres_text(r, row, CRON), cron, err)) != RC_OK)
        return err_wrap(err, "cron");
    if ((rc = zone_find(dbres_text(r, row, ZONE), &zone, err)) != RC_OK)
        return err_wrap(err, "timezone");
    *s = (struct due_schedule){
        .cron = cron,
        .zone = zone,
        .misfire = due_misfire_by_name(dbres_text(r, row, MISFIRE)),
        .window = dbres_i64(r, row, WINDOW),
        .next_tick = dbres_time(r, row, NEXT_TICK),
        .no_overlap = dbres_bool(r, row, NO_OVERLAP),
        .busy = dbres_bool(r, row, BUSY),
        .active = dbres_bool(r, row, ACTIVE),
    };
    return RC_OK;
}

static void
take_tick(struct batch *b, int64_t schedule_id, const struct due_tick *t)
{
    b->ticks[b->nticks++] = (struct tick){ .schedule_id = schedule_id, .at = t->at, .run = t->run };
}

/* Notes what becomes of schedule `row`; false when the batch is full and it must wait for the next one. */
static enum rc
decide_row(struct ticks *t, struct batch *b, int row, bool *full, struct err *err)
{
    int64_t id = dbres_i64(b->res, row, ID);
    size_t room = BATCH_TICKS - b->nticks;
    struct err why = { 0 };
    struct due_schedule s;
    struct cron cron;
    struct due due;
    enum rc rc = read_schedule(b, row, &s, &cron, &why);

    if (rc == RC_INVALID || rc == RC_NOT_FOUND)
        return break_schedule(b, id, why.text, err);
    if (rc != RC_OK)
        return err_set(err, rc, "%s", why.text);
    *full = room == 0;
    if (*full)
        return RC_OK;
    due_decide(&s, b->now, t->scratch, room < SCHEDULE_TICKS ? room : SCHEDULE_TICKS, &due);
    for (size_t i = 0; i < due.n; i++)
        take_tick(b, id, &t->scratch[i]);
    if (due.passed_from != DUE_NONE) {
        b->passed[b->npassed].id = id;
        b->passed[b->npassed].from = due.passed_from;
        b->passed[b->npassed++].to = due.passed_to;
    }
    b->moved_ids[b->nmoved] = id;
    b->moved_last[b->nmoved] = due.n > 0 ? t->scratch[due.n - 1].at : DB_NO_TIME;
    b->moved_next[b->nmoved++] = due.next == DUE_NONE ? DB_NO_TIME : due.next;
    return due.next == DUE_NONE ? break_schedule(b, id, "cron: has no further tick within 8 years", err)
                                : RC_OK;
}

static enum rc
decide(struct ticks *t, struct batch *b, struct err *err)
{
    bool full = false;
    enum rc rc = RC_OK;

    for (size_t row = 0; row < b->n && !full && rc == RC_OK; row++)
        rc = decide_row(t, b, (int)row, &full, err);
    return rc;
}

/* ---- the transaction ---- */

static enum rc
fetch(struct ticks *t, struct db *db, bool fresh, struct batch *b, struct err *err)
{
    enum rc rc = db_run(db, fresh ? SQL_schedule_new : SQL_schedule_due,
                        DB_ARGS(db_i64((int64_t)t->limit), db_i64s(t->later_ids, t->later)), &b->res, err);

    if (rc != RC_OK)
        return rc;
    b->n = (size_t)dbres_rows(b->res);
    assert(b->n <= BATCH);
    if (b->n > 0)
        b->now = dbres_time(b->res, 0, NOW);
    return RC_OK;
}

/* The ticks as columns. */
struct tick_columns {
    int64_t schedule_id[BATCH_TICKS], at[BATCH_TICKS], job_id[BATCH_TICKS];
    size_t n;
};

static void
tick_columns_fill(struct tick_columns *c, const struct batch *b)
{
    c->n = 0;
    for (size_t i = 0; i < b->nticks; i++) {
        if (b->ticks[i].known)
            continue;
        c->schedule_id[c->n] = b->ticks[i].schedule_id;
        c->at[c->n] = b->ticks[i].at;
        c->job_id[c->n++] = b->ticks[i].job_id;
    }
}

/* Marks the ticks that were dealt with before: someone set the schedule back. */
static enum rc
drop_known(struct db *db, struct batch *b, struct tick_columns *c, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc;

    if (b->nticks == 0)
        return RC_OK;
    tick_columns_fill(c, b);
    rc = db_run(db, SQL_tick_known, DB_ARGS(db_i64s(c->schedule_id, c->n), db_times(c->at, c->n)), &res, err);
    if (rc != RC_OK)
        return rc;
    for (int row = 0; row < dbres_rows(res); row++)
        b->ticks[dbres_i64(res, row, 0) - 1].known = true;
    return RC_OK;
}

static int
row_of(const struct batch *b, int64_t schedule_id, int from)
{
    while (dbres_i64(b->res, from, ID) != schedule_id)
        from++; /* ticks come in the order of the rows */
    return from;
}

static enum rc
enqueue(struct db *db, struct batch *b, struct err *err)
{
    int row = 0;
    enum rc rc;

    for (size_t i = 0; i < b->nticks; i++) {
        const struct tick *t = &b->ticks[i];

        if (!t->run || t->known)
            continue;
        row = row_of(b, t->schedule_id, row);
        b->spec_tick[b->nspecs] = i;
        b->specs[b->nspecs++] = (struct job_spec){
            .kind = dbres_text(b->res, row, KIND),
            .args = b->args[row],
            .integration_id = dbres_i64(b->res, row, INTEGRATION),
            .schedule_id = t->schedule_id,
            .tick = t->at,
            .origin = "schedule",
        };
    }
    if ((rc = job_enqueue(db, b->specs, b->nspecs, b->jobs, err)) != RC_OK)
        return rc;
    for (size_t i = 0; i < b->nspecs; i++) {
        b->ticks[b->spec_tick[i]].job_id = b->jobs[i].job_id;
        b->ticks[b->spec_tick[i]].created = b->jobs[i].created;
    }
    return RC_OK;
}

static enum rc
record(struct db *db, struct batch *b, struct tick_columns *c, struct err *err)
{
    enum rc rc = RC_OK;

    tick_columns_fill(c, b);
    if (c->n > 0)
        rc = db_run(db, SQL_tick_insert,
                    DB_ARGS(db_i64s(c->schedule_id, c->n), db_times(c->at, c->n), db_i64s(c->job_id, c->n)),
                    NULL, err);
    if (rc == RC_OK && b->nmoved > 0)
        rc = db_run(db, SQL_schedule_advance,
                    DB_ARGS(db_i64s(b->moved_ids, b->nmoved), db_times(b->moved_last, b->nmoved),
                            db_times(b->moved_next, b->nmoved)),
                    NULL, err);
    if (rc == RC_OK && b->nbroken > 0)
        rc = db_run(db, SQL_schedule_break,
                    DB_ARGS(db_i64s(b->broken_ids, b->nbroken),
                            db_texts((const char *const *)b->broken_why, b->nbroken)),
                    NULL, err);
    return rc;
}

/* Everything from the locked rows to the commit. */
static enum rc
transact(struct ticks *t, struct db *db, bool fresh, struct batch *b, struct err *err)
{
    AUTO_FREE struct tick_columns *c = malloc(sizeof *c);
    enum rc rc;

    if (c == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    if ((rc = db_begin(db, err)) != RC_OK)
        return rc;
    if ((rc = fetch(t, db, fresh, b, err)) != RC_OK || b->n == 0)
        goto out;
    if ((rc = decide(t, b, err)) != RC_OK || (rc = drop_known(db, b, c, err)) != RC_OK ||
        (rc = enqueue(db, b, err)) != RC_OK || (rc = record(db, b, c, err)) != RC_OK)
        goto out;
    rc = db_commit(db, err);
out:
    if (rc != RC_OK || b->n == 0)
        db_rollback(db);
    return rc;
}

/* ---- afterwards ---- */

static void
log_tick(const struct tick *t)
{
    char at[CLOCK_TEXT];

    clock_format(t->at, at);
    if (t->known)
        log_debug("schedule.known", KV_INT("schedule", t->schedule_id), KV_STR("tick", at));
    else if (t->run)
        log_info("schedule.fired", KV_INT("schedule", t->schedule_id), KV_STR("tick", at),
                 KV_INT("job", t->job_id), KV_BOOL("created", t->created));
    else
        log_info("schedule.skipped", KV_INT("schedule", t->schedule_id), KV_STR("tick", at),
                 KV_STR("why", "overlap"));
}

static void
log_batch(const struct batch *b)
{
    for (size_t i = 0; i < b->nticks; i++)
        log_tick(&b->ticks[i]);
    for (size_t i = 0; i < b->npassed; i++) {
        char from[CLOCK_TEXT], to[CLOCK_TEXT];

        log_warn("schedule.skipped", KV_INT("schedule", b->passed[i].id),
                 KV_STR("tick", clock_format(b->passed[i].from, from)),
                 KV_STR("until", clock_format(b->passed[i].to, to)), KV_STR("why", "misfire"));
    }
    for (size_t i = 0; i < b->nbroken; i++)
        log_error("schedule.broken", KV_INT("schedule", b->broken_ids[i]), KV_STR("error", b->broken_why[i]));
}

static void
forget_later(struct ticks *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->later; i++) {
        if (t->later_until[i] <= clock_mono())
            continue;
        t->later_ids[kept] = t->later_ids[i];
        t->later_until[kept++] = t->later_until[i];
    }
    t->later = kept;
}

/* A schedule that fails alone: what a retry cannot mend breaks it, the rest is tried again a little later. */
static enum rc
set_aside(struct ticks *t, struct db *db, int64_t id, struct err *why)
{
    struct err err = { 0 };

    if (why->rc == RC_INVALID) {
        const char *text = why->text;

        log_error("schedule.broken", KV_INT("schedule", id), KV_STR("error", text));
        return db_run(db, SQL_schedule_break, DB_ARGS(db_i64s(&id, 1), db_texts(&text, 1)), NULL, &err);
    }
    log_warn("schedule.delayed", KV_INT("schedule", id), KV_ERR(why));
    if (t->later == LATER_MAX)
        return err_set(why, RC_LIMIT, "%d schedules are set aside already", LATER_MAX);
    t->later_ids[t->later] = id;
    t->later_until[t->later++] = clock_mono() + LATER_US;
    return RC_OK;
}

enum rc
ticks_batch(struct ticks *t, struct db *db, struct push *push, bool fresh, size_t *n, struct err *err)
{
    AUTO(batch) b = calloc(1, sizeof *b);
    enum rc rc;

    if (b == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    forget_later(t);
    rc = transact(t, db, fresh, b, err);
    if (rc == RC_OK) {
        *n = b->n;
        t->limit = 2 * t->limit < BATCH ? 2 * t->limit : BATCH;
        push_jobs(push, b->jobs, b->nspecs);
        log_batch(b);
        return RC_OK;
    }
    if (rc == RC_UNAVAILABLE || b->n == 0)
        return rc;
    *n = b->n; /* go on at once, with less */
    if (b->n > 1) {
        t->limit = 1;
        return RC_OK;
    }
    return set_aside(t, db, dbres_i64(b->res, 0, ID), err);
}
