/* api/enqueue.h
 * enqueue - a job on a caller's behalf: the row is the promise, the push to Redis only makes it fast.
 */
#ifndef DESKMILL_API_ENQUEUE_H
#define DESKMILL_API_ENQUEUE_H

#include "api/answer.h"
#include "api/request.h"
#include "common/job.h"

/* Commits one job and answers 202 {"job", "created", "kind", "integration"?, ...}. `extra` (taken, may be
 * NULL) is merged into the answer. A push that fails is logged and the scheduler told; it is no error. */
enum rc enqueue(struct request *rq, struct answer *an, const struct job_spec *spec, const char *integration,
                json_t *extra, struct err *err);

/* Pushes what is committed; a failure is logged, and the scheduler is told to look. */
void push_items(struct request *rq, const struct queue_item *items, size_t n);
void wake_scheduler(struct request *rq);

#endif
