#include "worker/jobs.h"
#include <string.h>

job_run_fn
jobs_find(const char *kind)
{
    static const struct {
        const char *name;
        job_run_fn run;
    } kinds[] = {
#define JOB_KIND(name, queue, priority, max_attempts, timeout_s, lock, dedupe, help) \
    { #name, job_run_##name },
#include JOBKIND_DEF
#undef JOB_KIND
    };

    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (strcmp(kinds[i].name, kind) == 0)
            return kinds[i].run;
    return NULL;
}
