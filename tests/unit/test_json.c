#include "common/clock.h"
#include "common/json.h"
#include "tests/unit/tables.h"
#include <stdlib.h>
#include <string.h>

static struct parse_case {
    const char *name;
    const char *text;
    size_t len;
    const char *why; /* NULL: it is right */
} parses[] = {
    { "an empty object", BYTES("{}"), NULL },
    { "an object with blanks around it", BYTES(" {\"a\": [1, 2.5, null]}\n"), NULL },
    { "nothing", BYTES(""), "line 1, column 0: " },
    { "an array", BYTES("[1]"), "expected an object, not an array" },
    { "a string", BYTES("\"a\""), "expected an object, not a string" },
    { "a duplicate key", BYTES("{\"a\":1,\n \"a\":2}"), "line 2, column 4: duplicate object key" },
    { "bytes behind the end", BYTES("{} x"), "line 1, column 4: end of file expected" },
    { "a second document", BYTES("{}{}"), "line 1, column 3: end of file expected" },
    { "cut off", BYTES("{\"a\":"), "line 1, column 5: " },
    { "a mistake on the third line", BYTES("{\n\"a\":1,\n  oops}"), "line 3, column 6: " },
    { "a NUL byte in a string", BYTES("{\"a\":\"x\0y\"}"), "line 1, " },
    { "an escaped NUL", BYTES("{\"a\":\"x\\u0000y\"}"), "\\u0000 is not allowed" },
    { "an escaped NUL in a key", BYTES("{\"x\\u0000y\":1}"), "line 1, " },
    { "invalid UTF-8", BYTES("{\"a\":\"\xff\"}"), "line 1, " },
    { "a number beyond 64 bits", BYTES("{\"a\":9999999999999999999}"), "too big integer" },
};

static void
check_parse(void **state)
{
    const struct parse_case *c = *state;
    struct err err = { 0 };
    json_auto_t *j = NULL;
    enum rc rc = json_parse_object(c->text, c->len, &j, &err);

    if (c->why == NULL) {
        assert_int_equal(rc, RC_OK);
        assert_true(json_is_object(j));
        return;
    }
    assert_int_equal(rc, RC_INVALID);
    assert_null(j);
    if (strstr(err.text, c->why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, c->why);
}

static void
errors_do_not_quote_the_input(void **state)
{
    struct err err = { 0 };
    json_t *j = NULL;

    (void)state;
    assert_int_equal(json_parse_object(BYTES("{\"password\" \"hunter2\"}"), &j, &err), RC_INVALID);
    assert_null(strstr(err.text, "hunter2"));
    assert_int_equal(json_parse_object(BYTES("{\"a\": hunter2}"), &j, &err), RC_INVALID);
    assert_null(strstr(err.text, "hunter2"));
}

static void
text_is_compact_and_keeps_the_order(void **state)
{
    json_auto_t *j = NULL;
    char *text;

    (void)state;
    assert_int_equal(
        json_parse_object(BYTES("{\"z\": 1, \"a\": {\"m\": [true, null]}, \"b\": \"\\u00e9\"}"), &j, NULL),
        RC_OK);
    assert_non_null(text = json_text(j));
    assert_string_equal(text, "{\"z\":1,\"a\":{\"m\":[true,null]},\"b\":\"\xc3\xa9\"}");
    free(text);
    assert_non_null(text = json_text(json_object_get(j, "z")));
    assert_string_equal(text, "1");
    free(text);
}

enum what { STRING, INT, BOOL, TIME };

static const char *const nobody = "";

/* Fields of `doc` with bounds 2 to 5: of bytes for strings, of values for integers. */
static const char doc[] =
    "{\"null\":null,\"one\":\"a\",\"two\":\"ab\",\"five\":\"abcde\",\"six\":\"abcdef\",\"empty\":\"\","
    "\"n1\":1,\"n2\":2,\"n5\":5,\"n6\":6,\"real\":2.5,\"yes\":true,\"no\":false,"
    "\"list\":[],\"date\":\"2026-01-31\",\"then\":\"2026-01-31T12:00:00.5Z\"}";

static struct get_case {
    const char *name;
    enum what what;
    const char *field;
    enum rc rc;
    const char *want; /* the string, or the sentence */
    int64_t number;
} gets[] = {
    { "string: missing", STRING, "absent", RC_NOT_FOUND, "absent: is required", 0 },
    { "string: null", STRING, "null", RC_NOT_FOUND, "null: is required", 0 },
    { "string: empty", STRING, "empty", RC_INVALID, "empty: must not be empty", 0 },
    { "string: too short", STRING, "one", RC_INVALID, "one: expected 2 to 5 bytes, not 1", 0 },
    { "string: shortest", STRING, "two", RC_OK, "ab", 0 },
    { "string: longest", STRING, "five", RC_OK, "abcde", 0 },
    { "string: too long", STRING, "six", RC_INVALID, "six: expected 2 to 5 bytes, not 6", 0 },
    { "string: a number", STRING, "n2", RC_INVALID, "n2: expected a string, not an integer", 0 },
    { "int: missing", INT, "absent", RC_NOT_FOUND, "absent: is required", 0 },
    { "int: too small", INT, "n1", RC_INVALID, "n1: 1 is not within 2 to 5", 0 },
    { "int: smallest", INT, "n2", RC_OK, "", 2 },
    { "int: largest", INT, "n5", RC_OK, "", 5 },
    { "int: too large", INT, "n6", RC_INVALID, "n6: 6 is not within 2 to 5", 0 },
    { "int: a fraction", INT, "real", RC_INVALID, "real: expected an integer, not a fraction", 0 },
    { "int: a string", INT, "two", RC_INVALID, "two: expected an integer, not a string", 0 },
    { "bool: missing", BOOL, "absent", RC_NOT_FOUND, "absent: is required", 0 },
    { "bool: true", BOOL, "yes", RC_OK, "", 1 },
    { "bool: false", BOOL, "no", RC_OK, "", 0 },
    { "bool: a number", BOOL, "n1", RC_INVALID, "n1: expected true or false, not an integer", 0 },
    { "time: missing", TIME, "absent", RC_NOT_FOUND, "absent: is required", 0 },
    { "time: an instant", TIME, "then", RC_OK, "", INT64_C(1769860800500000) },
    { "time: a date", TIME, "date", RC_OK, "", INT64_C(1769817600000000) },
    { "time: no time", TIME, "two", RC_INVALID, "two: 'ab': expected 4 digits for the year", 0 },
    { "time: a list", TIME, "list", RC_INVALID,
      "list: expected a time like \"2026-01-31T08:00:00Z\", not an array", 0 },
};

static void
check_get(void **state)
{
    const struct get_case *c = *state;
    json_auto_t *j = NULL;
    struct err err = { 0 };
    const char *s = nobody;
    int64_t n = 0;
    bool b = true;
    enum rc rc = RC_INTERNAL;

    assert_int_equal(json_parse_object(doc, sizeof doc - 1, &j, NULL), RC_OK);
    if (c->what == STRING)
        rc = json_get_string(j, c->field, 2, 5, &s, &err);
    else if (c->what == INT)
        rc = json_get_int(j, c->field, 2, 5, &n, &err);
    else if (c->what == BOOL) {
        rc = json_get_bool(j, c->field, &b, &err);
        n = rc == RC_OK ? b : 0;
    } else
        rc = json_get_time(j, c->field, &n, &err);
    assert_int_equal(rc, c->rc);
    assert_string_equal(rc == RC_OK ? s : err.text, c->want);
    assert_int_equal(n, c->number);
}

static void
only_known_keys_pass(void **state)
{
    static const char *const both[] = { "a", "b", NULL }, *const none[] = { NULL };
    json_auto_t *j = json_pack("{s:i,s:i}", "b", 1, "a", 2);
    json_auto_t *empty = json_object();
    struct err err = { 0 };

    (void)state;
    assert_int_equal(json_only_keys(j, both, &err), RC_OK);
    assert_int_equal(json_only_keys(empty, none, &err), RC_OK);
    assert_int_equal(json_object_set_new(j, "c", json_null()), 0);
    assert_int_equal(json_only_keys(j, both, &err), RC_INVALID);
    assert_string_equal(err.text, "c: is not known here; expected a, b");
    assert_int_equal(json_only_keys(j, none, &err), RC_INVALID);
    assert_string_equal(err.text, "b: is not known here; expected no fields");
}

static void
deep_nesting_is_refused(void **state)
{
    struct err err = { 0 };
    json_t *j = NULL;
    char *text = malloc(100000);

    (void)state;
    assert_non_null(text);
    memset(text, '[', 100000);
    assert_int_equal(json_parse_object(text, 100000, &j, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "maximum parsing depth"));
    free(text);
}

int
main(void)
{
    TEST_TABLE(parses, check_parse);
    TEST_TABLE(gets, check_get);
    TEST_ONE(errors_do_not_quote_the_input);
    TEST_ONE(text_is_compact_and_keeps_the_order);
    TEST_ONE(only_known_keys_pass);
    TEST_ONE(deep_nesting_is_refused);
    return TESTS_RUN("json");
}
