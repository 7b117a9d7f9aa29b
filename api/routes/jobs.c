/* api/routes/jobs.c - jobs: listed, shown, enqueued, retried, cancelled. Enqueueing twice gives two jobs, or
 * one where the kind has a dedupe key; retrying or cancelling twice is a 409. */
#include "api/enqueue.h"
#include "api/find.h"
#include "api/handlers.h"
#include "common/batch.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char states[] = "scheduled|queued|running|done|dead|cancelled";
static const char queues_known[] = "live|default|bulk";

/* The statement whose index fits the filters. */
static enum sql_id
way_in(const char *state, bool parent, bool integration)
{
    static const struct {
        const char *state;
        enum sql_id id;
    } by_state[] = {
        { "scheduled", SQL_api_jobs_scheduled },
        { "queued", SQL_api_jobs_queued },
        { "running", SQL_api_jobs_running },
        { "dead", SQL_api_jobs_dead },
    };

    if (parent)
        return SQL_api_jobs_of_parent;
    for (size_t i = 0; state != NULL && i < COUNT_OF(by_state); i++)
        if (strcmp(by_state[i].state, state) == 0)
            return by_state[i].id;
    return integration ? SQL_api_jobs_of_integration : SQL_api_jobs;
}

enum rc
route_jobs(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    const char *state, *queue, *kind = request_query(rq, "kind");
    int64_t parent = 0, since = DB_NO_TIME;
    struct db_arg integration;
    struct page page;
    enum rc rc;

    if ((rc = request_query_choice(rq, "state", states, &state, err)) != RC_OK ||
        (rc = request_query_choice(rq, "queue", queues_known, &queue, err)) != RC_OK ||
        (rc = request_query_int(rq, "parent", 1, INT64_MAX, &parent, err)) != RC_OK ||
        (rc = request_query_time(rq, "since", &since, err)) != RC_OK ||
        (rc = request_page(rq, INT64_MAX, &page, err)) != RC_OK ||
        (rc = query_integration(rq, &integration, err)) != RC_OK)
        return rc;
    if (kind != NULL && (rc = find_kind("kind", kind, &(const struct jobkind *){ NULL }, err)) != RC_OK)
        return rc;
    rc = db_run(rq->db, way_in(state, parent != 0, integration.type != DB_NULL),
                DB_ARGS(db_i64(page.cursor), db_text(kind), db_text(queue), integration,
                        parent != 0 ? db_i64(parent) : db_null(), db_time(since), db_text(state),
                        db_i64(page.limit + 1)),
                &res, err);
    return rc == RC_OK ? answer_list(an, res, page.limit, err) : rc;
}

enum rc
route_job(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    int64_t id;
    enum rc rc;

    if ((rc = request_id(rq, "id", &id, err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_api_job, DB_ARGS(db_i64(id)), &res, err)) != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return err_set(err, RC_NOT_FOUND, "id: there is no job %" PRId64, id);
    return answer_row(an, 200, res, 0, err);
}

enum rc
route_job_add(struct request *rq, struct answer *an, struct err *err)
{
    struct integration integration = { .id = 0 };
    struct job_spec spec = { .origin = "api" };
    const struct jobkind *kind;
    json_t *args;
    enum rc rc;

    if ((rc = body_string(rq, "kind", 1, 60, &spec.kind, err)) != RC_OK ||
        (rc = body_object_or_null(rq, "args", &args, err)) != RC_OK ||
        (rc = body_time_or(rq, "run_at", 0, &spec.run_at, err)) != RC_OK)
        return rc;
    if ((rc = find_kind("kind", spec.kind, &kind, err)) != RC_OK)
        return rc;
    if (body_has(rq, "integration") && (rc = body_integration(rq, &integration, err)) != RC_OK)
        return rc;
    if ((rc = jobkind_check_args(kind, args, integration.id, err)) != RC_OK)
        return rc;
    spec.args = args;
    spec.integration_id = integration.id;
    return enqueue(rq, an, &spec, integration.id != 0 ? integration.name : NULL, NULL, err);
}

/* What changed in a batch, told and pushed. */
static enum rc
answer_batch(struct request *rq, struct answer *an, int64_t id, struct batch_changed *b, struct err *err)
{
    push_items(rq, b->items, b->n);
    free(b->items);
    b->items = NULL;
    return answer_json(an, 202,
                       json_pack("{s:I, s:s*, s:I, s:I, s:I}", "job", (json_int_t)id, "state",
                                 b->state[0] != '\0' ? b->state : NULL, "cancelled", (json_int_t)b->ended,
                                 "ending", (json_int_t)b->running, "retried", (json_int_t)b->retried),
                       err);
}

enum rc
route_job_retry(struct request *rq, struct answer *an, struct err *err)
{
    struct batch_changed batch;
    struct job_enqueued job;
    bool children, cancelled;
    int64_t id;
    enum rc rc;

    if ((rc = request_id(rq, "id", &id, err)) != RC_OK ||
        (rc = body_bool_or(rq, "children", false, &children, err)) != RC_OK ||
        (rc = body_bool_or(rq, "cancelled", false, &cancelled, err)) != RC_OK)
        return rc;
    if (cancelled && !children)
        return err_set(
            err, RC_INVALID,
            "cancelled: says which children are meant, so it needs children: true; a cancelled job "
            "itself is retried without");
    if (children)
        return (rc = batch_retry(rq->db, id, cancelled, &batch, err)) == RC_OK
                   ? answer_batch(rq, an, id, &batch, err)
                   : rc;
    if ((rc = job_retry(rq->db, id, &job, err)) != RC_OK)
        return rc;
    push_items(rq, &job.item, 1);
    return answer_batch(rq, an, id, &(struct batch_changed){ .state = "queued", .retried = 1 }, err);
}

enum rc
route_job_cancel(struct request *rq, struct answer *an, struct err *err)
{
    struct batch_changed batch;
    int64_t id;
    enum rc rc;

    if ((rc = request_id(rq, "id", &id, err)) != RC_OK ||
        (rc = batch_cancel(rq->db, id, &batch, err)) != RC_OK)
        return rc;
    return answer_batch(rq, an, id, &batch, err);
}
