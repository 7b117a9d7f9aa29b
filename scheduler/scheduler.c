#include "scheduler/scheduler.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/migrate.h"
#include "common/pulse.h"
#include "scheduler/dispatch.h"
#include "scheduler/leader.h"
#include "scheduler/promote.h"
#include "scheduler/reap.h"
#include "scheduler/signals.h"
#include "scheduler/sweep.h"
#include "scheduler/ticks.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define MS 1000 /* microseconds */

const struct conf_option scheduler_options[] = {
    { "database-url", "DATABASE_URL", CONF_URL, NULL, 0, 0, "postgresql|postgres",
      "PostgreSQL, where everything is kept." },
    { "redis-url", "REDIS_URL", CONF_URL, NULL, 0, 0, "redis|rediss",
      "Redis, where ids of queued jobs wait for workers." },
    { "beat-ms", "DESKMILL_BEAT_MS", CONF_INT, "500", 50, 10000, NULL,
      "How often workers and Redis are looked at, in ms." },
    { "lease-ms", "DESKMILL_LEASE_MS", CONF_INT, "10000", 1000, 600000, NULL,
      "Silence after which a worker is lost, in ms; at least twice the 2 s between its beats, or live ones are lost too." },
    { "check-ms", "DESKMILL_CHECK_MS", CONF_INT, "5000", 100, 3600000, NULL,
      "How often the lists in Redis are counted against the rows, in ms; less often when counting takes long." },
    { "sweep-ms", "DESKMILL_SWEEP_MS", CONF_INT, "60000", 100, 86400000, NULL,
      "How often retention runs, in ms." },
    { "keep-done-days", "DESKMILL_KEEP_DONE_DAYS", CONF_INT, "7", 0, 36500, NULL,
      "Days that done jobs are kept; 0 = for ever." },
    { "keep-cancelled-days", "DESKMILL_KEEP_CANCELLED_DAYS", CONF_INT, "7", 0, 36500, NULL,
      "Days that cancelled jobs are kept; 0 = for ever." },
    { "keep-dead-days", "DESKMILL_KEEP_DEAD_DAYS", CONF_INT, "0", 0, 36500, NULL,
      "Days that dead jobs are kept; 0 = for ever." },
    { "keep-log-days", "DESKMILL_KEEP_LOG_DAYS", CONF_INT, "90", 0, 36500, NULL,
      "Days that the sync log is kept; 0 = for ever." },
    { "jobs-max-mb", "DESKMILL_JOBS_MAX_MB", CONF_INT, "0", 0, 1000000000, NULL,
      "MiB of live rows in jobs beyond which the oldest finished ones go, dead ones last, until nine tenths are left; 0 = no bound." },
    { "log-max-mb", "DESKMILL_LOG_MAX_MB", CONF_INT, "0", 0, 1000000000, NULL,
      "MiB of live rows in sync_log beyond which the oldest go, until nine tenths are left; 0 = no bound." },
    { "stuck-s", "DESKMILL_STUCK_S", CONF_INT, "60", 5, 86400, NULL,
      "Seconds without a claim after which a queue is stuck, where work waits and slots are free." },
    { "health-file", "DESKMILL_HEALTH_FILE", CONF_STRING, "", 0, 0, NULL,
      "File to renew while beats reach PostgreSQL; a folder in memory suits it." },
    { "health", NULL, CONF_BOOL, "false", 0, 0, NULL,
      "Say whether the process that renews health-file is working, and exit: 0 it is, 1 it is not." },
    { "always-lead", NULL, CONF_BOOL, "false", 0, 0, NULL,
      "Acts without the leader's lease. For tests that run several schedulers in full contention." },
    { .name = NULL },
};

/* HEALTH_MS: what a pass may take, beside the beats it delays, before it counts as hanging. HELP_AFTER_MS: so
 * late is due work when a standby lends a hand. */
enum {
    HEALTH_MS = 10000,
    TROUBLE_REST_MS = 1000,
    CONTENDED_MS = 50,
    HELP_AFTER_MS = 250,
    FAR_MS = 86400 * 1000,
    TROUBLE_REPEAT_S = 60
};

enum part_id {
    PART_NEW,
    PART_TICKS,
    PART_PROMOTE,
    PART_BURY,
    PART_REAP,
    PART_DISPATCH,
    PART_ORPHANS,
    PART_REBUILD,
    PART_SWEEP,
    PART_SIGNALS,
    PART_COUNT
};

struct scheduler {
    struct db *db;
    struct push *push;
    struct leader *leader;
    struct ticks *ticks;
    struct reap *reap;
    struct dispatch *dispatch;
    struct sweep *sweep;
    struct signals *watch;
    int signals; /* signalfd */
    bool stopping, ready, db_down;
    int64_t beat_us, check_us, sweep_us, lease_us;
    const char *health_file; /* borrowed from the options */
    int64_t last_contact;    /* clock_mono, when the database last answered a beat; 0 = not yet */
    int64_t next_beat;
    struct {
        int64_t due;     /* clock_mono */
        int64_t rest;    /* not before, after a failure */
        int64_t told_at; /* when its last failure was logged */
        struct err told;
    } parts[PART_COUNT];
};

void
scheduler_destroy(struct scheduler *s)
{
    if (s == NULL)
        return;
    signals_destroy(s->watch);
    sweep_destroy(s->sweep);
    dispatch_destroy(s->dispatch);
    reap_destroy(s->reap);
    ticks_destroy(s->ticks);
    leader_destroy(s->leader);
    push_destroy(s->push);
    db_destroy(s->db);
    if (s->signals >= 0)
        (void)close(s->signals);
    free(s);
}

static enum rc
open_signals(struct scheduler *s, struct err *err)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
        (s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return err_set(err, RC_INTERNAL, "signals: %s", strerror(errno));
    return RC_OK;
}

enum rc
scheduler_create(const struct conf *conf, struct scheduler **out, struct err *err)
{
    const struct db_options db = { .app_name = "deskmill-scheduler",
                                   .lock_timeout_ms = 1000,
                                   .idle_tx_timeout_ms = LEADER_LEASE_MS,
                                   .by_index = true };
    const char *url = conf_str(conf, "database-url");
    AUTO(scheduler) s = calloc(1, sizeof *s);
    enum rc rc;

    if (s == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    s->signals = -1;
    s->beat_us = conf_int(conf, "beat-ms") * MS;
    s->check_us = conf_int(conf, "check-ms") * MS;
    s->sweep_us = conf_int(conf, "sweep-ms") * MS;
    s->lease_us = conf_int(conf, "lease-ms") * MS;
    s->health_file = conf_str(conf, "health-file");
    if ((rc = open_signals(s, err)) != RC_OK || (rc = db_create(url, &db, &s->db, err)) != RC_OK ||
        (rc = push_create(conf_str(conf, "redis-url"), &s->push, err)) != RC_OK ||
        (rc = leader_create(conf_bool(conf, "always-lead"), &s->leader, err)) != RC_OK ||
        (rc = ticks_create(&s->ticks, err)) != RC_OK ||
        (rc = reap_create(conf_int(conf, "lease-ms"), &s->reap, err)) != RC_OK ||
        (rc = dispatch_create(url, conf_int(conf, "check-ms"), &s->dispatch, err)) != RC_OK ||
        (rc = sweep_create(conf, &s->sweep, err)) != RC_OK ||
        (rc = signals_create(conf, &s->watch, err)) != RC_OK)
        return rc;
    *out = TAKE(s);
    return RC_OK;
}

/* ---- stopping ---- */

/* Waits up to `us` for a signal to stop. */
static bool
asked_to_stop(struct scheduler *s, int64_t us)
{
    struct pollfd p = { .fd = s->signals, .events = POLLIN };
    struct signalfd_siginfo info;

    if (!s->stopping && poll(&p, 1, us > 0 ? (int)((us + MS - 1) / MS) : 0) > 0)
        s->stopping = read(s->signals, &info, sizeof info) == (ssize_t)sizeof info;
    return s->stopping;
}

/* ---- the parts, a bounded piece of work each ---- */

static enum rc
fire(struct scheduler *s, enum part_id id, bool fresh, struct err *err)
{
    size_t n = 0;
    enum rc rc = ticks_batch(s->ticks, s->db, s->push, fresh, &n, err);

    if (n == 0)
        s->parts[id].rest = clock_mono() + CONTENDED_MS * MS; /* another scheduler has what is due */
    return rc;
}

static enum rc
part_new(struct scheduler *s, struct err *err)
{
    return fire(s, PART_NEW, true, err);
}

static enum rc
part_ticks(struct scheduler *s, struct err *err)
{
    return fire(s, PART_TICKS, false, err);
}

static enum rc
part_promote(struct scheduler *s, struct err *err)
{
    size_t n = 0;
    enum rc rc = promote_batch(s->db, s->push, &n, err);

    if (n == 0)
        s->parts[PART_PROMOTE].rest = clock_mono() + CONTENDED_MS * MS;
    return rc;
}

static enum rc
part_bury(struct scheduler *s, struct err *err)
{
    s->parts[PART_BURY].due = s->next_beat;
    return reap_bury(s->reap, s->db, s->push, err);
}

static enum rc
part_reap(struct scheduler *s, struct err *err)
{
    bool again = false;
    enum rc rc = reap_take_back(s->db, s->push, &again, err);

    s->parts[PART_REAP].due = again ? clock_mono() + CONTENDED_MS * MS : s->next_beat;
    return rc;
}

static enum rc
part_dispatch(struct scheduler *s, struct err *err)
{
    s->parts[PART_DISPATCH].due = s->next_beat;
    return dispatch_beat(s->dispatch, s->db, s->push, err);
}

static enum rc
part_orphans(struct scheduler *s, struct err *err)
{
    s->parts[PART_ORPHANS].due = clock_mono() + s->check_us;
    return promote_orphans(s->db, s->push, err);
}

static enum rc
part_rebuild(struct scheduler *s, struct err *err)
{
    return dispatch_step(s->dispatch, s->push, err);
}

static enum rc
part_sweep(struct scheduler *s, struct err *err)
{
    int64_t wait = 0;
    enum rc rc = sweep_step(s->sweep, s->db, &wait, err);

    s->parts[PART_SWEEP].due = clock_mono() + wait;
    return rc;
}

static enum rc
part_signals(struct scheduler *s, struct err *err)
{
    s->parts[PART_SIGNALS].due = clock_mono() + s->check_us;
    return signals_look(s->watch, s->db, err);
}

static const struct {
    const char *name;
    enum rc (*run)(struct scheduler *s, struct err *err);
    bool shared; /* a standby does it too, once it is late: the leader has more than it can do, or has just
                    died */
} parts[PART_COUNT] = {
    [PART_NEW] = { "new", part_new, false },
    [PART_TICKS] = { "ticks", part_ticks, true },
    [PART_PROMOTE] = { "promote", part_promote, true },
    [PART_BURY] = { "bury", part_bury, false },
    [PART_REAP] = { "reap", part_reap, false },
    [PART_DISPATCH] = { "dispatch", part_dispatch, false },
    [PART_ORPHANS] = { "orphans", part_orphans, false },
    [PART_REBUILD] = { "rebuild", part_rebuild, false },
    [PART_SWEEP] = { "sweep", part_sweep, false },
    [PART_SIGNALS] = { "signals", part_signals, false },
};

/* ---- trouble ---- */

/* Logs a part's failure, but not the same one over and over. */
static void
tell(struct scheduler *s, enum part_id id, const struct err *err)
{
    int64_t now = clock_mono();

    if (strcmp(s->parts[id].told.text, err->text) == 0 &&
        now - s->parts[id].told_at < TROUBLE_REPEAT_S * CLOCK_SECOND)
        return;
    s->parts[id].told = *err;
    s->parts[id].told_at = now;
    log_error("scheduler.trouble", KV_STR("part", parts[id].name), KV_ERR(err));
}

/* Whether the database answers; if not, `err` says why. What failed may have been one statement: a deadlock,
 * say. */
static bool
db_answers(struct scheduler *s, struct err *err)
{
    struct err why = { 0 };

    if (db_run(s->db, SQL_db_ping, DB_NO_ARGS, NULL, &why) == RC_OK)
        return true;
    *err = why;
    return false;
}

/* Runs one part. An error is returned only when the database is gone. */
static enum rc
run_part(struct scheduler *s, enum part_id id, struct err *err)
{
    struct err why = { 0 };
    enum rc rc = parts[id].run(s, &why);

    if (rc == RC_OK)
        return RC_OK;
    if (rc == RC_UNAVAILABLE && !db_answers(s, &why)) {
        *err = why;
        return RC_UNAVAILABLE;
    }
    tell(s, id, &why);
    s->parts[id].rest = clock_mono() + TROUBLE_REST_MS * MS;
    return RC_OK;
}

/* ---- the turn ---- */

/* When ticks and delayed jobs are due, from the database's point of view; for a standby, when they are late.
 */
static enum rc
look_ahead(struct scheduler *s, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(s->db, SQL_scheduler_next, DB_NO_ARGS, &res, err);
    int64_t now = clock_mono(), patience = leader_leads(s->leader) ? 0 : HELP_AFTER_MS;

    if (rc != RC_OK)
        return rc;
    for (int col = 0; col < 2; col++) {
        enum part_id id = col == 0 ? PART_TICKS : PART_PROMOTE;
        int64_t ms = dbres_i64(res, 0, col) + patience;

        s->parts[id].due = dbres_null(res, 0, col) || ms > FAR_MS ? INT64_MAX : now + (ms > 0 ? ms * MS : 0);
    }
    s->parts[PART_NEW].due = dbres_bool(res, 0, 2) ? now : INT64_MAX;
    return RC_OK;
}

/* Long without an answer (it was down, or we were stopped): others may not have been able to beat either. */
static void
note_contact(struct scheduler *s)
{
    int64_t now = clock_mono(), gap = s->last_contact == 0 ? 0 : now - s->last_contact;

    if (gap > 4 * s->beat_us + 2 * CLOCK_SECOND)
        reap_grace(s->reap);
    s->last_contact = now;
}

/* Once each beat, leader or not. */
static enum rc
beat(struct scheduler *s, struct err *err)
{
    bool led = leader_leads(s->leader);
    enum rc rc = leader_beat(s->leader, s->db, err);

    if (rc == RC_UNAVAILABLE)
        return rc;
    if (rc != RC_OK)
        tell(s, PART_DISPATCH, err);
    else
        pulse_beat(s->health_file,
                   HEALTH_MS + 5 * s->beat_us / MS); /* it leads, or it follows one that does */
    note_contact(s);
    s->next_beat = clock_mono() + s->beat_us;
    if (led && !leader_leads(s->leader) && dispatch_rebuilding(s->dispatch))
        dispatch_abandon(s->dispatch);
    return RC_OK;
}

static bool
ours_to_do(const struct scheduler *s, int id)
{
    return parts[id].shared || leader_leads(s->leader);
}

/* Does what is due. *wait: until something is due again, in microseconds. */
static enum rc
turn(struct scheduler *s, int64_t *wait, struct err *err)
{
    int64_t next;
    enum rc rc;

    if (clock_mono() >= s->next_beat && (rc = beat(s, err)) != RC_OK)
        return rc;
    if ((rc = look_ahead(s, err)) != RC_OK)
        return rc;
    s->parts[PART_REBUILD].due = dispatch_rebuilding(s->dispatch) ? 0 : INT64_MAX;
    for (int id = 0; id < PART_COUNT && !asked_to_stop(s, 0); id++) {
        int64_t now = clock_mono();

        if (ours_to_do(s, id) && s->parts[id].due <= now && s->parts[id].rest <= now &&
            (rc = run_part(s, (enum part_id)id, err)) != RC_OK)
            return rc;
    }
    next = s->next_beat;
    for (int id = 0; id < PART_COUNT; id++) {
        int64_t due = s->parts[id].due > s->parts[id].rest ? s->parts[id].due : s->parts[id].rest;

        if (ours_to_do(s, id) && due < next)
            next = due;
    }
    *wait = next - clock_mono();
    return RC_OK;
}

/* Sleeps until `wait` has passed, someone has news for us, or we are to stop. */
static enum rc
rest(struct scheduler *s, int64_t wait, struct err *err)
{
    bool notified = false;
    enum rc rc = RC_OK;

    if (wait > 0)
        rc = db_wait(s->db, s->signals, (int)((wait + MS - 1) / MS), &notified, err);
    if (notified && !leader_leads(s->leader))
        s->next_beat = 0; /* the leader may have stepped down */
    (void)asked_to_stop(s, 0);
    return rc;
}

/* ---- life ---- */

/* A connection, the first time also the proof that we know its schema. */
static enum rc
get_ready(struct scheduler *s, struct err *err)
{
    enum rc rc;

    if ((rc = db_connect(s->db, err)) != RC_OK)
        return rc;
    leader_reconnected(s->leader);
    if (s->ready)
        return RC_OK;
    if ((rc = migrate_check(s->db, NULL, err)) == RC_OK &&
        (rc = db_listen(s->db, SQL_listen_scheduler, err)) == RC_OK)
        s->ready = true;
    return rc;
}

/* Tries until the database is back. RC_OK also when asked to stop meanwhile. */
static enum rc
come_back(struct scheduler *s, struct err *err)
{
    int failures = 0;
    enum rc rc;

    while (!s->stopping && (rc = get_ready(s, err)) != RC_OK) {
        if (rc != RC_UNAVAILABLE && rc != RC_TIMEOUT)
            return rc;
        if (!s->db_down)
            log_error("db.down", KV_ERR(err));
        s->db_down = true;
        (void)asked_to_stop(s, backoff_jitter_ms(&backoff_connect, ++failures) * MS);
    }
    if (s->db_down && !s->stopping) {
        log_info("db.up");
        s->db_down = false;
    }
    err_clear(err);
    return RC_OK;
}

enum rc
scheduler_run(struct scheduler *s, struct err *err)
{
    enum rc rc = come_back(s, err);

    if (rc != RC_OK)
        return rc;
    log_info("scheduler.started", KV_INT("beat_ms", s->beat_us / MS), KV_INT("lease_ms", s->lease_us / MS));
    s->parts[PART_SWEEP].due = clock_mono() + s->sweep_us;
    while (!asked_to_stop(s, 0)) {
        int64_t wait = 0;

        rc = turn(s, &wait, err);
        if (rc == RC_OK)
            rc = rest(s, wait, err);
        if (rc != RC_OK && !db_answers(s, err)) {
            log_error("db.down", KV_ERR(err));
            s->db_down = true;
            dispatch_abandon(s->dispatch);
        } else if (rc != RC_OK) {
            log_error("scheduler.trouble", KV_ERR(err));
            (void)asked_to_stop(s, TROUBLE_REST_MS * MS);
        }
        if (s->db_down && (rc = come_back(s, err)) != RC_OK)
            return rc;
    }
    if (!s->db_down)
        leader_yield(s->leader, s->db);
    log_info("scheduler.stopped");
    return RC_OK;
}
