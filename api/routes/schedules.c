/* api/routes/schedules.c - cron schedules. Every change clears a schedule's error and lets the scheduler work
 * its next tick out anew. */
#include "api/enqueue.h"
#include "api/find.h"
#include "api/handlers.h"
#include "api/schedule.h"
#include <inttypes.h>
#include <stdio.h>

static const char misfires[] = "run_once|run_all|skip", overlaps[] = "keep_one|skip";
static const char default_zone[] = "America/New_York";
enum { CRON_MAX = 200, ZONE_MAX = 63, WINDOW_MAX_S = 30 * 86400 };

enum rc
route_schedules(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    struct db_arg integration;
    struct page page;
    enum rc rc;

    if ((rc = request_page(rq, 0, &page, err)) != RC_OK ||
        (rc = query_integration(rq, &integration, err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_api_schedules,
                     DB_ARGS(db_i64(page.cursor), integration, db_i64(page.limit + 1)), &res, err)) != RC_OK)
        return rc;
    return answer_list(an, res, page.limit, err);
}

static enum rc
not_found(int64_t id, struct err *err)
{
    return err_set(err, RC_NOT_FOUND, "id: there is no schedule %" PRId64, id);
}

static enum rc
show(struct request *rq, struct answer *an, int status, int64_t id, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(rq->db, SQL_api_schedule, DB_ARGS(db_i64(id)), &res, err);

    if (rc != RC_OK)
        return rc;
    return dbres_rows(res) > 0 ? answer_row(an, status, res, 0, err) : not_found(id, err);
}

enum rc
route_schedule(struct request *rq, struct answer *an, struct err *err)
{
    int64_t id;
    enum rc rc = request_id(rq, "id", &id, err);

    return rc == RC_OK ? show(rq, an, 200, id, err) : rc;
}

/* Whose it is, and the zone that its owner's days are in. */
static enum rc
read_owner(struct request *rq, struct schedule *s, char zone[static ZONE_MAX + 1], struct err *err)
{
    struct integration integration;
    struct organization organization;
    const char *text;
    enum rc rc;

    (void)snprintf(zone, ZONE_MAX + 1, "%s", default_zone);
    if (body_has(rq, "integration")) {
        if (body_has(rq, "organization"))
            return err_set(err, RC_INVALID, "organization: an integration has one; give only one of the two");
        if ((rc = body_integration(rq, &integration, err)) != RC_OK)
            return rc;
        s->integration_id = integration.id;
        (void)snprintf(zone, ZONE_MAX + 1, "%s", integration.timezone);
    } else if (body_has(rq, "organization")) {
        if ((rc = body_string(rq, "organization", 1, 64, &text, err)) != RC_OK ||
            (rc = find_organization(rq->db, "organization", text, &organization, err)) != RC_OK)
            return rc;
        s->organization_id = organization.id;
        (void)snprintf(zone, ZONE_MAX + 1, "%s", organization.timezone);
    }
    return RC_OK;
}

static enum rc
read_kind(struct request *rq, struct schedule *s, struct err *err)
{
    const struct jobkind *kind;
    json_t *args;
    enum rc rc;

    if ((rc = body_string(rq, "kind", 1, 60, &s->kind, err)) != RC_OK ||
        (rc = body_object_or_null(rq, "args", &args, err)) != RC_OK)
        return rc;
    if ((rc = find_kind("kind", s->kind, &kind, err)) != RC_OK)
        return rc;
    s->args = args;
    return jobkind_check_args(kind, args, s->integration_id, err);
}

/* The fields that POST and PATCH have in common; those not given stay as they are in `s`. */
static enum rc
read_timing(const struct request *rq, struct schedule *s, struct err *err)
{
    enum rc rc;

    if ((rc = body_string_or(rq, "cron", 1, CRON_MAX, s->cron, &s->cron, err)) != RC_OK ||
        (s->cron != NULL && (rc = check_cron("cron", s->cron, err)) != RC_OK) ||
        (rc = body_string_or(rq, "timezone", 1, ZONE_MAX, s->timezone, &s->timezone, err)) != RC_OK ||
        (s->timezone != NULL && (rc = check_zone("timezone", s->timezone, err)) != RC_OK) ||
        (rc = body_choice_or(rq, "misfire", misfires, NULL, &s->misfire, err)) != RC_OK ||
        (rc = body_choice_or(rq, "overlap", overlaps, NULL, &s->overlap, err)) != RC_OK ||
        (rc = body_int_or(rq, "misfire_window_s", 1, WINDOW_MAX_S, 0, &s->misfire_window_s, err)) != RC_OK)
        return rc;
    return body_bool_or(rq, "enabled", true, &s->enabled, err);
}

enum rc
route_schedule_add(struct request *rq, struct answer *an, struct err *err)
{
    char zone[ZONE_MAX + 1];
    struct schedule s = { .timezone = zone };
    int64_t id = 0;
    enum rc rc;

    if ((rc = read_owner(rq, &s, zone, err)) != RC_OK || (rc = read_kind(rq, &s, err)) != RC_OK ||
        (rc = read_timing(rq, &s, err)) != RC_OK)
        return rc;
    if (s.cron == NULL)
        return err_set(err, RC_INVALID, "cron: is required, like \"*/15 * * * *\" or \"@hourly\"");
    if ((rc = schedule_insert(rq->db, &s, &id, err)) != RC_OK)
        return rc;
    wake_scheduler(rq);
    (void)snprintf(an->location, sizeof an->location, "/api/v1/schedules/%" PRId64, id);
    return show(rq, an, 201, id, err);
}

enum rc
route_schedule_set(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    struct schedule s = { .cron = NULL };
    int64_t id;
    enum rc rc;

    if ((rc = request_id(rq, "id", &id, err)) != RC_OK || (rc = read_timing(rq, &s, err)) != RC_OK)
        return rc;
    rc = db_run(rq->db, SQL_api_schedule_set,
                DB_ARGS(db_i64(id), db_text(s.cron), db_text(s.timezone),
                        body_has(rq, "enabled") ? db_bool(s.enabled) : db_null(), db_text(s.misfire),
                        db_text(s.overlap), s.misfire_window_s != 0 ? db_i64(s.misfire_window_s) : db_null()),
                &res, err);
    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return not_found(id, err);
    wake_scheduler(rq);
    return show(rq, an, 200, id, err);
}

enum rc
route_schedule_remove(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    int64_t id;
    enum rc rc;

    if ((rc = request_id(rq, "id", &id, err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_api_schedule_remove, DB_ARGS(db_i64(id)), &res, err)) != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return not_found(id, err);
    an->status = 204;
    return RC_OK;
}
