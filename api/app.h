/* api/app.h
 * app - what every request may use: the options, the sealing key, and sessions to Postgres and Redis.
 *
 * A session is lent to one request at a time. There are as many as the server has threads, so taking one
 * never waits in practice; each connects when it is first used and reconnects by itself.
 *
 * Threads: everything here may be called from any thread; a session belongs to the request that took it.
 */
#ifndef DESKMILL_API_APP_H
#define DESKMILL_API_APP_H

#include "common/auto.h"
#include "common/cache.h"
#include "common/conf.h"
#include "common/db.h"
#include "common/seal.h"
#include <stdatomic.h>
#include <stdint.h>

extern const struct conf_option app_options[];
extern const char app_about[];

struct session {
    struct db *db;
    struct cache *cache;
    struct session *next;
};

/* What this process has answered, for /metrics. */
struct app_counts {
    atomic_llong by_class[6]; /* requests by the first digit of their status */
    atomic_llong bytes_out;
    atomic_llong push_failed; /* jobs committed whose push to Redis failed: the scheduler finds them */
};

struct app {
    const struct conf *conf; /* borrowed */
    struct seal_key key;
    struct app_counts counts;
    int64_t started;            /* microseconds since 1970 */
    atomic_llong push_again_at; /* clock_mono: Redis did not answer, and is left alone until then */
    struct pool *pool;
};
void app_destroy(struct app *a);
AUTO_DEFINE(app)
/* Checks what the options alone can tell; connects to nothing. */
enum rc app_create(const struct conf *conf, struct app **out, struct err *err);

/* Refuses an old or changed schema, and a Postgres that does not answer. */
enum rc app_check(struct app *a, struct err *err);

struct session *app_take(struct app *a);
void app_give(struct app *a, struct session **s);

#endif
