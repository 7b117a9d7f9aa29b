#include "common/seal.h"
#include "tests/unit/tables.h"
#include <stdlib.h>
#include <string.h>

#define HEX "00112233445566778899aabbccddeeff0123456789ABCDEFfedcba9876543210"

static struct key_case {
    const char *name;
    const char *text;
    bool right;
} keys[] = {
    { "64 hex digits", HEX, true },
    { "blanks around them", " \t" HEX "\r\n", true },
    { "nothing", "", false },
    { "62 digits", "112233445566778899aabbccddeeff0123456789ABCDEFfedcba9876543210", false },
    { "66 digits", HEX "00", false },
    { "63 digits", "0112233445566778899aabbccddeeff0123456789ABCDEFfedcba9876543210", false },
    { "a letter that is no digit", "g0112233445566778899aabbccddeeff0123456789ABCDEFfedcba9876543210",
      false },
    { "a blank inside", "00112233445566778899aabbccddeeff 123456789ABCDEFfedcba9876543210", false },
};

static void
check_key(void **state)
{
    const struct key_case *c = *state;
    struct seal_key k = { { 0 } };
    struct err err = { 0 };

    if (c->right) {
        assert_int_equal(seal_key_load(c->text, &k, &err), RC_OK);
        assert_int_equal(k.bytes[1], 0x11);
        assert_int_equal(k.bytes[31], 0x10);
        return;
    }
    assert_int_equal(seal_key_load(c->text, &k, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "openssl rand -hex 32"));
    if (*c->text != '\0')
        assert_null(strstr(err.text, c->text)); /* it is a secret, if a bad one */
}

static struct seal_key
key(void)
{
    struct seal_key k = { { 0 } };

    assert_int_equal(seal_key_load(HEX, &k, NULL), RC_OK);
    return k;
}

static void
what_was_closed_opens_again(void **state)
{
    struct seal_key k = key();
    unsigned char *box = NULL, *again = NULL;
    size_t box_len = 0, again_len = 0, len = 0;
    char *plain = NULL;

    (void)state;
    assert_int_equal(seal_close(&k, "to\0ken", 6, &box, &box_len, NULL), RC_OK);
    assert_int_equal(box_len, 1 + 24 + 16 + 6);
    assert_int_equal(box[0], 1);
    assert_int_equal(seal_open(&k, box, box_len, &plain, &len, NULL), RC_OK);
    assert_int_equal(len, 6);
    assert_memory_equal(plain, "to\0ken", 7);
    seal_free(plain, len);
    assert_int_equal(seal_close(&k, "to\0ken", 6, &again, &again_len, NULL), RC_OK);
    assert_memory_not_equal(box, again, box_len); /* a new nonce each time */
    free(again);
    free(box);
}

static void
nothing_can_be_sealed_too(void **state)
{
    struct seal_key k = key();
    unsigned char *box = NULL;
    size_t box_len = 0, len = 99;
    char *plain = NULL;

    (void)state;
    assert_int_equal(seal_close(&k, "", 0, &box, &box_len, NULL), RC_OK);
    assert_int_equal(seal_open(&k, box, box_len, &plain, &len, NULL), RC_OK);
    assert_int_equal(len, 0);
    assert_string_equal(plain, "");
    seal_free(plain, len);
    seal_free(NULL, 0);
    free(box);
}

static void
any_changed_byte_is_noticed(void **state)
{
    struct seal_key k = key(), other = key();
    unsigned char *box = NULL;
    size_t box_len = 0, len = 99;
    char *plain = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(seal_close(&k, "token", 5, &box, &box_len, NULL), RC_OK);
    for (size_t i = 0; i < box_len; i++) {
        box[i] ^= 0x80;
        assert_int_equal(seal_open(&k, box, box_len, &plain, &len, &err), RC_DENIED);
        box[i] ^= 0x80;
        assert_int_equal(seal_open(&k, box, i, &plain, &len, &err), RC_DENIED); /* cut short */
    }
    other.bytes[0] ^= 1;
    assert_int_equal(seal_open(&other, box, box_len, &plain, &len, &err), RC_DENIED);
    assert_null(plain);
    assert_int_equal(len, 99);
    free(box);
}

static struct equal_case {
    const char *name;
    const char *a, *b;
    bool want;
} equals[] = {
    { "the same", "abc", "abc", true },     { "empty ones", "", "", true },
    { "another end", "abc", "abd", false }, { "another length", "abc", "abcd", false },
    { "one is empty", "", "a", false },
};

static void
check_equal(void **state)
{
    const struct equal_case *c = *state;

    assert_int_equal(seal_equal(c->a, c->b), c->want);
}

int
main(void)
{
    TEST_TABLE(keys, check_key);
    TEST_TABLE(equals, check_equal);
    TEST_ONE(what_was_closed_opens_again);
    TEST_ONE(nothing_can_be_sealed_too);
    TEST_ONE(any_changed_byte_is_noticed);
    return TESTS_RUN("seal");
}
