/* scheduler/leader.h
 * leader - which of several schedulers does the work. It saves double work and decides nothing else: every
 * pass is safe beside another scheduler's.
 *
 * The leader holds a lease in queue_state (a term, by the database's clock) and, for as long as its session
 * lives, an advisory lock of that term. A standby takes over when the lease has run out, or when it saw the
 * lock missing twice: a killed leader is replaced within a second or two, a stopped one after its lease; what
 * locks a stopped one holds go when its transactions have been idle for as long. Ticks and delayed jobs do
 * not wait for that: a standby takes them as soon as they are late.
 */
#ifndef DESKMILL_SCHEDULER_LEADER_H
#define DESKMILL_SCHEDULER_LEADER_H

#include "common/db.h"
#include <stdbool.h>

#define LEADER_LEASE_MS 10000
#define LEADER_RENEW_MS 2000

struct leader;
void leader_destroy(struct leader *l);
AUTO_DEFINE(leader)
/* always: leads without a lease. */
enum rc leader_create(bool always, struct leader **out, struct err *err);

/* Takes or renews the lease where it is time to; called every beat. */
enum rc leader_beat(struct leader *l, struct db *db, struct err *err);
bool leader_leads(const struct leader *l);
/* The session was lost, and with it the lock: the next beat renews at once. */
void leader_reconnected(struct leader *l);
/* Gives the lease up at once and wakes the standby. */
void leader_yield(struct leader *l, struct db *db);

#endif
