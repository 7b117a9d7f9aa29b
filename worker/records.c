#include "worker/records.h"
#include "common/clock.h"
#include "common/db.h"
#include <assert.h>
#include <byteswap.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL /* hashing is then compiled into this file, which is its one user */
#include <xxhash.h>

#define PG_EPOCH_US  INT64_C(946684800000000) /* 2000-01-01, PostgreSQL's zero, in ours */
#define OID_TEXT     25
#define GO_ZERO_TIME INT64_C(-62135596800000000) /* 0001-01-01: what an unset time of Go's looks like */
#define SCRATCH_MAX  ((size_t)64 << 20)
#define IDS_MAX      ((size_t)64 << 20)

#define COLUMN_(t, c, ty) { #c, TYPE_##ty },
#define TABLE_COLUMNS_(t, kind) \
    static const struct column t##_columns[] = { { "id", TYPE_KEY }, RECORD_##t(COLUMN_) };
RECORD_TABLES(TABLE_COLUMNS_)

#define VERSION_VERSIONED(t)   COL_##t##_updated_at
#define VERSION_UNVERSIONED(t) (-1)
#define TABLE_(t, kind)                                                                               \
    [STREAM_##t] = {                                                                                  \
        .name = #t, .columns = t##_columns, .ncolumns = COL_##t##_COUNT, .version = VERSION_##kind(t) \
    },
const struct table record_tables[STREAM_COUNT] = { RECORD_TABLES(TABLE_) };

#define FITS_(t, kind) _Static_assert((int)COL_##t##_COUNT <= RECORD_COLUMNS_MAX, "RECORD_COLUMNS_MAX: " #t);
RECORD_TABLES(FITS_)

/* ---- tally ---- */

static struct tally_entry *
tally_find(struct tally *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->entries[i].name, name) == 0)
            return &t->entries[i];
    if (t->n == TALLY_MAX) {
        struct tally_entry *others = &t->entries[TALLY_MAX];

        memcpy(others->name, "(others)", sizeof "(others)");
        return others;
    }
    (void)snprintf(t->entries[t->n].name, TALLY_NAME, "%s", name);
    return &t->entries[t->n++];
}

/* A vendor's key may hold anything, and goes into our own log and JSON. */
static void
printable(const char *s, size_t len, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < len && n + 1 < size; i++)
        out[n++] = (char)(s[i] > 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\' ? s[i] : '?');
    out[n] = '\0';
}

void
tally_add(struct tally *t, const char *name, size_t len, const char *what, int64_t times)
{
    char text[TALLY_NAME];
    size_t n;

    if (t == NULL)
        return;
    printable(name, len, text, sizeof text);
    n = strlen(text);
    if (what != NULL)
        (void)snprintf(text + n, sizeof text - n, ": %s", what);
    tally_find(t, text)->times += times;
}

/* ---- one record ---- */

void
record_init(struct record *r, struct tally *unknown)
{
    *r = (struct record){ .unknown = unknown };
    buf_init(&r->scratch, SCRATCH_MAX);
}

void
record_fini(struct record *r)
{
    buf_fini(&r->scratch);
}

void
record_reset(struct record *r, enum stream stream)
{
    r->stream = stream;
    memset(r->cells, 0, (size_t)record_tables[stream].ncolumns * sizeof r->cells[0]);
    buf_reset(&r->scratch);
}

void
record_unreadable(struct record *r, const char *field)
{
    tally_add(r->unknown, field, strlen(field), "unreadable", 1);
}

void
record_set_text(struct record *r, int col, const char *s, size_t len)
{
    assert(col < record_tables[r->stream].ncolumns);
    r->cells[col] = s == NULL ? (struct cell){ .is = CELL_NULL }
                              : (struct cell){ .is = CELL_BYTES, .len = len, .v.bytes = s };
}

void
record_set_number(struct record *r, int col, int64_t v)
{
    assert(col < record_tables[r->stream].ncolumns);
    r->cells[col] = (struct cell){ .is = CELL_NUMBER, .v.number = v };
}

void
record_set_scratch(struct record *r, int col, size_t at)
{
    assert(at <= r->scratch.len);
    r->cells[col] = (struct cell){ .is = CELL_SCRATCH, .len = r->scratch.len - at, .v.at = at };
}

bool
record_is_null(const struct record *r, int col)
{
    return r->cells[col].is == CELL_NULL;
}

static const char *
cell_bytes(const struct record *r, const struct cell *c)
{
    if (c->is == CELL_BYTES)
        return c->v.bytes;
    return r->scratch.data != NULL ? r->scratch.data + c->v.at : ""; /* an empty scratch holds empty text */
}

const char *
record_text(const struct record *r, int col, size_t *len)
{
    const struct cell *c = &r->cells[col];

    if (c->is != CELL_BYTES && c->is != CELL_SCRATCH)
        return NULL;
    *len = c->len;
    return cell_bytes(r, c);
}

/* NUL is a character in JSON and none in PostgreSQL: U+FFFD stands for it. */
static void
put_clean(struct buf *b, const char *s, size_t len)
{
    const char *nul;

    while ((nul = memchr(s, '\0', len)) != NULL) {
        buf_put(b, s, (size_t)(nul - s));
        buf_puts(b, "\xef\xbf\xbd");
        len -= (size_t)(nul - s) + 1;
        s = nul + 1;
    }
    buf_put(b, s, len);
}

static bool
set_text(struct record *r, int col, struct doc_value v)
{
    size_t len = 0, at = r->scratch.len;
    const char *s = doc_string(v, &len);

    switch (v.type) {
    case DOC_STRING:
        if (memchr(s, '\0', len) == NULL) {
            record_set_text(r, col, s, len);
            break;
        }
        put_clean(&r->scratch, s, len);
        record_set_scratch(r, col, at);
        break;
    case DOC_INT:
    case DOC_DOUBLE:
    case DOC_BOOL:
        doc_write(v, &r->scratch);
        record_set_scratch(r, col, at);
        break;
    default:
        return false;
    }
    return true;
}

static bool
set_key(struct record *r, int col, struct doc_value v)
{
    if (!set_text(r, col, v))
        return false;
    if (r->cells[col].len <= RECORD_KEY_MAX)
        return true;
    r->cells[col].is = CELL_NULL; /* an index could not hold it, and so the whole page would fail for ever */
    return false;
}

static bool
set_time(struct record *r, int col, struct doc_value v)
{
    size_t len = 0;
    const char *s = doc_string(v, &len);
    int64_t t;

    if (s == NULL)
        return false;
    if (len == 0)
        return true;
    if (clock_parse(s, len, &t, NULL) != RC_OK)
        return false;
    if (t != GO_ZERO_TIME)
        record_set_number(r, col, t);
    return true;
}

/* The array as PostgreSQL's array_send() writes it. Elements that are no text are left out. */
static bool
set_texts(struct record *r, int col, struct doc_value v)
{
    size_t at = r->scratch.len, counts;
    uint32_t n = 0;
    bool all = true;

    if (v.type != DOC_ARRAY)
        return false;
    buf_put_be32(&r->scratch, doc_len(v) > 0);
    buf_put_be32(&r->scratch, 0);
    buf_put_be32(&r->scratch, OID_TEXT);
    counts = r->scratch.len;
    if (doc_len(v) > 0) {
        buf_put_be32(&r->scratch, 0);
        buf_put_be32(&r->scratch, 1);
    }
    for (struct doc_iter it = doc_iter(v); doc_next(&it);) {
        size_t len = 0, mark = r->scratch.len;
        const char *s = doc_string(it.value, &len);

        if (s == NULL) {
            all = false;
            continue;
        }
        buf_put_be32(&r->scratch, 0);
        put_clean(&r->scratch, s, len);
        if (!r->scratch.failed) {
            uint32_t be = htobe32((uint32_t)(r->scratch.len - mark - 4));

            memcpy(r->scratch.data + mark, &be, sizeof be);
        }
        n++;
    }
    if (!r->scratch.failed && doc_len(v) > 0) {
        uint32_t be = htobe32(n);

        if (n == 0) { /* nothing readable in it: an array of no dimensions */
            r->scratch.len = counts;
            memset(r->scratch.data + at, 0, 4);
        } else {
            memcpy(r->scratch.data + counts, &be, sizeof be);
        }
    }
    record_set_scratch(r, col, at);
    return all;
}

void
record_set(struct record *r, int col, struct doc_value v, const char *field)
{
    size_t at = r->scratch.len;
    int64_t n;
    bool yes, ok = true;

    assert(col < record_tables[r->stream].ncolumns);
    r->cells[col].is = CELL_NULL;
    if (v.type == DOC_NULL)
        return;
    switch (record_tables[r->stream].columns[col].type) {
    case TYPE_KEY:
        ok = set_key(r, col, v);
        break;
    case TYPE_TEXT:
        ok = set_text(r, col, v);
        break;
    case TYPE_TIME:
        ok = set_time(r, col, v);
        break;
    case TYPE_INT:
        if ((ok = doc_int(v, &n)))
            record_set_number(r, col, n);
        break;
    case TYPE_BOOL:
        if ((ok = doc_bool(v, &yes)))
            record_set_number(r, col, yes);
        break;
    case TYPE_TEXTS:
        ok = set_texts(r, col, v);
        break;
    case TYPE_JSON:
        doc_write(v, &r->scratch);
        record_set_scratch(r, col, at);
        break;
    }
    if (!ok)
        record_unreadable(r, field);
}

/* ---- rows ---- */

void
rows_init(struct rows *r, size_t max_bytes)
{
    *r = (struct rows){ .newest = DB_NO_TIME };
    buf_init(&r->bytes, max_bytes);
    buf_init(&r->ids, IDS_MAX);
}

void
rows_fini(struct rows *r)
{
    buf_fini(&r->bytes);
    buf_fini(&r->ids);
    free(r->row);
    r->row = NULL;
    r->n = r->cap = 0;
}

void
rows_reset(struct rows *r, enum stream stream)
{
    buf_reset(&r->bytes);
    buf_reset(&r->ids);
    r->stream = stream;
    r->n = 0;
    r->fetched = r->rejected = r->doubled = 0;
    r->newest = DB_NO_TIME;
}

static bool
row_room(struct rows *r)
{
    size_t cap = r->cap == 0 ? 256 : r->cap * 2;
    struct row *more;

    if (r->n < r->cap)
        return true;
    if ((more = realloc(r->row, cap * sizeof *more)) == NULL)
        return false;
    r->row = more;
    r->cap = cap;
    return true;
}

static void
put_cell(struct buf *b, const struct record *rec, const struct cell *c, enum column_type type)
{
    if (c->is == CELL_NULL) {
        buf_put_be32(b, UINT32_MAX);
        return;
    }
    switch (type) {
    case TYPE_TIME:
        buf_put_be32(b, 8);
        buf_put_be64(b, (uint64_t)(c->v.number - PG_EPOCH_US));
        return;
    case TYPE_INT:
        buf_put_be32(b, 8);
        buf_put_be64(b, (uint64_t)c->v.number);
        return;
    case TYPE_BOOL:
        buf_put_be32(b, 1);
        buf_putc(b, (char)(c->v.number != 0));
        return;
    case TYPE_JSON:
        buf_put_be32(b, (uint32_t)c->len + 1);
        buf_putc(b, 1); /* jsonb's version */
        break;
    case TYPE_KEY:
    case TYPE_TEXT:
    case TYPE_TEXTS:
        buf_put_be32(b, (uint32_t)c->len);
        break;
    }
    buf_put(b, cell_bytes(rec, c), c->len);
}

static uint64_t
prefix_of(const char *id, size_t len)
{
    uint64_t v = 0;

    memcpy(&v, id, len < sizeof v ? len : sizeof v);
    return be64toh(v);
}

static int64_t
version_of(const struct record *rec)
{
    int col = record_tables[rec->stream].version;

    return col < 0 || rec->cells[col].is != CELL_NUMBER ? DB_NO_TIME : rec->cells[col].v.number;
}

enum rc
rows_add(struct rows *r, const struct record *rec, struct err *err)
{
    const struct table *t = &record_tables[rec->stream];
    struct row row = { .at = r->bytes.len, .id = r->ids.len, .version = version_of(rec) };
    size_t len = 0;
    const char *id = record_text(rec, 0, &len);

    assert(rec->stream == r->stream);
    r->fetched++;
    if (id == NULL || len == 0) {
        r->rejected++;
        return RC_OK;
    }
    for (int i = 0; i < t->ncolumns; i++)
        put_cell(&r->bytes, rec, &rec->cells[i], t->columns[i].type);
    buf_put(&r->ids, id, len + 0);
    buf_putc(&r->ids, '\0');
    if (rec->scratch.failed || r->bytes.failed || r->ids.failed)
        return err_set(err, RC_LIMIT, "a page of %s takes more than %zu MiB", t->name, r->bytes.max >> 20);
    if (!row_room(r))
        return err_set(err, RC_INTERNAL, "no memory for a page of %s", t->name);
    row.len = r->bytes.len - row.at;
    row.prefix = prefix_of(id, len);
    row.hash = (int64_t)XXH3_64bits(r->bytes.data + row.at, row.len);
    if (row.version != DB_NO_TIME && (r->newest == DB_NO_TIME || row.version > r->newest))
        r->newest = row.version;
    r->row[r->n++] = row;
    return RC_OK;
}

static int
compare_rows(const void *a, const void *b, void *arg)
{
    const struct row *x = a, *y = b;
    const struct rows *r = arg;
    int d;

    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    if ((d = strcmp(r->ids.data + x->id, r->ids.data + y->id)) != 0)
        return d;
    if (x->version != y->version)
        return x->version > y->version ? -1 : 1; /* the newest first */
    return x->at > y->at ? -1 : x->at < y->at;   /* of equals the one that came last */
}

void
rows_finish(struct rows *r)
{
    size_t kept = 0;

    if (r->n == 0)
        return;
    qsort_r(r->row, r->n, sizeof r->row[0], compare_rows, r);
    for (size_t i = 0; i < r->n; i++) {
        if (kept > 0 && strcmp(rows_id(r, kept - 1), r->ids.data + r->row[i].id) == 0) {
            r->doubled++;
            continue;
        }
        r->row[kept++] = r->row[i];
    }
    r->n = kept;
}

enum rc
rows_append(struct rows *r, const struct rows *from, struct err *err)
{
    size_t bytes = r->bytes.len, ids = r->ids.len;

    assert(r->stream == from->stream);
    buf_put(&r->bytes, from->bytes.data, from->bytes.len);
    buf_put(&r->ids, from->ids.data, from->ids.len);
    if (r->bytes.failed || r->ids.failed)
        return err_set(err, RC_LIMIT, "%s of several answers take more than %zu MiB",
                       record_tables[r->stream].name, r->bytes.max >> 20);
    for (size_t i = 0; i < from->n; i++) {
        if (!row_room(r))
            return err_set(err, RC_INTERNAL, "no memory for a page of %s", record_tables[r->stream].name);
        r->row[r->n] = from->row[i];
        r->row[r->n].at += bytes;
        r->row[r->n].id += ids;
        r->n++;
    }
    r->fetched += from->fetched;
    r->rejected += from->rejected;
    r->doubled += from->doubled;
    if (from->newest != DB_NO_TIME && (r->newest == DB_NO_TIME || from->newest > r->newest))
        r->newest = from->newest;
    return RC_OK;
}

bool
rows_all_in(const struct rows *r, const struct rows *other)
{
    for (size_t i = 0, j = 0; i < r->n; i++) {
        const char *id = rows_id(r, i);

        while (j < other->n &&
               (other->row[j].prefix < r->row[i].prefix ||
                (other->row[j].prefix == r->row[i].prefix && strcmp(rows_id(other, j), id) < 0)))
            j++;
        if (j == other->n || strcmp(rows_id(other, j), id) != 0)
            return false;
    }
    return true;
}

const char *
rows_id(const struct rows *r, size_t i)
{
    return r->ids.data + r->row[i].id;
}

const char *
rows_text(const struct rows *r, size_t i, int col, size_t *len)
{
    const char *p = r->bytes.data + r->row[i].at;
    uint32_t be, n;

    assert(col < record_tables[r->stream].ncolumns);
    for (int c = 0;; c++) {
        memcpy(&be, p, sizeof be);
        n = be32toh(be);
        p += sizeof be;
        if (c == col)
            break;
        p += n == UINT32_MAX ? 0 : n;
    }
    if (n == UINT32_MAX)
        return NULL;
    *len = n;
    return p;
}

int64_t
rows_time(const struct rows *r, size_t i, int col)
{
    size_t len = 0;
    const char *p = rows_text(r, i, col, &len);
    uint64_t be;

    if (p == NULL)
        return DB_NO_TIME;
    assert(len == sizeof be);
    memcpy(&be, p, sizeof be);
    return (int64_t)be64toh(be) + PG_EPOCH_US;
}
