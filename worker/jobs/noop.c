/* worker/jobs/noop.c - do nothing, or wait args.sleep_ms; fail with args.fail; with args.stamp, write down
 * when it started (progress.started_us, microseconds since 1970). Safe to run twice: there is nothing to
 * repeat; a second run waits from the start. */
#include "common/clock.h"
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

static enum rc
stamp(struct job_ctx *ctx, struct err *err)
{
    json_t *now = json_integer(clock_now());

    ctx_set_progress(ctx, "started_us", &now);
    return ctx_save(ctx, NULL, 0, NULL, err);
}

enum outcome
job_run_noop(struct job_ctx *ctx, const json_t *args, struct err *err)
{
    const char *fail = json_string_value(json_object_get(args, "fail"));
    enum outcome o;
    enum rc rc;

    if (json_is_true(json_object_get(args, "stamp")) && (rc = stamp(ctx, err)) != RC_OK)
        return ctx_outcome(ctx, rc);
    o = wait_ms(ctx, json_integer_value(json_object_get(args, "sleep_ms")), err);

    if (o == OUTCOME_DONE && fail != NULL) {
        (void)err_set(err, RC_INTERNAL, "%s", fail);
        return OUTCOME_RETRY;
    }
    return o;
}
