/* common/doc.h
 * doc - a vendor's JSON answer, read at simdjson's speed. The one user of simdjson (doc.cc).
 *
 * A value is a small struct that points into its doc: it dies with the doc, the doc's next parse or its
 * trimming. A value that is missing, is null, or was looked for in something that is no object reads as
 * DOC_NULL; no accessor ever fails harder than that. UTF-8 is checked by the parser. Of members with the same
 * key the first counts.
 *
 * Threads: one thread at a time per doc; values may be read by another thread while no parse runs.
 */
#ifndef DESKMILL_DOC_H
#define DESKMILL_DOC_H

#include "common/auto.h"
#include "common/buf.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct doc;
void doc_destroy(struct doc *d);
enum rc doc_create(struct doc **out, struct err *err);

enum doc_type { DOC_NULL, DOC_BOOL, DOC_INT, DOC_DOUBLE, DOC_STRING, DOC_ARRAY, DOC_OBJECT };
struct doc_value {
    const void *doc;
    size_t at; /* opaque */
    enum doc_type type;
};

/* `text` must have 64 readable bytes behind its `len` (http_res bodies have) and live as long as the values
 * do. RC_PROTOCOL says where and what ("not JSON at byte 17: ..."; for bodies that start with '<', that it
 * looks like HTML); that includes nesting beyond 256 and integers beyond 64 bits. */
enum rc doc_parse(struct doc *d, const char *text, size_t len, struct doc_value *root, struct err *err);
/* Gives the parser's memory back beyond what a document of `len` bytes needs. */
void doc_trim(struct doc *d, size_t len);

struct doc_value doc_get(struct doc_value v, const char *key);   /* a member by its exact key */
struct doc_value doc_path(struct doc_value v, const char *path); /* "account.id": keys joined by dots */
const char *doc_string(struct doc_value v,
                       size_t *len); /* NULL if no string; may hold NUL bytes, so mind len */
bool doc_int(struct doc_value v,
             int64_t *out); /* an integer, or a double that is a whole number; false where it does not fit */
bool doc_double(struct doc_value v, double *out);
bool doc_bool(struct doc_value v, bool *out);
size_t doc_len(struct doc_value v); /* members or elements, else 0 */

/* for (struct doc_iter it = doc_iter(v); doc_next(&it);) use it.key, it.key_len (objects) and it.value.
 * Anything else than an array or object has no steps. */
struct doc_iter {
    const void *doc;
    size_t at, end; /* opaque */
    bool object;
    const char *key;
    size_t key_len;
    struct doc_value value;
};
struct doc_iter doc_iter(struct doc_value v);
bool doc_next(struct doc_iter *it);

/* Compact JSON of the value, fit for jsonb: NUL characters become U+FFFD. */
void doc_write(struct doc_value v, struct buf *out);

#ifdef __cplusplus
}
#endif

AUTO_DEFINE(doc)
#endif
