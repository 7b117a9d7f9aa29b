/* generate - fills a world with a believable year, from a seed. The same seed, sizes and `now` give the same
 * data. */
#ifndef VENDORSIM_GENERATE_H
#define VENDORSIM_GENERATE_H

#include "options.h"
#include "world.h"

void generate_world(struct world *w, const struct options *opts, int64_t now);
/* A message's id and dice, for the k-th message of an issue. */
void generate_message_id(struct msg *m, const struct issue *is, uint64_t k);

#endif
