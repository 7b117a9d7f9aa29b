/* tests/next/kinds.c - what the kinds of a later version do. future_kind may run twice, there is nothing to
 * repeat; poison never gets anywhere. */
#include "worker/jobs.h"
#include <stdlib.h>

enum outcome
job_run_future_kind(struct job_ctx *ctx, const json_t *args, struct err *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    return OUTCOME_DONE;
}

enum outcome
job_run_poison(struct job_ctx *ctx, const json_t *args, struct err *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    abort();
}
