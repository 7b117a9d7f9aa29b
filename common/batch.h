/* common/batch.h
 * batch - a job and all that is below it (its children, theirs, and so on), ended or tried again as one.
 *
 * A parent fans its children out in one transaction, comes to wait for them (scheduled, run_at null), and is
 * queued again when the last of them has ended; it then looks at its children's rows and decides what it is
 * itself. Nothing is counted down: how far a batch is, is a query over the children's states. A parent that
 * is woken too early sees that, and waits again.
 *
 * Against a parent that fans out at this moment: its transaction begins with batch_own(), which holds the
 * parent's row. So a cancel either waits for those children and then sees them, or the parent sees the
 * cancel before it has made any.
 *
 * Threads: one thread at a time per db.
 * Errors:  RC_NOT_FOUND and RC_CONFLICT name the job and say what would be right; nothing is written then.
 */
#ifndef DESKMILL_BATCH_H
#define DESKMILL_BATCH_H

#include "common/job.h"

/* In the transaction of a running job that enqueues children, before it does: holds the job's row. *cancel
 * tells whether it is to be cancelled: enqueue nothing then. RC_CONFLICT: it is no longer ours. */
enum rc batch_own(struct db *d, const struct job *job, bool *cancel, struct err *err);

struct batch_changed {
    const char *state;        /* of the job itself, afterwards; "" if it had ended before */
    int64_t ended;            /* cancelled at once, itself included */
    int64_t running;          /* asked to end at their next page, itself included */
    int64_t retried;          /* waiting again, parents that wait for them included */
    struct queue_item *items; /* to be pushed now; the caller's to free() */
    size_t n;
};

/* Ends what waits, asks what runs to end at its next page. A parent that waited for the job may go on.
 * RC_CONFLICT if nothing of it waits or runs. A transaction of its own. */
enum rc batch_cancel(struct db *d, int64_t id, struct batch_changed *out, struct err *err);

/* What is dead below the job, and what was cancelled if `cancelled`, waits again with fresh attempts, each
 * from its checkpoint; their parents up to the job wait for them, whatever they had ended as; and so does the
 * job itself. RC_CONFLICT if nothing is to be retried, or a parent runs at this moment. A transaction of its
 * own. */
enum rc batch_retry(struct db *d, int64_t id, bool cancelled, struct batch_changed *out, struct err *err);

#endif
