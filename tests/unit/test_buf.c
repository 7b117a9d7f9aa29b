#include "common/buf.h"
#include "tests/unit/tables.h"
#include <string.h>

#define REPLACED "\xef\xbf\xbd" /* U+FFFD */

static struct json_case {
    const char *name;
    const char *s;
    size_t n;
    const char *want;
} json_cases[] = {
    { "json: empty", BYTES(""), "\"\"" },
    { "json: plain", BYTES("job.done"), "\"job.done\"" },
    { "json: quote and backslash", BYTES("a\"b\\c"), "\"a\\\"b\\\\c\"" },
    { "json: line ends and tabs", BYTES("a\nb\rc\td"), "\"a\\nb\\rc\\td\"" },
    { "json: other control characters", BYTES("\x1b[0m"), "\"\\u001b[0m\"" },
    { "json: UTF-8 stays", BYTES("caf\xc3\xa9 \xf0\x9f\x98\x80"), "\"caf\xc3\xa9 \xf0\x9f\x98\x80\"" },
    { "json: NUL becomes U+FFFD", BYTES("a\0z"), "\"a" REPLACED "z\"" },
    { "json: each invalid byte becomes U+FFFD", BYTES("\xff\xe2\x82"), "\"" REPLACED REPLACED REPLACED "\"" },
};

static void
check_json(void **state)
{
    const struct json_case *c = *state;
    struct buf b;

    buf_init(&b, 1000);
    buf_put_json_string(&b, c->s, c->n);
    assert_false(b.failed);
    assert_string_equal(b.data, c->want);
    assert_int_equal(b.len, strlen(c->want));
    buf_fini(&b);
}

static void
all_zero_may_be_finied(void **state)
{
    struct buf b = { 0 };

    (void)state;
    buf_fini(&b);
    assert_null(b.data);
}

static void
appends_stay_terminated(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10000);
    assert_null(b.data);
    buf_puts(&b, "one ");
    buf_printf(&b, "%d-%s", 22, "two");
    buf_putc(&b, '!');
    assert_string_equal(b.data, "one 22-two!");
    for (int i = 0; i < 500; i++)
        buf_printf(&b, "%04d", i);
    assert_int_equal(b.len, 11 + 2000);
    assert_int_equal(strlen(b.data), b.len);
    assert_memory_equal(b.data + b.len - 4, "0499", 5);
    buf_fini(&b);
}

static void
the_ceiling_is_reached_and_not_passed(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 5);
    buf_puts(&b, "12345");
    assert_false(b.failed);
    assert_string_equal(b.data, "12345");
    buf_putc(&b, '6');
    assert_true(b.failed);
    assert_string_equal(b.data, "12345");
    buf_fini(&b);
}

static void
after_a_failure_nothing_is_appended(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 8);
    buf_puts(&b, "abc");
    buf_printf(&b, "%s", "longer than eight");
    assert_true(b.failed);
    buf_putc(&b, 'd'); /* would fit */
    assert_string_equal(b.data, "abc");
    assert_null(buf_reserve(&b, 1));
    buf_reset(&b);
    assert_false(b.failed);
    assert_int_equal(b.len, 0);
    buf_putc(&b, 'd');
    assert_string_equal(b.data, "d");
    buf_fini(&b);
}

static void
a_ceiling_without_end_does_not_overflow(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, SIZE_MAX);
    buf_puts(&b, "x");
    assert_null(buf_reserve(&b, SIZE_MAX - 1));
    assert_true(b.failed);
    assert_string_equal(b.data, "x");
    buf_fini(&b);
}

static void
reserve_gives_room_to_write(void **state)
{
    struct buf b;
    char *p;

    (void)state;
    buf_init(&b, 300);
    buf_puts(&b, "ab");
    assert_non_null(p = buf_reserve(&b, 200));
    memset(p, 'z', 200);
    b.len += 200;
    assert_int_equal(b.data[b.len], '\0');
    assert_null(buf_reserve(&b, 99));
    assert_true(b.failed);
    buf_fini(&b);
}

static void
reset_keeps_memory_and_trim_gives_it_back(void **state)
{
    struct buf b;
    size_t cap;

    (void)state;
    buf_init(&b, 1 << 20);
    assert_non_null(buf_reserve(&b, 100000));
    cap = b.cap;
    assert_true(cap > 100000);
    buf_reset(&b);
    assert_int_equal(b.cap, cap);
    buf_trim(&b, 4096);
    assert_int_equal(b.cap, 4096);
    buf_trim(&b, 8192);
    assert_int_equal(b.cap, 4096);
    buf_puts(&b, "still works");
    assert_string_equal(b.data, "still works");
    buf_reset(&b);
    buf_trim(&b, 0);
    assert_null(b.data);
    buf_puts(&b, "again");
    assert_string_equal(b.data, "again");
    buf_fini(&b);
}

static void
big_endian(void **state)
{
    static const unsigned char want[] = { 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5, 6, 7, 8 };
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    buf_put_be16(&b, 0x1234);
    buf_put_be32(&b, 0xdeadbeef);
    buf_put_be64(&b, 0x0102030405060708);
    assert_int_equal(b.len, sizeof want);
    assert_memory_equal(b.data, want, sizeof want);
    buf_fini(&b);
}

int
main(void)
{
    TEST_TABLE(json_cases, check_json);
    TEST_ONE(all_zero_may_be_finied);
    TEST_ONE(appends_stay_terminated);
    TEST_ONE(the_ceiling_is_reached_and_not_passed);
    TEST_ONE(after_a_failure_nothing_is_appended);
    TEST_ONE(a_ceiling_without_end_does_not_overflow);
    TEST_ONE(reserve_gives_room_to_write);
    TEST_ONE(reset_keeps_memory_and_trim_gives_it_back);
    TEST_ONE(big_endian);
    return TESTS_RUN("buf");
}
