#include "scheduler/signals.h"
#include "common/log.h"
#include "common/queue.h"
#include <stdlib.h>
#include <string.h>

enum { SLOW_MAX = 200 };
enum slow_column { SLOW_ID, SLOW_EPOCH, SLOW_KIND, SLOW_INTEGRATION, SLOW_WORKER, SLOW_S, SLOW_USUAL };

struct signals {
    int64_t stuck_s;
    bool stuck[QUEUE_COUNT];
    struct attempt {
        int64_t job, epoch;
    } slow[SLOW_MAX]; /* at the last look */
    size_t slow_n;
    int64_t waits_after; /* the last row of kind_waits that was looked at */
};

void
signals_destroy(struct signals *s)
{
    free(s);
}

enum rc
signals_create(const struct conf *conf, struct signals **out, struct err *err)
{
    struct signals *s = calloc(1, sizeof *s);

    if (s == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    s->stuck_s = conf_int(conf, "stuck-s");
    *out = s;
    return RC_OK;
}

static bool
was_slow(const struct signals *s, const struct attempt *a)
{
    for (size_t i = 0; i < s->slow_n; i++)
        if (s->slow[i].job == a->job && s->slow[i].epoch == a->epoch)
            return true;
    return false;
}

static void
log_slow(const struct dbres *res, int row)
{
    bool usual = !dbres_null(res, row, SLOW_USUAL);

    log_warn("job.slow", KV_INT("job", dbres_i64(res, row, SLOW_ID)),
             KV_STR("kind", dbres_text(res, row, SLOW_KIND)),
             KV_INT("epoch", dbres_i64(res, row, SLOW_EPOCH)),
             KV_INT("integration", dbres_i64(res, row, SLOW_INTEGRATION)),
             KV_INT("worker", dbres_i64(res, row, SLOW_WORKER)), KV_INT("s", dbres_i64(res, row, SLOW_S)),
             KV_STR("usual_s", usual ? dbres_text(res, row, SLOW_USUAL) : NULL));
}

static enum rc
look_for_slow(struct signals *s, struct db *db, struct err *err)
{
    struct attempt now[SLOW_MAX];
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(db, SQL_signal_slow, DB_ARGS(db_i64(SLOW_MAX)), &res, err);

    if (rc != RC_OK)
        return err_wrap(err, "slow jobs");
    for (int row = 0; row < dbres_rows(res); row++) {
        now[row] = (struct attempt){ dbres_i64(res, row, SLOW_ID), dbres_i64(res, row, SLOW_EPOCH) };
        if (!was_slow(s, &now[row]))
            log_slow(res, row);
    }
    s->slow_n = (size_t)dbres_rows(res);
    memcpy(s->slow, now, s->slow_n * sizeof *now);
    return RC_OK;
}

static enum rc
look_for_stuck(struct signals *s, struct db *db, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(db, SQL_signal_stuck, DB_ARGS(db_i64(s->stuck_s)), &res, err);

    if (rc != RC_OK)
        return err_wrap(err, "stuck queues");
    for (int row = 0; row < dbres_rows(res); row++) {
        const char *name = dbres_text(res, row, 0);
        bool stuck = dbres_bool(res, row, 1);
        int q = queue_by_name(name);

        if (q < 0 || s->stuck[q] == stuck)
            continue;
        s->stuck[q] = stuck;
        if (stuck)
            log_warn("queue.stuck", KV_STR("queue", name), KV_INT("s", s->stuck_s));
        else
            log_info("queue.unstuck", KV_STR("queue", name));
    }
    return RC_OK;
}

static enum rc
forget_waits(struct signals *s, struct db *db, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(db, SQL_kind_forget, DB_ARGS(db_i64(s->waits_after)), &res, err);

    if (rc != RC_OK)
        return err_wrap(err, "kinds");
    s->waits_after = dbres_i64(res, 0, 0); /* null at the end: from the start again */
    return RC_OK;
}

enum rc
signals_look(struct signals *s, struct db *db, struct err *err)
{
    enum rc rc = look_for_slow(s, db, err);

    if (rc == RC_OK)
        rc = look_for_stuck(s, db, err);
    return rc == RC_OK ? forget_waits(s, db, err) : rc;
}
