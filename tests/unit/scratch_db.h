/* tests/unit/scratch_db.h - an empty database of a test's own, beside the one of TEST_DATABASE_URL. */
#ifndef DESKMILL_TESTS_SCRATCH_DB_H
#define DESKMILL_TESTS_SCRATCH_DB_H

#include "common/db.h"
#include "tests/unit/servers.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct scratch_db {
    char name[64], url[1024];
};

static inline void
scratch_admin_(const char *format, const char *name)
{
    static const struct db_options options = { .app_name = "scratch_db", .statement_timeout_ms = -1 };
    AUTO(db) admin = NULL;
    struct err err = { 0 };
    char sql[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* two constants, below */
    (void)snprintf(sql, sizeof sql, format, name);
#pragma GCC diagnostic pop
    OK(db_create(TEST_DB_URL(), &options, &admin, &err));
    OK(db_exec_text(admin, sql, NULL, &err));
}

static inline void
scratch_db_create(struct scratch_db *s, const char *what)
{
    const char *url = TEST_DB_URL();

    (void)snprintf(s->name, sizeof s->name, "deskmill_%s_%d", what, (int)getpid());
    (void)snprintf(s->url, sizeof s->url, "%s%cdbname=%s", url, strchr(url, '?') == NULL ? '?' : '&',
                   s->name);
    scratch_admin_("CREATE DATABASE %s", s->name);
}

static inline void
scratch_db_drop(const struct scratch_db *s)
{
    scratch_admin_("DROP DATABASE %s WITH (FORCE)", s->name);
}

static inline struct db *
scratch_db_open(const struct scratch_db *s)
{
    static const struct db_options options = { .app_name = "scratch_db",
                                               .lock_timeout_ms = 100,
                                               .statement_timeout_ms = 2000 };
    struct err err = { 0 };
    struct db *d = NULL;

    OK(db_create(s->url, &options, &d, &err));
    return d;
}

#endif
