/* api/routes/pulls.c - bring issues: what changed, or a span of history. A pull that waits already is
 * answered with its id. */
#include "api/enqueue.h"
#include "api/find.h"
#include "api/handlers.h"
#include "common/clock.h"
#include <string.h>

/* Of the integration to be pulled; one that is not active would only let the job wait, so the caller is told.
 */
static enum rc
active_integration(struct request *rq, struct integration *out, struct err *err)
{
    enum rc rc = body_integration(rq, out, err);

    if (rc != RC_OK)
        return rc;
    if (strcmp(out->state, "active") != 0)
        return err_set(err, RC_CONFLICT, "integration: %s is %s%s%s; resume it first", out->name, out->state,
                       out->reason[0] != '\0' ? ": " : "", out->reason);
    return RC_OK;
}

enum rc
route_pull(struct request *rq, struct answer *an, struct err *err)
{
    json_auto_t *args = json_object();
    struct integration of;
    bool full;
    enum rc rc;

    if ((rc = body_bool_or(rq, "full", false, &full, err)) != RC_OK ||
        (rc = active_integration(rq, &of, err)) != RC_OK)
        return rc;
    if (full)
        (void)json_object_set_new(args, "full", json_true());
    return enqueue(
        rq, an,
        &(struct job_spec){ .kind = "issue_pull", .args = args, .integration_id = of.id, .origin = "api" },
        of.name, NULL, err);
}

/* from and to; *from is DB_NO_TIME where it is left out. The end is never later than now. */
static enum rc
read_span(const struct request *rq, int64_t *from, int64_t *to, struct err *err)
{
    int64_t now = clock_now() / CLOCK_SECOND * CLOCK_SECOND;
    enum rc rc;

    if ((rc = body_time_or(rq, "from", DB_NO_TIME, from, err)) != RC_OK ||
        (rc = body_time_or(rq, "to", now, to, err)) != RC_OK)
        return rc;
    if (*to > now)
        *to = now;
    if (*from >= *to)
        return err_set(err, RC_INVALID, "from: must be before `to`, and both in the past");
    return RC_OK;
}

enum rc
route_backfill(struct request *rq, struct answer *an, struct err *err)
{
    json_auto_t *args = json_object();
    char from_text[CLOCK_TEXT], to_text[CLOCK_TEXT];
    struct integration of;
    int64_t from, to;
    enum rc rc;

    if ((rc = read_span(rq, &from, &to, err)) != RC_OK || (rc = active_integration(rq, &of, err)) != RC_OK)
        return rc;
    if (from != DB_NO_TIME)
        (void)json_object_set_new(args, "from", json_string(clock_format(from, from_text)));
    (void)json_object_set_new(args, "to", json_string(clock_format(to, to_text)));
    return enqueue(rq, an,
                   &(struct job_spec){
                       .kind = "issue_backfill", .args = args, .integration_id = of.id, .origin = "api" },
                   of.name, json_incref(args), err);
}
