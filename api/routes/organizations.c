/* api/routes/organizations.c - tenants. A slug that is taken is a 409. */
#include "api/find.h"
#include "api/handlers.h"
#include "api/schedule.h"

static const char default_zone[] = "America/New_York";

enum rc
route_organizations(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    struct page page;
    enum rc rc;

    if ((rc = request_page(rq, 0, &page, err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_api_organizations, DB_ARGS(db_i64(page.cursor), db_i64(page.limit + 1)),
                     &res, err)) != RC_OK)
        return rc;
    return answer_list(an, res, page.limit, err);
}

static enum rc
read_fields(const struct request *rq, const char **slug, const char **name, const char **zone,
            struct err *err)
{
    enum rc rc;

    if ((rc = body_slug(rq, "slug", slug, err)) != RC_OK ||
        (rc = body_string_or(rq, "name", 1, 200, *slug, name, err)) != RC_OK ||
        (rc = body_string_or(rq, "timezone", 1, 63, default_zone, zone, err)) != RC_OK)
        return rc;
    return check_zone("timezone", *zone, err);
}

enum rc
route_organization_add(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) added = NULL;
    AUTO(dbres) row = NULL;
    const char *slug, *name, *zone;
    enum rc rc;

    if ((rc = read_fields(rq, &slug, &name, &zone, err)) != RC_OK)
        return rc;
    rc = db_run(rq->db, SQL_api_organization_add, DB_ARGS(db_text(slug), db_text(name), db_text(zone)),
                &added, err);
    if (rc == RC_CONFLICT)
        return err_set(err, RC_CONFLICT, "slug: there is an organization %s already", slug);
    if (rc != RC_OK || (rc = db_run(rq->db, SQL_api_organization, DB_ARGS(db_i64(dbres_i64(added, 0, 0))),
                                    &row, err)) != RC_OK)
        return rc;
    return answer_row(an, 201, row, 0, err);
}
