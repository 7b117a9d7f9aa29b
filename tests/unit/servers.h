/* tests/unit/servers.h - where a test finds its servers. `./dev test` always sets TEST_DATABASE_URL and
 * TEST_REDIS_URL; without them the tests that need a server are skipped. */
#ifndef DESKMILL_TESTS_SERVERS_H
#define DESKMILL_TESTS_SERVERS_H

#include "common/err.h"
#include "tests/unit/tables.h"
#include <stdlib.h>

static inline const char *
need_server(const char *variable)
{
    const char *url = getenv(variable);

    if (url == NULL || *url == '\0')
        skip();
    return url;
}
#define TEST_DB_URL()    need_server("TEST_DATABASE_URL")
#define TEST_REDIS_URL() need_server("TEST_REDIS_URL")

/* The call must work; says which line and why when it does not. Wants a `struct err err`. */
#define OK(call) assert_ok_((call), &err, __LINE__)
static inline void
assert_ok_(enum rc rc, const struct err *err, int line)
{
    if (rc != RC_OK)
        fail_msg("line %d: %s: %s", line, rc_name(rc), err->text);
}

#endif
