#include "common/utf8.h"
#include "tests/unit/tables.h"

static struct utf8_case {
    const char *name;
    const char *s;
    size_t n;
    size_t want;
} cases[] = {
    { "nothing is no character", BYTES(""), 0 },
    { "ASCII", BYTES("ab"), 1 },
    { "NUL is a character", BYTES("\0"), 1 },
    { "two bytes", BYTES("\xc3\xa9x"), 2 },
    { "three bytes", BYTES("\xe2\x82\xac"), 3 },
    { "four bytes", BYTES("\xf0\x9f\x98\x80"), 4 },
    { "the last code point", BYTES("\xf4\x8f\xbf\xbf"), 4 },
    { "beyond the last code point", BYTES("\xf4\x90\x80\x80"), 0 },
    { "a stray continuation", BYTES("\x80"), 0 },
    { "an overlong slash", BYTES("\xc0\xaf"), 0 },
    { "an overlong three", BYTES("\xe0\x80\xaf"), 0 },
    { "an overlong four", BYTES("\xf0\x80\x80\xaf"), 0 },
    { "a surrogate", BYTES("\xed\xa0\x80"), 0 },
    { "just below the surrogates", BYTES("\xed\x9f\xbf"), 3 },
    { "cut after two of three", BYTES("\xe2\x82"), 0 },
    { "a bad third byte", BYTES("\xe2\x82x"), 0 },
    { "0xff", BYTES("\xff"), 0 },
};

static void
check(void **state)
{
    const struct utf8_case *c = *state;

    assert_int_equal(utf8_step(c->s, c->n), c->want);
}

int
main(void)
{
    TEST_TABLE(cases, check);
    return TESTS_RUN("utf8");
}
