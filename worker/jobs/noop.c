/* worker/jobs/noop.c - do nothing, or wait args.sleep_ms; fail with args.fail. With args.stamp, say in the
 * log when it started and when it ended, and how long after args.since_us (microseconds since 1970) that
 * start was: a line costs microseconds where a row would cost a commit, so what is measured is not what
 * measures. args.pad is carried and not read. Safe to run twice: there is nothing to repeat; a second run
 * waits from the start. */
#include "common/clock.h"
#include "common/log.h"
#include "worker/jobs.h"
#include <time.h>

#define STEP  (CLOCK_SECOND / 10)
#define FENCE CLOCK_SECOND

/* A fence each second, so that a cancellation and a lost lease are noticed. */
static enum outcome
wait_ms(struct job_ctx *ctx, int64_t ms, struct err *err)
{
    int64_t now = clock_mono(), until = now + ms * 1000, fence_at = now + FENCE;
    enum outcome why;
    enum rc rc;

    for (; now < until; now = clock_mono()) {
        int64_t us = until - now < STEP ? until - now : STEP;

        (void)nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
        if (now >= fence_at) {
            if ((rc = ctx_save(ctx, NULL, 0, NULL, err)) != RC_OK)
                return ctx_outcome(ctx, rc);
            fence_at = now + FENCE;
        }
        if (ctx_stop(ctx, &why))
            return why;
    }
    return OUTCOME_DONE;
}

static void
stamp_start(const json_t *args)
{
    int64_t now = clock_now(), since = json_integer_value(json_object_get(args, "since_us"));

    log_info("noop.started", KV_INT("at_us", now), KV_INT("waited_us", since > 0 ? now - since : 0));
}

enum outcome
job_run_noop(struct job_ctx *ctx, const json_t *args, struct err *err)
{
    const char *fail = json_string_value(json_object_get(args, "fail"));
    bool stamp = json_is_true(json_object_get(args, "stamp"));
    enum outcome o;

    if (stamp)
        stamp_start(args);
    o = wait_ms(ctx, json_integer_value(json_object_get(args, "sleep_ms")), err);
    if (stamp)
        log_info("noop.ended", KV_INT("at_us", clock_now()), KV_STR("outcome", outcome_names[o]));
    if (o == OUTCOME_DONE && fail != NULL) {
        (void)err_set(err, RC_INTERNAL, "%s", fail);
        return OUTCOME_RETRY;
    }
    return o;
}
