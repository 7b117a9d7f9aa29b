#include "api/health.h"
#include "common/migrate.h"

static void
read_figures(const struct dbres *res, struct health *h)
{
    h->leader = dbres_bool(res, 0, 0);
    h->workers = dbres_i64(res, 0, 2);
    h->slots = dbres_i64(res, 0, 3);
    h->queued = dbres_i64(res, 0, 4);
    h->running = dbres_i64(res, 0, 5);
    h->rebuilds = dbres_i64(res, 0, 6);
    h->has_integration = dbres_bool(res, 0, 7);
}

void
health_check(struct request *rq, struct health *out)
{
    AUTO(dbres) res = NULL;
    struct health h = { .leader = false };

    (void)cache_run(rq->cache, NULL, &h.redis, "PING", NULL);
    if (db_run(rq->db, SQL_db_ping, DB_NO_ARGS, NULL, &h.postgres) != RC_OK)
        (void)err_set(&h.schema, h.postgres.rc, "unknown");
    else if (migrate_check(rq->db, NULL, &h.schema) == RC_OK &&
             db_run(rq->db, SQL_api_health, DB_ARGS(db_i64(conf_int(rq->app->conf, "lease-ms"))), &res,
                    &h.postgres) == RC_OK &&
             dbres_rows(res) > 0)
        read_figures(res, &h);
    *out = h;
}
