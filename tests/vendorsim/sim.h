/* sim - the state of one running simulator: data, clock, limits, ordered failures, holds, counts.
 *
 * Threads: one thread for each connection; all fields are guarded by `lock`, except `opts`, `vendor` and
 * `gzip`, which never change. `wake` is signalled when a waiting request may have a reason to go on.
 */
#ifndef VENDORSIM_SIM_H
#define VENDORSIM_SIM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "calls.h"
#include "faults.h"
#include "gzip.h"
#include "holds.h"
#include "limiter.h"
#include "options.h"
#include "rng.h"
#include "simtime.h"
#include "vendor.h"
#include "world.h"

struct sim_stats {
    uint64_t calls[ENDPOINTS_MAX];   /* whatever became of them */
    uint64_t answers[ENDPOINTS_MAX]; /* good ones */
    uint64_t unknown_path;
    uint64_t pages_served;
    uint64_t rejected[600]; /* by status; ordered failures are not among them */
    uint64_t failed;
    uint64_t held, hanging; /* requests that wait now */
    uint64_t bytes, bytes_raw;
};

struct churn {
    int64_t per_page;
    int64_t pages_left;
    struct rng rng;
    uint64_t edits;
};

struct sending; /* an answer on its way, see server.c */

struct sim {
    struct options opts;
    const struct vendor *vendor;
    struct gzip_cache *gzip;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    bool is_new; /* the API of autumn 2026 rather than that of spring */
    struct simclock clock;
    struct world world;
    struct limiter limiters[ENDPOINTS_MAX];
    struct faults faults;
    struct holds holds;
    struct churn churn;
    struct sim_stats stats;
    struct call_log call_log;
    struct sending *sending;
    uint64_t answers_sent;
    uint64_t requests;   /* numbers the request ids */
    uint64_t last_pages; /* decides which form the end of a list takes */
    uint64_t limited;    /* decides which header a 429 carries */
    uint64_t wrong_shapes;
};

void sim_init(struct sim *s, const struct options *opts);
void sim_fini(struct sim *s);
/* False: there is no such profile. */
bool sim_set_profile(struct sim *s, const char *profile);
/* Index of the endpoint with this name, or -1. */
int sim_endpoint(const struct sim *s, const char *name);
/* Waits for `wake`, at most some milliseconds. The lock is held. */
void sim_wait(struct sim *s, int64_t ms);
void sim_stop(struct sim *s); /* from any thread: whoever waits gives up */

#endif
