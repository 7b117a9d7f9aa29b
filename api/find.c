#include "api/find.h"
#include "common/buf.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The id that `text` is, or a null. */
static struct db_arg
as_id(const char *text)
{
    size_t n = strspn(text, "0123456789");

    return n > 0 && n < 19 && text[n] == '\0' ? db_i64(strtoll(text, NULL, 10)) : db_null();
}

enum rc
find_organization(struct db *d, const char *field, const char *text, struct organization *out,
                  struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(d, SQL_api_organization_find, DB_ARGS(as_id(text), db_text(text)), &res, err);

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return err_set(err, RC_NOT_FOUND, "%s: there is no organization %s", field, text);
    out->id = dbres_i64(res, 0, 0);
    (void)snprintf(out->slug, sizeof out->slug, "%s", dbres_text(res, 0, 1));
    (void)snprintf(out->timezone, sizeof out->timezone, "%s", dbres_text(res, 0, 2));
    return RC_OK;
}

static enum rc
ambiguous(const struct dbres *res, const char *field, const char *text, struct err *err)
{
    struct buf names;
    enum rc rc;

    buf_init(&names, 2048);
    for (int i = 0; i < dbres_rows(res); i++)
        buf_printf(&names, "%s%s", i > 0 ? ", " : "", dbres_text(res, i, 1));
    rc = err_set(err, RC_INVALID, "%s: %s could be any of %s; give the organization too", field, text,
                 names.data != NULL ? names.data : "several");
    buf_fini(&names);
    return rc;
}

enum rc
find_integration(struct db *d, const char *field, const char *text, struct integration *out, struct err *err)
{
    AUTO(dbres) res = NULL;
    const char *slash = strchr(text, '/');
    struct db_arg id = as_id(text);
    struct db_arg org = slash != NULL ? db_textn(text, (size_t)(slash - text)) : db_null();
    struct db_arg name = id.type != DB_NULL ? db_null() : db_text(slash != NULL ? slash + 1 : text);
    enum rc rc = db_run(d, SQL_api_integration_find, DB_ARGS(id, org, name), &res, err);

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return err_set(err, RC_NOT_FOUND,
                       "%s: there is no integration %s; GET /api/v1/integrations lists them", field, text);
    if (dbres_rows(res) > 1)
        return ambiguous(res, field, text, err);
    out->id = dbres_i64(res, 0, 0);
    (void)snprintf(out->name, sizeof out->name, "%s", dbres_text(res, 0, 1));
    (void)snprintf(out->state, sizeof out->state, "%s", dbres_text(res, 0, 2));
    (void)snprintf(out->reason, sizeof out->reason, "%s", dbres_text(res, 0, 3));
    out->organization_id = dbres_i64(res, 0, 4);
    (void)snprintf(out->timezone, sizeof out->timezone, "%s", dbres_text(res, 0, 5));
    return RC_OK;
}

enum rc
find_kind(const char *field, const char *name, const struct jobkind **out, struct err *err)
{
    char known[256] = "";

    if ((*out = jobkind_find(name)) != NULL)
        return RC_OK;
    for (const struct jobkind *k = jobkinds; k->name != NULL; k++) {
        size_t n = strlen(known);

        (void)snprintf(known + n, sizeof known - n, "%s%s", n > 0 ? ", " : "", k->name);
    }
    return err_set(err, RC_INVALID, "%s: there is no kind %.60s; there are %s", field, name, known);
}

enum rc
body_integration(struct request *rq, struct integration *out, struct err *err)
{
    const json_t *v = json_object_get(rq->body, "integration");
    const char *text;
    char digits[32];
    enum rc rc;

    if (json_is_integer(v)) {
        (void)snprintf(digits, sizeof digits, "%" PRId64, (int64_t)json_integer_value(v));
        return find_integration(rq->db, "integration", digits, out, err);
    }
    if ((rc = body_string(rq, "integration", 1, 200, &text, err)) != RC_OK)
        return rc;
    return find_integration(rq->db, "integration", text, out, err);
}

enum rc
query_integration(struct request *rq, struct db_arg *out, struct err *err)
{
    const char *text = request_query(rq, "integration");
    struct integration found = { .id = 0 };
    enum rc rc;

    *out = db_null();
    if (text == NULL)
        return RC_OK;
    if ((rc = find_integration(rq->db, "integration", text, &found, err)) != RC_OK)
        return rc;
    *out = db_i64(found.id);
    return RC_OK;
}
