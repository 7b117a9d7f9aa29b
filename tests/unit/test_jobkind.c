/* tests/unit/test_jobkind.c - arguments that each kind takes or refuses, and the keys that come of them. */
#include "common/auto.h"
#include "common/jobkind.h"
#include "common/json.h"
#include "tests/unit/tables.h"
#include <stdlib.h>
#include <string.h>

static struct args_case {
    const char *name, *kind, *args;
    int64_t integration;
    const char *error; /* NULL = accepted */
} args_cases[] = {
    { "a pull needs no arguments", "issue_pull", "{}", 7, NULL },
    { "a pull may be full", "issue_pull", "{\"full\": true}", 7, NULL },
    { "full is a boolean", "issue_pull", "{\"full\": 1}", 7, "args: full" },
    { "a pull is of an integration", "issue_pull", "{}", 0, "integration: is required" },
    { "an unknown argument is named", "issue_pull", "{\"ful\": true}", 7, "ful" },
    { "a chunk needs its span", "issue_chunk", "{\"from\": \"2026-01-01\"}", 7, "args: to" },
    { "a span has an order", "issue_chunk", "{\"from\": \"2026-02-01\", \"to\": \"2026-01-01\"}", 7,
      "args.from: must be before" },
    { "a span is not empty", "issue_chunk", "{\"from\": \"2026-01-01\", \"to\": \"2026-01-01\"}", 7,
      "args.from: must be before" },
    { "a date that is none is refused", "issue_chunk", "{\"from\": \"2026-13-01\", \"to\": \"2026-01-01\"}",
      7, "args: from" },
    { "a backfill may leave its beginning open", "issue_backfill", "{\"to\": \"2026-01-01T00:00:00Z\"}", 7,
      NULL },
    { "noop takes none", "noop", "{}", 0, NULL },
    { "noop sleeps", "noop", "{\"sleep_ms\": 250}", 0, NULL },
    { "noop carries what a bench gives it", "noop",
      "{\"stamp\": true, \"since_us\": 1893553445678901, \"pad\": \"xx\"}", 0, NULL },
    { "noop was not due before 1970", "noop", "{\"since_us\": -1}", 0, "args: since_us" },
    { "noop does not sleep for ever", "noop", "{\"sleep_ms\": 300001}", 0, "args: sleep_ms" },
    { "noop does not sleep backwards", "noop", "{\"sleep_ms\": -1}", 0, "args: sleep_ms" },
};

static void
check_args(void **state)
{
    const struct args_case *c = *state;
    json_auto_t *args = json_loads(c->args, 0, NULL);
    struct err err = { 0 };
    enum rc rc = jobkind_check_args(jobkind_find(c->kind), args, c->integration, &err);

    assert_int_equal(rc, c->error == NULL ? RC_OK : RC_INVALID);
    if (c->error != NULL)
        assert_non_null(strstr(err.text, c->error));
}

static struct key_case {
    const char *name, *pattern, *args, *want; /* want NULL = no key */
} key_cases[] = {
    { "no pattern, no key", NULL, "{}", NULL },
    { "the integration's id", "issue_pull:%i", "{}", "issue_pull:7" },
    { "an argument", "c:%i:%{from}", "{\"from\": \"2026-01-01\"}", "c:7:2026-01-01" },
    { "two arguments", "%{a}-%{b}", "{\"a\": \"x\", \"b\": 5}", "x-5" },
    { "a missing argument means no key", "c:%{from}", "{}", NULL },
    { "a missing optional argument leaves nothing", "p:%i:%{full?}", "{}", "p:7:" },
    { "a flag that is set is its name", "p:%i:%{full?}", "{\"full\": true}", "p:7:full" },
    { "a flag that is not set is nothing", "p:%i:%{full?}", "{\"full\": false}", "p:7:" },
    { "an argument that is no text means no key", "c:%{from}", "{\"from\": null}", NULL },
};

static void
check_key(void **state)
{
    const struct key_case *c = *state;
    json_auto_t *args = json_loads(c->args, 0, NULL);
    AUTO_FREE char *key = NULL;

    assert_int_equal(jobkind_key(c->pattern, 7, args, &key, NULL), RC_OK);
    if (c->want == NULL)
        assert_null(key);
    else
        assert_string_equal(key, c->want);
}

static void
every_kind_is_found_by_its_name(void **state)
{
    (void)state;
    for (const struct jobkind *k = jobkinds; k->name != NULL; k++)
        assert_ptr_equal(jobkind_find(k->name), k);
    assert_null(jobkind_find("no_such_kind"));
}

int
main(void)
{
    TEST_TABLE(args_cases, check_args);
    TEST_TABLE(key_cases, check_key);
    TEST_ONE(every_kind_is_found_by_its_name);
    return TESTS_RUN("jobkind");
}
