/* api/routes/metrics.c - figures for Prometheus. What it asks costs no more than what waits, runs or is dead:
 * ended jobs are never counted. With Postgres down it still answers, with deskmill_postgres_up 0. */
#include "api/handlers.h"
#include "api/health.h"
#include "common/clock.h"
#include "common/queue.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void
family(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
gauge(struct buf *b, const char *name, const char *help, int64_t v)
{
    family(b, name, "gauge", help);
    buf_printf(b, "%s %" PRId64 "\n", name, v);
}

/* Labels are names of queues, states and integrations: none holds a quote or a backslash. */
static void
by(struct buf *b, const char *name, const char *label, const char *value, int64_t v)
{
    buf_printf(b, "%s{%s=\"%s\"} %" PRId64 "\n", name, label, value, v);
}

struct queue_figures {
    int64_t queued, running, scheduled, oldest_s;
};

static void
sum_queues(const struct dbres *res, struct queue_figures out[static QUEUE_COUNT])
{
    int64_t now = clock_now();

    for (int i = 0; i < dbres_rows(res); i++) {
        int q = queue_by_name(dbres_text(res, i, 0));
        int64_t oldest = dbres_time(res, i, 7),
                age = oldest != DB_NO_TIME ? (now - oldest) / CLOCK_SECOND : 0;

        if (q < 0)
            continue;
        out[q].queued += dbres_i64(res, i, 4);
        out[q].running += dbres_i64(res, i, 5);
        out[q].scheduled += dbres_i64(res, i, 6);
        if (age > out[q].oldest_s)
            out[q].oldest_s = age;
    }
}

static void
put_queues(struct request *rq, struct buf *b)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } families[] = {
        { "deskmill_queue_depth", "Jobs that wait for a worker.", offsetof(struct queue_figures, queued) },
        { "deskmill_queue_running", "Jobs that run.", offsetof(struct queue_figures, running) },
        { "deskmill_queue_scheduled", "Jobs that wait for their moment or their children.",
          offsetof(struct queue_figures, scheduled) },
        { "deskmill_queue_oldest_seconds", "How long the oldest job has waited for a worker.",
          offsetof(struct queue_figures, oldest_s) },
    };
    struct queue_figures figures[QUEUE_COUNT] = { 0 };
    AUTO(dbres) res = NULL;

    if (db_run(rq->db, SQL_api_queues, DB_NO_ARGS, &res, NULL) != RC_OK)
        return;
    sum_queues(res, figures);
    for (size_t f = 0; f < COUNT_OF(families); f++) {
        family(b, families[f].name, "gauge", families[f].help);
        for (int q = 0; q < QUEUE_COUNT; q++) {
            int64_t v;

            memcpy(&v, (const char *)&figures[q] + families[f].at, sizeof v);
            by(b, families[f].name, "queue", queue_names[q], v);
        }
    }
}

static void
put_sync_totals(struct request *rq, struct buf *b)
{
    static const struct {
        const char *name, *help;
    } families[] = {
        { "deskmill_sync_attempts_last_hour",
          "Attempts that touched a vendor and began within the last hour." },
        { "deskmill_sync_fetched_last_hour", "Records those attempts fetched." },
        { "deskmill_sync_requests_last_hour", "Calls those attempts made." },
    };
    AUTO(dbres) res = NULL;

    if (db_run(rq->db, SQL_api_sync_totals, DB_NO_ARGS, &res, NULL) != RC_OK)
        return;
    for (int f = 0; f < (int)COUNT_OF(families); f++) {
        family(b, families[f].name, "gauge", families[f].help);
        for (int i = 0; i < dbres_rows(res); i++)
            by(b, families[f].name, "outcome", dbres_text(res, i, 0), dbres_i64(res, i, f + 1));
    }
}

static void
put_service(const struct health *h, struct buf *b)
{
    family(b, "deskmill_jobs", "gauge", "Jobs that have not ended, and dead ones, by state.");
    by(b, "deskmill_jobs", "state", "queued", h->queued);
    by(b, "deskmill_jobs", "state", "running", h->running);
    by(b, "deskmill_jobs", "state", "scheduled", h->scheduled);
    by(b, "deskmill_jobs", "state", "dead", h->dead);
    gauge(b, "deskmill_workers", "Workers that are alive.", h->workers);
    gauge(b, "deskmill_worker_slots", "Jobs that those workers can run at once.", h->slots);
    gauge(b, "deskmill_scheduler_leads", "1 while a scheduler's lease is fresh.", h->leader);
    family(b, "deskmill_queue_rebuilds_total", "counter", "Times Redis's lists were rebuilt from Postgres.");
    buf_printf(b, "deskmill_queue_rebuilds_total %" PRId64 "\n", h->rebuilds);
}

static void
put_http(struct app *a, struct buf *b)
{
    static const char requests[] = "deskmill_http_requests_total";

    family(b, requests, "counter", "Requests this api answered, by class of status.");
    for (size_t i = 2; i < COUNT_OF(a->counts.by_class); i++)
        buf_printf(b, "%s{status=\"%zuxx\"} %lld\n", requests, i,
                   (long long)atomic_load(&a->counts.by_class[i]));
    family(b, "deskmill_http_response_bytes_total", "counter", "Bytes of bodies this api sent.");
    buf_printf(b, "deskmill_http_response_bytes_total %lld\n", (long long)atomic_load(&a->counts.bytes_out));
    family(b, "deskmill_job_push_failed_total", "counter",
           "Jobs committed whose push to Redis failed; the scheduler finds them.");
    buf_printf(b, "deskmill_job_push_failed_total %lld\n", (long long)atomic_load(&a->counts.push_failed));
}

static int64_t
open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int64_t n = -1; /* the one that reads */

    if (d == NULL)
        return 0;
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

static int64_t
resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    char line[128];
    char *resident = NULL;

    if (f == NULL)
        return 0;
    if (fgets(line, sizeof line, f) != NULL)
        resident = strchr(line, ' ');
    (void)fclose(f);
    return resident != NULL ? strtoll(resident, NULL, 10) * sysconf(_SC_PAGESIZE) : 0;
}

static void
put_process(const struct app *a, struct buf *b)
{
    family(b, "deskmill_build_info", "gauge", "Always 1; the label is the version.");
    by(b, "deskmill_build_info", "version", DESKMILL_VERSION, 1);
    gauge(b, "process_start_time_seconds", "When this api started.", a->started / CLOCK_SECOND);
    gauge(b, "process_resident_memory_bytes", "Memory this api holds.", resident_bytes());
    gauge(b, "process_open_fds", "Descriptors this api has open.", open_descriptors());
}

enum rc
route_metrics(struct request *rq, struct answer *an, struct err *err)
{
    struct health h;

    health_check(rq, &h);
    gauge(&an->body, "deskmill_postgres_up", "1 while Postgres answers.", h.postgres.rc == RC_OK);
    gauge(&an->body, "deskmill_redis_up", "1 while Redis answers.", h.redis.rc == RC_OK);
    gauge(&an->body, "deskmill_schema_current", "1 while the schema is this binary's.", h.schema.rc == RC_OK);
    if (h.postgres.rc == RC_OK && h.schema.rc == RC_OK) {
        put_service(&h, &an->body);
        put_queues(rq, &an->body);
        put_sync_totals(rq, &an->body);
    }
    put_http(rq->app, &an->body);
    put_process(rq->app, &an->body);
    an->type = "text/plain; version=0.0.4; charset=utf-8";
    return an->body.failed ? err_set(err, RC_LIMIT, "too many figures") : RC_OK;
}
