#include "scheduler/dispatch.h"
#include "common/clock.h"
#include "common/log.h"
#include "scheduler/leader.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    SETTLE_MS = 2000,   /* queued for so long and still not in Redis: not on its way any more */
    HURRY_MS = 500,     /* between checks while something is known or feared to be missing */
    HURRIED_CHECKS = 8, /* enough to outlast SETTLE_MS */
    CHECK_SHARE = 20, /* a check may take a twentieth of the time: with a huge backlog it comes less often */
    REPAIR_LISTS_MAX = 50, /* beyond either of these a rebuild is cheaper */
    REPAIR_IDS_MAX = 50000,
};
#define SLICE_US (100 * 1000)

/* One list: the jobs of one integration in one queue. */
struct list {
    struct queue_item of; /* queue and integration_id */
    int64_t want, have;
    bool was_short; /* in the last check too */
};
struct lists {
    struct list *v;
    size_t n;
};

struct dispatch {
    struct db *rebuild_db; /* connected while rebuilding */
    int64_t check_ms;

    bool rebuilding;
    int queue; /* being filled */
    int64_t generation, jobs, began;
    char run_id[64];
    const char *reason;

    int64_t next_check;   /* clock_mono */
    int hurried;          /* checks that are still to come soon */
    struct lists missing; /* what was short at the last check */
    int64_t *taken;       /* ids that workers had taken but not made running at the last check, ascending */
    size_t ntaken;
};

static void
lists_fini(struct lists *l)
{
    free(l->v);
    *l = (struct lists){ 0 };
}

void
dispatch_destroy(struct dispatch *d)
{
    if (d == NULL)
        return;
    db_destroy(d->rebuild_db);
    lists_fini(&d->missing);
    free(d->taken);
    free(d);
}

enum rc
dispatch_create(const char *database_url, int64_t check_ms, struct dispatch **out, struct err *err)
{
    AUTO(dispatch) d = calloc(1, sizeof *d);
    const struct db_options o = { .app_name = "deskmill-scheduler/rebuild",
                                  .lock_timeout_ms = 1000,
                                  .idle_tx_timeout_ms = LEADER_LEASE_MS,
                                  .by_index = true };
    enum rc rc;

    if (d == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    if ((rc = db_create(database_url, &o, &d->rebuild_db, err)) != RC_OK)
        return rc;
    d->check_ms = check_ms;
    *out = TAKE(d);
    return RC_OK;
}

/* ---- rebuild ---- */

static const struct {
    enum sql_id open, fetch;
} cursors[QUEUE_COUNT] = {
    [QUEUE_LIVE] = { SQL_rebuild_open_live, SQL_rebuild_fetch_live },
    [QUEUE_DEFAULT] = { SQL_rebuild_open_default, SQL_rebuild_fetch_default },
    [QUEUE_BULK] = { SQL_rebuild_open_bulk, SQL_rebuild_fetch_bulk },
};

bool
dispatch_rebuilding(const struct dispatch *d)
{
    return d->rebuilding;
}

void
dispatch_abandon(struct dispatch *d)
{
    db_rollback(d->rebuild_db);
    db_disconnect(d->rebuild_db);
    d->rebuilding = false;
}

/* Why the lists cannot be trusted; NULL if they can. */
static const char *
mistrust(int64_t want, const char *want_run_id, int64_t have, const char *have_run_id)
{
    if (have < 0)
        return "empty";
    if (have != want)
        return "generation";
    return strcmp(want_run_id, have_run_id) != 0 ? "restart" : NULL;
}

static enum rc
read_state(struct db *db, int64_t *generation, char run_id[static 64], struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(db, SQL_dispatch_state, DB_NO_ARGS, &res, err);
    const char *text;

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return err_set(err, RC_INTERNAL, "queue_state has no row");
    text = dbres_text(res, 0, 1);
    *generation = dbres_i64(res, 0, 0);
    run_id[0] = '\0';
    strncat(run_id, text, 63);
    return RC_OK;
}

/* Takes the lock; false if another scheduler has it. */
static enum rc
rebuild_lock(struct dispatch *d, bool *got, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_begin(d->rebuild_db, err);

    if (rc == RC_OK && (rc = db_run(d->rebuild_db, SQL_rebuild_lock, DB_NO_ARGS, &res, err)) == RC_OK)
        *got = dbres_bool(res, 0, 0);
    return rc;
}

/* Drops the lists, and only then opens the cursors: what is committed before that is in them, what is
 * committed after it is pushed by whoever commits it, to lists that stay. */
static enum rc
rebuild_open(struct dispatch *d, struct push *push, struct err *err)
{
    struct err why = { 0 };
    enum rc rc = RC_OK;

    if (queue_reset(push_cache(push), d->generation + 1, &why) != RC_OK) {
        push_failed(push, &why);
        return RC_OK;
    }
    for (int q = 0; q < QUEUE_COUNT && rc == RC_OK; q++)
        rc = db_run(d->rebuild_db, cursors[q].open, DB_NO_ARGS, NULL, err);
    d->rebuilding = rc == RC_OK;
    return rc;
}

static enum rc
rebuild_begin(struct dispatch *d, struct push *push, const char *reason, struct err *err)
{
    char run_id[64];
    int64_t generation;
    bool got = false;
    enum rc rc;

    if ((rc = rebuild_lock(d, &got, err)) != RC_OK || !got)
        goto out;
    /* read again, now that no one else changes it */
    if ((rc = read_state(d->rebuild_db, &d->generation, run_id, err)) != RC_OK)
        goto out;
    if (!push_probe(push, &generation, d->run_id))
        goto out;
    if (reason == NULL && (reason = mistrust(d->generation, run_id, generation, d->run_id)) == NULL)
        goto out;
    d->began = clock_mono();
    d->reason = reason;
    d->queue = 0;
    d->jobs = 0;
    rc = rebuild_open(d, push, err);
out:
    if (!d->rebuilding)
        dispatch_abandon(d);
    return rc;
}

static enum rc
rebuild_finish(struct dispatch *d, struct push *push, struct err *err)
{
    AUTO(dbres) res = NULL;
    char run_id[64];
    int64_t generation;
    enum rc rc = RC_OK;

    if (!push_probe(push, &generation, run_id))
        goto out;
    if (generation != d->generation + 1 || strcmp(run_id, d->run_id) != 0)
        goto out; /* lost again meanwhile: the next beat sees it */
    rc = db_run(d->rebuild_db, SQL_rebuild_done, DB_ARGS(db_i64(d->generation), db_text(run_id)), &res, err);
    if (rc != RC_OK || (rc = db_commit(d->rebuild_db, err)) != RC_OK)
        goto out;
    lists_fini(&d->missing);
    log_warn("queue.rebuilt", KV_INT("jobs", d->jobs), KV_INT("ms", (clock_mono() - d->began) / 1000),
             KV_STR("reason", d->reason), KV_INT("generation", generation));
out:
    dispatch_abandon(d); /* only closes, after the commit */
    return rc;
}

/* List by list, and within one in the order in which its jobs are to run, which is that of the rows. */
static int
compare_items(const void *a, const void *b)
{
    const struct queue_item *x = a, *y = b;

    if (x->integration_id != y->integration_id)
        return x->integration_id < y->integration_id ? -1 : 1;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    return (x->job_id > y->job_id) - (x->job_id < y->job_id);
}

/* The next ids of the queue being filled. Those of one list go together: what a push costs is the lists that
 * it touches. */
static enum rc
rebuild_chunk(struct dispatch *d, struct push *push, struct err *err)
{
    AUTO(dbres) res = NULL;
    AUTO_FREE struct queue_item *items = NULL;
    size_t n;
    enum rc rc = db_run(d->rebuild_db, cursors[d->queue].fetch, DB_NO_ARGS, &res, err);

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0) {
        d->queue++;
        return RC_OK;
    }
    if ((rc = job_read_items(res, false, &items, &n, err)) != RC_OK)
        return rc;
    qsort(items, n, sizeof *items, compare_items);
    push_items(push, items, n);
    d->jobs += (int64_t)n;
    return RC_OK;
}

enum rc
dispatch_step(struct dispatch *d, struct push *push, struct err *err)
{
    int64_t until = clock_mono() + SLICE_US;
    enum rc rc = RC_OK;

    while (d->rebuilding && clock_mono() < until && rc == RC_OK) {
        if (push_cache(push) == NULL || push_full(push))
            dispatch_abandon(d); /* Redis went away, or is full: begun again when it is back or has room */
        else if (d->queue < QUEUE_COUNT)
            rc = rebuild_chunk(d, push, err);
        else
            rc = rebuild_finish(d, push, err);
    }
    if (rc != RC_OK && d->rebuilding)
        dispatch_abandon(d);
    return rc;
}

/* ---- check ---- */

static int
compare_lists(const void *a, const void *b)
{
    const struct list *x = a, *y = b;

    if (x->of.queue != y->of.queue)
        return x->of.queue < y->of.queue ? -1 : 1;
    return (x->of.integration_id > y->of.integration_id) - (x->of.integration_id < y->of.integration_id);
}

static struct list *
lists_find(const struct lists *l, enum queue_name queue, int64_t integration_id)
{
    struct list key = { .of = { .queue = queue, .integration_id = integration_id } };

    return l->n == 0 ? NULL : bsearch(&key, l->v, l->n, sizeof *l->v, compare_lists);
}

static int
compare_ids(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Lists that should hold something, sorted. */
static enum rc
count_rows(struct db *db, struct lists *out, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(db, SQL_dispatch_counts, DB_ARGS(db_i64(SETTLE_MS)), &res, err);
    struct lists l = { 0 };

    if (rc != RC_OK)
        return rc;
    if ((l.v = calloc((size_t)dbres_rows(res) + 1, sizeof *l.v)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (int row = 0; row < dbres_rows(res); row++) {
        int queue = queue_by_name(dbres_text(res, row, 0));

        if (queue >= 0)
            l.v[l.n++] = (struct list){ .of = { .queue = (enum queue_name)queue,
                                                .integration_id = dbres_i64(res, row, 1) },
                                        .want = dbres_i64(res, row, 2) };
    }
    qsort(l.v, l.n, sizeof *l.v, compare_lists);
    *out = l;
    return RC_OK;
}

/* Fills in `have` by what Redis says. */
static enum rc
count_lists(struct cache *cache, struct lists *l, struct err *err)
{
    AUTO_FREE struct queue_item *of = calloc(l->n + 1, sizeof *of);
    AUTO_FREE int64_t *lens = calloc(l->n + 1, sizeof *lens);
    enum rc rc;

    if (of == NULL || lens == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (size_t i = 0; i < l->n; i++)
        of[i] = l->v[i].of;
    if ((rc = queue_lengths(cache, of, l->n, lens, err)) != RC_OK)
        return rc;
    for (size_t i = 0; i < l->n; i++)
        l->v[i].have = lens[i];
    return RC_OK;
}

static void
keep_short(struct lists *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].have < l->v[i].want)
            l->v[kept++] = l->v[i];
    l->n = kept;
}

/* All ids that living workers have taken and perhaps not yet made running, ascending. */
static enum rc
read_taken(struct db *db, struct cache *cache, int64_t **ids, size_t *n, struct err *err)
{
    AUTO(dbres) workers = NULL;
    AUTO_FREE int64_t *all = NULL;
    size_t count = 0;
    enum rc rc = db_run(db, SQL_dispatch_workers, DB_NO_ARGS, &workers, err);

    for (int row = 0; rc == RC_OK && row < dbres_rows(workers); row++) {
        AUTO_FREE int64_t *some = NULL;
        int64_t *bigger;
        size_t k = 0;

        if ((rc = queue_taken(cache, dbres_i64(workers, row, 0), &some, &k, err)) != RC_OK || k == 0)
            continue;
        if ((bigger = realloc(all, (count + k) * sizeof *all)) == NULL)
            return err_set(err, RC_INTERNAL, "no memory");
        all = bigger;
        memcpy(all + count, some, k * sizeof *some);
        count += k;
    }
    if (rc != RC_OK)
        return rc;
    if (count > 0)
        qsort(all, count, sizeof *all, compare_ids);
    *ids = TAKE(all);
    *n = count;
    return RC_OK;
}

/* Ids that a worker has just taken are not missing; those that it had at the last check too are. */
static enum rc
excuse_taken(struct dispatch *d, struct db *db, const int64_t *ids, size_t n, struct lists *l,
             struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc;

    if (n == 0 || l->n == 0)
        return RC_OK;
    if ((rc = db_run(db, SQL_dispatch_queued_among, DB_ARGS(db_i64s(ids, n)), &res, err)) != RC_OK)
        return rc;
    for (int row = 0; row < dbres_rows(res); row++) {
        int queue = queue_by_name(dbres_text(res, row, 0));
        int64_t id = dbres_i64(res, row, 2);
        struct list *list = queue < 0 ? NULL : lists_find(l, (enum queue_name)queue, dbres_i64(res, row, 1));

        if (list != NULL &&
            (d->ntaken == 0 || bsearch(&id, d->taken, d->ntaken, sizeof id, compare_ids) == NULL))
            list->have++;
    }
    return RC_OK;
}

/* The lists that are truly short. Redis is read before the rows: what leaves a list after that is in the
 * list's length, so that a busy system looks no emptier than it is. */
static enum rc
find_short(struct dispatch *d, struct db *db, struct cache *cache, struct lists *out, bool *redis_failed,
           struct err *err)
{
    struct lists before = { 0 }, after = { 0 };
    AUTO_FREE int64_t *ids = NULL;
    size_t n = 0;
    enum rc rc;

    *redis_failed = false;
    if ((rc = count_rows(db, &before, err)) != RC_OK)
        return rc;
    if ((rc = count_lists(cache, &before, err)) != RC_OK)
        goto redis;
    keep_short(&before);
    if (before.n == 0)
        goto done;
    if ((rc = count_lists(cache, &before, err)) != RC_OK ||
        (rc = read_taken(db, cache, &ids, &n, err)) != RC_OK)
        goto redis;
    if ((rc = count_rows(db, &after, err)) != RC_OK)
        goto out;
    for (size_t i = 0; i < before.n; i++) {
        const struct list *now = lists_find(&after, before.v[i].of.queue, before.v[i].of.integration_id);

        before.v[i].want = now != NULL ? now->want : 0;
    }
    if ((rc = excuse_taken(d, db, ids, n, &before, err)) != RC_OK)
        goto out;
    keep_short(&before);
done:
    *out = before;
    before = (struct lists){ 0 };
    free(d->taken);
    d->taken = TAKE(ids);
    d->ntaken = n;
    goto out;
redis:
    *redis_failed = true;
out:
    lists_fini(&before);
    lists_fini(&after);
    return rc;
}

static enum rc
refill(struct db *db, struct push *push, const struct list *l, struct err *err)
{
    AUTO(dbres) res = NULL;
    struct cache *cache = push_cache(push);
    struct err why = { 0 };
    enum rc rc;

    if (cache == NULL)
        return RC_OK;
    if (queue_drop(cache, l->of.queue, l->of.integration_id, &why) != RC_OK) {
        push_failed(push, &why);
        return RC_OK;
    }
    rc = db_run(
        db, SQL_job_queued_of,
        DB_ARGS(db_i64(l->of.integration_id), db_text(queue_names[l->of.queue]), db_i64(2 * REPAIR_IDS_MAX)),
        &res, err);
    if (rc != RC_OK)
        return rc;
    log_warn("queue.repaired", KV_STR("queue", queue_names[l->of.queue]),
             KV_INT("integration", l->of.integration_id), KV_INT("missing", l->want - l->have),
             KV_INT("jobs", dbres_rows(res)));
    return push_rows(push, res, false, err);
}

/* Mends what was short in the last check too, and leaves the rest in `l`. */
static enum rc
repair(struct dispatch *d, struct db *db, struct push *push, struct lists *l, struct err *err)
{
    size_t kept = 0;
    size_t lists = 0;
    int64_t ids = 0;
    enum rc rc = RC_OK;

    for (size_t i = 0; i < l->n; i++) {
        l->v[i].was_short = lists_find(&d->missing, l->v[i].of.queue, l->v[i].of.integration_id) != NULL;
        if (!l->v[i].was_short)
            continue;
        lists++;
        ids += l->v[i].want;
    }
    if (lists > REPAIR_LISTS_MAX || ids > REPAIR_IDS_MAX)
        return rebuild_begin(d, push, "check", err);
    for (size_t i = 0; i < l->n && rc == RC_OK; i++) {
        if (l->v[i].was_short)
            rc = refill(db, push, &l->v[i], err);
        else
            l->v[kept++] = l->v[i];
    }
    l->n = kept;
    return rc;
}

static enum rc
check(struct dispatch *d, struct db *db, struct push *push, struct err *err)
{
    struct lists l = { 0 };
    struct err why = { 0 };
    bool redis_failed;
    enum rc rc = find_short(d, db, push_cache(push), &l, &redis_failed, &why);

    if (redis_failed) {
        push_failed(push, &why);
        return RC_OK;
    }
    if (rc != RC_OK)
        return err_set(err, rc, "%s", why.text);
    rc = repair(d, db, push, &l, err);
    lists_fini(&d->missing);
    d->missing = l;
    return rc;
}

static int64_t
larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static enum rc
check_if_due(struct dispatch *d, struct db *db, struct push *push, struct err *err)
{
    int64_t began = clock_mono(), took;
    enum rc rc;

    if (push_missed(push)) {
        d->hurried = HURRIED_CHECKS;
        d->next_check = 0;
    }
    if (began < d->next_check)
        return RC_OK;
    rc = check(d, db, push, err);
    took = clock_mono() - began;
    if (d->hurried > 0)
        d->hurried--;
    if (d->hurried > 0 || d->missing.n > 0)
        d->next_check = clock_mono() + larger(HURRY_MS * 1000, 2 * took);
    else
        d->next_check = clock_mono() + larger(d->check_ms * 1000, CHECK_SHARE * took);
    log_debug("queue.checked", KV_INT("ms", took / 1000), KV_INT("short", (int64_t)d->missing.n));
    return rc;
}

enum rc
dispatch_beat(struct dispatch *d, struct db *db, struct push *push, struct err *err)
{
    int64_t want, have;
    char want_run_id[64], have_run_id[64];
    enum rc rc;

    if (d->rebuilding || !push_probe(push, &have, have_run_id))
        return RC_OK;
    if ((rc = read_state(db, &want, want_run_id, err)) != RC_OK)
        return rc;
    if (mistrust(want, want_run_id, have, have_run_id) != NULL)
        return rebuild_begin(d, push, NULL, err);
    return check_if_due(d, db, push, err);
}
