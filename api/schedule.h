/* api/schedule.h
 * schedule - rows of the schedules table that the api makes, and the checks of what is in them.
 */
#ifndef DESKMILL_API_SCHEDULE_H
#define DESKMILL_API_SCHEDULE_H

#include "api/request.h"

struct schedule {
    int64_t integration_id, organization_id; /* 0 = none */
    const char *kind;
    const json_t *args; /* borrowed; NULL = {} */
    const char *cron, *timezone;
    const char *misfire, *overlap; /* NULL = the table's default */
    int64_t misfire_window_s;      /* 0 = the table's default */
    bool enabled;
};
/* Within the caller's transaction if one is open; `id` may be NULL. */
enum rc schedule_insert(struct db *d, const struct schedule *s, int64_t *id, struct err *err);

/* Errors are about `field`. */
enum rc check_cron(const char *field, const char *text, struct err *err);
enum rc check_zone(const char *field, const char *text, struct err *err);

#endif
