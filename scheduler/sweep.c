#include "scheduler/sweep.h"
#include "common/log.h"
#include "scheduler/due.h"
#include <stdlib.h>

enum { BATCH = 1000, WORKERS_BATCH = 20, TABLES = 5 };

struct sweep {
    struct table {
        const char *name;
        enum sql_id sql;
        int64_t days; /* 0 = for ever */
        int64_t batch, deleted;
    } tables[TABLES];
    size_t at;
};

void
sweep_destroy(struct sweep *s)
{
    free(s);
}

enum rc
sweep_create(const struct conf *conf, struct sweep **out, struct err *err)
{
    int64_t done = conf_int(conf, "keep-done-days"), dead = conf_int(conf, "keep-dead-days");
    struct sweep *s = calloc(1, sizeof *s);

    if (s == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    if (dead > 0 && (done == 0 || dead < done))
        dead = done; /* a family's members go together: the dead never before the done */
    *s = (struct sweep){ .tables = {
                             { "ticks", SQL_sweep_ticks, DUE_WINDOW / CLOCK_DAY + 1, BATCH, 0 },
                             { "jobs", SQL_sweep_done, done, BATCH, 0 },
                             { "dead_jobs", SQL_sweep_dead, dead, BATCH, 0 },
                             { "sync_log", SQL_sweep_log, conf_int(conf, "keep-log-days"), BATCH, 0 },
                             { "workers", SQL_sweep_workers, 1, WORKERS_BATCH, 0 },
                         } };
    *out = s;
    return RC_OK;
}

static void
log_and_begin_anew(struct sweep *s)
{
    int64_t all = 0;

    for (size_t i = 0; i < TABLES; i++)
        all += s->tables[i].deleted;
    if (all > 0)
        log_info(
            "sweep.done", KV_INT(s->tables[0].name, s->tables[0].deleted),
            KV_INT(s->tables[1].name, s->tables[1].deleted), KV_INT(s->tables[2].name, s->tables[2].deleted),
            KV_INT(s->tables[3].name, s->tables[3].deleted), KV_INT(s->tables[4].name, s->tables[4].deleted));
    for (size_t i = 0; i < TABLES; i++)
        s->tables[i].deleted = 0;
    s->at = 0;
}

enum rc
sweep_step(struct sweep *s, struct db *db, bool *done, struct err *err)
{
    struct table *t = &s->tables[s->at];
    int64_t gone = 0;

    if (t->days > 0) {
        AUTO(dbres) res = NULL;
        enum rc rc = db_run(db, t->sql, DB_ARGS(db_i64(t->days), db_i64(t->batch)), &res, err);

        if (rc != RC_OK) {
            s->at = (s->at + 1) % TABLES; /* the others are not to wait for this one */
            return err_wrap(err, "%s", t->name);
        }
        gone = dbres_affected(res);
        t->deleted += gone;
    }
    if (gone < t->batch)
        s->at++;
    *done = s->at == TABLES;
    if (*done)
        log_and_begin_anew(s);
    return RC_OK;
}
