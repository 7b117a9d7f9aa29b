/* tests/unit/test_records.c - the lists of columns against the schema, and what becomes of rows: sorted, each
 * id once, the newest kept. */
#include "common/clock.h"
#include "tests/unit/tables.h"
#include "tests/unit/testdb.h"
#include "worker/records.h"

static const char *const pg_types[] = {
    [TYPE_KEY] = "text",   [TYPE_TEXT] = "text",    [TYPE_TIME] = "timestamp with time zone",
    [TYPE_INT] = "bigint", [TYPE_BOOL] = "boolean", [TYPE_TEXTS] = "ARRAY",
    [TYPE_JSON] = "jsonb"
};

/* Columns that are not a record's: keys and marks of the sink and the jobs. */
static bool
is_ours(const char *column)
{
    static const char *const ours[] = { "integration_id", "row_hash", "synced_at", "deleted_at",
                                        "messages_read_for" };

    for (size_t i = 0; i < COUNT_OF(ours); i++)
        if (strcmp(ours[i], column) == 0)
            return true;
    return false;
}

static const struct column *
find(const struct table *t, const char *name)
{
    for (int i = 0; i < t->ncolumns; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}

static void
every_column_of_a_table_is_in_its_list(void **state)
{
    AUTO(db) db = NULL;

    (void)state;
    TESTDB_OR_SKIP();
    db = testdb_connect();
    for (int s = 0; s < STREAM_COUNT; s++) {
        const struct table *t = &record_tables[s];
        AUTO(dbres) r = NULL;
        int listed = 0;
        char sql[200];

        (void)snprintf(
            sql, sizeof sql,
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'deskmill'"
            " AND table_name = '%s'",
            t->name);
        assert_int_equal(db_exec_text(db, sql, &r, NULL), RC_OK);
        assert_true(dbres_rows(r) > 0);
        for (int i = 0; i < dbres_rows(r); i++) {
            const struct column *c = find(t, dbres_text(r, i, 0));

            if (c == NULL && is_ours(dbres_text(r, i, 0)))
                continue;
            if (c == NULL)
                fail_msg("%s.%s is in no list of common/sql/records.def", t->name, dbres_text(r, i, 0));
            else
                assert_string_equal(dbres_text(r, i, 1), pg_types[c->type]);
            listed++;
        }
        assert_int_equal(listed, t->ncolumns);
    }
}

/* An index over a text column must not be able to refuse a vendor's value. */
static void
every_indexed_text_is_a_key(void **state)
{
    AUTO(db) db = NULL;
    AUTO(dbres) r = NULL;

    (void)state;
    TESTDB_OR_SKIP();
    db = testdb_connect();
    assert_int_equal(
        db_exec_text(
            db,
            "SELECT DISTINCT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) WHERE c.relname IN"
            " ('accounts', 'users', 'issues', 'messages') AND a.atttypid = 'text'::regtype",
            &r, NULL),
        RC_OK);
    assert_true(dbres_rows(r) > 0);
    for (int i = 0; i < dbres_rows(r); i++)
        for (int s = 0; s < STREAM_COUNT; s++)
            if (strcmp(record_tables[s].name, dbres_text(r, i, 0)) == 0)
                assert_int_equal(find(&record_tables[s], dbres_text(r, i, 1))->type, TYPE_KEY);
}

static void
add(struct rows *rows, struct record *rec, const char *id, int64_t updated_at, const char *title)
{
    record_reset(rec, STREAM_issues);
    record_set_text(rec, COL_issues_id, id, strlen(id));
    record_set_text(rec, COL_issues_title, title, strlen(title));
    if (updated_at != DB_NO_TIME)
        record_set_number(rec, COL_issues_updated_at, updated_at);
    assert_int_equal(rows_add(rows, rec, NULL), RC_OK);
}

static void
rows_are_sorted_and_the_newest_of_doubles_stays(void **state)
{
    struct tally unknown = { 0 };
    struct record rec;
    struct rows rows, more;
    size_t len;

    (void)state;
    record_init(&rec, &unknown);
    rows_init(&rows, 1 << 20);
    rows_init(&more, 1 << 20);
    rows_reset(&rows, STREAM_issues);
    rows_reset(&more, STREAM_issues);
    add(&rows, &rec, "issue-b", 5, "old");
    add(&rows, &rec, "issue-c", 7, "c");
    add(&rows, &rec, "issue-a", 6, "a");
    add(&rows, &rec, "issue-b", 9, "new");
    add(&rows, &rec, "", 10, "without an id");
    add(&more, &rec, "issue-b", DB_NO_TIME, "no version");
    rows_finish(&more);
    rows_finish(&rows);
    assert_int_equal(rows.n, 3);
    assert_int_equal(rows.fetched, 5);
    assert_int_equal(rows.rejected, 1);
    assert_int_equal(rows.doubled, 1);
    assert_int_equal(rows.newest, 9);
    assert_string_equal(rows_id(&rows, 0), "issue-a");
    assert_string_equal(rows_id(&rows, 1), "issue-b");
    assert_string_equal(rows_id(&rows, 2), "issue-c");
    assert_memory_equal(rows_text(&rows, 1, COL_issues_title, &len), "new", 3);
    assert_int_equal(len, 3);
    assert_int_equal(rows_time(&rows, 1, COL_issues_updated_at), 9);
    assert_null(rows_text(&rows, 1, COL_issues_state, &len));
    assert_true(rows_all_in(&more, &rows));
    assert_false(rows_all_in(&rows, &more));
    assert_int_equal(rows_append(&rows, &more, NULL), RC_OK);
    rows_finish(&rows);
    assert_int_equal(rows.n, 3);
    assert_memory_equal(rows_text(&rows, 1, COL_issues_title, &len), "new", 3);
    record_fini(&rec);
    rows_fini(&rows);
    rows_fini(&more);
}

static void
the_hash_is_of_the_content_alone(void **state)
{
    struct tally unknown = { 0 };
    struct record rec;
    struct rows rows;
    int64_t hash;

    (void)state;
    record_init(&rec, &unknown);
    rows_init(&rows, 1 << 20);
    rows_reset(&rows, STREAM_issues);
    add(&rows, &rec, "x", 5, "same");
    hash = rows.row[0].hash;
    rows_reset(&rows, STREAM_issues);
    add(&rows, &rec, "before", 1, "something else");
    add(&rows, &rec, "x", 5, "same");
    assert_int_equal(rows.row[1].hash, hash);
    rows_reset(&rows, STREAM_issues);
    add(&rows, &rec, "x", 5, "samf");
    assert_int_not_equal(rows.row[0].hash, hash);
    record_fini(&rec);
    rows_fini(&rows);
}

static void
a_page_has_a_ceiling(void **state)
{
    struct tally unknown = { 0 };
    struct err err = { 0 };
    struct record rec;
    struct rows rows;
    enum rc rc = RC_OK;

    (void)state;
    record_init(&rec, &unknown);
    rows_init(&rows, 2000);
    rows_reset(&rows, STREAM_accounts);
    for (int i = 0; i < 100 && rc == RC_OK; i++) {
        record_reset(&rec, STREAM_accounts);
        record_set_text(&rec, COL_accounts_id, "0123456789", 10);
        rc = rows_add(&rows, &rec, &err);
    }
    assert_int_equal(rc, RC_LIMIT);
    record_fini(&rec);
    rows_fini(&rows);
}

static void
names_beyond_what_a_tally_holds_are_counted_together(void **state)
{
    struct tally t = { 0 };
    char name[16];

    (void)state;
    for (int i = 0; i < TALLY_MAX + 10; i++) {
        (void)snprintf(name, sizeof name, "field%d", i);
        tally_add(&t, name, strlen(name), NULL, 1);
    }
    tally_add(&t, "field3", 6, NULL, 1);
    tally_add(&t, "a \"b\"\n", 6, "unreadable", 1);
    assert_int_equal(t.n, TALLY_MAX);
    assert_int_equal(t.entries[3].times, 2);
    assert_string_equal(t.entries[TALLY_MAX].name, "(others)");
    assert_int_equal(t.entries[TALLY_MAX].times, 11);
}

int
main(void)
{
    int failed;

    if (testdb_make() != 0)
        return EXIT_FAILURE;
    TEST_ONE(every_column_of_a_table_is_in_its_list);
    TEST_ONE(every_indexed_text_is_a_key);
    TEST_ONE(rows_are_sorted_and_the_newest_of_doubles_stays);
    TEST_ONE(the_hash_is_of_the_content_alone);
    TEST_ONE(a_page_has_a_ceiling);
    TEST_ONE(names_beyond_what_a_tally_holds_are_counted_together);
    failed = TESTS_RUN("records");
    testdb_drop();
    return failed;
}
