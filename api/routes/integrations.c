/* api/routes/integrations.c - help desks: listed, shown, added, paused, resumed. Tokens go in sealed and
 * never come out. Adding a name twice is a 409; pausing or resuming twice changes nothing. */
#include "api/enqueue.h"
#include "api/find.h"
#include "api/handlers.h"
#include "api/pause.h"
#include "api/schedule.h"
#include "api/vendors.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char default_cron[] = "*/15 * * * *";
enum { TOKEN_MAX = 4096, URL_MAX = 500 };

enum rc
route_integrations(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    const char *text = request_query(rq, "organization");
    struct organization of = { .id = 0 };
    struct page page;
    enum rc rc;

    if ((rc = request_page(rq, 0, &page, err)) != RC_OK)
        return rc;
    if (text != NULL && (rc = find_organization(rq->db, "organization", text, &of, err)) != RC_OK)
        return rc;
    rc = db_run(rq->db, SQL_api_integrations,
                DB_ARGS(db_i64(page.cursor), of.id != 0 ? db_i64(of.id) : db_null(), db_i64(page.limit + 1)),
                &res, err);
    return rc == RC_OK ? answer_list(an, res, page.limit, err) : rc;
}

static enum rc
show(struct request *rq, struct answer *an, int status, int64_t id, bool counts, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(rq->db, counts ? SQL_api_integration_counts : SQL_api_integration,
                        DB_ARGS(db_i64(id)), &res, err);

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return err_set(err, RC_NOT_FOUND, "id: there is no integration %" PRId64, id);
    return answer_row(an, status, res, 0, err);
}

enum rc
route_integration(struct request *rq, struct answer *an, struct err *err)
{
    struct integration of;
    bool counts = false;
    enum rc rc;

    if ((rc = request_query_bool(rq, "counts", &counts, err)) != RC_OK ||
        (rc = find_integration(rq->db, "id", request_path(rq, "id"), &of, err)) != RC_OK)
        return rc;
    return show(rq, an, 200, of.id, counts, err);
}

/* What of it runs, and whether that is all there will be: for who waits after a pause. */
enum rc
route_integration_activity(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    struct integration of;
    enum rc rc;

    if ((rc = find_integration(rq->db, "id", request_path(rq, "id"), &of, err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_pause_show_integration, DB_ARGS(db_i64(of.id)), &res, err)) != RC_OK)
        return rc;
    return answer_row(an, 200, res, 0, err);
}

/* What POST integrations was given, checked. */
struct new_integration {
    struct organization organization;
    const char *name, *token, *cron, *timezone;
    const struct vendor *vendor;
    char base_url[URL_MAX + 1];
    json_t *settings; /* borrowed, or NULL */
};

/* A header's value: printable, no spaces. */
static enum rc
read_token(const struct request *rq, const char **out, struct err *err)
{
    enum rc rc = body_string(rq, "token", 1, TOKEN_MAX, out, err);

    if (rc != RC_OK)
        return rc;
    for (const char *p = *out; *p != '\0'; p++)
        if (*p <= ' ' || *p >= 0x7f)
            return err_set(err, RC_INVALID,
                           "token: holds a space, a line break or a character outside ASCII");
    return RC_OK;
}

static enum rc
read_vendor(const struct request *rq, struct new_integration *in, struct err *err)
{
    const char *text;
    enum rc rc;

    if ((rc = body_string(rq, "vendor", 1, 60, &text, err)) != RC_OK ||
        (rc = vendor_find(text, &in->vendor, err)) != RC_OK ||
        (rc = body_string_or(rq, "base_url", 1, URL_MAX, in->vendor->base_url, &text, err)) != RC_OK ||
        (rc = vendor_check_url(rq->app, text, in->base_url, sizeof in->base_url, err)) != RC_OK ||
        (rc = body_object_or_null(rq, "settings", &in->settings, err)) != RC_OK)
        return rc;
    return in->settings != NULL ? vendor_check_settings(in->settings, err) : RC_OK;
}

static enum rc
read_new(struct request *rq, struct new_integration *in, struct err *err)
{
    const char *text;
    enum rc rc;

    if ((rc = body_string(rq, "organization", 1, 64, &text, err)) != RC_OK ||
        (rc = body_slug(rq, "name", &in->name, err)) != RC_OK || (rc = read_vendor(rq, in, err)) != RC_OK ||
        (rc = read_token(rq, &in->token, err)) != RC_OK ||
        (rc = body_string_or(rq, "schedule", 0, 200, default_cron, &in->cron, err)) != RC_OK ||
        (in->cron[0] != '\0' && (rc = check_cron("schedule", in->cron, err)) != RC_OK) ||
        (rc = find_organization(rq->db, "organization", text, &in->organization, err)) != RC_OK ||
        (rc = body_string_or(rq, "timezone", 1, 63, in->organization.timezone, &in->timezone, err)) != RC_OK)
        return rc;
    return check_zone("timezone", in->timezone, err);
}

/* The integration and its schedule, or neither. */
static enum rc
insert(struct request *rq, const struct new_integration *in, const unsigned char *box, size_t box_len,
       int64_t *id, struct err *err)
{
    AUTO_FREE char *settings = in->settings != NULL ? json_text(in->settings) : NULL;
    AUTO(dbres) res = NULL;
    enum rc rc;

    if ((rc = db_begin(rq->db, err)) != RC_OK)
        return rc;
    rc = db_run(rq->db, SQL_api_integration_add,
                DB_ARGS(db_i64(in->organization.id), db_text(in->name), db_text(in->vendor->name),
                        db_text(in->base_url), db_bytea(box, box_len),
                        db_text(settings != NULL ? settings : "{}")),
                &res, err);
    if (rc == RC_CONFLICT)
        return err_set(err, rc, "name: %s has an integration %s already", in->organization.slug, in->name);
    if (rc != RC_OK)
        return rc;
    *id = dbres_i64(res, 0, 0);
    if (in->cron[0] != '\0') {
        const struct schedule s = { .integration_id = *id,
                                    .kind = in->vendor->pull,
                                    .cron = in->cron,
                                    .timezone = in->timezone,
                                    .enabled = true };

        if ((rc = schedule_insert(rq->db, &s, NULL, err)) != RC_OK)
            return rc;
    }
    return db_commit(rq->db, err); /* on any error before, dispatch rolls back */
}

enum rc
route_integration_add(struct request *rq, struct answer *an, struct err *err)
{
    AUTO_FREE unsigned char *box = NULL;
    struct new_integration in = { .name = NULL };
    size_t box_len;
    int64_t id = 0;
    enum rc rc;

    if ((rc = read_new(rq, &in, err)) != RC_OK ||
        (rc = seal_close(&rq->app->key, in.token, strlen(in.token), &box, &box_len, err)) != RC_OK ||
        (rc = insert(rq, &in, box, box_len, &id, err)) != RC_OK)
        return rc;
    wake_scheduler(rq);
    (void)snprintf(an->location, sizeof an->location, "/api/v1/integrations/%" PRId64, id);
    return show(rq, an, 201, id, false, err);
}

static enum rc
set_state(struct request *rq, int64_t id, const char *state, const char *reason, struct err *err)
{
    return db_run(rq->db, SQL_api_integration_set_state, DB_ARGS(db_i64(id), db_text(state), db_text(reason)),
                  NULL, err);
}

enum rc
route_integration_pause(struct request *rq, struct answer *an, struct err *err)
{
    const char *reason;
    struct integration of;
    enum rc rc;

    if ((rc = body_string_or(rq, "reason", 1, 200, NULL, &reason, err)) != RC_OK ||
        (rc = find_integration(rq->db, "id", request_path(rq, "id"), &of, err)) != RC_OK ||
        (rc = set_state(rq, of.id, "paused", reason, err)) != RC_OK)
        return rc;
    for (int q = 0; q < QUEUE_COUNT; q++)
        pause_drop_ids(rq, (enum queue_name)q, of.id);
    return show(rq, an, 200, of.id, false, err);
}

/* The ids of its jobs were dropped when it was paused: they are pushed again. */
enum rc
route_integration_resume(struct request *rq, struct answer *an, struct err *err)
{
    struct integration of;
    enum rc rc;

    if ((rc = find_integration(rq->db, "id", request_path(rq, "id"), &of, err)) != RC_OK ||
        (rc = set_state(rq, of.id, "active", NULL, err)) != RC_OK ||
        (rc = pause_push_ids(rq, NULL, of.id, err)) != RC_OK)
        return rc;
    return show(rq, an, 200, of.id, false, err);
}
