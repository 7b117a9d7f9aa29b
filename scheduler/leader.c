#include "scheduler/leader.h"
#include "common/clock.h"
#include "common/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

struct leader {
    char holder[160]; /* host:pid:random */
    bool always, leads;
    int64_t term;      /* ours while we lead */
    int64_t renew_at;  /* clock_mono */
    int64_t gone_term; /* the term whose lock was missing at the last beat; -1 = none */
};

void
leader_destroy(struct leader *l)
{
    free(l);
}

enum rc
leader_create(bool always, struct leader **out, struct err *err)
{
    AUTO(leader) l = calloc(1, sizeof *l);
    char host[100] = "?";
    uint32_t salt = 0;

    if (l == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    (void)gethostname(host, sizeof host - 1);
    if (getrandom(&salt, sizeof salt, 0) != (ssize_t)sizeof salt)
        return err_set(err, RC_INTERNAL, "no random bytes to be had");
    (void)snprintf(l->holder, sizeof l->holder, "%s:%d:%08" PRIx32, host, (int)getpid(), salt);
    l->always = l->leads = always;
    l->gone_term = -1;
    *out = TAKE(l);
    return RC_OK;
}

bool
leader_leads(const struct leader *l)
{
    return l->leads;
}

void
leader_reconnected(struct leader *l)
{
    l->renew_at = 0;
}

static enum rc
hold_lock(struct leader *l, struct db *db, struct err *err)
{
    return db_run(db, SQL_leader_lock, DB_ARGS(db_i64(l->term)), NULL, err);
}

/* Whether the leader is gone, and in which term that was. */
static enum rc
is_vacant(struct leader *l, struct db *db, bool *vacant, int64_t *term, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(db, SQL_leader_seen, DB_NO_ARGS, &res, err);
    bool lease, lock;

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0)
        return err_set(err, RC_INTERNAL, "queue_state has no row");
    *term = dbres_i64(res, 0, 0);
    lease = dbres_bool(res, 0, 1);
    lock = dbres_bool(res, 0, 2);
    *vacant = !lease || (!lock && l->gone_term == *term);
    l->gone_term = lock ? -1 : *term;
    return RC_OK;
}

static enum rc
try_take(struct leader *l, struct db *db, struct err *err)
{
    AUTO(dbres) res = NULL;
    int64_t seen = 0;
    bool vacant = false;
    enum rc rc = is_vacant(l, db, &vacant, &seen, err);

    if (rc != RC_OK || !vacant)
        return rc;
    rc = db_run(db, SQL_leader_take, DB_ARGS(db_text(l->holder), db_i64(LEADER_LEASE_MS), db_i64(seen)), &res,
                err);
    if (rc != RC_OK || dbres_rows(res) == 0)
        return rc; /* another standby was faster */
    l->leads = true;
    l->term = dbres_i64(res, 0, 0);
    l->renew_at = clock_mono() + LEADER_RENEW_MS * 1000;
    log_info("scheduler.leads", KV_STR("holder", l->holder), KV_INT("term", l->term));
    return hold_lock(l, db, err);
}

static enum rc
renew(struct leader *l, struct db *db, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(db, SQL_leader_renew,
                        DB_ARGS(db_text(l->holder), db_i64(LEADER_LEASE_MS), db_i64(l->term)), &res, err);

    if (rc != RC_OK)
        return rc;
    if (dbres_rows(res) == 0) {
        l->leads = false;
        log_warn("scheduler.deposed", KV_STR("holder", l->holder), KV_INT("term", l->term));
        return RC_OK;
    }
    l->renew_at = clock_mono() + LEADER_RENEW_MS * 1000;
    return hold_lock(l, db, err);
}

enum rc
leader_beat(struct leader *l, struct db *db, struct err *err)
{
    if (l->always)
        return RC_OK;
    if (!l->leads)
        return try_take(l, db, err);
    return clock_mono() >= l->renew_at ? renew(l, db, err) : RC_OK;
}

void
leader_yield(struct leader *l, struct db *db)
{
    if (l->always || !l->leads)
        return;
    /* if it fails, the standby finds our lock missing */
    (void)db_run(db, SQL_leader_yield, DB_ARGS(db_text(l->holder), db_i64(l->term)), NULL, NULL);
    l->leads = false;
}
