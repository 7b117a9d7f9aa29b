/* test_doc - parsing, walking and writing vendor JSON. */
#include "common/doc.h"
#include "tests/unit/tables.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PAD 64

/* Keeps the text alive and padded for as long as a test looks at its values; the padding holds no zeros, so
 * that a parser that reads on is noticed. */
struct fixture {
    struct doc *doc;
    char *text;
};

static enum rc
parse_n(struct fixture *f, const char *json, size_t len, struct doc_value *root, struct err *err)
{
    free(f->text);
    f->text = malloc(len + PAD);
    assert_non_null(f->text);
    memcpy(f->text, json, len);
    memset(f->text + len, '7', PAD);
    return doc_parse(f->doc, f->text, len, root, err);
}

static struct doc_value
parse(struct fixture *f, const char *json)
{
    struct doc_value root;
    struct err err = { 0 };

    if (parse_n(f, json, strlen(json), &root, &err) != RC_OK)
        fail_msg("%s", err.text);
    return root;
}

static void
open_fixture(struct fixture *f)
{
    struct err err = { 0 };

    *f = (struct fixture){ 0 };
    assert_int_equal(doc_create(&f->doc, &err), RC_OK);
}

static void
close_fixture(struct fixture *f)
{
    doc_destroy(f->doc);
    free(f->text);
}

static void
assert_text(struct doc_value v, const char *want)
{
    size_t len;
    const char *s = doc_string(v, &len);

    assert_non_null(s);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(s, want, len);
}

static void
test_members_and_paths(void **state)
{
    struct fixture f;
    struct doc_value v, none;
    int64_t n = 0;
    bool yes = false;

    (void)state;
    open_fixture(&f);
    v = parse(
        &f,
        "{\"id\":\"a\",\"account\":{\"id\":\"b\",\"owner\":null,\"n\":7},\"ids\":1,\"on\":true,\"a.b\":3,\"\":4}");
    assert_int_equal(v.type, DOC_OBJECT);
    assert_int_equal(doc_len(v), 6);
    assert_text(doc_get(v, "id"), "a");
    assert_text(doc_path(v, "account.id"), "b");
    assert_true(doc_int(doc_path(v, "account.n"), &n));
    assert_int_equal(n, 7);
    assert_true(doc_int(doc_get(v, "a.b"), &n));
    assert_int_equal(n, 3);
    assert_true(doc_int(doc_get(v, ""), &n));
    assert_int_equal(n, 4);
    assert_true(doc_bool(doc_get(v, "on"), &yes));
    assert_true(yes);

    /* whatever is not there reads as null, however far one goes on */
    assert_int_equal(doc_path(v, "account.owner").type, DOC_NULL);
    assert_int_equal(doc_path(v, "account.owner.id").type, DOC_NULL);
    assert_int_equal(doc_path(v, "id.x.y").type, DOC_NULL);
    assert_int_equal(doc_path(v, "account.").type, DOC_NULL);
    assert_int_equal(doc_get(v, "i").type, DOC_NULL);
    assert_int_equal(doc_get(v, "idsx").type, DOC_NULL);
    none = doc_get(v, "missing");
    assert_int_equal(doc_get(none, "x").type, DOC_NULL);
    assert_int_equal(doc_len(none), 0);
    assert_null(doc_string(none, NULL));
    assert_false(doc_int(none, &n));
    assert_false(doc_bool(none, &yes));
    close_fixture(&f);
}

static void
test_numbers(void **state)
{
    struct fixture f;
    struct doc_value v, e[10] = { 0 };
    size_t count = 0;
    int64_t n = 0;
    double x = 0;

    (void)state;
    open_fixture(&f);
    v = parse(&f,
              "[0,-1,9223372036854775807,-9223372036854775808,9223372036854775808,1.5,3.0,1e18,1e19,\"5\"]");
    for (struct doc_iter it = doc_iter(v); doc_next(&it);)
        e[count++] = it.value;
    assert_int_equal(count, COUNT_OF(e));
    assert_true(doc_int(e[0], &n) && n == 0);
    assert_true(doc_int(e[1], &n) && n == -1);
    assert_true(doc_int(e[2], &n) && n == INT64_MAX);
    assert_true(doc_int(e[3], &n) && n == INT64_MIN);
    assert_int_equal(e[4].type, DOC_INT);
    assert_false(doc_int(e[4], &n));
    assert_true(doc_double(e[4], &x) && fabs(x - 0x1p63) < 1);
    assert_int_equal(e[5].type, DOC_DOUBLE);
    assert_false(doc_int(e[5], &n));
    assert_true(doc_double(e[5], &x) && fabs(x - 1.5) < 1e-12);
    assert_true(doc_int(e[6], &n) && n == 3);
    assert_true(doc_int(e[7], &n) && n == INT64_C(1000000000000000000));
    assert_false(doc_int(e[8], &n));
    assert_true(doc_double(e[1], &x) && fabs(x + 1) < 1e-12);
    assert_false(doc_int(e[9], &n)); /* a string of digits is a string */
    assert_false(doc_double(e[9], &x));
    close_fixture(&f);
}

static void
test_iteration(void **state)
{
    struct fixture f;
    struct doc_value v;
    char seen[128] = "";
    int steps = 0;

    (void)state;
    open_fixture(&f);
    v = parse(&f, "{\"a\":[1,[2,{}],\"x\"],\"b\":{},\"c\":[],\"d\":{\"e\":1.5,\"f\":[[]]},\"g\":null}");
    for (struct doc_iter it = doc_iter(v); doc_next(&it); steps++) {
        size_t n = strlen(seen);

        (void)snprintf(seen + n, sizeof seen - n, "%.*s%d:%zu ", (int)it.key_len, it.key, (int)it.value.type,
                       doc_len(it.value));
    }
    assert_int_equal(steps, 5);
    assert_string_equal(seen, "a5:3 b6:0 c5:0 d6:2 g0:0 ");
    for (struct doc_iter it = doc_iter(doc_get(v, "g")); doc_next(&it);)
        fail_msg("null has no elements");
    for (struct doc_iter it = doc_iter(doc_get(v, "c")); doc_next(&it);)
        fail_msg("an empty array has no elements");
    close_fixture(&f);
}

static struct write_case {
    const char *name, *json, *want; /* want NULL = the same */
} write_cases[] = {
    { "write: scalars", "[null,true,false,0,-7,\"\"]", NULL },
    { "write: compact", " { \"a\" : [ 1 , 2 ] , \"b\" : { } } ", "{\"a\":[1,2],\"b\":{}}" },
    { "write: integers to the last digit", "[9007199254740993,18446744073709551615,-9223372036854775808]",
      NULL },
    { "write: doubles that come back the same", "[0.1,1.5,-2.25,3.0,0.30000000000000004,123456789.123]",
      NULL },
    { "write: the ends of the doubles", "[1.7976931348623157e308,5e-324,-0.0]",
      "[1.7976931348623157e+308,5e-324,-0.0]" },
    { "write: escapes", "\"q\\\"b\\\\n\\nt\\tu\\u0001\"", NULL },
    { "write: UTF-8 stays UTF-8", "\"\\u00fc\\ud83d\\ude00\"", "\"\xc3\xbc\xf0\x9f\x98\x80\"" },
    { "write: a NUL becomes U+FFFD", "{\"a\\u0000\":\"x\\u0000y\"}",
      "{\"a\xef\xbf\xbd\":\"x\xef\xbf\xbdy\"}" },
    { "write: keys are escaped", "{\"a\\\"b\":1}", NULL },
    { "write: a byte order mark is skipped", "\xef\xbb\xbf[1]", "[1]" },
};

static void
check_write(void **state)
{
    const struct write_case *c = *state;
    struct fixture f;
    struct buf out;

    open_fixture(&f);
    buf_init(&out, 4096);
    doc_write(parse(&f, c->json), &out);
    assert_false(out.failed);
    assert_string_equal(out.data, c->want != NULL ? c->want : c->json);
    buf_fini(&out);
    close_fixture(&f);
}

static struct fault_case {
    const char *name, *json, *want;
} fault_cases[] = {
    { "fault: nothing", "", "not JSON: the body is empty" },
    { "fault: only space", " \n ", "not JSON: the body is empty" },
    { "fault: HTML", "\n<!DOCTYPE html><p>Bad gateway", "not JSON at byte 1: it looks like HTML" },
    { "fault: words", "upstream timed out", "not JSON at byte 0: no value begins like this" },
    { "fault: cut off in an array", "{\"data\":[1,2", "not JSON at byte 12: it ends early" },
    { "fault: cut off in a string", "{\"data\":\"abc", "not JSON at byte 12: it ends inside a string" },
    { "fault: cut off in a word", "[tru", "not JSON at byte 1: an unknown word" },
    { "fault: no comma", "[1 2]", "not JSON at byte 3: a comma or an end is missing" },
    { "fault: no colon", "{\"a\" 1}", "not JSON at byte 5: a colon is missing" },
    { "fault: no name", "{\"a\":1,}", "not JSON at byte 7: a member's name is missing" },
    { "fault: two values", "{} {}", "not JSON at byte 3: something follows the value" },
    { "fault: a raw newline", "[\"a\nb\"]", "not JSON at byte 3: a control character in a string" },
    { "fault: not UTF-8", "[1,\"\xc3\x28\"]", "not JSON at byte 3: a string that is not UTF-8" },
    { "fault: an escape", "[\"\\x\"]", "not JSON at byte 2: an unknown escape in a string" },
    { "fault: half an escape", "[\"\\u12g4\"]", "not JSON at byte 2: an unknown escape in a string" },
    { "fault: a number", "[1.]", "not JSON at byte 3: a digit is missing" },
    { "fault: an integer beyond 64 bits", "[1,123456789012345678901]",
      "not JSON at byte 3: an integer that does not fit in 64 bits" },
    { "fault: counted with the byte order mark", "\xef\xbb\xbf[1 2]",
      "not JSON at byte 6: a comma or an end is missing" },
};

static void
check_fault(void **state)
{
    const struct fault_case *c = *state;
    struct fixture f;
    struct doc_value root = { NULL, 77, DOC_BOOL };
    struct err err = { 0 };

    open_fixture(&f);
    assert_int_equal(parse_n(&f, c->json, strlen(c->json), &root, &err), RC_PROTOCOL);
    assert_string_equal(err.text, c->want);
    assert_int_equal(root.at, 77);                              /* written only on RC_OK */
    assert_text(doc_get(parse(&f, "{\"a\":\"b\"}"), "a"), "b"); /* and the parser is good for the next page */
    close_fixture(&f);
}

static enum rc
parse_nested(struct fixture *f, size_t depth, struct doc_value *root, struct err *err)
{
    AUTO_FREE char *json = malloc(2 * depth);

    assert_non_null(json);
    memset(json, '[', depth);
    memset(json + depth, ']', depth);
    return parse_n(f, json, 2 * depth, root, err);
}

static void
test_depth_is_bounded(void **state)
{
    struct fixture f;
    struct doc_value root;
    struct err err = { 0 };
    struct buf out;

    (void)state;
    open_fixture(&f);
    buf_init(&out, 4096);
    assert_int_equal(parse_nested(&f, 255, &root, &err), RC_OK);
    doc_write(root, &out);
    assert_int_equal(out.len, 2 * 255);
    assert_int_equal(parse_nested(&f, 300, &root, &err), RC_PROTOCOL);
    assert_non_null(strstr(err.text, "nested too deeply"));
    assert_int_equal(parse_nested(&f, 1000000, &root, &err), RC_PROTOCOL);
    buf_fini(&out);
    close_fixture(&f);
}

static void
test_strings_may_hold_nul(void **state)
{
    struct fixture f;
    struct doc_value v;
    size_t len;
    const char *s;

    (void)state;
    open_fixture(&f);
    v = parse(&f, "[\"a\\u0000b\"]");
    for (struct doc_iter it = doc_iter(v); doc_next(&it);) {
        s = doc_string(it.value, &len);
        assert_int_equal(len, 3);
        assert_memory_equal(s, "a\0b", 3);
    }
    close_fixture(&f);
}

static void
test_trim_and_go_on(void **state)
{
    struct fixture f;
    struct buf big;

    (void)state;
    open_fixture(&f);
    doc_trim(f.doc, 0); /* before anything was parsed */
    buf_init(&big, 1 << 22);
    buf_putc(&big, '[');
    for (int i = 0; i < 100000; i++)
        buf_printf(&big, "%s{\"n\":%d}", i > 0 ? "," : "", i);
    buf_putc(&big, ']');
    assert_false(big.failed);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(doc_len(parse(&f, big.data)), 100000);
        doc_trim(f.doc, 100);
        assert_text(doc_get(parse(&f, "{\"a\":\"b\"}"), "a"), "b");
    }
    buf_fini(&big);
    close_fixture(&f);
}

int
main(void)
{
    TEST_ONE(test_members_and_paths);
    TEST_ONE(test_numbers);
    TEST_ONE(test_iteration);
    TEST_ONE(test_depth_is_bounded);
    TEST_ONE(test_strings_may_hold_nul);
    TEST_ONE(test_trim_and_go_on);
    TEST_TABLE(write_cases, check_write);
    TEST_TABLE(fault_cases, check_fault);
    return TESTS_RUN("doc");
}
