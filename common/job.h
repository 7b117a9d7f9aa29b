/* common/job.h
 * job - the jobs table seen as operations. No other module changes a job row; the fence deskmill.own_job()
 * and this module move its states.
 *
 * Here are the operations of processes that may wait (api, scheduler, a worker's child). A worker's parent,
 * which may not, runs the statements job_claim, job_settle, job_unblock of common/sql/job.def on its loop and
 * reads their rows with the job_read_* functions.
 *
 * Ownership: results are the caller's.
 * Threads:   one thread at a time per db.
 */
#ifndef DESKMILL_JOB_H
#define DESKMILL_JOB_H

#include "common/auto.h"
#include "common/db.h"
#include "common/jobkind.h"
#include "common/queue.h"
#include <inttypes.h>
#include <stdbool.h>

/* application_name of the database sessions of a worker's children, with the worker's id (PRId64): the reaper
 * ends a lost worker's sessions by it. */
#define JOB_CHILD_APP_NAME "deskmill-child/%" PRId64

/* What to enqueue. Zero and NULL mean the kind's own value. */
struct job_spec {
    const char *kind;       /* required, must be known */
    const json_t *args;     /* borrowed; NULL = {} */
    int64_t integration_id; /* 0 = none */
    int64_t parent_id;      /* 0 = none */
    int64_t schedule_id;    /* 0 = none */
    int64_t tick;           /* microseconds, with schedule_id */
    int64_t run_at;         /* microseconds; 0 or past = now (queued), else scheduled */
    int priority;           /* 1 + priority: 1 to 3; 0 = the kind's */
    const char *origin;     /* "api", "cli", "schedule", "job": who asked; required */
};

struct job_enqueued {
    int64_t job_id;
    bool created; /* false: a waiting job with the same dedupe key was there; this is its id */
    bool queued;  /* item is to be pushed (a waiting duplicate is pushed again: harmless, and mends a lost
                     push) */
    struct queue_item item;
};

/* Inserts the rows in one statement, in order, within the caller's transaction if one is open. Arguments are
 * checked first; one bad spec and nothing is written. Push out[i].item to Redis after the commit. `out` has n
 * places. */
enum rc job_enqueue(struct db *d, const struct job_spec *specs, size_t n, struct job_enqueued *out,
                    struct err *err);

/* Pushes those of `jobs` that are queued. */
enum rc job_push(struct cache *c, const struct job_enqueued *jobs, size_t n, struct err *err);

/* A running job's share in the worker: what a claim returns. */
struct job {
    int64_t id;
    int32_t epoch;
    int64_t worker_id;
    int64_t batch;          /* the worker's number for what it claimed together with it */
    int64_t integration_id; /* 0 = none */
    int64_t parent_id;
    int attempt, max_attempts, crashes, timeout_s;
    enum queue_name queue;
    int priority;
    char *kind;
    char *lock_key;   /* or NULL */
    char *args;       /* JSON text */
    char *checkpoint; /* JSON text or NULL */
    char *progress;   /* JSON text or NULL */
};
void job_fini(struct job *j);
/* Row `row` of job_claim's result. */
enum rc job_read(const struct dbres *r, int row, int64_t worker_id, int64_t batch, struct job *out,
                 struct err *err);

/* How an attempt ended, and where its job goes. */
enum outcome {
    OUTCOME_DONE,
    OUTCOME_RETRY,   /* failed, charged; scheduled with backoff, or dead when out of attempts */
    OUTCOME_DEAD,    /* can never succeed */
    OUTCOME_SNOOZE,  /* gives its slot back until delay_ms from now; not charged */
    OUTCOME_DRAINED, /* stopped at a page because the worker drains; queued again, not charged */
    OUTCOME_CANCELLED,
    OUTCOME_CHILDREN, /* waits for its children; not charged */
    OUTCOME_CRASHED,  /* its process died: charged; dead at the third without progress */
    OUTCOME_TIMEOUT,  /* killed past its timeout: charged */
    OUTCOME_LOST,     /* refused by the fence: no longer ours, nothing to settle */
    OUTCOME_COUNT
};
extern const char *const outcome_names[OUTCOME_COUNT];

/* One attempt to be written back. */
struct settlement {
    struct job *job; /* borrowed */
    enum outcome outcome;
    int64_t delay_ms;  /* OUTCOME_SNOOZE */
    const char *error; /* or NULL */
    bool touched;      /* it touched a vendor: it leaves a sync_log row */
};
/* The arguments of job_settle for n settlements (none of them OUTCOME_LOST), as arrays, and of the batches
 * that are over with them. Retries get their backoff here. */
struct settle_args;
void settle_args_destroy(struct settle_args *a);
AUTO_DEFINE(settle_args)
enum rc settle_args_create(int64_t worker_id, const struct settlement *s, size_t n, const int64_t *over,
                           size_t over_n, struct settle_args **out, struct err *err);
const struct db_arg *settle_args_get(const struct settle_args *a, enum sql_id *id, size_t *n);

/* Rows of job_unblock, job_settle (those that went back to queued), job_promote, job_reap ...: columns id,
 * queue, integration_id, priority. *out is the caller's to free(). */
enum rc job_read_items(const struct dbres *r, bool front, struct queue_item **out, size_t *n,
                       struct err *err);

/* A dead or cancelled job waits again with fresh attempts; RC_CONFLICT in any other state. Push out->item
 * afterwards. */
enum rc job_retry(struct db *d, int64_t id, struct job_enqueued *out, struct err *err);

#endif
