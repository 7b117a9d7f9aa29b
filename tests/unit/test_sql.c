/* Every statement against the schema: it can be prepared, and takes as many parameters as its row says. */
#include "common/migrate.h"
#include "common/sql.h"
#include "tests/unit/scratch_db.h"

static void
every_statement_fits_the_schema(void **state)
{
    struct scratch_db scratch;
    struct db *d;
    struct err err = { 0 };
    int wrong = 0;

    (void)state;
    scratch_db_create(&scratch, "test_sql");
    d = scratch_db_open(&scratch);
    OK(migrate_run(d, NULL, NULL, NULL, &err));
    for (int id = 0; id < SQL_COUNT; id++) {
        const struct sql_stmt *s = &sql_stmts[id];
        AUTO(dbres) counted = NULL;
        AUTO_FREE char *sql = NULL;

        if (!s->prepared)
            continue;
        assert_true(asprintf(&sql, "PREPARE t AS %s", s->text) > 0);
        if (db_exec_text(d, sql, NULL, &err) != RC_OK) {
            print_error("%s: %s\n", s->name, err.text);
            wrong++;
            continue;
        }
        OK(db_exec_text(d, "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 't'",
                        &counted, &err));
        if (dbres_i64(counted, 0, 0) != s->nparams) {
            print_error("%s: takes %s parameters, its row says %d\n", s->name, dbres_text(counted, 0, 0),
                        s->nparams);
            wrong++;
        }
        OK(db_exec_text(d, "DEALLOCATE t", NULL, &err));
    }
    db_destroy(d);
    scratch_db_drop(&scratch);
    assert_int_equal(wrong, 0);
}

static void
names_are_unique_and_fit_an_identifier(void **state)
{
    (void)state;
    for (int i = 0; i < SQL_COUNT; i++) {
        assert_true(strlen(sql_stmts[i].name) < 64); /* PostgreSQL would cut it */
        for (int k = i + 1; k < SQL_COUNT; k++)
            assert_string_not_equal(sql_stmts[i].name, sql_stmts[k].name);
    }
}

int
main(void)
{
    TEST_ONE(every_statement_fits_the_schema);
    TEST_ONE(names_are_unique_and_fit_an_identifier);
    return TESTS_RUN("sql");
}
