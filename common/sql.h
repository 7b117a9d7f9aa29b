/* common/sql.h
 * sql - every statement of Deskmill, named. The rows are in common/sql/<subject>.def, listed in
 * common/sql/all.def:
 *
 *   SQL(job_claim, 2, "UPDATE ...")       the enum SQL_job_claim, the statement "job_claim" inside
 * PostgreSQL, 2 parameters SQL_TEXT(sink_copy_issues, "COPY ...") what cannot be prepared (COPY, BEGIN,
 * LISTEN): sent as text, no parameters
 *
 * tests/unit/test_sql.c prepares each against the schema.
 */
#ifndef DESKMILL_SQL_H
#define DESKMILL_SQL_H

#include <stdbool.h>

#ifndef SQL_ALL_DEF /* the tests of db and dba bring statements of their own */
#define SQL_ALL_DEF "common/sql/all.def"
#endif

enum sql_id {
#define SQL(name, nparams, text) SQL_##name,
#define SQL_TEXT(name, text)     SQL_##name,
#include SQL_ALL_DEF
#undef SQL
#undef SQL_TEXT
    SQL_COUNT
};

struct sql_stmt {
    const char *name;
    const char *text;
    int nparams;
    bool prepared; /* false for SQL_TEXT */
};

extern const struct sql_stmt sql_stmts[SQL_COUNT]; /* in sql.c */

#endif
