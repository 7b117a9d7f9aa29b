/* worker/main.c - starts one worker process; what it does is in worker.c. */
#include "common/conf.h"
#include "common/pulse.h"
#include "worker/options.h"
#include "worker/worker.h"
#include <stdlib.h>

#ifndef DESKMILL_WORKER /* a test builds a worker that must not be taken for this one */
#define DESKMILL_WORKER "deskmill-worker"
#endif

int
main(int argc, char **argv)
{
    static const char about[] =
        "Runs Deskmill's jobs: takes them from Redis, writes to Postgres. Start as many as you like.";
    struct err err = { 0 };
    AUTO(conf) conf = NULL;
    AUTO(worker) worker = NULL;

    if (conf_load(DESKMILL_WORKER, about, worker_options, argc, argv, NULL, &conf, &err) != RC_OK)
        return conf_fail(DESKMILL_WORKER, "configuration", &err);
    if (conf_bool(conf, "health"))
        return pulse_report(conf_str(conf, "health-file"));
    conf_open_log(conf, "worker");
    if (worker_create(conf, &worker, &err) != RC_OK || worker_run(worker, &err) != RC_OK)
        return conf_fail(DESKMILL_WORKER, "worker", &err);
    return EXIT_SUCCESS; /* asked to stop, and every job it started is settled */
}
