/* buf - a growing byte buffer and the JSON text written into it.
 *
 * Ownership: in the caller's storage; an all-zero buf is empty and may be `fini`ed.
 * Errors:    none; running out of memory ends the program, which is fine for a test server.
 */
#ifndef VENDORSIM_BUF_H
#define VENDORSIM_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <jansson.h>

struct buf {
    char *p;
    size_t len;
    size_t cap;
};

/* How strings are escaped. All three are the same JSON; readers must take each. */
enum esc {
    ESC_PLAIN, /* only what must be */
    ESC_GO,    /* also < > & and the two line separators, as Go's encoder does */
    ESC_ASCII, /* everything beyond ASCII, in surrogate pairs where needed */
};

void *must_alloc(size_t n); /* zeroed */
char *must_strdup(const char *s);

void buf_fini(struct buf *b);
void buf_room(struct buf *b, size_t more); /* after this, `more` bytes fit without growing */
void buf_i64(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The string `s` with its quotes. It must be valid UTF-8. */
void buf_json(struct buf *b, const char *s, size_t n, enum esc esc);
void buf_jstr(struct buf *b, const char *s, enum esc esc); /* NULL gives null */
void buf_value(struct buf *b, const json_t *v,
               enum esc esc);        /* any JSON value, compact, keys in their order */
const char *buf_cstr(struct buf *b); /* terminated; borrowed until b changes */

/* Inline, because a page of issues is made of some hundred thousand small pieces. */
static inline void
buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    if (b->cap - b->len < n)
        buf_room(b, n);
    memcpy(b->p + b->len, p, n);
    b->len += n;
}

static inline void
buf_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

static inline void
buf_char(struct buf *b, char c)
{
    if (b->cap == b->len)
        buf_room(b, 1);
    b->p[b->len++] = c;
}

#endif
