#include "common/err.h"
#include "tests/unit/tables.h"
#include <string.h>

static struct name_case {
    const char *name;
    enum rc rc;
    const char *want;
} names[] = {
    { "ok", RC_OK, "ok" },
    { "invalid", RC_INVALID, "invalid" },
    { "not found", RC_NOT_FOUND, "not_found" },
    { "conflict", RC_CONFLICT, "conflict" },
    { "unavailable", RC_UNAVAILABLE, "unavailable" },
    { "timeout", RC_TIMEOUT, "timeout" },
    { "denied", RC_DENIED, "denied" },
    { "limit", RC_LIMIT, "limit" },
    { "protocol", RC_PROTOCOL, "protocol" },
    { "internal", RC_INTERNAL, "internal" },
};

static void
check_name(void **state)
{
    const struct name_case *c = *state;

    assert_string_equal(rc_name(c->rc), c->want);
}

static void
set_returns_the_code_and_keeps_one_line(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(err_set(&err, RC_LIMIT, "%s: %d", "too\nmany", 7), RC_LIMIT);
    assert_int_equal(err.rc, RC_LIMIT);
    assert_string_equal(err.text, "too many: 7");
    err_clear(&err);
    assert_int_equal(err.rc, RC_OK);
    assert_string_equal(err.text, "");
}

static void
wrap_adds_context_and_keeps_the_code(void **state)
{
    struct err err = { 0 };

    (void)state;
    (void)err_set(&err, RC_TIMEOUT, "no answer");
    assert_int_equal(err_wrap(&err, "claiming %d jobs", 3), RC_TIMEOUT);
    assert_string_equal(err.text, "claiming 3 jobs: no answer");
}

static void
nobody_listening_is_fine(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, RC_DENIED, "x"), RC_DENIED);
    assert_int_equal(err_wrap(NULL, "x"), RC_INTERNAL);
    err_clear(NULL);
}

static void
long_sentences_are_cut(void **state)
{
    struct err err = { 0 };
    char big[2 * sizeof err.text];

    (void)state;
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    (void)err_set(&err, RC_INVALID, "%s", big);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    (void)err_wrap(&err, "front");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "front: xxx", 10);
    (void)err_wrap(&err, "%s", big);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

int
main(void)
{
    TEST_TABLE(names, check_name);
    TEST_ONE(set_returns_the_code_and_keeps_one_line);
    TEST_ONE(wrap_adds_context_and_keeps_the_code);
    TEST_ONE(nobody_listening_is_fine);
    TEST_ONE(long_sentences_are_cut);
    return TESTS_RUN("err");
}
