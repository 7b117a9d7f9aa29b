/* common/dbval.h
 * dbval - what goes into a statement and what comes out, for db (blocking) and dba (on a loop) alike.
 *
 * Arguments borrow what they point to for the length of the call. Scalars travel as text; arrays, bytea and
 * times in binary, so an array parameter must be cast in the statement to just its type: $2::int8[],
 * $3::text[], $4::timestamptz[]. Results are text. The session's time zone is UTC and its DateStyle ISO.
 */
#ifndef DESKMILL_DBVAL_H
#define DESKMILL_DBVAL_H

#include "common/auto.h"
#include "common/err.h"
#include "common/sql.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db_arg {
    enum db_arg_type {
        DB_NULL,
        DB_I64,
        DB_BOOL,
        DB_DBL,
        DB_TEXT,
        DB_BYTEA,
        DB_TIME,
        DB_I64S,
        DB_TEXTS,
        DB_TIMES,
        DB_BOOLS
    } type;
    size_t n; /* bytes of a text or bytea, elements of an array */
    union {
        int64_t i64; /* DB_TIME: microseconds since 1970 */
        double dbl;
        bool yes;
        const void *ptr;
    } v;
};
#define DB_NO_TIME  INT64_MIN /* null, where a time is expected */
#define DB_INFINITY INT64_MAX /* PostgreSQL's 'infinity', as an argument */

static inline struct db_arg
db_null(void)
{
    return (struct db_arg){ .type = DB_NULL };
}
static inline struct db_arg
db_i64(int64_t v)
{
    return (struct db_arg){ .type = DB_I64, .v.i64 = v };
}
static inline struct db_arg
db_bool(bool v)
{
    return (struct db_arg){ .type = DB_BOOL, .v.yes = v };
}
static inline struct db_arg
db_dbl(double v)
{
    return (struct db_arg){ .type = DB_DBL, .v.dbl = v };
}
struct db_arg db_text(const char *s);            /* NULL is null; also for jsonb and enums */
struct db_arg db_textn(const char *s, size_t n); /* a NUL byte within is the caller's mistake */
struct db_arg db_bytea(const void *p, size_t n); /* NULL is null */
struct db_arg db_time(int64_t t);                /* DB_NO_TIME is null */
struct db_arg db_i64s(const int64_t *v, size_t n);
struct db_arg db_texts(const char *const *v, size_t n); /* NULL elements are null */
struct db_arg db_times(const int64_t *v, size_t n);     /* DB_NO_TIME elements are null */
struct db_arg db_bools(const bool *v, size_t n);

/* DB_ARGS(db_i64(1), db_text("x")) expands to two call arguments: the array and its length. */
#define DB_ARGS(...)                        \
    (const struct db_arg[]){ __VA_ARGS__ }, \
        (sizeof((const struct db_arg[]){ __VA_ARGS__ }) / sizeof(struct db_arg))
#define DB_NO_ARGS NULL, 0

struct dbres; /* rows; borrowed strings live as long as it does */
void dbres_destroy(struct dbres *r);
AUTO_DEFINE(dbres)

int dbres_rows(const struct dbres *r);
int64_t dbres_affected(const struct dbres *r); /* rows that an INSERT, UPDATE, DELETE or COPY touched */
bool dbres_null(const struct dbres *r, int row, int col);
const char *dbres_text(const struct dbres *r, int row, int col); /* "" where null */
size_t dbres_len(const struct dbres *r, int row, int col);
int64_t dbres_i64(const struct dbres *r, int row, int col); /* 0 where null */
double dbres_dbl(const struct dbres *r, int row, int col);
bool dbres_bool(const struct dbres *r, int row, int col);
int64_t dbres_time(const struct dbres *r, int row,
                   int col); /* of a timestamptz or date; DB_NO_TIME where null or infinite */
/* *out is the caller's to free(). RC_NOT_FOUND where null. */
enum rc dbres_bytea(const struct dbres *r, int row, int col, unsigned char **out, size_t *len,
                    struct err *err);

#endif
