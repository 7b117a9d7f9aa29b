/* api/routes/health.c - alive, working, and the service's state in one small document. */
#include "api/health.h"
#include "api/handlers.h"
#include "common/clock.h"

enum rc
route_healthz(struct request *rq, struct answer *an, struct err *err)
{
    (void)rq;
    return answer_json(an, 200, json_pack("{s:s}", "status", "alive"), err);
}

static void
put_check(json_t *checks, const char *name, bool ok, const char *why)
{
    (void)json_object_set_new(checks, name, json_string(ok ? "ok" : why));
}

/* Without a key no host name or user is told: only what kind of trouble it is. */
static void
put_server(json_t *checks, const char *name, const struct err *err)
{
    (void)json_object_set_new(checks, name,
                              err->rc == RC_OK ? json_string("ok")
                                               : json_sprintf("does not answer (%s)", rc_name(err->rc)));
}

/* Redis may be down: work goes on from Postgres, slower. Everything else missing is 503. */
enum rc
route_readyz(struct request *rq, struct answer *an, struct err *err)
{
    json_t *checks = json_object();
    struct health h;
    bool known, ready;

    health_check(rq, &h);
    known = h.postgres.rc == RC_OK && h.schema.rc == RC_OK;
    ready = known && h.leader && h.workers > 0;
    put_server(checks, "postgres", &h.postgres);
    put_check(checks, "schema", h.schema.rc == RC_OK, h.schema.text);
    put_server(checks, "redis", &h.redis);
    put_check(checks, "scheduler", known && h.leader,
              known ? "no scheduler leads: start deskmill-scheduler" : "unknown");
    put_check(checks, "workers", known && h.workers > 0,
              known ? "no worker is alive: start deskmill-worker" : "unknown");
    return answer_json(an, ready ? 200 : 503,
                       json_pack("{s:s, s:o, s:I}", "status",
                                 !ready                ? "not ready"
                                 : h.redis.rc != RC_OK ? "degraded"
                                                       : "ready",
                                 "checks", checks, "workers", (json_int_t)h.workers),
                       err);
}

enum rc
route_sync_status(struct request *rq, struct answer *an, struct err *err)
{
    char now[CLOCK_TEXT];
    struct health h;
    bool known;

    health_check(rq, &h);
    known = h.postgres.rc == RC_OK && h.schema.rc == RC_OK;
    return answer_json(
        an, 200,
        json_pack("{s:b, s:b, s:I, s:I, s:s}", "service_running", known && h.leader && h.workers > 0,
                  "initialized", known && h.has_integration, "background_tasks", (json_int_t)h.running,
                  "queued_events", (json_int_t)h.queued, "timestamp", clock_format(clock_now(), now)),
        err);
}
