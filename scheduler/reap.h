/* scheduler/reap.h
 * reap - workers that are lost, and their jobs taken back.
 *
 * A worker is lost when it has been silent for a lease, or when its advisory lock is gone (its connection
 * died with it) in two passes in a row without a beat in between. First its row is marked dead: of several
 * schedulers one wins, and the worker's later beats find nothing. Then its children's sessions are ended, so
 * that a stopped one holds no row locks. Then its jobs go back; what does not succeed is done by the next
 * pass, because dead workers with running jobs are looked for each time. Should such a worker wake up, the
 * fence refuses its writes.
 */
#ifndef DESKMILL_SCHEDULER_REAP_H
#define DESKMILL_SCHEDULER_REAP_H

#include "scheduler/push.h"

struct reap;
void reap_destroy(struct reap *r);
AUTO_DEFINE(reap)
enum rc reap_create(int64_t lease_ms, struct reap **out, struct err *err);

/* Marks lost workers dead. Called once a beat: between two looks at a lock must lie time to take it again. */
enum rc reap_bury(struct reap *r, struct db *db, struct push *push, struct err *err);
/* Takes the jobs of dead workers back. *again: some are left, whose rows someone still holds (a session that
 * is being ended, mostly): come back soon. */
enum rc reap_take_back(struct db *db, struct push *push, bool *again, struct err *err);

/* The database was out of our reach, and so perhaps out of the workers': nobody is judged before a lease has
 * passed. */
void reap_grace(struct reap *r);

#endif
