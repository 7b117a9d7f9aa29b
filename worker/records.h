/* worker/records.h
 * records - the canonical records (issues, accounts, users, messages): from a vendor's values to rows ready
 * for the sink.
 *
 * A connector fills a `struct record` cell by cell; cells point into the vendor's document or into the
 * record's own scratch space, nothing is copied. rows_add() then encodes it once, in the form PostgreSQL's
 * binary COPY takes, and hashes those bytes: from there on a row is a run of bytes that is either sent or
 * not. Its document may die. (So the page that waits for the sink is one buffer, and an unchanged row costs a
 * hash and no parsing.)
 *
 * What can't be read (a time that is none, a number where text should be) is null in its row and counted by
 * name; a record without a usable id is rejected and counted. The columns are the lists in
 * common/sql/records.def.
 *
 * Ownership: rows and records are in the caller's storage: init, fini; an all-zero one may be fini'ed.
 * Threads:   one thread at a time.
 */
#ifndef DESKMILL_WORKER_RECORDS_H
#define DESKMILL_WORKER_RECORDS_H

#include "common/buf.h"
#include "common/doc.h"
#include "common/err.h"
#include "common/sql/records.def"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stream {
#define RECORD_STREAM_(t, kind) STREAM_##t,
    RECORD_TABLES(RECORD_STREAM_)
#undef RECORD_STREAM_
        STREAM_COUNT
};

enum column_type { TYPE_KEY, TYPE_TEXT, TYPE_TIME, TYPE_INT, TYPE_BOOL, TYPE_TEXTS, TYPE_JSON };

struct column {
    const char *name;
    enum column_type type;
};

struct table {
    const char *name;
    const struct column *columns; /* columns[0] is id */
    int ncolumns;
    int version; /* the column that older records never overwrite; -1 = none */
};
extern const struct table record_tables[STREAM_COUNT];

/* COL_issues_title and so on: a column's place among its table's */
#define RECORD_COLUMN_(t, c, type) COL_##t##_##c,
#define RECORD_COLUMNS_(t, kind)   enum { COL_##t##_id, RECORD_##t(RECORD_COLUMN_) COL_##t##_COUNT };
RECORD_TABLES(RECORD_COLUMNS_)
#undef RECORD_COLUMNS_
#undef RECORD_COLUMN_

/* How often each of a few names was seen: fields without a place, values that can't be read. Past TALLY_MAX
 * names the rest is counted as "(others)". */
#define TALLY_MAX  64
#define TALLY_NAME 80
struct tally {
    size_t n;
    struct tally_entry {
        char name[TALLY_NAME];
        int64_t times;
    } entries[TALLY_MAX + 1];
};
void tally_add(struct tally *t, const char *name, size_t len, const char *what, int64_t times);

struct cell {
    enum { CELL_NULL, CELL_BYTES, CELL_SCRATCH, CELL_NUMBER } is;
    size_t len;
    union {
        const char *bytes; /* borrowed: text as it is */
        size_t at;         /* in the record's scratch */
        int64_t number;    /* INT, BOOL (0 or 1), TIME */
    } v;
};

#define RECORD_COLUMNS_MAX 40
struct record {
    enum stream stream;
    struct cell cells[RECORD_COLUMNS_MAX];
    struct buf scratch;    /* text made here (JSON, plain text out of HTML), arrays */
    struct tally *unknown; /* borrowed */
};
void record_init(struct record *r, struct tally *unknown);
void record_fini(struct record *r);
void record_reset(struct record *r, enum stream stream);

/* Puts a vendor's value into a column, converted to its type; `field` names it in the tally when it can't be.
 * null and missing leave the column null. Numbers and booleans become text where text is wanted. */
void record_set(struct record *r, int col, struct doc_value v, const char *field);
void record_set_text(struct record *r, int col, const char *s, size_t len); /* borrowed */
void record_set_number(struct record *r, int col, int64_t v);
/* Text made in scratch: from `at` to its end. */
void record_set_scratch(struct record *r, int col, size_t at);
bool record_is_null(const struct record *r, int col);
/* The text of a text cell; NULL for null. */
const char *record_text(const struct record *r, int col, size_t *len);
void record_unreadable(struct record *r, const char *field);

/* One record, encoded. */
struct row {
    size_t at, len;  /* in rows.bytes: id and columns, each with its length before it */
    size_t id;       /* in rows.ids: the id, terminated */
    uint64_t prefix; /* the id's first bytes, to sort by */
    int64_t version; /* DB_NO_TIME = none */
    int64_t hash;
    char fate; /* the sink's verdict: n new, c changed, s stale, u unchanged; 0 before */
};

struct rows {
    enum stream stream;
    struct buf bytes, ids;
    struct row *row;
    size_t n, cap;
    int64_t fetched; /* records seen: n, and those that were rejected or were in the page twice */
    int64_t rejected, doubled;
    int64_t newest; /* the newest version seen; DB_NO_TIME = none */
};
void rows_init(struct rows *r, size_t max_bytes);
void rows_fini(struct rows *r);
void rows_reset(struct rows *r, enum stream stream);

/* Encodes the record; one without a usable id is only counted. RC_LIMIT past the ceiling. */
enum rc rows_add(struct rows *r, const struct record *rec, struct err *err);
/* After the last: sorts by id (so that every transaction takes its row locks in one order) and keeps the
 * newest of those that came twice. */
void rows_finish(struct rows *r);

/* Adds the rows of `from`, which are of the same stream; to be finished (again) afterwards. */
enum rc rows_append(struct rows *r, const struct rows *from, struct err *err);
/* Whether every row of `r` is in `other`. Both finished. */
bool rows_all_in(const struct rows *r, const struct rows *other);

const char *rows_id(const struct rows *r, size_t i);
/* A text column of an encoded row, borrowed, not terminated; NULL for null. */
const char *rows_text(const struct rows *r, size_t i, int col, size_t *len);
/* A time column of an encoded row; DB_NO_TIME for null. */
int64_t rows_time(const struct rows *r, size_t i, int col);

#endif
