/* common/buf.h
 * buf - a growing byte buffer with a ceiling.
 *
 * Ownership: buf_init() in the caller's storage, buf_fini() frees; an all-zero buf may be fini'ed.
 * Errors:    appending past the ceiling (or without memory) sets `failed` and appends nothing more; check
 * once, at the end.
 */
#ifndef DESKMILL_BUF_H
#define DESKMILL_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* len bytes and a terminating 0 that is not counted; NULL before the first byte */
    size_t len, cap, max;
    bool failed;
};

void buf_init(struct buf *b, size_t max); /* max in bytes */
void buf_fini(struct buf *b);
void buf_reset(struct buf *b); /* len = 0, failed = false; keeps the memory */
void buf_trim(struct buf *b,
              size_t keep); /* gives memory beyond `keep` bytes of capacity back; contents must be empty */

void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* With quotes. NUL bytes and what is not UTF-8 become U+FFFD, one per byte. */
void buf_put_json_string(struct buf *b, const char *s, size_t n);

/* Room for n more bytes to be written by the caller, who then adds to len. NULL past the ceiling or when
 * `failed`. The text is terminated behind all n bytes; who uses fewer terminates it. */
char *buf_reserve(struct buf *b, size_t n);

/* big-endian, for PostgreSQL's binary formats */
void buf_put_be16(struct buf *b, uint16_t v);
void buf_put_be32(struct buf *b, uint32_t v);
void buf_put_be64(struct buf *b, uint64_t v);

#endif
