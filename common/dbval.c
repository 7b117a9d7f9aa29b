#include "common/clock.h"
#include "common/db_internal.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PG_EPOCH_US  INT64_C(946684800000000) /* 2000-01-01, PostgreSQL's zero, in ours */
#define BYTES_MAX    ((size_t)1 << 30)        /* PostgreSQL refuses larger messages */
#define BYTES_KEEP   ((size_t)64 << 10)
#define OID_BOOL     16
#define OID_INT8     20
#define OID_TEXT     25
#define OID_TIMESTTZ 1184

static struct db_arg
pointer_arg(enum db_arg_type type, const void *p, size_t n)
{
    return (struct db_arg){ .type = p == NULL ? DB_NULL : type, .n = n, .v.ptr = p };
}

/* An array of no elements may come as NULL and is still an array. */
static struct db_arg
array_arg(enum db_arg_type type, const void *p, size_t n)
{
    assert(p != NULL || n == 0);
    return (struct db_arg){ .type = type, .n = n, .v.ptr = p };
}

struct db_arg
db_text(const char *s)
{
    return pointer_arg(DB_TEXT, s, s == NULL ? 0 : strlen(s));
}

struct db_arg
db_textn(const char *s, size_t n)
{
    return pointer_arg(DB_TEXT, s, n);
}

struct db_arg
db_bytea(const void *p, size_t n)
{
    return pointer_arg(DB_BYTEA, p, n);
}

struct db_arg
db_time(int64_t t)
{
    return (struct db_arg){ .type = t == DB_NO_TIME ? DB_NULL : DB_TIME, .v.i64 = t };
}

struct db_arg
db_i64s(const int64_t *v, size_t n)
{
    return array_arg(DB_I64S, v, n);
}

struct db_arg
db_texts(const char *const *v, size_t n)
{
    return array_arg(DB_TEXTS, v, n);
}

struct db_arg
db_times(const int64_t *v, size_t n)
{
    return array_arg(DB_TIMES, v, n);
}

struct db_arg
db_bools(const bool *v, size_t n)
{
    return array_arg(DB_BOOLS, v, n);
}

static void
put_dbl(struct buf *b, double v)
{
    if (isnan(v))
        buf_puts(b, "NaN");
    else if (isinf(v))
        buf_puts(b, v > 0 ? "Infinity" : "-Infinity");
    else
        buf_printf(b, "%.17g", v);
}

static void
put_time(struct buf *b, int64_t t)
{
    buf_put_be64(b, (uint64_t)(t == DB_INFINITY ? t : t - PG_EPOCH_US));
}

static void
put_null(struct buf *b)
{
    buf_put_be32(b, UINT32_MAX);
}

static bool
element_null(const struct db_arg *a, size_t i)
{
    if (a->type == DB_TEXTS)
        return ((const char *const *)a->v.ptr)[i] == NULL;
    return a->type == DB_TIMES && ((const int64_t *)a->v.ptr)[i] == DB_NO_TIME;
}

static void
put_element(struct buf *b, const struct db_arg *a, size_t i)
{
    size_t len;

    switch (a->type) {
    case DB_I64S:
        buf_put_be32(b, 8);
        buf_put_be64(b, (uint64_t)((const int64_t *)a->v.ptr)[i]);
        return;
    case DB_TIMES:
        buf_put_be32(b, 8);
        put_time(b, ((const int64_t *)a->v.ptr)[i]);
        return;
    case DB_BOOLS:
        buf_put_be32(b, 1);
        buf_putc(b, ((const bool *)a->v.ptr)[i] ? 1 : 0);
        return;
    default:
        assert(a->type == DB_TEXTS);
        len = strlen(((const char *const *)a->v.ptr)[i]);
        if (len >= BYTES_MAX)
            b->failed = true;
        buf_put_be32(b, (uint32_t)len);
        buf_put(b, ((const char *const *)a->v.ptr)[i], len);
    }
}

/* PostgreSQL's array_send(): dimensions, has-nulls, element type, then length and lower bound, then the
 * elements. */
static void
put_array(struct buf *b, const struct db_arg *a, uint32_t oid)
{
    bool nulls = false;

    if (a->n >= BYTES_MAX) {
        b->failed = true;
        return;
    }
    for (size_t i = 0; i < a->n; i++)
        nulls = nulls || element_null(a, i);
    buf_put_be32(b, a->n == 0 ? 0 : 1);
    buf_put_be32(b, nulls ? 1 : 0);
    buf_put_be32(b, oid);
    if (a->n == 0)
        return;
    buf_put_be32(b, (uint32_t)a->n);
    buf_put_be32(b, 1);
    for (size_t i = 0; i < a->n && !b->failed; i++) {
        if (element_null(a, i))
            put_null(b);
        else
            put_element(b, a, i);
    }
}

/* Returns libpq's format: 0 text, 1 binary. */
static int
put_arg(struct buf *b, const struct db_arg *a)
{
    switch (a->type) {
    case DB_NULL:
        return 0;
    case DB_I64:
        buf_printf(b, "%" PRId64, a->v.i64);
        return 0;
    case DB_BOOL:
        buf_putc(b, a->v.yes ? 't' : 'f');
        return 0;
    case DB_DBL:
        put_dbl(b, a->v.dbl);
        return 0;
    case DB_TEXT:
        buf_put(b, a->v.ptr, a->n);
        return 0;
    case DB_BYTEA:
        buf_put(b, a->v.ptr, a->n);
        return 1;
    case DB_TIME:
        put_time(b, a->v.i64);
        return 1;
    case DB_I64S:
        put_array(b, a, OID_INT8);
        return 1;
    case DB_TEXTS:
        put_array(b, a, OID_TEXT);
        return 1;
    case DB_TIMES:
        put_array(b, a, OID_TIMESTTZ);
        return 1;
    case DB_BOOLS:
        put_array(b, a, OID_BOOL);
        return 1;
    }
    assert(0 && "an argument of no known type");
    return 0;
}

void
db_params_fini(struct db_params *p)
{
    buf_fini(&p->bytes);
}

enum rc
db_params_set(struct db_params *p, const struct db_arg *args, size_t n, struct err *err)
{
    size_t at[DB_PARAMS_MAX]; /* the buffer moves while it grows: pointers come last */

    assert(n <= DB_PARAMS_MAX);
    if (p->bytes.max == 0) {
        buf_init(&p->bytes, BYTES_MAX);
    } else {
        buf_reset(&p->bytes);
        buf_trim(&p->bytes, BYTES_KEEP); /* one large page of rows must not stay for ever */
    }
    p->n = (int)n;
    for (size_t i = 0; i < n; i++) {
        at[i] = p->bytes.len;
        p->formats[i] = put_arg(&p->bytes, &args[i]);
        p->lengths[i] = (int)(p->bytes.len - at[i]);
        buf_putc(&p->bytes, '\0'); /* libpq wants text terminated */
    }
    if (p->bytes.failed)
        return err_set(err, RC_LIMIT, "the arguments of a statement do not fit into %zu bytes", BYTES_MAX);
    for (size_t i = 0; i < n; i++)
        p->values[i] = args[i].type == DB_NULL ? NULL : p->bytes.data + at[i];
    return RC_OK;
}

struct dbres *
dbres_wrap(PGresult **pg)
{
    struct dbres *r = malloc(sizeof *r);

    if (r == NULL)
        PQclear(TAKE(*pg));
    else
        r->pg = TAKE(*pg);
    return r;
}

void
dbres_destroy(struct dbres *r)
{
    if (r == NULL)
        return;
    PQclear(r->pg);
    free(r);
}

int
dbres_rows(const struct dbres *r)
{
    return PQntuples(r->pg);
}

int64_t
dbres_affected(const struct dbres *r)
{
    return strtoll(PQcmdTuples(r->pg), NULL, 10); /* "" is 0 */
}

static void
check_cell(const struct dbres *r, int row, int col)
{
    assert(r != NULL && row >= 0 && row < PQntuples(r->pg) && col >= 0 && col < PQnfields(r->pg));
    (void)r, (void)row, (void)col;
}

bool
dbres_null(const struct dbres *r, int row, int col)
{
    check_cell(r, row, col);
    return PQgetisnull(r->pg, row, col) != 0;
}

const char *
dbres_text(const struct dbres *r, int row, int col)
{
    check_cell(r, row, col);
    return PQgetvalue(r->pg, row, col);
}

size_t
dbres_len(const struct dbres *r, int row, int col)
{
    check_cell(r, row, col);
    return (size_t)PQgetlength(r->pg, row, col);
}

int64_t
dbres_i64(const struct dbres *r, int row, int col)
{
    return strtoll(dbres_text(r, row, col), NULL, 10);
}

double
dbres_dbl(const struct dbres *r, int row, int col)
{
    return strtod(dbres_text(r, row, col), NULL); /* reads NaN and Infinity too */
}

bool
dbres_bool(const struct dbres *r, int row, int col)
{
    return dbres_text(r, row, col)[0] == 't';
}

int64_t
dbres_time(const struct dbres *r, int row, int col)
{
    const char *s = dbres_text(r, row, col);
    size_t len = dbres_len(r, row, col);
    char z[64];
    int64_t t;

    /* the session's zone is UTC, so a timestamptz ends in "+00", which RFC 3339 does not know */
    if (len > 3 && len < sizeof z && strcmp(s + len - 3, "+00") == 0) {
        memcpy(z, s, len - 3);
        z[len - 3] = 'Z';
        s = z;
        len -= 2;
    }
    return clock_parse(s, len, &t, NULL) == RC_OK ? t : DB_NO_TIME;
}

enum rc
dbres_bytea(const struct dbres *r, int row, int col, unsigned char **out, size_t *len, struct err *err)
{
    unsigned char *raw;
    AUTO_FREE unsigned char *copy = NULL;
    size_t n = 0;

    if (dbres_null(r, row, col))
        return err_set(err, RC_NOT_FOUND, "the value is null");
    if ((raw = PQunescapeBytea((const unsigned char *)dbres_text(r, row, col), &n)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a bytea");
    if ((copy = malloc(n + 1)) != NULL)
        memcpy(copy, raw, n);
    PQfreemem(raw); /* libpq's memory is libpq's to free: what we give away is plain malloc */
    if (copy == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a bytea of %zu bytes", n);
    *out = TAKE(copy);
    *len = n;
    return RC_OK;
}
