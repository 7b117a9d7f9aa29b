/* worker/slot.c - the children: forking them, giving them jobs, hearing how those ended, and what their death
 * means.
 *
 * A child is given as many jobs as it runs in AHEAD_US, so that with short ones neither the child nor a claim
 * waits for a round trip; with jobs longer than that it is one. That also bounds what a job that is claimed
 * later may wait behind them. When the guess proves wrong, and the first of a slot's jobs has run for
 * STALE_MS, those behind it are taken back and go to a child that has time, or to the queue. */
#include "common/clock.h"
#include "common/log.h"
#include "worker/child.h"
#include "worker/wire.h"
#include "worker/worker_internal.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    AHEAD_US = 10 * 1000,
    CHUNK_US = 500, /* work that goes to one idle child before the next one is woken */
    STALE_MS = 50,
    UNSETTLED_MAX = 2000, /* beyond it, writing back comes first: a crash would run them all again */
};

/* A child that dies sooner than this without having begun a job is not replaced at once, or a broken machine
 * would fork as fast as it can. */
enum { YOUNG_MS = 1000, REFORK_MS = 1000 };

static void on_readable(void *arg, bool readable, bool writable);

static struct given *
nth(const struct slot *s, unsigned i)
{
    return &s->given[(s->first + i) % LANE_JOBS];
}

/* The one place where a slot's state changes. */
static void
set_state(struct slot *s, enum slot_state state)
{
    struct worker *w = s->w;

    w->in_state[s->state]--;
    w->in_state[state]++;
    if (s->state == SLOT_IDLE) {
        struct slot **link = &w->idle;

        while (*link != s)
            link = &(*link)->next_idle;
        *link = s->next_idle;
    }
    if (state == SLOT_IDLE) {
        s->next_idle = w->idle;
        w->idle = s;
    }
    s->state = state;
}

/* Takes away the last of its jobs. */
static struct job
pop_last(struct slot *s)
{
    return nth(s, --s->n)->job;
}

/* What the child has not begun goes elsewhere. That may be all of it, when the child was slow to wake or is
 * stopped: then it is idle again, but only after its jobs have gone, so that they go to another or to the
 * queue. */
static void
take_back(struct slot *s)
{
    struct job jobs[LANE_JOBS];
    uint32_t begun = lane_take_back(s->lane, s->number);
    unsigned n = 0;

    while (s->n > 0 && nth(s, s->n - 1)->number > begun)
        jobs[n++] = pop_last(s);
    if (n > 0)
        log_debug("slot.taken_back", KV_INT("child", s->pid), KV_INT("jobs", n));
    while (n > 0)
        slots_give(s->w, &jobs[--n]);
    slots_send(s->w);
    if (s->n == 0 && s->state == SLOT_BUSY) {
        loop_timer_stop(s->timer);
        set_state(s, SLOT_IDLE);
    }
}

/* Looks after the first job: first whether it holds up others, then whether it takes too long. */
static void
watch(struct slot *s)
{
    const struct job *job = &nth(s, 0)->job;
    int64_t ms = (clock_mono() - s->since) / 1000, limit = (int64_t)job->timeout_s * 1000;

    if (ms >= limit) {
        log_warn("job.timeout", KV_INT("job", job->id), KV_STR("kind", job->kind),
                 KV_INT("timeout_s", job->timeout_s));
        s->timed_out = true;
        slot_kill(s);
        return;
    }
    loop_timer_after(s->timer, limit - ms);
    take_back(s);
}

static void
on_timer(void *arg)
{
    struct slot *s = arg;

    if (s->state == SLOT_EMPTY)
        slot_start(s);
    else if (s->state == SLOT_BUSY)
        watch(s);
}

enum rc
slot_init(struct slot *s, struct worker *w, struct err *err)
{
    *s = (struct slot){ .w = w, .fd = -1 };
    w->in_state[SLOT_EMPTY]++;
    s->timer = loop_timer_create(w->loop, on_timer, s);
    s->given = calloc(LANE_JOBS, sizeof *s->given);
    if (s->timer == NULL || s->given == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    return lane_create(&s->lane, err);
}

/* Forgets the child; what becomes of it is somebody else's question. */
static void
let_go(struct slot *s)
{
    loop_io_destroy(TAKE(s->io));
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
    s->pid = 0;
    if (s->w->filling == s)
        s->w->filling = NULL;
    set_state(s, SLOT_EMPTY);
}

void
slot_fini(struct slot *s)
{
    if (s->pid > 0)
        (void)kill(s->pid, SIGKILL);
    let_go(s);
    loop_timer_destroy(TAKE(s->timer));
    while (s->n > 0) {
        struct job job = pop_last(s);

        job_fini(&job);
    }
    free(TAKE(s->given));
    lane_destroy(TAKE(s->lane));
}

void
slot_start(struct slot *s)
{
    struct err err = { 0 };
    int fds[2];
    pid_t pid;

    if (wire_pair(fds, &err) != RC_OK) {
        log_error("slot.failed", KV_ERR(&err));
        loop_timer_after(s->timer, REFORK_MS);
        return;
    }
    lane_reset(s->lane);
    s->number = 0;
    pid = fork();
    if (pid == 0)
        child_run(s->w->conf, fds[1], s->lane);
    (void)close(fds[1]);
    if (pid < 0) {
        log_error("slot.failed", KV_STR("error", strerror(errno)));
        (void)close(fds[0]);
        loop_timer_after(s->timer, REFORK_MS);
        return;
    }
    s->pid = pid;
    s->fd = fds[0];
    s->forked_at = clock_mono();
    s->timed_out = s->killed = s->retire = false;
    set_state(s, SLOT_IDLE);
    s->io = loop_io_create(s->w->loop, s->fd, on_readable, s);
    loop_io_want(s->io, true, false);
    claim_more(s->w);
}

/* The first of its jobs has its turn. */
static void
begin_first(struct slot *s)
{
    const struct job *job = &nth(s, 0)->job;
    int64_t limit = (int64_t)job->timeout_s * 1000;

    s->since = clock_mono();
    s->w->tally.started[job->queue]++;
    loop_timer_after(s->timer, limit < STALE_MS ? limit : STALE_MS);
    log_info("job.started", KV_INT("job", job->id), KV_STR("kind", job->kind), KV_INT("epoch", job->epoch),
             KV_INT("attempt", job->attempt), KV_INT("integration", job->integration_id),
             KV_INT("child", s->pid));
}

/* No child can be told of it. */
static void
refuse(struct worker *w, struct job *job, const struct err *why)
{
    struct lane_result r = { .outcome = OUTCOME_DEAD };

    (void)snprintf(r.error, sizeof r.error, "%.*s", (int)sizeof r.error - 1, why->text);
    log_error("job.dead", KV_INT("job", job->id), KV_STR("kind", job->kind), KV_ERR(why));
    settle_add(w, job, &r);
}

static void
give(struct slot *s, struct job *job)
{
    struct worker *w = s->w;
    struct err err = { 0 };

    assert(s->n < LANE_JOBS);
    if (w->filling != s) {
        slots_send(w);
        w->filling = s;
        w->filled = 0;
    }
    if (wire_add(w->packet, job, s->number + 1, &err) != RC_OK) {
        slots_send(w);
        if (wire_add(w->packet, job, s->number + 1, &err) != RC_OK) {
            refuse(w, job, &err);
            return;
        }
    }
    w->filled++;
    *nth(s, s->n++) = (struct given){ .number = ++s->number, .job = *job };
    *job = (struct job){ 0 };
    if (s->n > 1)
        return;
    set_state(s, SLOT_BUSY);
    begin_first(s);
}

/* A failure to send means that the child is dying: its death, which we hear of, says what becomes of its
 * jobs. */
void
slots_send(struct worker *w)
{
    struct err err = { 0 };

    if (w->filling != NULL)
        (void)wire_send(w->packet, w->filling->fd, &err);
}

/* How many jobs of `us` microseconds come to `span` microseconds: at least one, at most what a lane holds. */
static int
jobs_in(int64_t span, int64_t us)
{
    int64_t n = us > 0 ? span / us : LANE_JOBS;

    return n < 1 ? 1 : n > LANE_JOBS ? LANE_JOBS : (int)n;
}

/* How many more jobs the slot may be given. */
static int
room(const struct slot *s, int64_t now)
{
    int depth = jobs_in(AHEAD_US, s->w->job_us);

    if (s->state == SLOT_IDLE)
        return depth;
    if (s->state == SLOT_EMPTY || s->retire || s->killed || s->timed_out || now - s->since > AHEAD_US)
        return 0;
    return depth > (int)s->n ? depth - (int)s->n : 0;
}

int
slots_want(const struct worker *w)
{
    int64_t now = clock_mono();
    int want = 0;

    if (w->ended_n > UNSETTLED_MAX)
        return 0;
    for (int i = 0; i < w->slots_n; i++)
        want += room(&w->slots[i], now);
    /* Larger batches are cheaper: as long as there is work, or what there is is too short to be worth a
     * claim, some more may end first. */
    if ((w->idle == NULL || w->job_us < CHUNK_US) && want <= w->slots_n * jobs_in(AHEAD_US, w->job_us) / 4)
        return 0;
    return want < CLAIM_MAX ? want : CLAIM_MAX;
}

/* An idle child first, and more for the one that was woken last until it has enough to be worth waking the
 * next; when all are busy, the one with the fewest. */
static struct slot *
choose(const struct worker *w)
{
    int64_t now = clock_mono();
    int chunk = jobs_in(CHUNK_US, w->job_us);
    struct slot *best = NULL;

    if (w->filling != NULL && w->filled < chunk && w->filling->n > 0 && room(w->filling, now) > 0)
        return w->filling;
    if (w->idle != NULL)
        return w->idle;
    for (int i = 0; i < w->slots_n; i++)
        if (room(&w->slots[i], now) > 0 && (best == NULL || w->slots[i].n < best->n))
            best = &w->slots[i];
    return best;
}

void
slots_give(struct worker *w, struct job *job)
{
    /* A drain may have begun, or the job's worker id been buried, since it was claimed. */
    struct slot *s = w->state == WORKER_ACTIVE && job->worker_id == w->id ? choose(w) : NULL;

    if (s == NULL) {
        settle_add(w, job, &(struct lane_result){ .outcome = OUTCOME_DRAINED });
        return;
    }
    give(s, job);
}

void
slot_stop_jobs(struct slot *s)
{
    if (s->state != SLOT_BUSY)
        return;
    lane_stop(s->lane);
    take_back(s);
}

void
slot_kill(struct slot *s)
{
    if (s->pid > 0)
        (void)kill(s->pid, SIGKILL);
}

/* An idle child that hears the end of its socket ends by itself. */
static void
replace(struct slot *s)
{
    let_go(s);
    slot_start(s);
}

void
slot_retire(struct slot *s)
{
    if (s->state == SLOT_IDLE) {
        replace(s);
    } else if (s->state == SLOT_BUSY) {
        s->retire = true;
        take_back(s);
        if (s->state == SLOT_IDLE)
            replace(s);
    }
}

/* An eighth of the way to each new value: a job that turns out long counts at once. */
static int64_t
average(int64_t was, int64_t us)
{
    return was + (us - was) / 8;
}

/* The first of its jobs has ended. */
static void
job_ended(struct slot *s, const struct lane_result *r)
{
    static const char *const events[OUTCOME_COUNT] = {
        [OUTCOME_DONE] = "job.done",           [OUTCOME_RETRY] = "job.failed",
        [OUTCOME_DEAD] = "job.dead",           [OUTCOME_SNOOZE] = "job.snoozed",
        [OUTCOME_DRAINED] = "job.drained",     [OUTCOME_CANCELLED] = "job.cancelled",
        [OUTCOME_CHILDREN] = "job.fanned_out", [OUTCOME_CRASHED] = "job.crashed",
        [OUTCOME_TIMEOUT] = "job.timed_out",   [OUTCOME_LOST] = "job.lost",
    };
    bool bad = r->outcome == OUTCOME_DEAD || r->outcome == OUTCOME_CRASHED || r->outcome == OUTCOME_TIMEOUT;
    struct job job = nth(s, 0)->job;

    s->first = (s->first + 1) % LANE_JOBS;
    s->n--;
    s->w->job_us = average(s->w->job_us, r->us);
    s->w->tally.done += r->outcome == OUTCOME_DONE || r->outcome == OUTCOME_CHILDREN;
    s->w->tally.failed += bad || r->outcome == OUTCOME_RETRY;
    LOG_AT(bad ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, events[r->outcome], KV_INT("job", job.id),
           KV_STR("kind", job.kind), KV_INT("epoch", job.epoch), KV_INT("ms", r->us / 1000),
           KV_STR("error", r->error[0] != '\0' ? r->error : NULL));
    counters_add(s->w->counters, COUNTER_attempts, job.kind, outcome_names[r->outcome], 1);
    counters_add(s->w->counters, COUNTER_attempt_us, job.kind, outcome_names[r->outcome], r->us);
    settle_add(s->w, &job, r);
    if (s->n > 0)
        begin_first(s);
    else
        loop_timer_stop(s->timer);
}

/* In the order of its jobs. */
static enum rc
read_results(struct slot *s, struct err *err)
{
    const struct lane_result *r;

    lane_look(s->lane);
    while ((r = lane_read(s->lane)) != NULL) {
        if (s->n == 0 || nth(s, 0)->number != r->number || r->outcome < 0 || r->outcome >= OUTCOME_COUNT)
            return err_set(err, RC_PROTOCOL, "the result of a job that it does not run");
        job_ended(s, r);
    }
    return RC_OK;
}

static void
on_readable(void *arg, bool readable, bool writable)
{
    struct slot *s = arg;
    struct err err = { 0 };

    (void)readable;
    (void)writable;
    if (!wire_nudged(s->fd))
        loop_io_want(s->io, false, false); /* slot_child_died() follows */
    if (read_results(s, &err) != RC_OK) {
        log_error("slot.garbled", KV_INT("child", s->pid), KV_ERR(&err));
        slot_kill(s);
        return;
    }
    if (s->n == 0 && s->state == SLOT_BUSY) {
        set_state(s, SLOT_IDLE);
        if (s->retire)
            replace(s);
    }
    claim_more(s->w);
    worker_maybe_end(s->w);
}

static void
describe_death(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        (void)snprintf(out, size, "its process was ended by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(out, size, "its process ended with status %d", WEXITSTATUS(status));
}

/* The child died while it ran the first of its jobs. */
static void
job_died(struct slot *s, int status)
{
    const struct job *job = &nth(s, 0)->job;
    struct lane_result r = { .outcome = s->killed      ? OUTCOME_DRAINED
                                        : s->timed_out ? OUTCOME_TIMEOUT
                                                       : OUTCOME_CRASHED,
                             .us = clock_mono() - s->since,
                             .touched = job->integration_id != 0 };

    describe_death(status, r.error, sizeof r.error);
    if (s->timed_out)
        (void)snprintf(r.error, sizeof r.error, "it took longer than its %d s", job->timeout_s);
    job_ended(s, &r);
}

void
slot_child_died(struct worker *w, pid_t pid, int status)
{
    struct slot *s = NULL;
    struct job left[LANE_JOBS];
    struct err err = { 0 };
    unsigned n = 0;
    bool stillborn, ran;

    for (int i = 0; i < w->slots_n && s == NULL; i++)
        if (w->slots[i].pid == pid)
            s = &w->slots[i];
    if (s == NULL)
        return;                  /* a retired one */
    (void)read_results(s, &err); /* what the child ended before it died still counts */
    while (s->n > 0 && nth(s, s->n - 1)->number > lane_begun(s->lane))
        left[n++] = pop_last(s);
    ran = s->n > 0;
    while (s->n > 0) /* one, unless it had stopped making sense */
        job_died(s, status);
    if (!ran && status != 0)
        log_warn("slot.died", KV_INT("child", pid), KV_INT("status", status));
    loop_timer_stop(s->timer);
    stillborn = lane_begun(s->lane) == 0 && clock_mono() - s->forked_at < YOUNG_MS * INT64_C(1000);
    let_go(s);
    if (w->state == WORKER_ACTIVE || w->state == WORKER_STARTING) {
        if (stillborn)
            loop_timer_after(s->timer, REFORK_MS);
        else
            slot_start(s);
    }
    while (n > 0)
        slots_give(w, &left[--n]); /* it never came to them */
    slots_send(w);
    worker_maybe_end(w);
}
