/* tests/unit/testdb.h
 * testdb - a database of the test's own, with the schema in it, inside the server that TEST_DATABASE_URL names (./dev test sets it; without it such
 * tests are skipped). Made by testdb_make() before the first test, dropped by testdb_drop() after the last.
 */
#ifndef DESKMILL_TESTDB_H
#define DESKMILL_TESTDB_H

#include "common/db.h"
#include "common/migrate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char name[64];
    char url[1024]; /* "" without a server */
} testdb;

static inline int
testdb_admin_(const char *verb)
{
    AUTO(db) db = NULL;
    struct err err = { 0 };
    char sql[128];

    (void)snprintf(sql, sizeof sql, verb, testdb.name);
    if (db_create(getenv("TEST_DATABASE_URL"), &(struct db_options){ .app_name = "unit" }, &db, &err) == RC_OK &&
        db_exec_text(db, sql, NULL, &err) == RC_OK)
        return 0;
    (void)fprintf(stderr, "testdb: %s\n", err.text);
    return -1;
}

/* The server's URL with another database in its path. */
static inline void
testdb_url_(const char *server)
{
    const char *query = strchr(server, '?');
    size_t head = query != NULL ? (size_t)(query - server) : strlen(server);
    const char *authority = strstr(server, "//");
    const char *slash = authority != NULL ? memchr(authority + 2, '/', head - (size_t)(authority + 2 - server)) : NULL;

    if (slash != NULL)
        head = (size_t)(slash - server);
    (void)snprintf(testdb.url, sizeof testdb.url, "%.*s/%s%s", (int)head, server, testdb.name, query != NULL ? query : "");
}

static inline struct db *
testdb_connect(void)
{
    struct db *db = NULL;
    struct err err = { 0 };

    if (db_create(testdb.url, &(struct db_options){ .app_name = "unit" }, &db, &err) != RC_OK || db_connect(db, &err) != RC_OK)
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
    if (testdb_admin_("CREATE DATABASE %s") != 0)
        return -1;
    testdb_url_(server);
    db = testdb_connect();
    if (migrate_run(db, NULL, NULL, NULL, &err) == RC_OK)
        return 0;
    (void)fprintf(stderr, "testdb: %s\n", err.text);
    return -1;
}

static inline void
testdb_drop(void)
{
    if (testdb.url[0] != '\0')
        (void)testdb_admin_("DROP DATABASE %s WITH (FORCE)");
}

#define TESTDB_OR_SKIP()                                                                                     \
    do {                                                                                                     \
        if (testdb.url[0] == '\0')                                                                           \
            skip();                                                                                          \
    } while (0)

#endif
