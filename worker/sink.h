/* worker/sink.h
 * sink - a page of records into its table, in the one transaction that also moves cursor, checkpoint, counts
 * and sync log.
 *
 * "Ask first, then send": ids, versions and hashes go over in one round trip; the server names the rows that
 * are new, changed or stale. New ones go by binary COPY straight into the table, changed ones by binary COPY
 * into a temporary table and one UPDATE; what did not change never leaves this process and leaves no trace in
 * the table. Two guards hold on every road: an older version never overwrites a newer one, and a row is
 * written only if its hash differs (or it was marked deleted and has come back).
 *
 * When another writer inserts a row in between, or a deadlock or a lost connection ends the transaction, the
 * page is repeated as a whole, in the first case through a guarded upsert. So a page is committed once or not
 * at all, and sink_commit() may be called again.
 */
#ifndef DESKMILL_WORKER_SINK_H
#define DESKMILL_WORKER_SINK_H

#include "worker/ctx.h"
#include "worker/records.h"

#define SINK_ROWS_MAX 4

struct sink_write {
    struct rows *rows[SINK_ROWS_MAX]; /* finished; each row's fate is filled in. Different streams, or not the
                                         same ids */
    size_t nrows;
    int64_t pages;               /* to be counted */
    const struct db_call *calls; /* more statements of the same transaction, after the rows */
    size_t ncalls;
    json_t *checkpoint; /* the caller's; taken (NULL afterwards) when it was committed. NULL = the old one
                           stays */
    /* May enqueue jobs and run statements in the open transaction, when the rows are written; `wrote` counts
     * them. NULL = nothing */
    enum rc (*in_tx)(struct job_ctx *ctx, const struct counts *wrote, void *arg, struct err *err);
    void *arg;
};

/* RC_CONFLICT with ctx->lost: the fence refused and everything was rolled back. */
enum rc sink_commit(struct job_ctx *ctx, struct sink_write *w, struct err *err);

#endif
