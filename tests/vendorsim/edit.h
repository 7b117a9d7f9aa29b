/* edit - changes to the data while it is being read: those a test asks for, and those that churn makes up.
 *
 * Threads: the simulator's lock is held by whoever calls.
 */
#ifndef VENDORSIM_EDIT_H
#define VENDORSIM_EDIT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "rng.h"
#include "world.h"

/* A time the patch does not give is `now`. False, with the reason in `why`, when something in it cannot be:
 * then nothing has changed. What has no place of its own is kept and shown as it was given. */
bool edit_patch(struct world *w, struct issue *is, const json_t *patch, int64_t now, struct buf *why);
struct issue *edit_create(struct world *w, const json_t *fields, int64_t now,
                          struct buf *why); /* NULL: see why */
/* The message is borrowed until the issue changes again. */
struct msg *edit_add_message(struct world *w, struct issue *is, const json_t *fields, int64_t now,
                             struct buf *why);
/* Changes some issue in some way; does nothing when there is none. */
void edit_random(struct world *w, struct rng *r, int64_t now);

#endif
