/* scheduler/push.h
 * push - ids on their way to Redis, and whether Redis is there. A push never fails for the caller: the row is
 * the promise, and what Redis missed is found by dispatch.
 *
 * Ownership: borrows nothing; owns its connection.
 * Threads:   one.
 */
#ifndef DESKMILL_SCHEDULER_PUSH_H
#define DESKMILL_SCHEDULER_PUSH_H

#include "common/cache.h"
#include "common/job.h"

struct push;
void push_destroy(struct push *p);
AUTO_DEFINE(push)
/* RC_INVALID: a bad URL, or a server whose maxmemory-policy would lose ids. A server that is down is no
 * error. */
enum rc push_create(const char *redis_url, struct push **out, struct err *err);

void push_items(struct push *p, const struct queue_item *items, size_t n);
void push_jobs(struct push *p, const struct job_enqueued *jobs, size_t n);
/* Rows of id, queue, integration, priority. RC_INTERNAL: no memory. */
enum rc push_rows(struct push *p, const struct dbres *rows, bool front, struct err *err);

/* Asks Redis for its generation and run id, as in queue_generation(). False: it is down (tried again with
 * backoff), or full: once it has refused ids for want of memory, until a tenth of that is free, and every 30
 * s. Logs when that changes. */
bool push_probe(struct push *p, int64_t *generation, char run_id[static 64]);
/* The connection, or NULL while Redis is down. After a failure on it: push_failed(). */
struct cache *push_cache(struct push *p);
void push_failed(struct push *p, const struct err *err);
bool push_full(const struct push *p);
/* True once after ids may not have arrived. */
bool push_missed(struct push *p);

#endif
