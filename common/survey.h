/* common/survey.h
 * survey - what Redis's lists hold at this moment, for those who only watch: how much waits in each queue,
 * and which job is the next of each integration. Changes nothing, and holds Redis up for less than a
 * millisecond at a time.
 *
 * Threads: one thread at a time per cache.
 */
#ifndef DESKMILL_SURVEY_H
#define DESKMILL_SURVEY_H

#include "common/queue.h"

struct survey {
    struct survey_queue {
        int64_t integrations; /* with work */
        int64_t ids; /* in their lists; where not all were looked at, as many as those that were let expect */
    } queues[QUEUE_COUNT];
    int64_t *heads; /* the first id of each list that was looked at */
    size_t heads_n;
};
void survey_fini(struct survey *s);

/* Looks at no more than `max` integrations of each queue. On failure *out is empty. */
enum rc survey_take(struct cache *c, size_t max, struct survey *out, struct err *err);

#endif
