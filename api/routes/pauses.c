/* api/routes/pauses.c - queues held back and let go, wholly or for one integration. A pause is a row; from
 * its commit on no claim starts a job of it. Its ids are dropped from Redis at once, so that workers do not
 * take them only to be refused; what is enqueued meanwhile is refused one by one. Doing it twice changes
 * nothing. */
#include "api/enqueue.h"
#include "api/find.h"
#include "api/handlers.h"
#include "api/pause.h"
#include <string.h>

enum { REASON_MAX = 200, BY_MAX = 100 };

/* Which part of which queue is meant. */
struct part {
    enum queue_name queue;
    struct integration integration; /* id 0 = all */
};

static struct db_arg
integration_arg(const struct part *p)
{
    return p->integration.id != 0 ? db_i64(p->integration.id) : db_null();
}

static enum rc
read_queue(const struct request *rq, struct part *p, struct err *err)
{
    const char *text = request_path(rq, "queue");
    int queue = queue_by_name(text);

    if (queue < 0)
        return err_set(err, RC_NOT_FOUND, "queue: there is no queue %.60s; there are live, default and bulk",
                       text);
    *p = (struct part){ .queue = (enum queue_name)queue };
    return RC_OK;
}

static enum rc
read_part(struct request *rq, struct part *p, struct err *err)
{
    enum rc rc = read_queue(rq, p, err);

    return rc == RC_OK && body_has(rq, "integration") ? body_integration(rq, &p->integration, err) : rc;
}

static enum rc
show(struct request *rq, struct answer *an, const struct part *p, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(rq->db, SQL_pause_show, DB_ARGS(db_text(queue_names[p->queue]), integration_arg(p)),
                        &res, err);

    return rc == RC_OK ? answer_row(an, 200, res, 0, err) : rc;
}

enum rc
route_queue(struct request *rq, struct answer *an, struct err *err)
{
    const char *text = request_query(rq, "integration");
    struct part part;
    enum rc rc = read_queue(rq, &part, err);

    if (rc == RC_OK && text != NULL)
        rc = find_integration(rq->db, "integration", text, &part.integration, err);
    return rc == RC_OK ? show(rq, an, &part, err) : rc;
}

enum rc
route_queue_pause(struct request *rq, struct answer *an, struct err *err)
{
    const char *reason, *by;
    struct part part;
    enum rc rc;

    if ((rc = body_string_or(rq, "reason", 1, REASON_MAX, NULL, &reason, err)) != RC_OK ||
        (rc = body_string_or(rq, "by", 1, BY_MAX, "api", &by, err)) != RC_OK ||
        (rc = read_part(rq, &part, err)) != RC_OK ||
        (rc = db_run(
             rq->db, SQL_pause_set,
             DB_ARGS(db_text(queue_names[part.queue]), integration_arg(&part), db_text(reason), db_text(by)),
             NULL, err)) != RC_OK)
        return rc;
    pause_drop_ids(rq, part.queue, part.integration.id);
    return show(rq, an, &part, err);
}

enum rc
route_queue_resume(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    struct part part;
    enum rc rc;

    if ((rc = read_part(rq, &part, err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_pause_end, DB_ARGS(db_text(queue_names[part.queue]), integration_arg(&part)),
                     &res, err)) != RC_OK)
        return rc;
    if (dbres_rows(res) > 0 &&
        (rc = pause_push_ids(rq, queue_names[part.queue], part.integration.id, err)) != RC_OK)
        return rc;
    return show(rq, an, &part, err);
}
