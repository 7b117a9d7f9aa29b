/* worker/jobs/vendor.h
 * vendor - what every job that talks to a help desk begins and ends with, and the walk through the pages of
 * one question.
 *
 * A walk's question is frozen: it goes into the job's checkpoint with the cursor, so that whoever continues
 * asks just the same.
 */
#ifndef DESKMILL_WORKER_JOBS_VENDOR_H
#define DESKMILL_WORKER_JOBS_VENDOR_H

#include "common/clock.h"
#include "worker/ctx.h"
#include "worker/fetch.h"
#include "worker/sink.h"

/* How much of history one window, and one chunk of a backfill, is. */
#define CHUNK_SPAN (30 * CLOCK_DAY)

/* Opens the job's integration for fetching. OUTCOME_DONE = ready; else how the attempt ends: snoozed while
 * the integration is paused, dead when it can't work as it is set up. */
enum outcome vendor_open(struct job_ctx *ctx, bool bulk, struct fetch **out, struct err *err);

/* How the attempt ends after a call that failed: snooze without budget, dead (and the integration refused)
 * for credentials that were, retry for the rest. */
enum outcome vendor_failure(struct job_ctx *ctx, const struct integration *in, const struct fetched *r,
                            struct err *err);

/* One call on its own. OUTCOME_DONE: *out is its result, which may be an error. */
enum outcome vendor_ask(struct job_ctx *ctx, struct fetch *f, const struct call *c, struct fetched **out,
                        struct err *err);

/* Where the search for the earliest issue stands: none was created before `none`, some before `some`. All
 * DB_NO_TIME: not begun. */
struct search {
    int64_t none, some, step;
};
#define SEARCH_NONE ((struct search){ DB_NO_TIME, DB_NO_TIME, DB_NO_TIME })
/* For the checkpoint, and back out of it (j may be NULL). */
json_t *search_save(const struct search *s);
enum rc search_load(struct search *s, const json_t *j, struct err *err);

/* The earliest moment before which no issue was created, to within 30 days, and not after `before`;
 * DB_NO_TIME when there is no issue before that. A few calls for one record each; when the budget runs out
 * between them, `s` says how far it came, for the caller to save. */
enum outcome vendor_earliest(struct job_ctx *ctx, struct fetch *f, int64_t before, struct search *s,
                             int64_t *earliest, struct err *err);

/* Enqueues message_pull if messages are due. A sink_write.in_tx; `arg` points to a bool: also look when
 * nothing was written. */
enum rc vendor_messages_due(struct job_ctx *ctx, const struct counts *wrote, void *arg, struct err *err);

struct walk {
    struct job_ctx *ctx;
    struct fetch *fetch;
    struct call call;     /* the question; its cursor is the walk's */
    char *cursor;         /* of the next page; NULL = the first */
    int64_t page;         /* pages committed so far */
    int64_t began;        /* when the first was asked for */
    int64_t newest;       /* the newest version seen; DB_NO_TIME = none */
    int64_t newest_first; /* the same of the first page alone */
    int64_t wrote;        /* rows inserted or updated, by this attempt */
    int restarts;
    uint64_t *seen; /* hashes of the cursors so far */
    size_t nseen, cap_seen;
    int status; /* of the answer that ended the walk, 0 = it did not end by one */
    bool look;  /* vendor_messages_due's argument */
    /* Before a page is committed: adds its checkpoint and statements to `w`. cursor, page and newest are
     * already those after it. */
    enum rc (*on_page)(struct walk *k, bool last, struct sink_write *w, struct err *err);
    /* After it was: the rows' fates are known. NULL = nothing */
    void (*on_committed)(struct walk *k, const struct rows *rows);
    void *owner;
};
void walk_init(struct walk *k, struct job_ctx *ctx, struct fetch *f, const struct call *question,
               void *owner);
void walk_fini(struct walk *k);
/* For the checkpoint, and back out of it. */
json_t *walk_save(const struct walk *k);
enum rc walk_load(struct walk *k, const json_t *j, struct err *err);
/* From where it stands to the last page. OUTCOME_DONE: all of it is committed. */
enum outcome walk_run(struct walk *k, struct err *err);

json_t *json_time(int64_t t); /* RFC 3339 text, or null for DB_NO_TIME */

#endif
