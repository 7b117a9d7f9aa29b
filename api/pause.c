#include "api/pause.h"
#include "api/enqueue.h"
#include "common/log.h"
#include <stdlib.h>
#include <string.h>

enum { PUSH_MAX = 100000 };

void
pause_drop_ids(struct request *rq, enum queue_name queue, int64_t integration_id)
{
    struct err err = { 0 };
    enum rc rc = integration_id != 0 ? queue_drop(rq->cache, queue, integration_id, &err)
                                     : queue_drop_all(rq->cache, queue, &err);

    if (rc != RC_OK)
        log_warn("pause.drop_failed", KV_STR("queue", queue_names[queue]),
                 KV_INT("integration", integration_id), KV_ERR(&err));
}

enum rc
pause_push_ids(struct request *rq, const char *queue, int64_t integration_id, struct err *err)
{
    AUTO_FREE struct queue_item *items = NULL;
    AUTO(dbres) res = NULL;
    size_t n = 0;
    enum rc rc = db_run(
        rq->db, SQL_pause_queued,
        DB_ARGS(db_text(queue), integration_id != 0 ? db_i64(integration_id) : db_null(), db_i64(PUSH_MAX)),
        &res, err);

    if (rc != RC_OK || (rc = job_read_items(res, false, &items, &n, err)) != RC_OK)
        return rc;
    push_items(rq, items, n);
    wake_scheduler(rq);
    return RC_OK;
}

json_t *
pause_json(const struct dbres *pauses, const char *queue, int64_t integration_id)
{
    for (int i = 0; i < dbres_rows(pauses); i++)
        if (strcmp(dbres_text(pauses, i, 0), queue) == 0 && dbres_i64(pauses, i, 1) == integration_id)
            return json_loads(dbres_text(pauses, i, 2), 0, NULL);
    return json_null();
}
