#include "scheduler/sweep.h"
#include "common/log.h"
#include "scheduler/due.h"
#include <stdlib.h>

enum {
    BATCH = 1000,
    WORKERS_BATCH = 20,
    PASS_SHARE =
        20, /* a pass may take a twentieth of the time: what is kept for ever is walked over each time */
    INDEX_BYTES = 100, /* a row's entries in its table's indexes, more or less */
    POINTER_BYTES = 4, /* a row's place in its page */
    FRESH_S = 60,      /* by bytes, too, whoever watches a job sees it end */
};
#define FOR_EVER INT64_MAX
#define MB       (1024 * 1024)
#define DAY_S    (CLOCK_DAY / CLOCK_SECOND)

struct chore {
    const char *name;
    enum rc (*step)(struct chore *c, struct db *db, bool *done, struct err *err);
    enum sql_id sql, size; /* size: of a bound in bytes */
    int64_t batch;
    int64_t keep[3];   /* seconds; of a walk over jobs: done, cancelled, dead */
    int64_t max_bytes; /* 0 = no bound */

    int64_t after;   /* the last id walked over */
    int64_t to_free; /* bytes of this pass */
    bool measured, dead_too;
    bool told;       /* that it is too large and nothing can go */
    int64_t in_walk; /* rows deleted since `after` was 0 */
    int64_t deleted; /* rows deleted in this pass */
};

enum chore_id { TICKS, JOBS, JOBS_BYTES, LOG, LOG_BYTES, WORKERS, CHORES };

struct sweep {
    int64_t sweep_us;
    int64_t busy; /* microseconds of this pass */
    struct chore chores[CHORES];
    size_t at;
};

void
sweep_destroy(struct sweep *s)
{
    free(s);
}

/* ---- by age, through an index on it ---- */

static enum rc
step_oldest(struct chore *c, struct db *db, bool *done, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc;

    *done = true;
    if (c->keep[0] == FOR_EVER)
        return RC_OK;
    if ((rc = db_run(db, c->sql, DB_ARGS(db_i64(c->keep[0]), db_i64(c->batch)), &res, err)) != RC_OK)
        return rc;
    c->deleted += dbres_affected(res);
    *done = dbres_affected(res) < c->batch;
    return RC_OK;
}

/* ---- a walk from the oldest on ---- */

struct stretch {
    int64_t rows, youngest_s, deleted, bytes;
};

static struct db_arg
seconds(int64_t keep)
{
    return keep == FOR_EVER ? db_null() : db_i64(keep);
}

static enum rc
walk(struct chore *c, struct db *db, const int64_t keep[static 3], struct stretch *out, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(
        db, c->sql,
        DB_ARGS(db_i64(c->after), db_i64(c->batch), seconds(keep[0]), seconds(keep[1]), seconds(keep[2])),
        &res, err);

    if (rc != RC_OK)
        return rc;
    if (!dbres_null(res, 0, 0))
        c->after = dbres_i64(res, 0, 0);
    *out = (struct stretch){ .rows = dbres_i64(res, 0, 1),
                             .youngest_s = dbres_i64(res, 0, 2),
                             .deleted = dbres_i64(res, 0, 3),
                             .bytes = dbres_i64(res, 0, 4) };
    c->deleted += out->deleted;
    c->in_walk += out->deleted;
    return RC_OK;
}

static int64_t
shortest(const int64_t keep[static 3])
{
    int64_t least = FOR_EVER;

    for (int i = 0; i < 3; i++)
        if (keep[i] < least)
            least = keep[i];
    return least;
}

/* Finished jobs by age. What was made after the shortest age began cannot have ended before it: there the
 * walk ends, however long the table. */
static enum rc
step_aged_jobs(struct chore *c, struct db *db, bool *done, struct err *err)
{
    int64_t least = shortest(c->keep);
    struct stretch s;
    enum rc rc;

    *done = true;
    if (least == FOR_EVER)
        return RC_OK;
    if ((rc = walk(c, db, c->keep, &s, err)) != RC_OK)
        return rc;
    *done = s.rows < c->batch || s.youngest_s < least;
    return RC_OK;
}

/* ---- by bytes ---- */

/* How much is to go. What is alive is counted by the statistics, which are told of each batch as it is
 * committed: a surplus is not deleted twice. */
static enum rc
measure(struct chore *c, struct db *db, struct err *err)
{
    AUTO(dbres) res = NULL;
    int64_t on_disk, alive;
    enum rc rc = db_run(db, c->size, DB_NO_ARGS, &res, err);

    if (rc != RC_OK || dbres_rows(res) == 0)
        return rc;
    on_disk = dbres_i64(res, 0, 0);
    alive = dbres_i64(res, 0, 1) * (dbres_i64(res, 0, 2) + POINTER_BYTES + INDEX_BYTES);
    if (alive > on_disk)
        alive = on_disk;
    c->measured = true;
    c->to_free = alive > c->max_bytes ? alive - c->max_bytes / 10 * 9 : 0;
    if (c->to_free == 0)
        c->told = false;
    return RC_OK;
}

/* Too much is still there. Again from the start while that brings something (parents whose children have
 * gone), then with the dead ones too. True: nothing more can go. */
static bool
end_of_walk(struct chore *c)
{
    bool again = c->in_walk > 0 || !c->dead_too;

    if (c->in_walk == 0)
        c->dead_too = true;
    c->after = c->in_walk = 0;
    if (!again && !c->told) {
        log_warn("sweep.too_large", KV_STR("table", c->name), KV_INT("surplus", c->to_free),
                 KV_STR("why", "nothing that has ended is left to delete"));
        c->told = true;
    }
    return !again;
}

static enum rc
step_bytes(struct chore *c, struct db *db, bool *done, struct err *err)
{
    const int64_t keep[3] = { FRESH_S, FRESH_S, c->dead_too ? FRESH_S : FOR_EVER };
    struct stretch s;
    enum rc rc;

    *done = true;
    if (c->max_bytes == 0)
        return RC_OK;
    if (!c->measured && (rc = measure(c, db, err)) != RC_OK)
        return rc;
    if (c->to_free <= 0)
        return RC_OK;
    if ((rc = walk(c, db, keep, &s, err)) != RC_OK)
        return rc;
    c->to_free -= s.bytes + s.deleted * (POINTER_BYTES + INDEX_BYTES);
    if (c->to_free > 0)
        *done = (s.rows < c->batch || s.youngest_s < FRESH_S) && end_of_walk(c);
    return RC_OK;
}

/* ---- all of it ---- */

static int64_t
days(const struct conf *conf, const char *option)
{
    int64_t n = conf_int(conf, option);

    return n == 0 ? FOR_EVER : n * DAY_S;
}

enum rc
sweep_create(const struct conf *conf, struct sweep **out, struct err *err)
{
    struct sweep *s = calloc(1, sizeof *s);

    if (s == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    s->sweep_us = conf_int(conf, "sweep-ms") * 1000;
    s->chores[TICKS] = (struct chore){ .name = "ticks",
                                       .step = step_oldest,
                                       .sql = SQL_sweep_ticks,
                                       .batch = BATCH,
                                       .keep = { DUE_WINDOW / CLOCK_SECOND + DAY_S } };
    s->chores[JOBS] =
        (struct chore){ .name = "jobs", .step = step_aged_jobs, .sql = SQL_sweep_jobs, .batch = BATCH };
    s->chores[JOBS].keep[0] = days(conf, "keep-done-days");
    s->chores[JOBS].keep[1] = days(conf, "keep-cancelled-days");
    s->chores[JOBS].keep[2] = days(conf, "keep-dead-days");
    s->chores[JOBS_BYTES] = (struct chore){ .name = "jobs",
                                            .step = step_bytes,
                                            .sql = SQL_sweep_jobs,
                                            .size = SQL_sweep_jobs_size,
                                            .batch = BATCH,
                                            .max_bytes = conf_int(conf, "jobs-max-mb") * MB };
    s->chores[LOG] = (struct chore){ .name = "sync_log",
                                     .step = step_oldest,
                                     .sql = SQL_sweep_log,
                                     .batch = BATCH,
                                     .keep = { days(conf, "keep-log-days") } };
    s->chores[LOG_BYTES] = (struct chore){ .name = "sync_log",
                                           .step = step_bytes,
                                           .sql = SQL_sweep_log_walk,
                                           .size = SQL_sweep_log_size,
                                           .batch = BATCH,
                                           .max_bytes = conf_int(conf, "log-max-mb") * MB };
    s->chores[WORKERS] = (struct chore){ .name = "workers",
                                         .step = step_oldest,
                                         .sql = SQL_sweep_workers,
                                         .batch = WORKERS_BATCH,
                                         .keep = { DAY_S } };
    *out = s;
    return RC_OK;
}

static void
log_pass(const struct sweep *s)
{
    int64_t all = 0;

    for (size_t i = 0; i < CHORES; i++)
        all += s->chores[i].deleted;
    if (all > 0)
        log_info("sweep.done", KV_INT("ticks", s->chores[TICKS].deleted),
                 KV_INT("jobs", s->chores[JOBS].deleted), KV_INT("jobs_bytes", s->chores[JOBS_BYTES].deleted),
                 KV_INT("sync_log", s->chores[LOG].deleted),
                 KV_INT("sync_log_bytes", s->chores[LOG_BYTES].deleted),
                 KV_INT("workers", s->chores[WORKERS].deleted), KV_INT("ms", s->busy / 1000));
}

static void
begin_anew(struct sweep *s)
{
    for (size_t i = 0; i < CHORES; i++) {
        struct chore *c = &s->chores[i];

        c->after = c->in_walk = c->deleted = 0;
        c->measured = c->dead_too = false;
    }
    s->at = 0;
    s->busy = 0;
}

enum rc
sweep_step(struct sweep *s, struct db *db, int64_t *wait, struct err *err)
{
    struct chore *c = &s->chores[s->at];
    int64_t began = clock_mono();
    bool done = true;
    enum rc rc = c->step(c, db, &done, err);

    s->busy += clock_mono() - began;
    if (rc != RC_OK)
        (void)err_wrap(err, "%s", c->name);
    if (rc != RC_OK || done)
        s->at++; /* after a failure too: the others are not to wait for this one */
    *wait = 0;
    if (s->at < CHORES)
        return rc;
    log_pass(s);
    *wait = s->busy * PASS_SHARE > s->sweep_us ? s->busy * PASS_SHARE : s->sweep_us;
    begin_anew(s);
    return rc;
}
