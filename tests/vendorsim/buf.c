/* buf - a growing byte buffer and the JSON text written into it. */
#include "buf.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
out_of_memory(void)
{
    fputs("vendorsim: out of memory\n", stderr);
    abort();
}

void *
must_alloc(size_t n)
{
    void *p = calloc(1, n > 0 ? n : 1);

    if (p == NULL)
        out_of_memory();
    return p;
}

char *
must_strdup(const char *s)
{
    char *p = strdup(s);

    if (p == NULL)
        out_of_memory();
    return p;
}

void
buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){ 0 };
}

void
buf_room(struct buf *b, size_t more)
{
    size_t cap = b->cap > 0 ? b->cap : 256;
    char *p;

    if (b->cap - b->len >= more)
        return;
    while (cap - b->len < more)
        cap *= 2;
    p = realloc(b->p, cap);
    if (p == NULL)
        out_of_memory();
    b->p = p;
    b->cap = cap;
}

void
buf_i64(struct buf *b, int64_t v)
{
    char text[24];
    size_t at = sizeof(text);
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (v < 0)
        text[--at] = '-';
    buf_add(b, text + at, sizeof(text) - at);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    buf_room(b, 128);
    va_start(ap, fmt);
    n = vsnprintf(b->p + b->len, b->cap - b->len, fmt, ap);
    va_end(ap);
    if (n < 0)
        out_of_memory();
    if ((size_t)n >= b->cap - b->len) { /* it did not fit: once more, with room */
        buf_room(b, (size_t)n + 1);
        va_start(ap, fmt);
        (void)vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    b->len += (size_t)n;
}

/* The code point at s[*i], moving *i behind it. Trusts the bytes to be UTF-8, but never reads past n. */
static uint32_t
utf8_next(const unsigned char *s, size_t n, size_t *i)
{
    uint32_t c = s[(*i)++];
    unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;

    if (more > 0)
        c &= 0x3fu >> more;
    while (more-- > 0 && *i < n)
        c = (c << 6) | (s[(*i)++] & 0x3fu);
    return c;
}

static void
add_escape(struct buf *b, uint32_t c)
{
    if (c >= 0x10000)
        buf_printf(b, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
    else
        buf_printf(b, "\\u%04x", c);
}

static void
add_special(struct buf *b, unsigned char c)
{
    static const char from[] = "\"\\\n\r\t\b\f";
    static const char to[] = "\"\\nrtbf";
    const char *at = c != 0 ? strchr(from, c) : NULL;

    if (at != NULL) {
        buf_char(b, '\\');
        buf_char(b, to[at - from]);
    } else {
        add_escape(b, c);
    }
}

enum class {
    BYTE_PLAIN,
    BYTE_SPECIAL, /* always escaped */
    BYTE_HTML,    /* < > & */
    BYTE_HIGH,    /* part of a longer character */
};

static unsigned char class_of[256];

__attribute__((constructor)) static void
fill_classes(void)
{
    for (unsigned i = 0; i < 256; i++)
        class_of[i] = i < 0x20 || i == '"' || i == '\\'  ? BYTE_SPECIAL
                      : i == '<' || i == '>' || i == '&' ? BYTE_HTML
                      : i >= 0x80                        ? BYTE_HIGH
                                                         : BYTE_PLAIN;
}

#define EACH_BYTE(x) (UINT64_C(0x0101010101010101) * (x))

/* Nonzero when one of the eight bytes is zero. */
static inline uint64_t
zero_byte(uint64_t v)
{
    return (v - EACH_BYTE(1)) & ~v & EACH_BYTE(0x80);
}

/* Nonzero when one of the eight bytes may have to be escaped in the plainest form. */
static inline uint64_t
special_byte(uint64_t v)
{
    return zero_byte(v ^ EACH_BYTE('"')) | zero_byte(v ^ EACH_BYTE('\\')) |
           ((v - EACH_BYTE(0x20)) & ~v & EACH_BYTE(0x80));
}

/* From i on, the first place that is not for certain plain in eight. */
static size_t
skip_plain(const unsigned char *s, size_t n, size_t i)
{
    uint64_t word;

    for (; i + 8 <= n; i += 8) {
        memcpy(&word, s + i, 8);
        if (special_byte(word) != 0)
            break;
    }
    return i;
}

void
buf_json(struct buf *b, const char *text, size_t n, enum esc esc)
{
    const unsigned char *s = (const unsigned char *)(n > 0 ? text : "");
    size_t i = 0, from = 0;

    buf_room(b, n + 2);
    buf_char(b, '"');
    while (i < n) {
        unsigned char kind = class_of[s[i]];
        size_t at = i;
        uint32_t c;

        if (esc == ESC_PLAIN && kind != BYTE_SPECIAL) {
            size_t further = skip_plain(s, n, i);

            i = further > i ? further : i + 1;
            continue;
        }
        if (kind == BYTE_PLAIN || (kind == BYTE_HTML && esc != ESC_GO)) {
            i++;
            continue;
        }
        c = utf8_next(s, n, &i);
        if (kind == BYTE_HIGH && esc == ESC_GO && c != 0x2028 && c != 0x2029)
            continue;
        buf_add(b, s + from, at - from);
        if (kind == BYTE_SPECIAL)
            add_special(b, (unsigned char)c);
        else
            add_escape(b, c);
        from = i;
    }
    buf_add(b, s + from, n - from);
    buf_char(b, '"');
}

void
buf_jstr(struct buf *b, const char *s, enum esc esc)
{
    if (s == NULL)
        buf_str(b, "null");
    else
        buf_json(b, s, strlen(s), esc);
}

static void
add_object(struct buf *b, json_t *v, enum esc esc)
{
    const char *key;
    json_t *item;
    bool first = true;

    buf_char(b, '{');
    json_object_foreach(v, key, item)
    {
        if (!first)
            buf_char(b, ',');
        first = false;
        buf_jstr(b, key, esc);
        buf_char(b, ':');
        buf_value(b, item, esc);
    }
    buf_char(b, '}');
}

static void
add_array(struct buf *b, const json_t *v, enum esc esc)
{
    buf_char(b, '[');
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (i > 0)
            buf_char(b, ',');
        buf_value(b, json_array_get(v, i), esc);
    }
    buf_char(b, ']');
}

void
buf_value(struct buf *b, const json_t *v, enum esc esc)
{
    switch (v == NULL ? JSON_NULL : json_typeof(v)) {
    case JSON_OBJECT:
        add_object(b, (json_t *)(uintptr_t)v, esc);
        break;
    case JSON_ARRAY:
        add_array(b, v, esc);
        break;
    case JSON_STRING:
        buf_json(b, json_string_value(v), json_string_length(v), esc);
        break;
    case JSON_INTEGER:
        buf_i64(b, json_integer_value(v));
        break;
    case JSON_REAL:
        buf_printf(b, "%.17g", json_real_value(v));
        break;
    case JSON_TRUE:
        buf_str(b, "true");
        break;
    case JSON_FALSE:
        buf_str(b, "false");
        break;
    case JSON_NULL:
        buf_str(b, "null");
        break;
    }
}

const char *
buf_cstr(struct buf *b)
{
    buf_room(b, 1);
    b->p[b->len] = '\0';
    return b->p;
}
