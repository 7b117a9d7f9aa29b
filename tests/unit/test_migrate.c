#include "common/migrate.h"
#include "tests/unit/scratch_db.h"
#include <sys/wait.h>

struct stage {
    struct scratch_db scratch;
    struct db *d;
    char dir[64];
    char applied[256]; /* names as reported, each with a space behind */
};

static void
reported(void *arg, int version, const char *name, int64_t ms)
{
    struct stage *s = arg;

    assert_true(version > 0 && ms >= 0);
    (void)snprintf(s->applied + strlen(s->applied), sizeof s->applied - strlen(s->applied), "%s ", name);
}

static void
put_file(struct stage *s, const char *name, const char *text)
{
    char path[256];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/%s", s->dir, name);
    assert_non_null(f = fopen(path, "we"));
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void
remove_file(struct stage *s, const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", s->dir, name);
    (void)unlink(path);
}

static struct stage *
stage_open(void)
{
    struct stage *s;

    (void)TEST_DB_URL(); /* or skip, before anything is made */
    s = calloc(1, sizeof *s);
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/test_migrate.XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    scratch_db_create(&s->scratch, "test_migrate");
    s->d = scratch_db_open(&s->scratch);
    put_file(s, "0001_one.sql", "CREATE TABLE one (a int);\nINSERT INTO one VALUES (1);\n");
    put_file(s, "0002_two.sql", "CREATE TABLE two (a int);\n");
    put_file(s, "README.md", "not a migration");
    return s;
}

static void
stage_close(struct stage *s)
{
    static const char *const names[] = { "0001_one.sql",   "0002_two.sql", "0003_three.sql", "0004_four.sql",
                                         "0002_other.sql", "wrong.sql",    "README.md" };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        remove_file(s, names[i]);
    (void)rmdir(s->dir);
    db_destroy(s->d);
    scratch_db_drop(&s->scratch);
    free(s);
}

static enum rc
migrate(struct stage *s, struct err *err)
{
    s->applied[0] = '\0';
    return migrate_run(s->d, s->dir, reported, s, err);
}

static int64_t
ask(struct stage *s, const char *sql)
{
    struct err err = { 0 };
    AUTO(dbres) res = NULL;

    OK(db_exec_text(s->d, sql, &res, &err));
    return dbres_i64(res, 0, 0);
}

static void
files_are_applied_once_in_order(void **state)
{
    struct stage *s = stage_open();
    struct err err = { 0 };

    (void)state;
    OK(migrate(s, &err));
    assert_string_equal(s->applied, "0001_one 0002_two ");
    OK(migrate(s, &err));
    assert_string_equal(s->applied, "");
    put_file(s, "0003_three.sql", "INSERT INTO one VALUES (3)");
    OK(migrate(s, &err));
    assert_string_equal(s->applied, "0003_three ");
    assert_int_equal(ask(s, "SELECT count(*) FROM deskmill.one"), 2);
    assert_int_equal(ask(s, "SELECT count(*) FROM schema_migrations WHERE length(checksum) = 64"), 3);
    assert_int_equal(ask(s, "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                            " WHERE l.locktype = 'advisory' AND d.datname = current_database()"),
                     0);
    stage_close(s);
}

static void
a_file_that_fails_leaves_nothing_and_names_its_line(void **state)
{
    struct stage *s = stage_open();
    struct err err = { 0 };

    (void)state;
    put_file(s, "0003_three.sql", "CREATE TABLE three (a int);\nINSERT INTO three VALUES (nix);\n");
    assert_int_not_equal(migrate(s, &err), RC_OK);
    assert_non_null(strstr(err.text, "0003_three"));
    assert_non_null(strstr(err.text, "line 2"));
    assert_int_equal(ask(s, "SELECT count(*) FROM schema_migrations"), 2);
    assert_int_equal(ask(s, "SELECT (to_regclass('three') IS NULL)::int"), 1);
    stage_close(s);
}

static void
a_changed_file_is_refused(void **state)
{
    struct stage *s = stage_open();
    struct err err = { 0 };

    (void)state;
    OK(migrate(s, &err));
    put_file(s, "0001_one.sql", "CREATE TABLE one (a bigint);\n");
    put_file(s, "0003_three.sql", "CREATE TABLE three (a int);\n");
    assert_int_equal(migrate(s, &err), RC_CONFLICT);
    assert_non_null(strstr(err.text, "0001_one"));
    assert_non_null(strstr(err.text, "0004_words.sql"));
    assert_string_equal(s->applied, "");
    stage_close(s);
}

static void
an_older_program_is_refused(void **state)
{
    struct stage *s = stage_open();
    struct err err = { 0 };

    (void)state;
    OK(migrate(s, &err));
    remove_file(s, "0002_two.sql");
    assert_int_equal(migrate(s, &err), RC_CONFLICT);
    assert_non_null(strstr(err.text, "0002_two"));
    assert_non_null(strstr(err.text, "older"));
    stage_close(s);
}

static struct name_case {
    const char *name, *file;
} name_cases[] = {
    { "a gap is refused", "0004_four.sql" },
    { "a double is refused", "0002_other.sql" },
    { "a name out of order is refused", "wrong.sql" },
};

static void
check_name(void **state)
{
    const struct name_case *c = *state;
    struct stage *s = stage_open();
    struct err err = { 0 };

    put_file(s, c->file, "SELECT 1");
    assert_int_equal(migrate(s, &err), RC_INVALID);
    assert_string_equal(s->applied, "");
    stage_close(s);
}

static void
a_file_that_commits_by_itself_is_refused(void **state)
{
    struct stage *s = stage_open();
    struct err err = { 0 };

    (void)state;
    put_file(s, "0003_three.sql", "SELECT 1; COMMIT; BEGIN; SELECT 2;");
    assert_int_equal(migrate(s, &err), RC_INVALID);
    assert_int_equal(ask(s, "SELECT count(*) FROM schema_migrations"), 2);
    stage_close(s);
}

static void
a_slow_file_outlives_the_sessions_timeouts(void **state)
{
    struct stage *s = stage_open();
    struct err err = { 0 };

    (void)state;
    put_file(s, "0003_three.sql", "SELECT pg_sleep(2.3)"); /* the session's statement_timeout is 2 s */
    OK(migrate(s, &err));
    assert_int_equal(ask(s, "SELECT (current_setting('statement_timeout') = '2s')::int"), 1);
    stage_close(s);
}

static void
many_hosts_at_once_apply_each_file_once(void **state)
{
    enum { HOSTS = 4 };
    struct stage *s = stage_open();
    struct err err = { 0 };
    pid_t pids[HOSTS];

    (void)state;
    put_file(s, "0003_three.sql",
             "SELECT pg_sleep(0.3); INSERT INTO one VALUES (3)"); /* longer than lock_timeout */
    for (int i = 0; i < HOSTS; i++) {
        if ((pids[i] = fork()) == 0) {
            AUTO(db) d = scratch_db_open(&s->scratch);

            _exit(migrate_run(d, s->dir, NULL, NULL, &err) == RC_OK ? 0 : 1);
        }
    }
    for (int i = 0; i < HOSTS; i++) {
        int status = -1;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(ask(s, "SELECT count(*) FROM one"), 2);
    stage_close(s);
}

static void
the_binarys_own_files_make_the_check_pass(void **state)
{
    struct stage *s = stage_open();
    struct err err = { 0 };
    int pending = -1;
    enum rc rc;

    (void)state;
    rc = migrate_check(s->d, &pending, &err);
    assert_int_equal(rc, pending == 0 ? RC_OK : RC_CONFLICT);
    if (rc != RC_OK)
        assert_non_null(strstr(err.text, "deskmill migrate"));
    OK(migrate_run(s->d, NULL, NULL, NULL, &err));
    OK(migrate_check(s->d, &pending, &err));
    assert_int_equal(pending, 0);
    OK(db_exec_text(s->d,
                    "INSERT INTO schema_migrations SELECT count(*) + 1, 'x', 'x' FROM schema_migrations",
                    NULL, &err));
    assert_int_equal(migrate_check(s->d, &pending, &err), RC_CONFLICT); /* newer than we */
    stage_close(s);
}

int
main(void)
{
    TEST_ONE(files_are_applied_once_in_order);
    TEST_ONE(a_file_that_fails_leaves_nothing_and_names_its_line);
    TEST_ONE(a_changed_file_is_refused);
    TEST_ONE(an_older_program_is_refused);
    TEST_TABLE(name_cases, check_name);
    TEST_ONE(a_file_that_commits_by_itself_is_refused);
    TEST_ONE(a_slow_file_outlives_the_sessions_timeouts);
    TEST_ONE(many_hosts_at_once_apply_each_file_once);
    TEST_ONE(the_binarys_own_files_make_the_check_pass);
    return TESTS_RUN("migrate");
}
