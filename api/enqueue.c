#include "api/enqueue.h"
#include "common/clock.h"
#include "common/log.h"
#include <inttypes.h>
#include <stdio.h>

#define PUSH_REST_US (2 * CLOCK_SECOND)
#define PUSH_SLOW_US (CLOCK_SECOND / 10) /* a refusal comes sooner, and costs nobody anything */

void
wake_scheduler(struct request *rq)
{
    (void)db_run(rq->db, SQL_api_wake_scheduler, DB_NO_ARGS, NULL, NULL); /* it looks by itself before long */
}

/* A Redis that hangs costs one request in two seconds its time, not each: whoever comes first after a rest
 * asks it again. */
static enum rc
try_push(struct request *rq, const struct queue_item *items, size_t n, struct err *err)
{
    atomic_llong *again = &rq->app->push_again_at;
    long long rest = atomic_load(again), now = clock_mono();
    enum rc rc;

    if (rest != 0 && (now < rest || !atomic_compare_exchange_strong(again, &rest, now + PUSH_REST_US)))
        return err_set(err, RC_UNAVAILABLE, "Redis did not answer a moment ago");
    rc = queue_push(rq->cache, items, n, err);
    if (rc != RC_OK && clock_mono() - now > PUSH_SLOW_US)
        atomic_store(again, clock_mono() + PUSH_REST_US);
    else if (rest != 0)
        atomic_store(again, 0);
    return rc;
}

void
push_items(struct request *rq, const struct queue_item *items, size_t n)
{
    struct err err = { 0 };

    if (n == 0 || try_push(rq, items, n, &err) == RC_OK)
        return;
    atomic_fetch_add(&rq->app->counts.push_failed, (long long)n);
    log_warn("job.push_failed", KV_INT("first_job", items[0].job_id), KV_INT("jobs", (int64_t)n),
             KV_ERR(&err));
    wake_scheduler(rq);
}

static enum rc
insert(struct request *rq, const struct job_spec *spec, struct job_enqueued *out, struct err *err)
{
    enum rc rc;

    if ((rc = db_begin(rq->db, err)) != RC_OK)
        return rc;
    if ((rc = job_enqueue(rq->db, spec, 1, out, err)) == RC_OK)
        rc = db_commit(rq->db, err);
    if (rc != RC_OK)
        db_rollback(rq->db);
    return rc;
}

enum rc
enqueue(struct request *rq, struct answer *an, const struct job_spec *spec, const char *integration,
        json_t *extra, struct err *err)
{
    json_auto_t *more = extra;
    struct job_enqueued job;
    json_t *j;
    enum rc rc;

    if ((rc = insert(rq, spec, &job, err)) != RC_OK)
        return rc;
    if (job.queued)
        push_items(rq, &job.item, 1);
    else
        wake_scheduler(rq); /* due later: maybe sooner than what it waits for */
    log_info("job.enqueued", KV_INT("job", job.job_id), KV_STR("kind", spec->kind),
             KV_BOOL("created", job.created), KV_STR("integration", integration));
    (void)snprintf(an->location, sizeof an->location, "/api/v1/jobs/%" PRId64, job.job_id);
    j = json_pack("{s:I, s:b, s:s, s:s*}", "job", (json_int_t)job.job_id, "created", job.created, "kind",
                  spec->kind, "integration", integration);
    if (j != NULL && more != NULL)
        (void)json_object_update(j, more);
    return answer_json(an, 202, j, err);
}
