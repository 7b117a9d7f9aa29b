/* worker/ctx.h
 * ctx - what a running job may use, and the one way its writes count.
 *
 * A job kind is one function, run(ctx, args, err), that returns how the attempt ended. It runs in a child
 * process of its own, in plain blocking code. Between pages it asks ctx_stop(); every transaction it makes
 * holds the statement ctx_fence(), which moves the job's own row and dies with RC_CONFLICT (DM409) when the
 * job is no longer ours.
 *
 * Ownership: the child makes one ctx per job and destroys it; db, cache and http outlive it (kept for the
 * next job of this child). Threads:   ctx and db belong to the thread that runs the job. A fetching thread
 * may use http, budget and its own doc only.
 */
#ifndef DESKMILL_WORKER_CTX_H
#define DESKMILL_WORKER_CTX_H

#include "common/cache.h"
#include "common/conf.h"
#include "common/counters.h"
#include "common/db.h"
#include "common/job.h"
#include "common/json.h"
#include "worker/lane.h"
#include <stdbool.h>
#include <stdint.h>

/* What the job has done so far, over all its attempts; goes into jobs.progress (json) and, for this attempt
 * alone, into sync_log. */
struct counts {
    int64_t requests, bytes, pages, fetched, inserted, updated, unchanged, stale, rejected;
};

struct job_ctx {
    const struct job *job;
    const struct conf *conf;
    struct db *db;
    struct cache *cache;     /* for budgets and for pushing what was enqueued; may be down */
    const struct lane *lane; /* says when the parent wants us to stop; NULL = never */
    json_t
        *checkpoint; /* owned; NULL at first: the last one committed. Written with every fenced transaction */
    json_t *extra_progress;         /* owned; merged into jobs.progress; NULL = nothing */
    struct counts total;            /* since the job's first attempt: read from job->progress at the start */
    struct counts attempt;          /* of this attempt */
    int64_t window_from, window_to; /* microseconds, for sync_log; DB_NO_TIME = none */
    json_t *unknown;                /* owned; field name -> times seen, for sync_log; NULL = none */
    bool touched;                   /* a vendor was called */
    bool cancel;                    /* the last fence said that someone wants the job cancelled */
    bool lost;                      /* a fence refused: no longer ours; nothing more of this attempt counts */
    char *doubtful;                 /* owned; the progress of a commit whose answer was lost; NULL = none */
    bool unsaved;                   /* something was counted since the last commit */
    int64_t snooze_ms;              /* with OUTCOME_SNOOZE */
    struct counters *counters;      /* owned; of this attempt, written at its end; NULL = nothing */
    struct job_enqueued *enqueued;  /* rows made in the open transaction, pushed by ctx_commit() */
    size_t enqueued_n, enqueued_cap;
};

typedef enum outcome (*job_run_fn)(struct job_ctx *ctx, const json_t *args, struct err *err);

enum rc ctx_init(struct job_ctx *ctx, const struct job *job, const struct conf *conf, struct db *db,
                 struct cache *cache, const struct lane *lane, struct err *err);
void ctx_fini(struct job_ctx *ctx);

/* Between pages: false = go on; true = end now with *why (OUTCOME_DRAINED when the parent asked,
 * OUTCOME_CANCELLED when a fence said so). */
bool ctx_stop(struct job_ctx *ctx, enum outcome *why);

/* Adds to attempt and total. */
void ctx_count(struct job_ctx *ctx, const struct counts *c);
/* Counts a field that has no place, or a value that can't be read. */
void ctx_unknown(struct job_ctx *ctx, const char *name, int64_t times);
/* Counts something for /metrics that happens now and then; written by ctx_fini(). */
void ctx_note(struct job_ctx *ctx, enum counter id, const char *label, int64_t n);
/* Puts a value into jobs.progress from the next fence on. Takes *value. */
void ctx_set_progress(struct job_ctx *ctx, const char *key, json_t **value);

/* Runs the fence (own_job with checkpoint and progress) and, if a vendor was touched, the sync_log row of
 * this attempt, in the open transaction, then commits; pushes what ctx_enqueue() made. RC_CONFLICT:
 * refused; everything was rolled back; end with OUTCOME_LOST (logged as job.refused here). Any other error:
 * rolled back too.
 * `calls` are the caller's, before the fence (cursors, marks), all in one round trip. A new *checkpoint
 * (NULL: the old one stays) is taken when it is committed, and only then: a later commit must not write one
 * whose rows were rolled back. */
enum rc ctx_commit(struct job_ctx *ctx, const struct db_call *calls, size_t n, json_t **checkpoint,
                   struct err *err);
/* begin and ctx_commit() in one round trip, for what needs no other statement. */
enum rc ctx_save(struct job_ctx *ctx, const struct db_call *calls, size_t n, json_t **checkpoint,
                 struct err *err);
/* After either of them was cut off (ctx->doubtful): was it committed all the same? If so, *checkpoint is
 * taken as by the commit. RC_OK: known now; otherwise it is still in doubt. */
enum rc ctx_landed(struct job_ctx *ctx, json_t **checkpoint, bool *landed, struct err *err);
/* At the end of an attempt that failed: what it counted since its last commit (requests, bytes) goes into
 * progress and sync_log. A failure of this is let pass. */
void ctx_flush(struct job_ctx *ctx);
/* Undoes the open transaction and forgets what was enqueued in it. */
void ctx_rollback(struct job_ctx *ctx);

/* Enqueues within the open transaction; pushed after ctx_commit() succeeded, forgotten when it did not. With
 * children of this job among them (parent_id is ours) RC_CONFLICT also when the job is to be cancelled:
 * nothing was enqueued, roll back and end with ctx_outcome(). */
enum rc ctx_enqueue(struct job_ctx *ctx, const struct job_spec *specs, size_t n, struct err *err);

/* An error as an outcome: RC_CONFLICT by the fence is LOST, by a cancel CANCELLED, RC_INVALID DEAD, the rest
 * RETRY. */
enum outcome ctx_outcome(const struct job_ctx *ctx, enum rc rc);

#endif
