#include "worker/integration.h"
#include "common/json.h"
#include "common/seal.h"
#include <string.h>

#define LIMIT_MOST 1000000
#define DAY_S      INT64_C(86400)

void
integration_destroy(struct integration *in)
{
    if (in == NULL)
        return;
    seal_free(in->token, in->token_len);
    free(in->base_url);
    free(in);
}

/* settings.limits: {class: calls per minute}, 0 = no limit. What a person states is not learned away upwards.
 */
static enum rc
apply_limits(struct integration *in, const json_t *limits, struct err *err)
{
    const struct connector *k = in->connector;
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)limits, name, value)
    {
        int i = 0;

        while (i < k->nclasses && strcmp(k->classes[i].name, name) != 0)
            i++;
        if (i == k->nclasses)
            return err_set(err, RC_INVALID, "settings.limits.%.40s: %s has no such class of calls", name,
                           k->name);
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) > LIMIT_MOST)
            return err_set(err, RC_INVALID, "settings.limits.%s: expected calls per minute, 0 (none) to %d",
                           name, LIMIT_MOST);
        in->classes[i].limit = in->classes[i].limit_max = (int)json_integer_value(value);
    }
    return RC_OK;
}

static enum rc
setting(const json_t *s, const char *name, int64_t min, int64_t max, int64_t by_default, int64_t *out,
        struct err *err)
{
    enum rc rc = json_get_int(s, name, min, max, out, err);

    if (rc == RC_NOT_FOUND) {
        *out = by_default;
        return RC_OK;
    }
    return rc == RC_OK ? RC_OK : err_wrap(err, "settings");
}

static enum rc
apply_settings(struct integration *in, const char *text, struct err *err)
{
    const struct connector *k = in->connector;
    json_auto_t *s = NULL;
    int64_t page_size, settle_s;
    enum rc rc;

    if (json_parse_object(text, strlen(text), &s, err) != RC_OK)
        return err_wrap(err, "settings");
    if ((rc = setting(s, "page_size", 1, k->page_size_max, k->page_size, &page_size, err)) != RC_OK ||
        (rc = setting(s, "lookback_s", 0, 7 * DAY_S, 300, &in->lookback_s, err)) != RC_OK ||
        (rc = setting(s, "settle_s", 0, DAY_S, 5, &settle_s, err)) != RC_OK ||
        (rc = setting(s, "directory_refresh_s", 60, 365 * DAY_S, DAY_S / 4, &in->directory_refresh_s, err)) !=
            RC_OK)
        return rc;
    in->page_size = (int)page_size;
    if (in->lookback_s < settle_s) /* what settles late is found again by looking back */
        in->lookback_s = settle_s;
    in->history_from = DB_NO_TIME;
    rc = json_get_time(s, "history_from", &in->history_from, err);
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return err_wrap(err, "settings");
    memcpy(in->classes, k->classes, (size_t)k->nclasses * sizeof in->classes[0]);
    return apply_limits(in, json_object_get(s, "limits"), err);
}

static enum rc
open_token(struct integration *in, const struct conf *conf, const struct dbres *r, struct err *err)
{
    AUTO_FREE unsigned char *box = NULL;
    struct seal_key key;
    size_t len = 0;
    enum rc rc;

    if (seal_key_load(conf_str(conf, "key"), &key, err) != RC_OK)
        return err_wrap(err, "option key");
    if ((rc = dbres_bytea(r, 0, 2, &box, &len, err)) == RC_OK)
        rc = seal_open(&key, box, len, &in->token, &in->token_len, err);
    explicit_bzero(&key, sizeof key);
    return rc == RC_OK ? RC_OK : err_wrap(err, "credentials of integration %lld", (long long)in->id);
}

enum rc
integration_load(struct db *d, const struct conf *conf, int64_t id, struct integration **out, struct err *err)
{
    AUTO(integration) in = calloc(1, sizeof *in);
    AUTO(dbres) r = NULL;
    const char *state;
    size_t n;
    enum rc rc;

    if (in == NULL)
        return err_set(err, RC_INTERNAL, "no memory for an integration");
    if ((rc = db_run(d, SQL_integration_load, DB_ARGS(db_i64(id)), &r, err)) != RC_OK)
        return rc;
    if (dbres_rows(r) == 0)
        return err_set(err, RC_NOT_FOUND, "there is no integration %lld", (long long)id);
    state = dbres_text(r, 0, 4);
    if (strcmp(state, "active") != 0)
        return err_set(err, RC_UNAVAILABLE, "integration %lld is %s%s%s", (long long)id, state,
                       dbres_null(r, 0, 5) ? "" : ": ", dbres_text(r, 0, 5));
    in->id = id;
    if ((in->connector = connector_find(dbres_text(r, 0, 0))) == NULL)
        return err_set(err, RC_INVALID, "this worker does not know the vendor %s", dbres_text(r, 0, 0));
    if ((in->base_url = strdup(dbres_text(r, 0, 1))) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for an integration");
    for (n = strlen(in->base_url); n > 0 && in->base_url[n - 1] == '/'; n--)
        in->base_url[n - 1] = '\0';
    if ((rc = apply_settings(in, dbres_text(r, 0, 3), err)) != RC_OK ||
        (rc = open_token(in, conf, r, err)) != RC_OK)
        return rc;
    *out = TAKE(in);
    return RC_OK;
}
