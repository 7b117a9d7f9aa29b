#include "common/mask.h"
#include "tests/unit/tables.h"

static struct name_case {
    const char *name;
    bool want;
} names[] = {
    { "token", true },         { "api_key", true },      { "Authorization", true },
    { "X-Api-Key", true },     { "db_password", true },  { "credentials", true },
    { "client_secret", true }, { "monkey", false },      { "token_count", false },
    { "key_prefix", false },   { "tokens", false },      { "keys", false },
    { "issue", false },        { "secretariat", false }, { "", false },
};

static void
check_name(void **state)
{
    const struct name_case *c = *state;

    assert_int_equal(mask_is_secret(c->name), c->want);
}

static struct url_case {
    const char *name;
    const char *s, *want;
} urls[] = {
    { "nothing to hide", "host is down", "host is down" },
    { "a URL without a password", "redis://cache:6379/0", "redis://cache:6379/0" },
    { "a user without a password", "postgresql://me@db/x", "postgresql://me@db/x" },
    { "a password", "postgresql://me:s3cret@db:5432/x", "postgresql://me:***@db:5432/x" },
    { "a password without a user", "redis://:s3cret@cache", "redis://:***@cache" },
    { "an @ in the password", "redis://u:p@ss@cache", "redis://u:***@cache" },
    { "a ? in the password", "redis://u:p?ss@cache", "redis://u:***@cache" },
    { "in the middle of a sentence", "cannot reach redis://u:pw@c:1/0, giving up",
      "cannot reach redis://u:***@c:1/0, giving up" },
    { "two in one text", "a://u:1@h b://v:2@i", "a://u:***@h b://v:***@i" },
    { "the port of one URL and the @ of a later one", "http://h:80 a@b", "http://h:80 a@b" },
    { "a parameter of a URL", "postgresql:///x?password=s3cret&user=me",
      "postgresql:///x?password=***&user=me" },
    { "a connection string", "host=db password=s3cret user=me", "host=db password=*** user=me" },
};

static void
check_urls(void **state)
{
    const struct url_case *c = *state;
    char out[200];

    assert_string_equal(mask_urls(c->s, out, sizeof out), c->want);
}

static void
a_short_room_cuts_the_text_and_still_masks(void **state)
{
    char out[16];

    (void)state;
    assert_string_equal(mask_urls("redis://u:password@host", out, sizeof out), "redis://u:***@h");
    assert_string_equal(mask_urls("redis://u:password@host", out, 1), "");
}

int
main(void)
{
    TEST_TABLE(names, check_name);
    TEST_TABLE(urls, check_urls);
    TEST_ONE(a_short_room_cuts_the_text_and_still_masks);
    return TESTS_RUN("mask");
}
