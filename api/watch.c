#include "api/watch.h"
#include "api/expose.h"
#include "common/counters.h"
#include "common/jobkind.h"
#include "common/survey.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXACT_MAX = 5000, /* the statements count one more at most */
    LISTS_MAX = 1000, /* integrations of a queue whose lists are looked at: those whose turn is next, who wait
                         longest */
    TENANTS_MAX = 20, /* integrations with a figure of their own */
};

/* ---- what waits ---- */

struct depths {
    int64_t queued[QUEUE_COUNT], running[QUEUE_COUNT], scheduled[QUEUE_COUNT];
    int64_t scheduled_all, dead;
};

static int64_t
sum(const int64_t of[static QUEUE_COUNT])
{
    int64_t all = 0;

    for (int q = 0; q < QUEUE_COUNT; q++)
        all += of[q];
    return all;
}

static enum rc
read_queues(struct request *rq, const struct survey *s, struct depths *d)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(rq->db, SQL_metrics_queues, DB_NO_ARGS, &res, NULL);

    for (int i = 0; rc == RC_OK && i < dbres_rows(res); i++) {
        int q = queue_by_name(dbres_text(res, i, 0));

        if (q < 0)
            continue;
        d->queued[q] = dbres_i64(res, i, 1);
        d->running[q] = dbres_i64(res, i, 2);
        d->scheduled[q] = dbres_i64(res, i, 3);
        if (d->queued[q] > EXACT_MAX && s->queues[q].ids > d->queued[q])
            d->queued[q] = s->queues[q].ids;
    }
    return rc;
}

/* A count that reached its bound gives way to the estimate, if that is more. */
static int64_t
better(const struct dbres *res, int counted, int estimated)
{
    int64_t n = dbres_i64(res, 0, counted), estimate = dbres_i64(res, 0, estimated);

    return n > EXACT_MAX && estimate > n ? estimate : n;
}

static enum rc
read_states(struct request *rq, struct depths *d)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(rq->db, SQL_metrics_states, DB_NO_ARGS, &res, NULL);
    int64_t counted = sum(d->scheduled);

    if (rc != RC_OK)
        return rc;
    d->scheduled_all = better(res, 0, 2);
    d->dead = better(res, 1, 3);
    for (int q = 0; q < QUEUE_COUNT && counted > EXACT_MAX;
         q++) /* those that were counted stand for the rest */
        d->scheduled[q] = (int64_t)((double)d->scheduled[q] / (double)counted * (double)d->scheduled_all);
    return RC_OK;
}

static void
put_by_queue(struct buf *b, const char *name, const char *help, const int64_t v[static QUEUE_COUNT])
{
    expose_family(b, name, "gauge", help);
    for (int q = 0; q < QUEUE_COUNT; q++)
        expose_by(b, name, "queue", queue_names[q], v[q]);
}

static void
put_depths(struct request *rq, const struct survey *s, struct buf *b)
{
    struct depths d = { .dead = 0 };

    if (read_queues(rq, s, &d) != RC_OK || read_states(rq, &d) != RC_OK)
        return;
    expose_family(b, "deskmill_jobs", "gauge", "Jobs that have not ended, and dead ones, by state.");
    expose_by(b, "deskmill_jobs", "state", "queued", sum(d.queued));
    expose_by(b, "deskmill_jobs", "state", "running", sum(d.running));
    expose_by(b, "deskmill_jobs", "state", "scheduled", d.scheduled_all);
    expose_by(b, "deskmill_jobs", "state", "dead", d.dead);
    put_by_queue(b, "deskmill_queue_depth", "Jobs that wait for a worker.", d.queued);
    put_by_queue(b, "deskmill_queue_running", "Jobs that run.", d.running);
    put_by_queue(b, "deskmill_queue_scheduled", "Jobs that wait for their moment or their children.",
                 d.scheduled);
}

/* ---- how long ---- */

struct tenant {
    int64_t integration_id, oldest_s;
};

static int
longest_first(const void *a, const void *b)
{
    const struct tenant *x = a, *y = b;

    if (x->oldest_s != y->oldest_s)
        return x->oldest_s > y->oldest_s ? -1 : 1;
    return (x->integration_id > y->integration_id) - (x->integration_id < y->integration_id);
}

static int
by_id(const void *a, const void *b)
{
    const struct tenant *x = a, *y = b;

    return (x->integration_id > y->integration_id) - (x->integration_id < y->integration_id);
}

/* One row for each integration: its longest wait in any queue. */
static size_t
merge(struct tenant *t, size_t n)
{
    size_t kept = 0;

    qsort(t, n, sizeof *t, by_id);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && t[kept - 1].integration_id == t[i].integration_id) {
            if (t[i].oldest_s > t[kept - 1].oldest_s)
                t[kept - 1].oldest_s = t[i].oldest_s;
        } else {
            t[kept++] = t[i];
        }
    }
    return kept;
}

/* By id: /metrics is public, and names are nobody's business. */
static void
put_tenants(struct buf *b, struct tenant *t, size_t n)
{
    static const char name[] = "deskmill_tenant_oldest_seconds";

    expose_family(
        b, name, "gauge",
        "How long the oldest job of an integration has waited for a worker: the 20 longest; others: of the rest.");
    n = merge(t, n);
    qsort(t, n, sizeof *t, longest_first);
    for (size_t i = 0; i < n && i < TENANTS_MAX; i++) {
        char id[24];

        (void)snprintf(id, sizeof id, "%" PRId64, t[i].integration_id);
        expose_by(b, name, "integration", id, t[i].oldest_s);
    }
    expose_by(b, name, "integration", "others", n > TENANTS_MAX ? t[TENANTS_MAX].oldest_s : 0);
}

static void
put_oldest(struct request *rq, const struct survey *s, struct buf *b)
{
    int64_t oldest[QUEUE_COUNT] = { 0 }, waiting[QUEUE_COUNT] = { 0 };
    AUTO_FREE struct tenant *tenants = NULL;
    AUTO(dbres) res = NULL;
    size_t n = 0;

    if (db_run(rq->db, SQL_metrics_oldest, DB_ARGS(db_i64s(s->heads, s->heads_n)), &res, NULL) != RC_OK ||
        (tenants = calloc((size_t)dbres_rows(res) + 1, sizeof *tenants)) == NULL)
        return;
    for (int i = 0; i < dbres_rows(res); i++) {
        int q = queue_by_name(dbres_text(res, i, 0));
        int64_t integration = dbres_i64(res, i, 1), age = dbres_i64(res, i, 2);

        if (q < 0)
            continue;
        if (age > oldest[q])
            oldest[q] = age;
        if (integration != 0) {
            waiting[q]++;
            tenants[n++] = (struct tenant){ integration, age };
        }
    }
    for (int q = 0; q < QUEUE_COUNT; q++)
        if (s->queues[q].integrations > waiting[q])
            waiting[q] = s->queues[q].integrations;
    put_by_queue(b, "deskmill_queue_oldest_seconds",
                 "How long the oldest of the jobs that are next has waited for a worker.", oldest);
    put_by_queue(b, "deskmill_queue_integrations", "Integrations with work in the queue.", waiting);
    put_tenants(b, tenants, n);
}

/* ---- what is wrong ---- */

static void
put_stuck(struct request *rq, struct buf *b)
{
    int64_t stuck[QUEUE_COUNT] = { 0 };
    AUTO(dbres) res = NULL;

    if (db_run(rq->db, SQL_signal_stuck, DB_ARGS(db_i64(conf_int(rq->app->conf, "stuck-s"))), &res, NULL) !=
        RC_OK)
        return;
    for (int i = 0; i < dbres_rows(res); i++)
        if (queue_by_name(dbres_text(res, i, 0)) >= 0)
            stuck[queue_by_name(dbres_text(res, i, 0))] = dbres_bool(res, i, 1);
    put_by_queue(
        b, "deskmill_queue_stuck",
        "1 while work waits and slots are free, but nothing has been claimed from the queue for --stuck-s.",
        stuck);
}

static void
put_pauses(struct request *rq, struct buf *b)
{
    int64_t whole[QUEUE_COUNT] = { 0 }, some[QUEUE_COUNT] = { 0 };
    AUTO(dbres) res = NULL;

    if (db_run(rq->db, SQL_metrics_pauses, DB_NO_ARGS, &res, NULL) != RC_OK)
        return;
    for (int i = 0; i < dbres_rows(res); i++) {
        int q = queue_by_name(dbres_text(res, i, 0));

        if (q < 0)
            continue;
        whole[q] = dbres_bool(res, i, 1);
        some[q] = dbres_i64(res, i, 2);
    }
    put_by_queue(b, "deskmill_queue_paused", "1 while someone has paused the queue.", whole);
    put_by_queue(b, "deskmill_queue_paused_integrations", "Integrations for which someone has paused it.",
                 some);
}

static void
put_slow(struct request *rq, struct buf *b)
{
    static const char name[] = "deskmill_jobs_slow";
    AUTO(dbres) res = NULL;

    if (db_run(rq->db, SQL_signal_slow_kinds, DB_NO_ARGS, &res, NULL) != RC_OK)
        return;
    expose_family(
        b, name, "gauge",
        "Jobs that run for longer than half their timeout, or ten times what is usual for their kind.");
    for (const struct jobkind *k = jobkinds; k->name != NULL; k++) {
        int64_t n = 0;

        for (int i = 0; i < dbres_rows(res); i++)
            if (strcmp(dbres_text(res, i, 0), k->name) == 0)
                n = dbres_i64(res, i, 1);
        expose_by(b, name, "kind", k->name, n);
    }
}

static void
put_unknown(struct request *rq, struct buf *b)
{
    static const char name[] = "deskmill_jobs_of_unknown_kind";
    AUTO(dbres) res = NULL;

    if (db_run(rq->db, SQL_signal_kinds, DB_NO_ARGS, &res, NULL) != RC_OK)
        return;
    expose_family(b, name, "gauge",
                  "Jobs that wait for a worker that knows their kind; none that lives does.");
    for (int i = 0; i < dbres_rows(res); i++)
        expose_by(b, name, "kind", dbres_text(res, i, 0), dbres_i64(res, i, 1));
}

/* ---- what happened ---- */

static void
put_counters(struct request *rq, struct buf *b)
{
    AUTO(dbres) res = NULL;

    if (db_run(rq->db, SQL_counters_read, DB_NO_ARGS, &res, NULL) != RC_OK)
        return;
    for (int id = 0; id < COUNTER_COUNT; id++) {
        const struct counter_info *c = &counter_infos[id];

        expose_family(b, c->metric, "counter", c->help);
        for (int i = 0; i < dbres_rows(res); i++)
            if (strcmp(dbres_text(res, i, 0), c->name) == 0)
                expose_sample(b, c->metric, (const char *[]){ c->label, c->label2 },
                              (const char *[]){ dbres_text(res, i, 1), dbres_text(res, i, 2) },
                              dbres_i64(res, i, 3), c->unit);
    }
}

void
watch_put(struct request *rq, struct buf *b)
{
    struct survey s;

    (void)survey_take(rq->cache, LISTS_MAX, &s, NULL); /* without Redis: empty, and the rows must do */
    put_depths(rq, &s, b);
    put_oldest(rq, &s, b);
    survey_fini(&s);
    put_pauses(rq, b);
    put_stuck(rq, b);
    put_slow(rq, b);
    put_unknown(rq, b);
    put_counters(rq, b);
}
