/* api/routes/workers.c - worker processes: listed, shown, asked to drain. Asking twice changes nothing. */
#include "api/handlers.h"
#include <inttypes.h>

enum rc
route_workers(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    const char *state;
    struct page page;
    enum rc rc;

    if ((rc = request_query_choice(rq, "state", "active|draining|stopped|dead", &state, err)) != RC_OK ||
        (rc = request_page(rq, 0, &page, err)) != RC_OK)
        return rc;
    rc = db_run(rq->db, SQL_api_workers,
                DB_ARGS(db_i64(page.cursor), db_text(state), db_i64(conf_int(rq->app->conf, "lease-ms")),
                        db_i64(page.limit + 1)),
                &res, err);
    return rc == RC_OK ? answer_list(an, res, page.limit, err) : rc;
}

static enum rc
show(struct request *rq, struct answer *an, int status, int64_t id, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc =
        db_run(rq->db, SQL_api_worker,
               DB_ARGS(db_i64(id), db_null(), db_i64(conf_int(rq->app->conf, "lease-ms"))), &res, err);

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return err_set(err, RC_NOT_FOUND,
                       "id: there is no worker %" PRId64 "; GET /api/v1/workers lists them", id);
    return answer_row(an, status, res, 0, err);
}

enum rc
route_worker(struct request *rq, struct answer *an, struct err *err)
{
    int64_t id;
    enum rc rc = request_id(rq, "id", &id, err);

    return rc == RC_OK ? show(rq, an, 200, id, err) : rc;
}

/* Nobody was asked: it has ended, or there is none. */
static enum rc
refuse(struct request *rq, int64_t id, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(rq->db, SQL_worker_seen, DB_ARGS(db_i64(id)), &res, err);

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return err_set(err, RC_NOT_FOUND,
                       "id: there is no worker %" PRId64 "; GET /api/v1/workers lists them", id);
    return err_set(err, RC_CONFLICT, "worker %" PRId64 " is %s: only one that is alive can be drained", id,
                   dbres_text(res, 0, 0));
}

enum rc
route_worker_drain(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    int64_t id;
    enum rc rc;

    if ((rc = request_id(rq, "id", &id, err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_worker_ask_drain, DB_ARGS(db_i64(id)), &res, err)) != RC_OK)
        return rc;
    return dbres_rows(res) > 0 ? show(rq, an, 202, id, err) : refuse(rq, id, err);
}
