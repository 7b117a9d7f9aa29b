/* api/routes/sync_log.c - attempts that touched a vendor. */
#include "api/find.h"
#include "api/handlers.h"

static const char outcomes[] = "running|done|retry|snoozed|drained|dead|cancelled|crashed|timeout|lost";

enum rc
route_sync_log(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum sql_id id = SQL_api_sync_log;
    struct db_arg integration;
    int64_t job = 0, since = DB_NO_TIME;
    const char *outcome;
    struct page page;
    enum rc rc;

    if ((rc = request_query_choice(rq, "outcome", outcomes, &outcome, err)) != RC_OK ||
        (rc = request_query_int(rq, "job", 1, INT64_MAX, &job, err)) != RC_OK ||
        (rc = request_query_time(rq, "since", &since, err)) != RC_OK ||
        (rc = request_page(rq, INT64_MAX, &page, err)) != RC_OK ||
        (rc = query_integration(rq, &integration, err)) != RC_OK)
        return rc;
    if (job != 0)
        id = SQL_api_sync_log_of_job;
    else if (integration.type != DB_NULL)
        id = SQL_api_sync_log_of_integration;
    rc = db_run(rq->db, id,
                DB_ARGS(db_i64(page.cursor), integration, job != 0 ? db_i64(job) : db_null(),
                        db_text(outcome), db_time(since), db_i64(page.limit + 1)),
                &res, err);
    return rc == RC_OK ? answer_list(an, res, page.limit, err) : rc;
}
