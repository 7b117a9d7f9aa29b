/* worker/worker.c - the parent's life: check, register, beat, drain, end. */
#include "worker/worker.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/migrate.h"
#include "common/pulse.h"
#include "common/seal.h"
#include "worker/wire.h"
#include "worker/worker_internal.h"
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HEALTH_MS = 5000,
    CACHE_TIMEOUT_MS = 1000, /* a Redis that hangs counts as down after it, and work goes on from the rows */
    PING_MS = 500,
    LOCK_AGAIN_MS = 200,
    LAST_SETTLE_MS = 3000
};

/* ---- what must be right before the first job
 * ------------------------------------------------------------------ */

static enum rc
check_schema(const struct conf *conf, struct err *err)
{
    AUTO(db) db = NULL;
    int pending = 0;
    enum rc rc = db_create(conf_str(conf, "database-url"),
                           &(struct db_options){ .app_name = "deskmill-worker" }, &db, err);

    return rc == RC_OK ? migrate_check(db, &pending, err) : rc;
}

/* Redis that cannot be reached now is no reason not to start: the rows can be claimed without it. */
static enum rc
check_redis(const struct conf *conf, struct err *err)
{
    AUTO(cache) cache = NULL;
    enum rc rc = cache_create(conf_str(conf, "redis-url"), CACHE_TIMEOUT_MS, &cache, err);

    if (rc != RC_OK)
        return rc;
    rc = cache_check_policy(cache, err);
    if (rc != RC_UNAVAILABLE && rc != RC_TIMEOUT)
        return rc;
    log_warn("server.down", KV_STR("server", "redis"), KV_ERR(err));
    return RC_OK;
}

static enum rc
check_key(const struct conf *conf, struct err *err)
{
    struct seal_key key;

    return seal_key_load(conf_str(conf, "key"), &key, err);
}

/* ---- registering
 * ------------------------------------------------------------------------------------------------ */

static void ask_lock(void *arg);
static void drain(struct worker *w, const char *why);

static void
fail(struct worker *w, enum rc rc, const struct err *err)
{
    w->rc = rc;
    w->err = *err;
    w->state = WORKER_ENDED;
    loop_stop(w->loop);
}

static void
look_for_left(struct worker *w)
{
    w->left = true;
    claim_more(w);
}

static void
on_lock(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct worker *w = arg;

    (void)err; /* a lost connection: on_db() asks again */
    if (rc != RC_OK)
        return;
    w->locked = dbres_bool(res, 0, 0);
    if (!w->locked) /* the server has not yet noticed that our old connection is gone */
        loop_timer_after(w->again, LOCK_AGAIN_MS);
    else
        look_for_left(w);
}

static void
ask_lock(void *arg)
{
    struct worker *w = arg;

    if (w->id != 0)
        dba_run(w->db, SQL_worker_lock, DB_ARGS(db_i64(w->id)), on_lock, w);
}

static void
on_again(void *arg)
{
    struct worker *w = arg;

    if (!w->locked)
        ask_lock(w);
    settle_flush(w);
}

static void
on_registered(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct worker *w = arg;

    if (rc == RC_UNAVAILABLE || rc == RC_TIMEOUT)
        return;
    if (rc != RC_OK) {
        fail(w, rc, err);
        return;
    }
    w->id = dbres_i64(res, 0, 0);
    if (w->state == WORKER_STARTING)
        w->state = WORKER_ACTIVE;
    log_info("worker.started", KV_INT("worker", w->id), KV_INT("slots", w->slots_n));
    ask_lock(w);
    for (int i = 0; i < w->slots_n; i++) {
        if (w->slots[i].state == SLOT_EMPTY && w->state == WORKER_ACTIVE)
            slot_start(&w->slots[i]);
        else
            slot_retire(&w->slots[i]);
    }
}

static void
enrol(struct worker *w)
{
    char host[256] = "?";

    (void)gethostname(host, sizeof host - 1);
    dba_run(w->db, SQL_worker_register,
            DB_ARGS(db_text(host), db_i64(getpid()), db_i64(w->slots_n), db_text(DESKMILL_VERSION),
                    db_texts(w->kinds, w->kinds_n)),
            on_registered, w);
}

/* ---- beating
 * ---------------------------------------------------------------------------------------------------- */

/* The reaper has given us up: we were stopped or cut off for longer than the lease. What our children still
 * run is no longer ours, and the fence tells them so at their next page; new jobs come under a new name. */
static void
buried(struct worker *w)
{
    log_warn("worker.buried", KV_INT("worker", w->id));
    w->id = 0;
    w->locked = false;
    batches_fini(&w->batches); /* their rows are the reaper's */
    if (w->state == WORKER_ACTIVE)
        w->state = WORKER_STARTING;
    enrol(w);
}

static void
on_beat(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct worker *w = arg;

    (void)err;
    if (w->state == WORKER_ENDED)
        return; /* we have said that we stop, and this beat was on its way behind it */
    if (rc == RC_OK && dbres_rows(res) == 0 && w->id != 0)
        buried(w);
    if (rc == RC_OK && dbres_rows(res) > 0 && dba_is_up(w->write_db)) /* we count as alive, and can settle */
        pulse_beat(conf_str(w->conf, "health-file"), HEALTH_MS + 5 * conf_int(w->conf, "beat-ms"));
    if (rc == RC_OK && dbres_rows(res) > 0 && dbres_bool(res, 0, 0) && w->state == WORKER_ACTIVE)
        drain(w, "api");
}

static void
beat(void *arg)
{
    struct worker *w = arg;

    if (w->id != 0 && dba_is_up(w->db))
        dba_run(w->db, SQL_worker_beat,
                DB_ARGS(db_i64(w->id), db_text(w->state == WORKER_DRAINING ? "draining" : "active"),
                        db_i64s(w->tally.started, QUEUE_COUNT), db_i64(w->tally.done),
                        db_i64(w->tally.failed)),
                on_beat, w);
    claim_strays(w);
    counters_send(w->counters, w->db);
    look_for_left(w);
}

/* ---- servers coming and going
 * -------------------------------------------------------------------------------------- */

/* A server that stays away is reported once, not with each attempt to reach it. */
static void
log_change(bool *was_down, bool down, const char *server, const struct err *err)
{
    if (down && !*was_down)
        log_warn("server.down", KV_STR("server", server), KV_ERR(err));
    else if (!down)
        log_info("server.up", KV_STR("server", server));
    *was_down = down;
}

static void
on_db(void *arg, bool up, const struct err *err)
{
    struct worker *w = arg;

    log_change(&w->db_down, !up, "db", err);
    if (!up) {
        w->locked = false;
        claim_db_lost(w);
        return;
    }
    if (w->id == 0) {
        enrol(w);
        return;
    }
    ask_lock(w);
    beat(w);
}

static void
on_write_db(void *arg, bool up, const struct err *err)
{
    (void)err; /* the other connection tells */
    if (up)
        settle_flush(arg);
}

static void
on_cache(void *arg, bool up, const struct err *err)
{
    struct worker *w = arg;

    log_change(&w->cache_down, !up, "redis", err);
    claim_cache_changed(w);
}

static void
on_wait_cache(void *arg, bool up, const struct err *err)
{
    struct worker *w = arg;

    (void)err; /* the other connection tells */
    if (up)
        claim_more(w);
}

/* ---- draining
 * -------------------------------------------------------------------------------------------------------- */

static void
on_stopped(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct worker *w = arg;

    (void)rc;
    (void)res;
    (void)err; /* if it failed, the reaper finds that we are gone, and nothing of ours to take back */
    loop_stop(w->loop);
}

void
worker_maybe_end(struct worker *w)
{
    if (w->state != WORKER_DRAINING || w->in_state[SLOT_BUSY] > 0 || w->claiming || w->ended_n > 0 ||
        w->unblocking > 0)
        return;
    w->state = WORKER_ENDED;
    if (w->id != 0)
        queue_forget_async(w->cache, w->id);
    counters_send(w->counters, w->db);
    if (w->id != 0 && dba_is_up(w->db))
        dba_run(w->db, SQL_worker_stop, DB_ARGS(db_i64(w->id)), on_stopped, w);
    else
        loop_stop(w->loop);
}

/* Time is up, or someone insists: children go now, their jobs go back to the queue, and what cannot be
 * written back soon is left to the reaper. */
static void
end_now(void *arg)
{
    struct worker *w = arg;

    if (w->in_state[SLOT_BUSY] == 0) {
        w->state = WORKER_ENDED;
        loop_stop(w->loop);
        return;
    }
    for (int i = 0; i < w->slots_n; i++) {
        w->slots[i].killed = true;
        slot_kill(&w->slots[i]);
    }
    loop_timer_after(w->drain, LAST_SETTLE_MS);
}

static void
on_drain_timer(void *arg)
{
    struct worker *w = arg;

    log_warn("worker.drain_ends", KV_INT("running", w->in_state[SLOT_BUSY]),
             KV_INT("unsettled", (int64_t)w->ended_n));
    end_now(w);
}

/* Takes no more jobs, stops those that run at their next page, and ends. */
static void
drain(struct worker *w, const char *why)
{
    w->state = WORKER_DRAINING;
    log_info("worker.draining", KV_INT("worker", w->id), KV_INT("running", w->in_state[SLOT_BUSY]),
             KV_STR("why", why));
    loop_timer_after(w->drain, conf_int(w->conf, "drain-ms"));
    beat(w);
    for (int i = 0; i < w->slots_n; i++)
        slot_stop_jobs(&w->slots[i]);
    worker_maybe_end(w);
}

static void
on_stop_signal(void *arg)
{
    struct worker *w = arg;

    if (w->state == WORKER_DRAINING) {
        log_warn("worker.stopped_twice", KV_INT("running", w->in_state[SLOT_BUSY]));
        end_now(w);
        return;
    }
    if (w->state != WORKER_ENDED)
        drain(w, "signal");
}

static void
on_child(void *arg, pid_t pid, int status)
{
    slot_child_died(arg, pid, status);
}

/* ---- made and unmade
 * -------------------------------------------------------------------------------------------------- */

static enum rc
make_slots(struct worker *w, struct err *err)
{
    enum rc rc = RC_OK;

    if ((rc = wire_packet_create(&w->packet, err)) != RC_OK)
        return rc;
    w->slots = calloc((size_t)conf_int(w->conf, "slots"), sizeof *w->slots);
    if (w->slots == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (; w->slots_n < conf_int(w->conf, "slots") && rc == RC_OK; w->slots_n++)
        rc = slot_init(&w->slots[w->slots_n], w, err);
    return rc;
}

static enum rc
list_kinds(struct worker *w, struct err *err)
{
    size_t n = 0;

    while (jobkinds[n].name != NULL)
        n++;
    w->kinds = calloc(n, sizeof *w->kinds);
    if (w->kinds == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (; w->kinds_n < n; w->kinds_n++)
        w->kinds[w->kinds_n] = jobkinds[w->kinds_n].name;
    return RC_OK;
}

static enum rc
make_watchers(struct worker *w, struct err *err)
{
    w->beat = loop_timer_create(w->loop, beat, w);
    w->scan = loop_timer_create(w->loop, claim_scan, w);
    w->ping = loop_timer_create(w->loop, claim_ping, w);
    w->drain = loop_timer_create(w->loop, on_drain_timer, w);
    w->again = loop_timer_create(w->loop, on_again, w);
    w->sigterm = loop_signal_create(w->loop, SIGTERM, on_stop_signal, w);
    w->sigint = loop_signal_create(w->loop, SIGINT, on_stop_signal, w);
    w->children = loop_child_create(w->loop, on_child, w);
    if (w->beat == NULL || w->scan == NULL || w->ping == NULL || w->drain == NULL || w->again == NULL ||
        w->sigterm == NULL || w->sigint == NULL || w->children == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    loop_timer_every(w->beat, conf_int(w->conf, "beat-ms"));
    loop_timer_every(w->ping, PING_MS);
    return RC_OK;
}

static enum rc
make_connections(struct worker *w, struct err *err)
{
    const char *redis = conf_str(w->conf, "redis-url");
    struct db_options o = { .app_name = "deskmill-worker",
                            .statement_timeout_ms = 10000,
                            .relaxed_commit = true,
                            .by_index = true,
                            .one_plan = true };
    enum rc rc;

    if ((rc = dba_create(w->loop, conf_str(w->conf, "database-url"), &o, on_db, w, &w->db, err)) != RC_OK)
        return rc;
    o.relaxed_commit = o.one_plan = false;
    if ((rc = dba_create(w->loop, conf_str(w->conf, "database-url"), &o, on_write_db, w, &w->write_db,
                         err)) != RC_OK ||
        (rc = cachea_create(w->loop, redis, CACHE_TIMEOUT_MS, on_cache, w, &w->cache, err)) != RC_OK)
        return rc;
    return cachea_create(w->loop, redis, 0, on_wait_cache, w, &w->wait_cache, err);
}

enum rc
worker_create(const struct conf *conf, struct worker **out, struct err *err)
{
    AUTO(worker) w = NULL;
    enum rc rc;

    if ((rc = check_key(conf, err)) != RC_OK || (rc = check_schema(conf, err)) != RC_OK ||
        (rc = check_redis(conf, err)) != RC_OK)
        return rc;
    if ((w = calloc(1, sizeof *w)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    w->conf = conf;
    w->job_us = 1000 * 1000; /* until known, no job is given before the one ahead of it has ended */
    (void)signal(SIGPIPE, SIG_IGN);
    if ((rc = loop_create(&w->loop, err)) != RC_OK || (rc = list_kinds(w, err)) != RC_OK ||
        (rc = counters_create(&w->counters, err)) != RC_OK || (rc = make_watchers(w, err)) != RC_OK ||
        (rc = make_slots(w, err)) != RC_OK || (rc = make_connections(w, err)) != RC_OK)
        return rc;
    *out = TAKE(w);
    return RC_OK;
}

void
worker_destroy(struct worker *w)
{
    if (w == NULL)
        return;
    w->state = WORKER_ENDED; /* callbacks of what is destroyed below start nothing new */
    for (int i = 0; i < w->slots_n; i++)
        slot_fini(&w->slots[i]);
    dba_destroy(w->db);
    dba_destroy(w->write_db);
    cachea_destroy(w->cache);
    cachea_destroy(w->wait_cache);
    counters_destroy(w->counters); /* after the session that carries them */
    loop_timer_destroy(w->beat);
    loop_timer_destroy(w->scan);
    loop_timer_destroy(w->ping);
    loop_timer_destroy(w->drain);
    loop_timer_destroy(w->again);
    loop_signal_destroy(w->sigterm);
    loop_signal_destroy(w->sigint);
    loop_child_destroy(w->children);
    settle_fini(w);
    wire_packet_destroy(w->packet);
    free(w->slots);
    free(w->kinds);
    loop_destroy(w->loop);
    free(w);
}

enum rc
worker_run(struct worker *w, struct err *err)
{
    loop_run(w->loop);
    if (w->rc != RC_OK) {
        *err = w->err;
        return w->rc;
    }
    log_info("worker.stopped", KV_INT("worker", w->id));
    return RC_OK;
}
