/* worker/jobs.h
 * jobs - what each kind of job does. A kind of common/jobkind.def without its job_run_<kind>() does not link.
 */
#ifndef DESKMILL_WORKER_JOBS_H
#define DESKMILL_WORKER_JOBS_H

#include "common/jobkind.h"
#include "worker/ctx.h"

#define JOB_KIND(name, queue, priority, max_attempts, timeout_s, lock, dedupe, help) \
    enum outcome job_run_##name(struct job_ctx *ctx, const json_t *args, struct err *err);
#include JOBKIND_DEF
#undef JOB_KIND

/* NULL if this worker does not know the kind. */
job_run_fn jobs_find(const char *kind);

#endif
