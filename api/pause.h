/* api/pause.h
 * pause - what Redis is told when jobs are held back and let go, and how a pause is shown. The row that says
 * so is committed before: claims go by that, Redis only spares workers the way.
 */
#ifndef DESKMILL_API_PAUSE_H
#define DESKMILL_API_PAUSE_H

#include "api/request.h"
#include "common/queue.h"

/* Drops the ids of a queue; of one integration in it, if that is not 0. A failure is logged: workers drop
 * them one by one. */
void pause_drop_ids(struct request *rq, enum queue_name queue, int64_t integration_id);

/* Pushes what may start again: of one queue or of all (NULL), of one integration or of all (0). Bounded; the
 * scheduler is told, and finds what is beyond. */
enum rc pause_push_ids(struct request *rq, const char *queue, int64_t integration_id, struct err *err);

/* Of the rows of pause_list: the pause of a queue as a whole (integration 0), or of one integration in it. A
 * new reference; JSON's null if there is none. */
json_t *pause_json(const struct dbres *pauses, const char *queue, int64_t integration_id);

#endif
