#include "common/migrate.h"
#include "common/buf.h"
#include "common/clock.h"
#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX     ((size_t)16 << 20)
#define NAME_MAX_LEN 128

struct migration {
    int version;
    const char *name; /* the file's, without .sql */
    const char *text;
};
#include "migrations.h" /* made by the build from schema/: embedded[], ended by a row of zeros */

/* Those of the binary, or read from a directory. */
struct files {
    struct migration *rows;
    size_t n;
    bool own; /* names and texts are on the heap */
};

static void
files_fini(struct files *f)
{
    for (size_t i = 0; f->own && i < f->n; i++) {
        free((char *)(uintptr_t)f->rows[i].name);
        free((char *)(uintptr_t)f->rows[i].text);
    }
    free(f->rows);
    *f = (struct files){ 0 };
}

static enum rc
add_file(struct files *f, struct migration m, struct err *err)
{
    struct migration *rows = reallocarray(f->rows, f->n + 1, sizeof *rows);

    if (rows == NULL)
        return err_set(err, RC_INTERNAL, "no memory for the migrations");
    f->rows = rows;
    f->rows[f->n++] = m;
    return RC_OK;
}

static enum rc
read_text(const char *path, char **out, struct err *err)
{
    FILE *in = fopen(path, "rbe");
    enum rc rc = RC_OK;
    struct buf text;
    char *room;

    if (in == NULL)
        return err_set(err, RC_NOT_FOUND, "%s: %s", path, strerror(errno));
    buf_init(&text, FILE_MAX);
    buf_puts(&text, ""); /* an empty file is an empty text */
    while (!feof(in) && !ferror(in) && (room = buf_reserve(&text, 65536)) != NULL)
        text.len += fread(room, 1, 65536, in);
    if (ferror(in))
        rc = err_set(err, RC_INVALID, "%s: cannot be read", path);
    else if (text.failed)
        rc = err_set(err, RC_LIMIT, "%s: larger than %zu bytes", path, FILE_MAX);
    else if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL)
        rc = err_set(err, RC_INVALID, "%s: has a NUL byte in it", path);
    else if ((*out = strndup(text.len == 0 ? "" : text.data, text.len)) == NULL)
        rc = err_set(err, RC_INTERNAL, "no memory for %s", path);
    buf_fini(&text);
    (void)fclose(in);
    return rc;
}

/* NNNN_words.sql; the number, or -1. */
static int
version_of(const char *file)
{
    size_t len = strlen(file);

    if (len < 10 || len >= NAME_MAX_LEN || file[4] != '_' || strcmp(file + len - 4, ".sql") != 0)
        return -1;
    for (size_t i = 0; i < 4; i++)
        if (!isdigit((unsigned char)file[i]))
            return -1;
    for (size_t i = 5; i < len - 4; i++)
        if (!islower((unsigned char)file[i]) && !isdigit((unsigned char)file[i]) && file[i] != '_')
            return -1;
    return (int)strtol(file, NULL, 10);
}

static enum rc
read_one(struct files *f, const char *dir, const char *file, struct err *err)
{
    AUTO_FREE char *path = NULL;
    AUTO_FREE char *text = NULL;
    AUTO_FREE char *name = NULL;
    int version = version_of(file);
    enum rc rc;

    if (version < 0)
        return err_set(err, RC_INVALID, "%s/%s: migrations are named NNNN_words.sql", dir, file);
    if (asprintf(&path, "%s/%s", dir, file) < 0 || (name = strndup(file, strlen(file) - 4)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for the migrations");
    if ((rc = read_text(path, &text, err)) != RC_OK)
        return rc;
    if ((rc = add_file(f, (struct migration){ .version = version, .name = name, .text = text }, err)) !=
        RC_OK)
        return rc;
    (void)TAKE(name);
    (void)TAKE(text);
    return RC_OK;
}

static int
is_sql(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return len > 4 && strcmp(e->d_name + len - 4, ".sql") == 0;
}

static enum rc
read_dir(struct files *f, const char *dir, struct err *err)
{
    struct dirent **list = NULL;
    int n = scandir(dir, &list, is_sql, alphasort);
    enum rc rc = RC_OK;

    if (n < 0)
        return err_set(err, RC_NOT_FOUND, "%s: %s", dir, strerror(errno));
    f->own = true;
    for (int i = 0; i < n; i++) {
        if (rc == RC_OK)
            rc = read_one(f, dir, list[i]->d_name, err);
        free(list[i]);
    }
    free(list);
    return rc;
}

/* Numbered 1, 2, 3 ...: a gap is a file that someone forgot to commit, a double two people's work at once. */
static enum rc
check_numbers(const struct files *f, struct err *err)
{
    for (size_t i = 0; i < f->n; i++) {
        int expected = (int)i + 1;

        if (f->rows[i].version > expected)
            return err_set(err, RC_INVALID, "migration %s: %04d is missing before it", f->rows[i].name,
                           expected);
        if (f->rows[i].version < expected)
            return err_set(err, RC_INVALID, "migration %s: its number is taken by %s", f->rows[i].name,
                           i == 0 ? "nothing, numbers start at 0001" : f->rows[i - 1].name);
    }
    return RC_OK;
}

static enum rc
load(struct files *f, const char *dir, struct err *err)
{
    enum rc rc = RC_OK;

    if (dir != NULL)
        rc = read_dir(f, dir, err);
    for (size_t i = 0; dir == NULL && rc == RC_OK && embedded[i].version != 0; i++)
        rc = add_file(f, embedded[i], err);
    return rc == RC_OK ? check_numbers(f, err) : rc;
}

/* PostgreSQL computes it, so that a checksum can be looked up with nothing but psql. */
static enum rc
checksum(struct db *d, const struct migration *m, struct dbres **out, struct err *err)
{
    return db_run(d, SQL_migrate_checksum, DB_ARGS(db_text(m->text)), out, err);
}

/* Compares what was applied with what we have. */
static enum rc
check_applied(struct db *d, const struct files *f, size_t *napplied, struct err *err)
{
    AUTO(dbres) applied = NULL;
    enum rc rc = db_run(d, SQL_migrate_applied, DB_NO_ARGS, &applied, err);

    for (int i = 0; rc == RC_OK && i < dbres_rows(applied); i++) {
        const char *name = dbres_text(applied, i, 1), *then = dbres_text(applied, i, 2);
        AUTO(dbres) now = NULL;

        if (dbres_i64(applied, i, 0) != i + 1)
            return err_set(err, RC_CONFLICT, "deskmill.schema_migrations: version %d is missing from it",
                           i + 1);
        if ((size_t)i >= f->n)
            return err_set(
                err, RC_CONFLICT,
                "the database has migration %s, which this program does not know: it is older than the "
                "schema. Run the newer version of Deskmill",
                name);
        if ((rc = checksum(d, &f->rows[i], &now, err)) != RC_OK)
            return rc;
        if (strcmp(then, dbres_text(now, 0, 0)) != 0)
            return err_set(
                err, RC_CONFLICT,
                "migration %s was changed after it was applied (sha256 then %s, now %s): restore the file "
                "and put the change into a new one, %04zu_words.sql",
                f->rows[i].name, then, dbres_text(now, 0, 0), f->n + 1);
    }
    if (rc == RC_OK)
        *napplied = (size_t)dbres_rows(applied);
    return rc;
}

/* Runs the file's text; it must leave the transaction that we opened open. */
static enum rc
run_text(struct db *d, const struct migration *m, struct err *err)
{
    AUTO(dbres) before = NULL;
    AUTO(dbres) after = NULL;
    enum rc rc;

    if ((rc = db_run(d, SQL_migrate_tx, DB_NO_ARGS, &before, err)) != RC_OK ||
        (rc = db_exec_text(d, m->text, NULL, err)) != RC_OK)
        return rc;
    if ((rc = db_run(d, SQL_migrate_tx, DB_NO_ARGS, &after, err)) != RC_OK)
        return rc;
    if (strcmp(dbres_text(before, 0, 0), dbres_text(after, 0, 0)) != 0)
        return err_set(err, RC_INVALID,
                       "it ends its transaction by itself: take BEGIN, COMMIT and ROLLBACK out");
    return RC_OK;
}

/* One file and its record, or nothing. *applied is false where another host was first. */
static enum rc
apply(struct db *d, const struct migration *m, bool *applied, struct err *err)
{
    AUTO(dbres) there = NULL;
    AUTO(dbres) sum = NULL;
    enum rc rc;

    *applied = false;
    if ((rc = db_begin(d, err)) != RC_OK)
        return rc;
    /* The session's lock, once more: if the connection was lost and made anew, that one is lost as well. */
    if ((rc = db_run(d, SQL_migrate_no_timeouts, DB_NO_ARGS, NULL, err)) != RC_OK ||
        (rc = db_run(d, SQL_migrate_lock_tx, DB_ARGS(db_i64(MIGRATE_LOCK_KEY)), NULL, err)) != RC_OK ||
        (rc = db_run(d, SQL_migrate_is_applied, DB_ARGS(db_i64(m->version)), &there, err)) != RC_OK)
        goto out;
    if (dbres_rows(there) > 0)
        goto out;
    if ((rc = checksum(d, m, &sum, err)) != RC_OK || (rc = run_text(d, m, err)) != RC_OK)
        goto out;
    rc = db_run(d, SQL_migrate_record,
                DB_ARGS(db_i64(m->version), db_text(m->name), db_text(dbres_text(sum, 0, 0))), NULL, err);
    if (rc == RC_OK && (rc = db_commit(d, err)) == RC_OK)
        *applied = true;
out:
    db_rollback(d);
    if (rc != RC_OK)
        err_wrap(err, "migration %s", m->name);
    return rc;
}

static enum rc
prepare(struct db *d, struct err *err)
{
    enum rc rc;

    if ((rc = db_run(d, SQL_migrate_prepare_session, DB_NO_ARGS, NULL, err)) != RC_OK ||
        (rc = db_run(d, SQL_migrate_lock, DB_ARGS(db_i64(MIGRATE_LOCK_KEY)), NULL, err)) != RC_OK ||
        (rc = db_run(d, SQL_migrate_create_schema, DB_NO_ARGS, NULL, err)) != RC_OK)
        return rc;
    return db_run(d, SQL_migrate_create_table, DB_NO_ARGS, NULL, err);
}

enum rc
migrate_run(struct db *d, const char *dir, migrate_report_cb report, void *arg, struct err *err)
{
    struct files files = { 0 };
    size_t n = 0;
    enum rc rc;

    if ((rc = load(&files, dir, err)) == RC_OK && (rc = prepare(d, err)) == RC_OK)
        rc = check_applied(d, &files, &n, err);
    for (; rc == RC_OK && n < files.n; n++) {
        int64_t start = clock_mono();
        bool applied = false;

        rc = apply(d, &files.rows[n], &applied, err);
        if (applied && report != NULL)
            report(arg, files.rows[n].version, files.rows[n].name, (clock_mono() - start) / 1000);
    }
    db_disconnect(d); /* gives the lock back, and the session without timeouts */
    files_fini(&files);
    return rc;
}

enum rc
migrate_check(struct db *d, int *pending, struct err *err)
{
    struct files files = { 0 };
    AUTO(dbres) exists = NULL;
    size_t n = 0;
    enum rc rc;

    if ((rc = load(&files, NULL, err)) == RC_OK)
        rc = db_run(d, SQL_migrate_table_exists, DB_NO_ARGS, &exists, err);
    if (rc == RC_OK && dbres_bool(exists, 0, 0))
        rc = check_applied(d, &files, &n, err);
    if (rc == RC_OK) {
        if (pending != NULL)
            *pending = (int)(files.n - n);
        if (n < files.n) {
            assert(files.rows != NULL);
            rc = err_set(
                err, RC_CONFLICT,
                "the schema is %zu migration(s) behind this program, next is %s: run `deskmill migrate`",
                files.n - n, files.rows[n].name);
        }
    }
    files_fini(&files);
    return rc;
}
