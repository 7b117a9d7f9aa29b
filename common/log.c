#include "common/log.h"
#include "common/auto.h"
#include "common/clock.h"
#include "common/mask.h"
#include "common/utf8.h"
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = PIPE_BUF, /* so that lines of several processes never mix in one pipe */
    TAIL_BYTES = 16,           /* kept for `,"cut":true}` and the line end */
    VALUE_MAX_BYTES = 1000,
    RAW_MAX_BYTES = 4096, /* of a value, before escaping */
};

static const char *opened_as = NULL; /* the process's name, NULL until log_open() */
static enum log_level least = LOG_LEVEL_INFO;
static enum log_format format = LOG_FORMAT_KV;
static _Atomic int64_t current_job;

struct line {
    char s[LINE_MAX_BYTES];
    size_t len;
    bool full; /* something did not fit; nothing more is added */
};

void
log_open(const char *proc, enum log_level level, enum log_format fmt)
{
    assert(proc != NULL);
    opened_as = proc;
    least = level;
    format = fmt;
}

bool
log_is_open(void)
{
    return opened_as != NULL;
}

void
log_set_job(int64_t job_id)
{
    current_job = job_id;
}

bool
log_enabled(enum log_level level)
{
    return level >= least;
}

static void
add(struct line *l, const char *s, size_t n)
{
    if (l->full || n > sizeof l->s - TAIL_BYTES - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->s + l->len, s, n);
    l->len += n;
}

static void
add_text(struct line *l, const char *s)
{
    add(l, s, strlen(s));
}

static void
add_key(struct line *l, const char *key)
{
    bool json = format == LOG_FORMAT_JSON;

    if (l->len > (json ? 1 : 0))
        add_text(l, json ? "," : " ");
    if (json)
        add_text(l, "\"");
    add_text(l, key);
    add_text(l, json ? "\":" : "=");
}

/* How the character at `s` is written; sets how many bytes it is long. Valid characters stand for themselves.
 */
static const char *
written(const char *s, size_t left, char text[static 8], size_t *step)
{
    unsigned char c = (unsigned char)*s;

    if ((*step = utf8_step(s, left)) == 0) {
        *step = 1;
        return "?";
    }
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
    default:
        if (c < 0x20 || c == 0x7f)
            (void)snprintf(text, 8, "\\u%04x", c);
        else
            (void)snprintf(text, 8, "%.*s", (int)*step, s);
        return text;
    }
}

static bool
wants_quotes(const char *s)
{
    if (*s == '\0' || format == LOG_FORMAT_JSON)
        return true;
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7f || strchr("\"\\=", *s) != NULL)
            return true;
    return false;
}

/* How many characters at `s` stand for themselves, a byte each: nearly all that are ever logged. */
static size_t
plain(const char *s)
{
    size_t n = 0;

    while (s[n] >= ' ' && s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
        n++;
    return n;
}

static void
add_string(struct line *l, const char *s)
{
    enum { CUT_AT = VALUE_MAX_BYTES - 3 }; /* where "..." still fits */
    char out[VALUE_MAX_BYTES + 8], text[8];
    size_t left = strlen(s), len = 0, step, cut_at = 0;
    bool quotes = wants_quotes(s);

    for (; left > 0; s += step, left -= step) {
        size_t n = plain(s);
        bool by_bytes = n > 0 && len <= CUT_AT; /* may be cut anywhere */
        const char *one = s;

        step = n;
        if (n == 0) {
            one = written(s, left, text, &step);
            n = strlen(one);
        } else if (by_bytes && len + n > VALUE_MAX_BYTES) {
            memcpy(out + len, s, CUT_AT - len);
            cut_at = CUT_AT;
        }
        if (len + n > VALUE_MAX_BYTES) {
            memcpy(out + cut_at, "...", 3);
            len = cut_at + 3;
            break;
        }
        memcpy(out + len, one, n);
        len += n;
        if (len <= CUT_AT)
            cut_at = len;
        else if (by_bytes)
            cut_at = CUT_AT;
    }
    if (quotes)
        add_text(l, "\"");
    add(l, out, len);
    if (quotes)
        add_text(l, "\"");
}

static void
add_number(struct line *l, double d)
{
    char text[32];

    if (!isfinite(d) && format == LOG_FORMAT_JSON) {
        add_text(l, "null"); /* JSON has no other word for it */
        return;
    }
    (void)snprintf(text, sizeof text, "%.9g", d);
    add_text(l, text);
}

static void
add_int(struct line *l, int64_t i)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%lld", (long long)i);
    add_text(l, text);
}

static void
add_field(struct line *l, const struct kv *f)
{
    size_t before = l->len;
    char raw[RAW_MAX_BYTES];

    if (f->type == KV_TYPE_STR && f->v.str == NULL)
        return;
    add_key(l, f->key);
    if (mask_is_secret(f->key))
        add_string(l, "***");
    else if (f->type == KV_TYPE_STR)
        add_string(l, mask_urls(f->v.str, raw, sizeof raw));
    else if (f->type == KV_TYPE_INT)
        add_int(l, f->v.i64);
    else if (f->type == KV_TYPE_DBL)
        add_number(l, f->v.dbl);
    else
        add_text(l, f->v.yes ? "true" : "false");
    if (l->full)
        l->len = before; /* a whole field or none of it */
}

static void
add_time(struct line *l)
{
    char whole[CLOCK_TEXT], text[CLOCK_TEXT + 8];
    int64_t now = clock_now();
    int ms = (int)(now % CLOCK_SECOND / 1000);

    (void)clock_format(now - now % CLOCK_SECOND, whole);
    (void)snprintf(text, sizeof text, "%.19s.%03dZ", whole, ms);
    add_key(l, "ts");
    if (format == LOG_FORMAT_JSON)
        add_text(l, "\"");
    add_text(l, text);
    if (format == LOG_FORMAT_JSON)
        add_text(l, "\"");
}

static bool
has_key(const struct kv *fields, const char *key)
{
    for (; fields->key != NULL; fields++)
        if (strcmp(fields->key, key) == 0)
            return true;
    return false;
}

/* Into the bytes that add() left free. */
static void
finish(struct line *l)
{
    bool json = format == LOG_FORMAT_JSON;
    int n = snprintf(l->s + l->len, TAIL_BYTES, "%s%s\n",
                     !l->full ? ""
                     : json   ? ",\"cut\":true"
                              : " cut=true",
                     json ? "}" : "");

    l->len += (size_t)n;
}

static void
write_out(const char *s, size_t n)
{
    while (write(STDERR_FILENO, s, n) < 0 && errno == EINTR)
        continue;
}

void
log_write(enum log_level level, const char *event, const struct kv *fields)
{
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    struct line l;
    int saved = errno;
    int64_t job = current_job;

    assert(event != NULL && fields != NULL && level < COUNT_OF(levels));
    l.len = 0;
    l.full = false;
    if (format == LOG_FORMAT_JSON)
        add_text(&l, "{");
    add_time(&l);
    add_field(&l, &KV_STR("level", levels[level]));
    add_field(&l, &KV_STR("proc", opened_as != NULL ? opened_as : "?"));
    add_field(&l, &KV_INT("pid", getpid()));
    add_field(&l, &KV_STR("event", event));
    if (job != 0 && !has_key(fields, "job"))
        add_field(&l, &KV_INT("job", job));
    for (; fields->key != NULL; fields++)
        add_field(&l, fields);
    finish(&l);
    write_out(l.s, l.len);
    errno = saved;
}
