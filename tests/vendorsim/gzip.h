/* gzip - compresses answers, and remembers the long ones, because a walk is often walked again.
 *
 * An answer is a long body that may come again byte for byte and a short tail that never does (the request
 * id): the body is compressed and remembered, the tail is appended uncompressed, and both make one gzip
 * member. Threads: safe from several at once; it has a lock of its own.
 */
#ifndef VENDORSIM_GZIP_H
#define VENDORSIM_GZIP_H

#include "buf.h"

struct gzip_cache; /* opaque */

struct gzip_cache *gzip_cache_create(void);
void gzip_cache_destroy(struct gzip_cache *c); /* NULL is fine */
void gzip_join(struct gzip_cache *c, const struct buf *body, const struct buf *tail, struct buf *out);

#endif
