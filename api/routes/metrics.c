/* api/routes/metrics.c - figures for Prometheus; api/README.md lists them. What it asks costs little,
 * whatever waits. With Postgres down it still answers, with deskmill_postgres_up 0. */
#include "api/expose.h"
#include "api/handlers.h"
#include "api/health.h"
#include "api/watch.h"
#include "common/clock.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
        expose_family(b, families[f].name, "gauge", families[f].help);
        for (int i = 0; i < dbres_rows(res); i++)
            expose_by(b, families[f].name, "outcome", dbres_text(res, i, 0), dbres_i64(res, i, f + 1));
    }
}

static void
put_service(const struct health *h, struct buf *b)
{
    expose_gauge(b, "deskmill_workers", "Workers that are alive.", h->workers);
    expose_gauge(b, "deskmill_worker_slots", "Jobs that those workers can run at once.", h->slots);
    expose_gauge(b, "deskmill_scheduler_leads", "1 while a scheduler's lease is fresh.", h->leader);
    expose_family(b, "deskmill_queue_rebuilds_total", "counter",
                  "Times Redis's lists were rebuilt from Postgres.");
    expose(b, "deskmill_queue_rebuilds_total", h->rebuilds);
}

static void
put_http(struct app *a, struct buf *b)
{
    static const char requests[] = "deskmill_http_requests_total";

    expose_family(b, requests, "counter", "Requests this api answered, by class of status.");
    for (size_t i = 2; i < COUNT_OF(a->counts.by_class); i++)
        expose_by(b, requests, "status", (const char *[]){ "2xx", "3xx", "4xx", "5xx" }[i - 2],
                  (int64_t)atomic_load(&a->counts.by_class[i]));
    expose_family(b, "deskmill_http_response_bytes_total", "counter", "Bytes of bodies this api sent.");
    expose(b, "deskmill_http_response_bytes_total", (int64_t)atomic_load(&a->counts.bytes_out));
    expose_family(b, "deskmill_job_push_failed_total", "counter",
                  "Jobs committed whose push to Redis failed; the scheduler finds them.");
    expose(b, "deskmill_job_push_failed_total", (int64_t)atomic_load(&a->counts.push_failed));
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
    expose_family(b, "deskmill_build_info", "gauge", "Always 1; the label is the version.");
    expose_by(b, "deskmill_build_info", "version", DESKMILL_VERSION, 1);
    expose_gauge(b, "process_start_time_seconds", "When this api started.", a->started / CLOCK_SECOND);
    expose_gauge(b, "process_resident_memory_bytes", "Memory this api holds.", resident_bytes());
    expose_gauge(b, "process_open_fds", "Descriptors this api has open.", open_descriptors());
}

enum rc
route_metrics(struct request *rq, struct answer *an, struct err *err)
{
    static const char *const none[2] = { "", "" };
    int64_t began = clock_mono();
    struct health h;

    health_check(rq, &h);
    expose_gauge(&an->body, "deskmill_postgres_up", "1 while Postgres answers.", h.postgres.rc == RC_OK);
    expose_gauge(&an->body, "deskmill_redis_up", "1 while Redis answers.", h.redis.rc == RC_OK);
    expose_gauge(&an->body, "deskmill_schema_current", "1 while the schema is this binary's.",
                 h.schema.rc == RC_OK);
    if (h.postgres.rc == RC_OK && h.schema.rc == RC_OK) {
        put_service(&h, &an->body);
        watch_put(rq, &an->body);
        put_sync_totals(rq, &an->body);
    }
    put_http(rq->app, &an->body);
    expose_family(&an->body, "deskmill_scrape_seconds", "gauge", "How long it took to gather these figures.");
    expose_sample(&an->body, "deskmill_scrape_seconds", none, none, clock_mono() - began, CLOCK_SECOND);
    put_process(rq->app, &an->body);
    an->type = "text/plain; version=0.0.4; charset=utf-8";
    return an->body.failed ? err_set(err, RC_LIMIT, "too many figures") : RC_OK;
}
