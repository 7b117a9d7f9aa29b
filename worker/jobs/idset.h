/* worker/jobs/idset.h
 * idset - a few thousand ids, each once. An all-zero one is empty; beyond IDSET_MAX new ids are left out
 * (what it serves are hints).
 */
#ifndef DESKMILL_WORKER_JOBS_IDSET_H
#define DESKMILL_WORKER_JOBS_IDSET_H

#include "common/db.h"
#include <stddef.h>

#define IDSET_MAX 4096

struct idset {
    const char **ids; /* owned strings, in the order they came */
    size_t n;
    size_t *slots; /* 1 + index, 0 = free */
};
void idset_fini(struct idset *s); /* and empties it */
void idset_add(struct idset *s, const char *id, size_t len);
size_t idset_len(const struct idset *s);
struct db_arg idset_arg(const struct idset *s); /* borrowed: text[] */

#endif
