/* pylon_filter - the filter tree of an issue search: checked once, then asked for each issue.
 *
 * Ownership: the compiled filter keeps its own references to the JSON values it needs.
 */
#ifndef VENDORSIM_PYLON_FILTER_H
#define VENDORSIM_PYLON_FILTER_H

#include <stdbool.h>

#include <jansson.h>

#include "world.h"

struct pylon_filter; /* opaque */

/* NULL, with the reason in `why`, when the tree is one that the API refuses. */
struct pylon_filter *pylon_filter_create(const struct world *w, const json_t *tree, struct buf *why);
void pylon_filter_destroy(struct pylon_filter *f); /* NULL is fine */
bool pylon_filter_match(const struct pylon_filter *f, const struct issue *is);

#endif
