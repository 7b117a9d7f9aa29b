/* api/routes/overview.c - the whole at a glance, in one call, as often as somebody looks. Nothing is counted
 * to its end: of each queue the first WAITING_MAX jobs are read from the rows, which is exact as long as no
 * more wait; beyond that the lengths of Redis's lists say how many, for up to RING_MAX integrations a queue.
 */
#include "api/handlers.h"
#include "api/pause.h"
#include "common/clock.h"
#include "common/queue.h"
#include <stdlib.h>
#include <string.h>

enum { WAITING_MAX = 5000, RING_MAX = 500, COUNT_MAX = 10000, LIMIT_MAX = 100, LIMIT_USUAL = 20 };

/* What waits of one integration in one queue: of the rows that were read, and in Redis. */
struct share {
    int64_t integration_id, rows, ids;
    int64_t oldest_id, oldest; /* of the rows */
    enum queue_name queue;
};
struct shares {
    struct share *v;
    size_t n;
};

/* A queue as a whole. */
struct whole {
    int64_t rows, ids, running;
    const struct share *oldest;
};

/* An integration over all queues. */
struct tenant {
    int64_t id, queued, oldest;
    bool exact;
};

struct overview {
    bool redis;
    struct shares shares; /* by integration, then queue */
    struct whole queues[QUEUE_COUNT];
    struct tenant *tenants; /* most waiting first */
    size_t tenants_n;
};

static void
overview_fini(struct overview *o)
{
    free(o->shares.v);
    free(o->tenants);
}

/* ---- reading ---- */

static int
compare_shares(const void *a, const void *b)
{
    const struct share *x = a, *y = b;

    if (x->integration_id != y->integration_id)
        return x->integration_id < y->integration_id ? -1 : 1;
    return (x->queue > y->queue) - (x->queue < y->queue);
}

static int
compare_tenants(const void *a, const void *b)
{
    const struct tenant *x = a, *y = b;

    if (x->queued != y->queued)
        return x->queued > y->queued ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* What Redis holds of each queue; of more integrations than were looked at, in proportion. */
static void
read_redis(struct request *rq, struct overview *o)
{
    struct queue_depth depths[RING_MAX];

    o->redis = true;
    for (int q = 0; q < QUEUE_COUNT && o->redis; q++) {
        size_t n = 0;
        int64_t ring = 0, sum = 0;

        o->redis = queue_depths(rq->cache, (enum queue_name)q, RING_MAX, depths, &n, &ring, NULL) == RC_OK;
        for (size_t i = 0; i < n; i++) {
            sum += depths[i].ids;
            o->shares.v[o->shares.n++] = (struct share){ .integration_id = depths[i].integration_id,
                                                         .ids = depths[i].ids,
                                                         .oldest = DB_NO_TIME,
                                                         .queue = (enum queue_name)q };
        }
        o->queues[q].ids = n > 0 ? sum * ring / (int64_t)n : 0;
    }
}

static void
add_rows(const struct dbres *res, struct overview *o)
{
    for (int i = 0; i < dbres_rows(res); i++) {
        int queue = queue_by_name(dbres_text(res, i, 0));

        if (queue < 0)
            continue;
        o->shares.v[o->shares.n++] = (struct share){ .integration_id = dbres_i64(res, i, 1),
                                                     .rows = dbres_i64(res, i, 2),
                                                     .oldest_id = dbres_i64(res, i, 3),
                                                     .oldest = dbres_time(res, i, 4),
                                                     .queue = (enum queue_name)queue };
        o->queues[queue].rows += dbres_i64(res, i, 2);
    }
}

/* Rows and ids of one integration in one queue become one entry. */
static void
fold_shares(struct shares *s)
{
    size_t kept = 0;

    qsort(s->v, s->n, sizeof *s->v, compare_shares);
    for (size_t i = 0; i < s->n; i++) {
        struct share *last = kept > 0 ? &s->v[kept - 1] : NULL;

        if (last == NULL || compare_shares(last, &s->v[i]) != 0) {
            s->v[kept++] = s->v[i];
            continue;
        }
        last->rows += s->v[i].rows;
        last->ids += s->v[i].ids;
        if (s->v[i].oldest != DB_NO_TIME) {
            last->oldest = s->v[i].oldest;
            last->oldest_id = s->v[i].oldest_id;
        }
    }
    s->n = kept;
}

static bool
older(int64_t a, int64_t b)
{
    return a != DB_NO_TIME && (b == DB_NO_TIME || a < b);
}

static bool
is_exact(const struct whole *w)
{
    return w->rows < WAITING_MAX;
}

static int64_t
larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static enum rc
sum_up(struct overview *o, struct err *err)
{
    struct tenant *t = NULL;

    if ((o->tenants = calloc(o->shares.n + 1, sizeof *o->tenants)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (size_t i = 0; i < o->shares.n; i++) {
        const struct share *s = &o->shares.v[i];
        struct whole *w = &o->queues[s->queue];
        int64_t waits = is_exact(w) ? s->rows : larger(s->rows, s->ids);

        if (older(s->oldest, w->oldest != NULL ? w->oldest->oldest : DB_NO_TIME))
            w->oldest = s;
        if (waits == 0)
            continue; /* ids in Redis whose jobs do not wait any more */
        if (t == NULL || t->id != s->integration_id) {
            t = &o->tenants[o->tenants_n++];
            *t = (struct tenant){ .id = s->integration_id, .oldest = DB_NO_TIME, .exact = true };
        }
        t->queued += waits;
        t->exact = t->exact && is_exact(w);
        if (older(s->oldest, t->oldest))
            t->oldest = s->oldest;
    }
    qsort(o->tenants, o->tenants_n, sizeof *o->tenants, compare_tenants);
    return RC_OK;
}

static enum rc
read_overview(struct request *rq, struct overview *o, struct err *err)
{
    AUTO(dbres) waiting = NULL;
    AUTO(dbres) running = NULL;
    enum rc rc;

    if ((rc = db_run(rq->db, SQL_overview_waiting, DB_ARGS(db_i64(WAITING_MAX)), &waiting, err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_overview_running, DB_ARGS(db_i64(COUNT_MAX)), &running, err)) != RC_OK)
        return rc;
    o->shares.v =
        calloc((size_t)dbres_rows(waiting) + (size_t)QUEUE_COUNT * RING_MAX + 1, sizeof *o->shares.v);
    if (o->shares.v == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    add_rows(waiting, o);
    read_redis(rq, o);
    fold_shares(&o->shares);
    for (int i = 0; i < dbres_rows(running); i++) {
        int queue = queue_by_name(dbres_text(running, i, 0));

        if (queue >= 0)
            o->queues[queue].running = dbres_i64(running, i, 1);
    }
    return sum_up(o, err);
}

/* ---- telling ---- */

static json_t *
age_or_null(int64_t since, int64_t now)
{
    return since == DB_NO_TIME ? json_null() : json_integer(now > since ? (now - since) / CLOCK_SECOND : 0);
}

static json_t *
queues_json(const struct overview *o, const struct dbres *pauses, int64_t now)
{
    json_t *all = json_array();

    for (int q = 0; q < QUEUE_COUNT; q++) {
        const struct whole *w = &o->queues[q];
        const struct share *oldest = w->oldest;
        bool exact = is_exact(w);

        (void)json_array_append_new(
            all, json_pack("{s:s, s:I, s:s, s:I, s:o, s:o, s:o}", "queue", queue_names[q], "queued",
                           (json_int_t)(exact ? w->rows : larger(w->rows, w->ids)), "queued_is",
                           exact              ? "exact"
                           : w->ids > w->rows ? "about"
                                              : "at_least",
                           "running", (json_int_t)w->running, "oldest_job",
                           oldest != NULL ? json_integer(oldest->oldest_id) : json_null(), "oldest_s",
                           age_or_null(oldest != NULL ? oldest->oldest : DB_NO_TIME, now), "paused",
                           pause_json(pauses, queue_names[q], 0)));
    }
    return all;
}

/* Names of the queues that are paused for this integration. */
static json_t *
paused_queues(const struct dbres *pauses, int64_t integration_id)
{
    json_t *names = json_array();

    for (int i = 0; i < dbres_rows(pauses); i++)
        if (dbres_i64(pauses, i, 1) == integration_id)
            (void)json_array_append_new(names, json_string(dbres_text(pauses, i, 0)));
    return names;
}

static json_t *
tenant_json(const struct tenant *t, const struct dbres *names, const struct dbres *pauses, int64_t now)
{
    const char *name = NULL, *state = NULL;

    for (int i = 0; i < dbres_rows(names); i++)
        if (dbres_i64(names, i, 0) == t->id) {
            name = dbres_text(names, i, 1);
            state = dbres_text(names, i, 2);
        }
    return json_pack("{s:o, s:o, s:o, s:I, s:s, s:o, s:o}", "integration_id",
                     t->id != 0 ? json_integer(t->id) : json_null(), "integration",
                     name != NULL ? json_string(name) : json_null(), "state",
                     state != NULL ? json_string(state) : json_null(), "queued", (json_int_t)t->queued,
                     "queued_is", t->exact ? "exact" : "about", "oldest_s", age_or_null(t->oldest, now),
                     "paused_queues", t->id != 0 ? paused_queues(pauses, t->id) : json_array());
}

static enum rc
tenants_json(struct request *rq, const struct overview *o, const struct dbres *pauses, size_t limit,
             int64_t now, json_t **out, struct err *err)
{
    AUTO(dbres) names = NULL;
    int64_t ids[LIMIT_MAX];
    size_t n = o->tenants_n < limit ? o->tenants_n : limit;
    json_t *all;
    enum rc rc;

    for (size_t i = 0; i < n; i++)
        ids[i] = o->tenants[i].id;
    if ((rc = db_run(rq->db, SQL_overview_names, DB_ARGS(db_i64s(ids, n)), &names, err)) != RC_OK)
        return rc;
    all = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(all, tenant_json(&o->tenants[i], names, pauses, now));
    *out = all;
    return RC_OK;
}

/* Workers, and how many there are beyond those listed. */
static enum rc
workers_json(struct request *rq, int64_t limit, json_t **out, struct err *err)
{
    const struct db_arg lease = db_i64(conf_int(rq->app->conf, "lease-ms"));
    AUTO(dbres) list = NULL;
    AUTO(dbres) sums = NULL;
    json_t *items;
    enum rc rc;

    if ((rc = db_run(rq->db, SQL_api_workers, DB_ARGS(db_i64(0), db_null(), lease, db_i64(limit)), &list,
                     err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_overview_workers, DB_ARGS(lease), &sums, err)) != RC_OK)
        return rc;
    items = json_array();
    for (int i = 0; i < dbres_rows(list); i++)
        (void)json_array_append_new(items, json_loads(dbres_text(list, i, 1), 0, NULL));
    *out = json_pack("{s:I, s:I, s:I, s:o}", "total", (json_int_t)dbres_i64(sums, 0, 0), "alive",
                     (json_int_t)dbres_i64(sums, 0, 1), "slots", (json_int_t)dbres_i64(sums, 0, 2), "items",
                     items);
    return RC_OK;
}

static enum rc
put_rest(struct request *rq, const struct overview *o, int64_t limit, json_t *j, struct err *err)
{
    AUTO(dbres) sums = NULL;
    AUTO(dbres) longest = NULL;
    AUTO(dbres) pauses = NULL;
    json_t *tenants, *workers;
    int64_t now = clock_now();
    enum rc rc;

    if ((rc = db_run(rq->db, SQL_overview_sums, DB_ARGS(db_i64(COUNT_MAX)), &sums, err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_overview_longest, DB_ARGS(db_i64(limit), db_i64(COUNT_MAX)), &longest,
                     err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_pause_list, DB_NO_ARGS, &pauses, err)) != RC_OK ||
        (rc = tenants_json(rq, o, pauses, (size_t)limit, now, &tenants, err)) != RC_OK)
        return rc;
    (void)json_object_set_new(j, "tenants", tenants);
    if ((rc = workers_json(rq, limit, &workers, err)) != RC_OK)
        return rc;
    (void)json_object_set_new(j, "workers", workers);
    (void)json_object_set_new(j, "queues", queues_json(o, pauses, now));
    (void)json_object_set_new(j, "running", json_loads(dbres_text(longest, 0, 0), 0, NULL));
    (void)json_object_set_new(j, "enqueued", json_integer(dbres_i64(sums, 0, 0)));
    (void)json_object_set_new(j, "dead", json_integer(dbres_i64(sums, 0, 1)));
    (void)json_object_set_new(j, "scheduled", json_integer(dbres_i64(sums, 0, 2)));
    (void)json_object_set_new(j, "counted_up_to", json_integer(COUNT_MAX));
    return RC_OK;
}

enum rc
route_overview(struct request *rq, struct answer *an, struct err *err)
{
    struct overview o = { .redis = false };
    json_auto_t *j = json_object();
    int64_t limit = LIMIT_USUAL;
    char text[CLOCK_TEXT];
    enum rc rc = request_query_int(rq, "limit", 1, LIMIT_MAX, &limit, err);

    if (rc == RC_OK)
        rc = read_overview(rq, &o, err);
    if (rc == RC_OK)
        rc = put_rest(rq, &o, limit, j, err);
    if (rc == RC_OK) {
        (void)json_object_set_new(j, "at", json_string(clock_format(clock_now(), text)));
        (void)json_object_set_new(j, "redis", json_string(o.redis ? "up" : "down"));
        rc = answer_json(an, 200, json_incref(j), err);
    }
    overview_fini(&o);
    return rc;
}
