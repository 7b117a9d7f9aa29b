/* worker/worker_internal.h - what worker.c, claim.c, slot.c and settle.c share. Each function is named after
 * the file it is in. */
#ifndef DESKMILL_WORKER_INTERNAL_H
#define DESKMILL_WORKER_INTERNAL_H

#include "common/cachea.h"
#include "common/conf.h"
#include "common/counters.h"
#include "common/dba.h"
#include "common/job.h"
#include "common/loop.h"
#include "worker/batches.h"
#include "worker/lane.h"
#include <sys/types.h>

enum { CLAIM_MAX = 500 }; /* jobs one claim asks for at most; what job_claims and the script bear is more */

enum slot_state {
    SLOT_EMPTY, /* no child: not started, or its child has just died */
    SLOT_IDLE,  /* a child waits for a job */
    SLOT_BUSY,  /* a child runs `job` */
    SLOT_STATES,
};

/* A job that a child was given, under its number in the lane. */
struct given {
    uint32_t number;
    struct job job;
};

struct slot {
    struct worker *w;
    enum slot_state state;
    struct slot *next_idle; /* while idle */
    pid_t pid;
    int fd; /* our end of the child's socket; -1 = none */
    struct lane *lane;
    struct loop_io *io;
    struct loop_timer
        *timer;          /* busy: when to look after the first job. Empty: when to start the next child */
    struct given *given; /* a ring of LANE_JOBS, in the order in which the child comes to them */
    unsigned first, n;
    uint32_t number;   /* of the last one given */
    int64_t since;     /* clock_mono(): the first one's turn came */
    int64_t forked_at; /* clock_mono() */
    bool timed_out;    /* we killed it because its job took too long */
    bool killed;       /* we killed it because the drain took too long */
    bool retire;       /* its session carries a buried worker's name: replace it when its jobs have ended */
};

/* An attempt that ended and is not yet written back. */
struct ended {
    struct job job;
    enum outcome outcome;
    bool touched;
    int64_t delay_ms;
    char *error; /* or NULL */
};

enum worker_state {
    WORKER_STARTING, /* not registered (yet, or not any more) */
    WORKER_ACTIVE,
    WORKER_DRAINING, /* asked to stop: no new jobs */
    WORKER_ENDED,    /* everything is settled; the loop is about to end */
};

struct worker {
    const struct conf *conf;
    struct loop *loop;
    struct dba *db; /* registers, beats and claims; its commits do not wait for the disk (claim.c says why
                       they may) */
    struct dba *write_db;      /* settles: its commits do */
    struct cachea *cache;      /* commands */
    struct cachea *wait_cache; /* blocks on the wake-up key */
    struct counters *counters; /* written with the beat */
    struct loop_signal *sigterm, *sigint;
    struct loop_child *children;
    struct loop_timer *beat, *scan, *drain, *again, *ping;
    enum worker_state state;
    int64_t id;               /* of our workers row; 0 = not registered */
    bool db_down, cache_down; /* as last logged */
    bool locked;              /* this session holds our advisory lock */
    struct {
        int64_t started[QUEUE_COUNT], done, failed;
    } tally;    /* since the process began; shown with each beat */
    enum rc rc; /* what worker_run() returns */
    struct err err;

    struct slot *slots;
    int slots_n;
    int in_state[SLOT_STATES]; /* how many slots */
    struct slot *filling;      /* the one that was given a job last, and how many in a row; */
    int filled;                /* what of them is not sent yet is in */
    struct wire_packet *packet;
    struct slot *idle; /* the one that ended last first: what it needs is still in the caches */
    int64_t job_us;    /* how long a job takes, in microseconds: a moving average */

    const char **kinds; /* names of the kinds we know */
    size_t kinds_n;
    bool claiming;          /* from asking for ids to the last row given to a slot */
    int64_t claimant;       /* our number when that began */
    bool waiting;           /* blocked on the wake-up key */
    bool scanning;          /* the scan timer runs */
    bool left;              /* jobs may wait in kind_waits that others do not know and we do; look there */
    bool was_left;          /* the last claim did */
    int64_t distrust_until; /* clock_mono: till then the lists may lack ids */
    int64_t claimed_at;     /* clock_mono() of asking */
    int wanted, got;        /* ids the running claim asked for and was given */
    int claims;             /* its job_claim statements on their way */
    int64_t batch;          /* number of the last one */
    int32_t epoch_seen;     /* the highest we were given */
    int32_t epoch_floor;    /* the least that our claims may give */
    struct batches batches;

    struct ended *ended; /* waiting to be settled; those up to `settling` are on their way */
    size_t ended_n, ended_cap, settling;
    int64_t settled_at; /* clock_mono() of sending them */
    int unblocking;     /* job_unblock statements on their way */
    bool settle_singly; /* the last batch met a conflict: one by one */
};

/* worker.c */
void worker_maybe_end(struct worker *w); /* ends the loop when draining is complete */

/* slot.c */
enum rc slot_init(struct slot *s, struct worker *w, struct err *err);
void slot_fini(struct slot *s);
void slot_start(struct slot *s); /* forks a child */
void slot_stop_jobs(
    struct slot *s); /* asks a busy child to end at the next page; what it has not begun goes back */
void slot_kill(struct slot *s);
void slot_retire(struct slot *s);
void slot_child_died(struct worker *w, pid_t pid, int status);
int slots_want(const struct worker *w); /* how many jobs to claim now */
/* Takes *job: to the slot that comes to it first, or back to the queue if there is none. */
void slots_give(struct worker *w, struct job *job);
void slots_send(struct worker *w); /* after the last slots_give() of a callback */

/* claim.c */
void claim_more(struct worker *w); /* if there is an idle slot, and nothing is under way already */
void claim_cache_changed(struct worker *w);
void claim_db_lost(struct worker *w);
void claim_strays(struct worker *w); /* gives back what runs under our name without our knowing */
void claim_scan(void *worker);       /* of the scan timer */
void claim_ping(void *worker);       /* of the ping timer */

/* settle.c */
void settle_add(struct worker *w, struct job *job, const struct lane_result *r); /* takes *job */
void settle_flush(struct worker *w);
/* Rows of job_strays: pushes those that may run now, or for those with a lock key whoever is next. */
void settle_unblock_strays(struct worker *w, const struct dbres *res);
void settle_fini(struct worker *w);

#endif
