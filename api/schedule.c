#include "api/schedule.h"
#include "common/cron.h"
#include "common/zone.h"

static struct db_arg
id_or_null(int64_t id)
{
    return id != 0 ? db_i64(id) : db_null();
}

enum rc
schedule_insert(struct db *d, const struct schedule *s, int64_t *id, struct err *err)
{
    AUTO_FREE char *args = s->args != NULL ? json_text(s->args) : NULL;
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(d, SQL_api_schedule_add,
                        DB_ARGS(id_or_null(s->integration_id), id_or_null(s->organization_id),
                                db_text(s->kind), db_text(args != NULL ? args : "{}"), db_text(s->cron),
                                db_text(s->timezone), db_text(s->misfire), db_text(s->overlap),
                                db_bool(s->enabled), id_or_null(s->misfire_window_s)),
                        &res, err);

    if (rc == RC_OK && id != NULL)
        *id = dbres_i64(res, 0, 0);
    return rc;
}

enum rc
check_cron(const char *field, const char *text, struct err *err)
{
    struct cron cron;

    return cron_parse(text, &cron, err) == RC_OK ? RC_OK : field_wrap(field, err);
}

enum rc
check_zone(const char *field, const char *text, struct err *err)
{
    const struct zone *zone;

    return zone_find(text, &zone, err) == RC_OK ? RC_OK : field_wrap(field, err);
}
