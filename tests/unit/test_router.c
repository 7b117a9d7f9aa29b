/* Which route a method and a path mean, and what they carry. */
#include "api/router.h"
#include "tests/unit/tables.h"
#include <string.h>

static const struct route table[] = {
    { "GET", "/things", VIEWER, NULL, "state limit", "" },
    { "POST", "/things", ADMIN, NULL, "name", "" },
    { "GET", "/things/{id}", VIEWER, NULL, "", "" },
    { "DELETE", "/things/{id}", ADMIN, NULL, "", "" },
    { "POST", "/things/{id}/retry", OPERATOR, NULL, "", "" },
    { "GET", "/things/{id}/parts/{part}", VIEWER, NULL, "", "" },
    { .method = NULL },
};

static struct match_case {
    const char *name, *method, *path;
    int want; /* row of the table; -1 = none, -2 = refused */
    const char *first, *second, *allow;
} match_cases[] = {
    { "a plain path", "GET", "/things", 0, "", "", NULL },
    { "the method chooses", "POST", "/things", 1, "", "", NULL },
    { "HEAD is a GET", "HEAD", "/things", 0, "", "", NULL },
    { "a parameter", "GET", "/things/12", 2, "12", "", NULL },
    { "a parameter in the middle", "POST", "/things/12/retry", 4, "12", "", NULL },
    { "two parameters", "GET", "/things/12/parts/x", 5, "12", "x", NULL },
    { "an encoded slash stays in its segment", "GET", "/things/acme%2Fpylon", 2, "acme/pylon", "", NULL },
    { "a plus is a plus in a path", "GET", "/things/a+b", 2, "a+b", "", NULL },
    { "UTF-8 comes through", "GET", "/things/%C3%A9", 2, "\xc3\xa9", "", NULL },
    { "an unknown path", "GET", "/nothing", -1, "", "", "" },
    { "the root", "GET", "/", -1, "", "", "" },
    { "a slash too many", "GET", "/things/", -1, "", "", "" },
    { "a doubled slash", "GET", "//things", -1, "", "", "" },
    { "a path that goes on", "GET", "/things/12/nothing", -1, "", "", "" },
    { "a path that stops short", "GET", "/things/12/parts", -1, "", "", "" },
    { "another method says which there are", "PUT", "/things", -1, "", "", "GET, HEAD, POST" },
    { "and for one thing", "PATCH", "/things/12", -1, "", "", "GET, HEAD, DELETE" },
    { "a broken escape", "GET", "/things/%zz", -2, "", "", NULL },
    { "half an escape", "GET", "/things/%2", -2, "", "", NULL },
    { "a NUL", "GET", "/things/a%00b", -2, "", "", NULL },
};

static void
matches(void **state)
{
    const struct match_case *c = *state;
    struct route_match m;
    struct err err = { 0 };
    enum rc rc = router_match(table, c->method, c->path, &m, &err);

    assert_int_equal(rc, c->want == -2 ? RC_INVALID : RC_OK);
    assert_ptr_equal(m.route, c->want >= 0 ? &table[c->want] : NULL);
    if (c->want >= 0) {
        assert_string_equal(m.params[0].value, c->first);
        assert_string_equal(m.params[1].value, c->second);
    }
    if (c->allow != NULL)
        assert_string_equal(m.allow, c->allow);
}

static struct decode_case {
    const char *name, *text;
    bool plus;
    size_t size;
    const char *want; /* NULL = refused */
} decode_cases[] = {
    { "nothing to do", "abc", false, 10, "abc" },
    { "a space in a query", "a+b%20c", true, 10, "a b c" },
    { "both cases of digits", "%2f%2F", false, 10, "//" },
    { "it just fits", "abc", false, 4, "abc" },
    { "it does not fit", "abcd", false, 4, NULL },
    { "a lone percent sign", "%", false, 10, NULL },
    { "a NUL", "%00", false, 10, NULL },
    { "empty", "", false, 1, "" },
};

static void
decodes(void **state)
{
    const struct decode_case *c = *state;
    char out[16];

    assert_int_equal(router_decode(c->text, strlen(c->text), c->plus, out, c->size), c->want != NULL);
    if (c->want != NULL)
        assert_string_equal(out, c->want);
}

static void
takes_knows_whole_words_only(void **state)
{
    (void)state;
    assert_true(route_takes(&table[0], "state"));
    assert_true(route_takes(&table[0], "limit"));
    assert_false(route_takes(&table[0], "stat"));
    assert_false(route_takes(&table[0], "state limit"));
    assert_false(route_takes(&table[0], ""));
    assert_false(route_takes(&table[2], "state"));
}

static void
too_long_a_parameter_is_refused(void **state)
{
    char path[ROUTE_VALUE_MAX + 32] = "/things/";
    struct route_match m;
    struct err err = { 0 };

    (void)state;
    memset(path + strlen(path), 'x', ROUTE_VALUE_MAX + 1);
    assert_int_equal(router_match(table, "GET", path, &m, &err), RC_INVALID);
}

/* The real table: what a careless row would break. */
static void
every_route_is_well_formed(void **state)
{
    (void)state;
    for (const struct route *r = routes; r->method != NULL; r++) {
        struct route_match m;
        struct err err = { 0 };

        assert_true(r->path[0] == '/' && r->summary[0] != '\0' && r->fn != NULL);
        assert_true((r->role == PUBLIC) ==
                    (strncmp(r->path, "/api", 4) != 0)); /* nothing of the api without a key */
        assert_int_equal(router_match(routes, r->method, r->path, &m, &err), RC_OK);
        assert_ptr_equal(m.route, r); /* no earlier row takes its place */
    }
}

int
main(void)
{
    TEST_TABLE(match_cases, matches);
    TEST_TABLE(decode_cases, decodes);
    TEST_ONE(takes_knows_whole_words_only);
    TEST_ONE(too_long_a_parameter_is_refused);
    TEST_ONE(every_route_is_well_formed);
    return TESTS_RUN("router");
}
