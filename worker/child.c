#include "worker/child.h"
#include "common/clock.h"
#include "common/log.h"
#include "worker/ctx.h"
#include "worker/jobs.h"
#include "worker/wire.h"
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { CONTROL_FD = 3, CACHE_TIMEOUT_MS = 2000 };

struct child {
    const struct conf *conf;
    struct lane *lane;
    struct db *db;
    struct cache *cache;
};

/* The loop, the connections and the other children's sockets are the parent's: closed here without a word to
 * the servers. */
static void
let_go_of_the_parent(int fd)
{
    if (dup2(fd, CONTROL_FD) < 0)
        _exit(EXIT_FAILURE);
    (void)close_range(CONTROL_FD + 1, ~0U, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGTERM,
                 SIG_IGN); /* a group's SIGTERM is the parent's business: it tells us to stop at a page */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
}

static enum rc
connections(struct child *c, int64_t worker_id, struct err *err)
{
    char name[64];
    enum rc rc;

    if (c->db != NULL)
        return RC_OK;
    (void)snprintf(name, sizeof name, JOB_CHILD_APP_NAME, worker_id);
    rc = db_create(conf_str(c->conf, "database-url"),
                   &(struct db_options){ .app_name = name, .by_index = true }, &c->db, err);
    if (rc != RC_OK)
        return rc;
    return cache_create(conf_str(c->conf, "redis-url"), CACHE_TIMEOUT_MS, &c->cache, err);
}

static void
run_job(struct child *c, const struct job *j, struct lane_result *result)
{
    job_run_fn run = jobs_find(j->kind);
    json_auto_t *args = NULL;
    struct job_ctx ctx = { 0 };
    struct err err = { 0 };
    enum rc rc;

    rc = connections(c, j->worker_id, &err);
    if (rc == RC_OK)
        rc = json_parse_object(j->args, strlen(j->args), &args, &err);
    if (rc == RC_OK && run == NULL)
        rc = err_set(&err, RC_INVALID, "this worker does not know the kind %s", j->kind);
    if (rc == RC_OK)
        rc = ctx_init(&ctx, j, c->conf, c->db, c->cache, c->lane, &err);
    if (rc == RC_OK)
        result->outcome = run(&ctx, args, &err);
    else
        result->outcome = rc == RC_INVALID ? OUTCOME_DEAD : OUTCOME_RETRY;
    result->delay_ms = ctx.snooze_ms;
    result->touched = ctx.touched;
    if (result->outcome == OUTCOME_RETRY || result->outcome == OUTCOME_DEAD ||
        result->outcome == OUTCOME_SNOOZE)
        (void)snprintf(result->error, sizeof result->error, "%.*s", (int)sizeof result->error - 1, err.text);
    ctx_fini(&ctx);
    db_rollback(c->db); /* nothing stays open between two jobs, whatever the job forgot */
}

/* Runs what it was given, as far as that is not taken back. False: it has run its share, or the parent is
 * gone. */
static bool
run_packet(struct child *c, int64_t *jobs)
{
    struct job job; /* borrows from the packet */
    uint32_t number;

    while (*jobs > 0 && wire_next(&job, &number)) {
        struct lane_result *r;
        int64_t start = clock_mono();

        if (!lane_begin(c->lane, number))
            continue;
        r = lane_result(c->lane);
        log_set_job(job.id);
        run_job(c, &job, r);
        log_set_job(0);
        --*jobs;
        r->us = clock_mono() - start;
        if (lane_end(c->lane) && !wire_nudge(CONTROL_FD))
            return false;
    }
    return *jobs > 0;
}

_Noreturn void
child_run(const struct conf *conf, int fd, struct lane *lane)
{
    struct child c = { .conf = conf, .lane = lane };
    int64_t jobs = conf_int(conf, "child-jobs");

    let_go_of_the_parent(fd);
    while (wire_receive(CONTROL_FD) && run_packet(&c, &jobs))
        continue;
    db_destroy(c.db);
    cache_destroy(c.cache);
    _exit(EXIT_SUCCESS); /* the parent's atexit handlers and buffers are not ours */
}
