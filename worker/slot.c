/* worker/slot.c - the children: forking them, giving them jobs, hearing how those ended, and what their death
 * means. */
#include "common/clock.h"
#include "common/log.h"
#include "worker/child.h"
#include "worker/worker_internal.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that dies sooner than this while idle is not replaced at once, or a broken machine would fork as
 * fast as it can. */
enum { YOUNG_MS = 1000, REFORK_MS = 1000 };

static void on_readable(void *arg, bool readable, bool writable);

static void
on_timer(void *arg)
{
    struct slot *s = arg;

    if (s->state == SLOT_EMPTY) {
        slot_start(s);
    } else if (s->state == SLOT_BUSY) {
        log_warn("job.timeout", KV_INT("job", s->job.id), KV_STR("kind", s->job.kind),
                 KV_INT("timeout_s", s->job.timeout_s));
        s->timed_out = true;
        slot_kill(s);
    }
}

enum rc
slot_init(struct slot *s, struct worker *w, struct err *err)
{
    *s = (struct slot){ .w = w, .fd = -1 };
    s->timer = loop_timer_create(w->loop, on_timer, s);
    return s->timer != NULL ? RC_OK : err_set(err, RC_INTERNAL, "no memory");
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
    s->state = SLOT_EMPTY;
}

void
slot_fini(struct slot *s)
{
    if (s->pid > 0)
        (void)kill(s->pid, SIGKILL);
    let_go(s);
    loop_timer_destroy(TAKE(s->timer));
    job_fini(&s->job);
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
    pid = fork();
    if (pid == 0)
        child_run(s->w->conf, fds[1]);
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
    s->state = SLOT_IDLE;
    s->io = loop_io_create(s->w->loop, s->fd, on_readable, s);
    loop_io_want(s->io, true, false);
    claim_more(s->w);
}

void
slot_run(struct slot *s, struct job *job)
{
    struct err err = { 0 };

    s->job = *job;
    *job = (struct job){ 0 };
    s->state = SLOT_BUSY;
    s->w->tally.started[s->job.queue]++;
    s->busy_since = clock_mono();
    loop_timer_after(s->timer, (int64_t)s->job.timeout_s * 1000);
    log_info("job.started", KV_INT("job", s->job.id), KV_STR("kind", s->job.kind),
             KV_INT("epoch", s->job.epoch), KV_INT("attempt", s->job.attempt),
             KV_INT("integration", s->job.integration_id), KV_INT("child", s->pid));
    if (wire_send_job(s->fd, &s->job, &err) == RC_OK)
        return;
    if (err.rc == RC_LIMIT) { /* the child never saw it and stays idle */
        struct wire_result r = { .outcome = OUTCOME_DEAD };

        (void)snprintf(r.error, sizeof r.error, "%s", err.text);
        loop_timer_stop(s->timer);
        s->state = SLOT_IDLE;
        settle_add(s->w, &s->job, &r);
    }
    /* Otherwise the child is dying: its death, which we hear of, settles the job. */
}

void
slot_stop_job(struct slot *s)
{
    struct err err = { 0 };

    if (s->state == SLOT_BUSY)
        (void)wire_send_stop(s->fd, &err);
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
    if (s->state == SLOT_IDLE)
        replace(s);
    else if (s->state == SLOT_BUSY)
        s->retire = true;
}

static void
job_ended(struct slot *s, const struct wire_result *r)
{
    static const char *const events[OUTCOME_COUNT] = {
        [OUTCOME_DONE] = "job.done",           [OUTCOME_RETRY] = "job.failed",
        [OUTCOME_DEAD] = "job.dead",           [OUTCOME_SNOOZE] = "job.snoozed",
        [OUTCOME_DRAINED] = "job.drained",     [OUTCOME_CANCELLED] = "job.cancelled",
        [OUTCOME_CHILDREN] = "job.fanned_out", [OUTCOME_CRASHED] = "job.crashed",
        [OUTCOME_TIMEOUT] = "job.timed_out",   [OUTCOME_LOST] = "job.lost",
    };
    bool bad = r->outcome == OUTCOME_DEAD || r->outcome == OUTCOME_CRASHED || r->outcome == OUTCOME_TIMEOUT;

    s->w->tally.done += r->outcome == OUTCOME_DONE || r->outcome == OUTCOME_CHILDREN;
    s->w->tally.failed += bad || r->outcome == OUTCOME_RETRY;
    LOG_AT(bad ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, events[r->outcome], KV_INT("job", s->job.id),
           KV_STR("kind", s->job.kind), KV_INT("epoch", s->job.epoch),
           KV_INT("ms", (clock_mono() - s->busy_since) / 1000),
           KV_STR("error", r->error[0] != '\0' ? r->error : NULL));
    counters_add(s->w->counters, COUNTER_attempts, s->job.kind, outcome_names[r->outcome], 1);
    counters_add(s->w->counters, COUNTER_attempt_ms, s->job.kind, outcome_names[r->outcome],
                 (clock_mono() - s->busy_since) / 1000);
    loop_timer_stop(s->timer);
    settle_add(s->w, &s->job, r);
}

static void
on_readable(void *arg, bool readable, bool writable)
{
    struct slot *s = arg;
    struct wire_result result;
    enum wire_type type = WIRE_NOTHING;
    struct err err = { 0 };

    (void)readable;
    (void)writable;
    if (wire_receive(s->fd, false, &type, NULL, &result, &err) != RC_OK) {
        log_error("slot.garbled", KV_INT("child", s->pid), KV_ERR(&err));
        slot_kill(s);
        return;
    }
    if (type == WIRE_END) {
        loop_io_want(s->io, false, false); /* dead or dying: slot_child_died() follows */
    } else if (type == WIRE_RESULT && s->state == SLOT_BUSY) {
        s->state = SLOT_IDLE;
        job_ended(s, &result);
        if (s->retire)
            replace(s);
        claim_more(s->w);
        worker_maybe_end(s->w);
    }
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

/* A result that the child sent before it died still counts. */
static void
read_last_words(struct slot *s)
{
    struct wire_result result;
    enum wire_type type = WIRE_NOTHING;
    struct err err = { 0 };

    if (wire_receive(s->fd, false, &type, NULL, &result, &err) == RC_OK && type == WIRE_RESULT) {
        s->state = SLOT_IDLE;
        job_ended(s, &result);
    }
}

void
slot_child_died(struct worker *w, pid_t pid, int status)
{
    struct slot *s = NULL;
    bool young, was_busy;

    for (int i = 0; i < w->slots_n && s == NULL; i++)
        if (w->slots[i].pid == pid)
            s = &w->slots[i];
    if (s == NULL)
        return; /* a retired one */
    if (s->state == SLOT_BUSY)
        read_last_words(s);
    was_busy = s->state == SLOT_BUSY;
    if (was_busy) {
        struct wire_result r = { .outcome = s->killed      ? OUTCOME_DRAINED
                                            : s->timed_out ? OUTCOME_TIMEOUT
                                                           : OUTCOME_CRASHED,
                                 .touched = s->job.integration_id != 0 };

        describe_death(status, r.error, sizeof r.error);
        if (s->timed_out)
            (void)snprintf(r.error, sizeof r.error, "it took longer than its %d s", s->job.timeout_s);
        job_ended(s, &r);
    } else if (status != 0) {
        log_warn("slot.died", KV_INT("child", pid), KV_INT("status", status));
    }
    young = clock_mono() - s->forked_at < YOUNG_MS * INT64_C(1000);
    let_go(s);
    if (w->state == WORKER_DRAINING || w->state == WORKER_ENDED)
        worker_maybe_end(w);
    else if (young && !was_busy)
        loop_timer_after(s->timer, REFORK_MS);
    else
        slot_start(s);
}

int
slots_in(const struct worker *w, enum slot_state state)
{
    int n = 0;

    for (int i = 0; i < w->slots_n; i++)
        n += w->slots[i].state == state;
    return n;
}
