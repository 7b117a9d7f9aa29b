/* api/expose.h
 * expose - figures as Prometheus reads them: a family's head, then its samples.
 */
#ifndef DESKMILL_API_EXPOSE_H
#define DESKMILL_API_EXPOSE_H

#include "common/buf.h"
#include <stdint.h>

/* "gauge", "counter" ... */
void expose_family(struct buf *b, const char *name, const char *type, const char *help);
/* A sample; with up to two labels ("" = none), whose values may be any text. It is value / unit. */
void expose_sample(struct buf *b, const char *name, const char *const labels[2], const char *const values[2],
                   int64_t value, int64_t unit);
/* The same with one label, or none, and a whole number. */
void expose_by(struct buf *b, const char *name, const char *label, const char *value, int64_t v);
void expose(struct buf *b, const char *name, int64_t v);
/* A family of one sample. */
void expose_gauge(struct buf *b, const char *name, const char *help, int64_t v);

#endif
