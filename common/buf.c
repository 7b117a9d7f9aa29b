#include "common/buf.h"
#include "common/utf8.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 64 };

void
buf_init(struct buf *b, size_t max)
{
    assert(b != NULL);
    *b = (struct buf){ .max = max < PTRDIFF_MAX ? max : PTRDIFF_MAX - 1 };
}

void
buf_fini(struct buf *b)
{
    size_t max = b->max;

    free(b->data);
    buf_init(b, max);
}

void
buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data != NULL)
        b->data[0] = '\0';
}

void
buf_trim(struct buf *b, size_t keep)
{
    char *less;

    assert(b->len == 0);
    if (b->cap <= keep)
        return;
    if (keep == 0) {
        free(b->data);
        b->data = NULL;
        b->cap = 0;
        return;
    }
    if ((less = realloc(b->data, keep)) != NULL) { /* if not, the larger one still serves */
        b->data = less;
        b->cap = keep;
    }
}

/* Makes room for n bytes and the terminator behind them. */
static bool
room(struct buf *b, size_t n)
{
    size_t cap;
    char *more;

    if (b->failed)
        return false;
    if (n > b->max || b->len > b->max - n) {
        b->failed = true;
        return false;
    }
    if (b->data != NULL && b->len + n < b->cap)
        return true;
    cap = b->cap < SMALLEST ? SMALLEST : b->cap <= b->max / 2 ? b->cap * 2 : b->max + 1;
    if (cap < b->len + n + 1)
        cap = b->len + n + 1;
    if (cap > b->max + 1)
        cap = b->max + 1;
    if ((more = realloc(b->data, cap)) == NULL) {
        b->failed = true;
        return false;
    }
    b->data = more;
    b->cap = cap;
    return true;
}

char *
buf_reserve(struct buf *b, size_t n)
{
    if (!room(b, n))
        return NULL;
    b->data[b->len] = '\0';
    b->data[b->len + n] = '\0';
    return b->data + b->len;
}

void
buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !room(b, n))
        return;
    memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void
buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void
buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if (n == 0 || !room(b, (size_t)n))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

/* The escape of one byte that cannot stand as itself, or NULL. `text` is for those without a letter. */
static const char *
json_escape(unsigned char c, char text[static 7])
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    case '\0':
        return "\xef\xbf\xbd"; /* PostgreSQL's text and jsonb cannot hold a NUL */
    default:
        if (c >= 0x20)
            return NULL;
        (void)snprintf(text, 7, "\\u%04x", c);
        return text;
    }
}

void
buf_put_json_string(struct buf *b, const char *s, size_t n)
{
    char text[7];
    size_t from = 0, i = 0;

    buf_putc(b, '"');
    while (i < n) {
        size_t step = utf8_step(s + i, n - i);
        const char *instead = step == 0 ? "\xef\xbf\xbd" : json_escape((unsigned char)s[i], text);

        if (instead == NULL) {
            i += step;
            continue;
        }
        buf_put(b, s + from, i - from);
        buf_puts(b, instead);
        from = ++i; /* what is replaced is always one byte */
    }
    buf_put(b, s + from, n - from);
    buf_putc(b, '"');
}

static void
put_be(struct buf *b, uint64_t v, size_t bytes)
{
    unsigned char out[8];

    for (size_t i = 0; i < bytes; i++)
        out[i] = (unsigned char)(v >> (8 * (bytes - 1 - i)));
    buf_put(b, out, bytes);
}

void
buf_put_be16(struct buf *b, uint16_t v)
{
    put_be(b, v, 2);
}

void
buf_put_be32(struct buf *b, uint32_t v)
{
    put_be(b, v, 4);
}

void
buf_put_be64(struct buf *b, uint64_t v)
{
    put_be(b, v, 8);
}
