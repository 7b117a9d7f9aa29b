/* api/routes/workers.c - worker processes. */
#include "api/handlers.h"

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
