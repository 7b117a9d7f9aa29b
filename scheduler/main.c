/* scheduler/main.c - starts one scheduler process; what it does is in scheduler.c. */
#include "common/log.h"
#include "common/pulse.h"
#include "scheduler/scheduler.h"
#include <stdlib.h>

int
main(int argc, char **argv)
{
    static const char proc[] = "deskmill-scheduler";
    struct err err = { 0 };
    AUTO(conf) conf = NULL;
    AUTO(scheduler) scheduler = NULL;

    if (conf_load(proc, "Decides what is due: cron ticks, delayed jobs, lost workers, Redis, retention.",
                  scheduler_options, argc, argv, NULL, &conf, &err) != RC_OK)
        return conf_fail(proc, "config", &err);
    if (conf_bool(conf, "health"))
        return pulse_report(conf_str(conf, "health-file"));
    conf_open_log(conf, "scheduler");
    if (scheduler_create(conf, &scheduler, &err) != RC_OK || scheduler_run(scheduler, &err) != RC_OK)
        return conf_fail(proc, "scheduler", &err);
    return EXIT_SUCCESS; /* asked to stop; the lease was given up */
}
