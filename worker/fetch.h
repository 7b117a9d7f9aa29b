/* worker/fetch.h
 * fetch - a thread that brings what is asked next while the job writes what came before.
 *
 * A batch of calls (mostly one) is started, runs in its own thread - budget, request, short retries, parsing,
 * mapping - and is finished, which hands its results over. Two batches exist: results stay valid until the
 * batch after the next is started, so that page n may be written, and compared with page n + 1, while that is
 * fetched. Errors travel as values; a call that would have to wait long for its budget says how long instead.
 *
 * Within a batch: transport failures, 5xx and answers that are no JSON are tried again after 250 ms and after
 * 1 s. A wait for budget of at most 2 s is slept out; 429 goes into the budget, and then either of the two
 * happens.
 *
 * Ownership: takes the integration. Has connections of its own to the vendor and to Redis.
 * Threads:   use from the job's thread only. Between start and finish the thread has the batch, http, budget
 * and doc to itself.
 */
#ifndef DESKMILL_WORKER_FETCH_H
#define DESKMILL_WORKER_FETCH_H

#include "worker/connectors/connector.h"
#include "worker/ctx.h"
#include "worker/integration.h"

#define FETCH_PARALLEL 8    /* calls of one batch */
#define FETCH_WAIT_MS  2000 /* a longer wait for budget is the job's to decide */

/* What came of one call. */
struct fetched {
    enum rc rc;
    struct err err;
    int status;      /* HTTP status of the last answer; 0 = none came */
    int64_t wait_ms; /* > 0: no budget (rc is RC_LIMIT); ask again then */
    int64_t requests, bytes;
    struct page page; /* with RC_OK */
};

struct fetch;
/* Waits until the thread has ended. If it hangs in a request and the process is about to end anyway, it and
 * its memory are left behind after 3 s. */
void fetch_destroy(struct fetch *f);
AUTO_DEFINE(fetch)
/* `bulk`: leave the budget's reserve to live work. */
enum rc fetch_create(const struct conf *conf, struct integration **in, bool bulk, struct fetch **out,
                     struct err *err);

const struct integration *fetch_integration(const struct fetch *f);

/* No batch may be running. Calls are copied, strings too. */
enum rc fetch_start(struct fetch *f, const struct call *calls, size_t n, struct err *err);
/* Waits for the batch. False: ctx_stop() said to end first, *why tells how; the batch goes on unheeded.
 * Requests and bytes of the results are counted into ctx, and that the vendor was touched. */
bool fetch_finish(struct fetch *f, struct job_ctx *ctx, struct fetched **results, enum outcome *why);

#endif
