/* common/queue.h
 * queue - the lists of job ids in Redis: pushed by whoever enqueued (after its commit), taken by workers,
 * rebuilt by the scheduler.
 *
 * Redis is the speed, not the truth: a lost id is found again by the scheduler's check, a doubled or stale
 * one fails the claim in Postgres. So pushing again is always safe.
 *
 * Keys, all under "dm:":
 *   q:<queue>:ring                       integrations with work in this queue, in turn
 *   q:<queue>:<integration>:<priority>   job ids, oldest first (integration 0 = none)
 *   wake                                 tokens that idle workers block on; one push wakes one worker
 *   w:<worker>                           what the worker took last and has not yet made running
 *   turn, gen                            the place in the weighted turn; the generation that must equal
 * queue_state's
 *
 * Threads: one thread at a time per cache.
 */
#ifndef DESKMILL_QUEUE_H
#define DESKMILL_QUEUE_H

#include "common/cachea.h"
#include "common/err.h"
#include <stddef.h>
#include <stdint.h>

enum queue_name { QUEUE_LIVE, QUEUE_DEFAULT, QUEUE_BULK, QUEUE_COUNT };
extern const char *const queue_names[QUEUE_COUNT];
/* -1 if there is no such queue. */
int queue_by_name(const char *name);

struct queue_item {
    int64_t job_id;
    int64_t integration_id; /* 0 = none */
    enum queue_name queue;
    int priority; /* 0 to 2 */
    bool front; /* before the others of its list: it has waited its turn already (lock waiters, drained jobs)
                 */
};

/* Appends the ids to their lists and leaves wake-up tokens; one round trip per 500. RC_LIMIT: no memory is
 * left for them; the generation is dropped then, and with it the promise that the lists are whole, and a
 * worker is woken to look into the rows. */
enum rc queue_push(struct cache *c, const struct queue_item *items, size_t n, struct err *err);
/* The same without waiting; a failure is left to the scheduler's check, after cb (may be NULL) heard of it.
 */
void queue_push_async(struct cachea *c, const struct queue_item *items, size_t n, cachea_cb cb, void *arg);

/* Moves up to `want` ids to the worker's own list, weighted over queues (live 6, default 3, bulk 1; an empty
 * queue's turn goes to the next) and in turn over integrations; what the list held before is dropped first.
 * cb gets an array of ids, the last of them 0 when Redis holds no generation: then what is missing from the
 * lists is to be looked for in the rows. Cost does not grow with the backlog. */
void queue_claim_async(struct cachea *c, int64_t worker_id, int want, cachea_cb cb, void *arg);
/* Waits on `c` (a connection of its own) until there may be work, or `seconds` have passed. */
void queue_wait_async(struct cachea *c, int seconds, cachea_cb cb, void *arg);
/* Empties the worker's own list: everything taken has been made running or given up. */
void queue_forget_async(struct cachea *c, int64_t worker_id);

/* What the worker took and never made running (for the reaper), and emptying it. *ids is the caller's to
 * free(). */
enum rc queue_taken(struct cache *c, int64_t worker_id, int64_t **ids, size_t *n, struct err *err);
enum rc queue_forget(struct cache *c, int64_t worker_id, struct err *err);

/* Length of the three lists of one integration in one queue, summed. lens[i] for (queues[i],
 * integrations[i]); one round trip. */
enum rc queue_lengths(struct cache *c, const struct queue_item *of, size_t n, int64_t *lens, struct err *err);

/* The generation Redis holds, -1 if none; and the server's run id (changes when it restarts). */
enum rc queue_generation(struct cache *c, int64_t *generation, char run_id[static 64], struct err *err);
/* Begins a rebuild: drops every list, in one step, and sets the generation. Work pushed from here on stays.
 */
enum rc queue_reset(struct cache *c, int64_t generation, struct err *err);
/* Drops the lists of one integration in one queue (0 = of those without), and its place in the ring. */
enum rc queue_drop(struct cache *c, enum queue_name queue, int64_t integration_id, struct err *err);
/* Drops all lists of one queue, a slice a round trip: workers wait for none of them for long. */
enum rc queue_drop_all(struct cache *c, enum queue_name queue, struct err *err);

/* How many ids wait in one queue, for up to `max` of its integrations, those whose turn is next. *ring is how
 * many integrations have any: more than *n, and the others were not looked at. `out` has `max` places; one
 * round trip, its cost is `max`. */
struct queue_depth {
    int64_t integration_id, ids;
};
enum rc queue_depths(struct cache *c, enum queue_name queue, size_t max, struct queue_depth *out, size_t *n,
                     int64_t *ring, struct err *err);

#endif
