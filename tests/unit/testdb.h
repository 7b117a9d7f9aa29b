/* tests/unit/testdb.h
 * testdb - a database of the test's own, with the schema in it, inside the server that TEST_DATABASE_URL
 * names (./dev test sets it; without it such tests are skipped). Made by testdb_make() before the first test,
 * dropped by testdb_drop() after the last.
 */
#ifndef DESKMILL_TESTDB_H
#define DESKMILL_TESTDB_H

#include "common/db.h"
#include "common/migrate.h"
#include "tests/unit/tables.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char name[64];
    char url[1024]; /* "" without a server */
} testdb;

static inline int
testdb_admin_(const char *verb, const char *how)
{
    AUTO(db) db = NULL;
    struct err err = { 0 };
    char sql[128];

    (void)snprintf(sql, sizeof sql, "%s DATABASE %s %s", verb, testdb.name, how);
    if (db_create(getenv("TEST_DATABASE_URL"), &(struct db_options){ .app_name = "unit" }, &db, &err) ==
            RC_OK &&
        db_exec_text(db, sql, NULL, &err) == RC_OK)
        return 0;
    (void)fprintf(stderr, "testdb: %s\n", err.text);
    return -1;
}

static inline struct db *
testdb_connect(void)
{
    struct db *db = NULL;
    struct err err = { 0 };

    if (db_create(testdb.url, &(struct db_options){ .app_name = "unit" }, &db, &err) != RC_OK ||
        db_connect(db, &err) != RC_OK)
        (void)fprintf(stderr, "testdb: %s\n", err.text);
    return db;
}

static inline int
testdb_make(void)
{
    const char *server = getenv("TEST_DATABASE_URL");
    AUTO(db) db = NULL;
    struct err err = { 0 };

    if (server == NULL)
        return 0;
    (void)snprintf(testdb.name, sizeof testdb.name, "unit_%d", (int)getpid());
    if (testdb_admin_("CREATE", "") != 0)
        return -1;
    (void)snprintf(testdb.url, sizeof testdb.url, "%s%cdbname=%s", server,
                   strchr(server, '?') == NULL ? '?' : '&', testdb.name);
    db = testdb_connect();
    if (migrate_run(db, NULL, NULL, NULL, &err) == RC_OK)
        return 0;
    (void)fprintf(stderr, "testdb: %s\n", err.text);
    return -1;
}

/* The first column of the statement's first row, -1 if it has none. Fails the test if Postgres refuses it. */
static inline int64_t
testdb_value(struct db *db, const char *sql)
{
    AUTO(dbres) r = NULL;
    struct err err = { 0 };

    if (db_exec_text(db, sql, &r, &err) != RC_OK)
        fail_msg("%s: %s", sql, err.text);
    return dbres_rows(r) > 0 ? dbres_i64(r, 0, 0) : -1;
}

static inline void
testdb_drop(void)
{
    if (testdb.url[0] != '\0')
        (void)testdb_admin_("DROP", "WITH (FORCE)");
}

#define TESTDB_OR_SKIP()           \
    do {                           \
        if (testdb.url[0] == '\0') \
            skip();                \
    } while (0)

#endif
