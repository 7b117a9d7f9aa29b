#include "common/cache.h"
#include "common/clock.h"
#include "tests/unit/servers.h"
#include <stdio.h>
#include <string.h>

static struct cache *
open_cache(int timeout_ms)
{
    struct err err = { 0 };
    struct cache *c = NULL;

    OK(cache_create(TEST_REDIS_URL(), timeout_ms, &c, &err));
    return c;
}

static struct url_case {
    const char *name, *url;
    enum rc want;
    struct cache_url parsed;
} url_cases[] = {
    { "url: only a host", "redis://h", RC_OK, { .host = "h", .port = 6379 } },
    { "url: everything",
      "redis://u:p@h:1234/7",
      RC_OK,
      { .host = "h", .user = "u", .password = "p", .port = 1234, .db = 7 } },
    { "url: a password alone", "redis://:p@h", RC_OK, { .host = "h", .password = "p", .port = 6379 } },
    { "url: escapes and an @",
      "redis://u%3a:p%40%2f@x@h",
      RC_OK,
      { .host = "h", .user = "u:", .password = "p@/@x", .port = 6379 } },
    { "url: IPv6", "redis://[::1]:7/", RC_OK, { .host = "::1", .port = 7 } },
    { "url: another scheme", "http://h", RC_INVALID, { .port = 0 } },
    { "url: TLS is refused", "rediss://h", RC_INVALID, { .port = 0 } },
    { "url: no host", "redis://", RC_INVALID, { .port = 0 } },
    { "url: a port that is none", "redis://h:x", RC_INVALID, { .port = 0 } },
    { "url: port 0", "redis://h:0", RC_INVALID, { .port = 0 } },
    { "url: a port too large", "redis://h:65536", RC_INVALID, { .port = 0 } },
    { "url: a database that is none", "redis://h/x", RC_INVALID, { .port = 0 } },
    { "url: a bad escape", "redis://u:hunter2%zz@h", RC_INVALID, { .port = 0 } },
    { "url: an unclosed bracket", "redis://[::1", RC_INVALID, { .port = 0 } },
};

static void
check_url(void **state)
{
    const struct url_case *c = *state;
    struct cache_url u;
    struct err err = { 0 };

    assert_int_equal(cache_url_parse(c->url, &u, &err), c->want);
    assert_null(strstr(err.text, "hunter2"));
    if (c->want != RC_OK)
        return;
    assert_string_equal(u.host, c->parsed.host);
    assert_string_equal(u.user, c->parsed.user);
    assert_string_equal(u.password, c->parsed.password);
    assert_int_equal(u.port, c->parsed.port);
    assert_int_equal(u.db, c->parsed.db);
}

static void
commands_and_their_answers(void **state)
{
    AUTO(cache) c = open_cache(2000);
    AUTO(reply) r = NULL;
    AUTO(reply) list = NULL;
    AUTO(reply) nil = NULL;
    struct err err = { 0 };

    (void)state;
    OK(cache_run(c, NULL, &err, "DEL", "test_cache:l", "test_cache:s", NULL));
    OK(cache_run(c, &r, &err, "RPUSH", "test_cache:l", "a", "", "42", NULL));
    assert_int_equal(reply_int(r), 3);
    assert_int_equal(reply_len(r), 0);
    assert_string_equal(reply_str(r), "");
    OK(cache_run(c, &list, &err, "LRANGE", "test_cache:l", "0", "-1", NULL));
    assert_int_equal(reply_len(list), 3);
    assert_string_equal(reply_str(reply_at(list, 0)), "a");
    assert_int_equal(reply_len(reply_at(list, 1)), 0);
    assert_int_equal(reply_int(reply_at(list, 2)), 42);
    assert_null(reply_at(list, 3));
    OK(cache_run(c, &nil, &err, "GET", "test_cache:s", NULL));
    assert_true(reply_nil(nil));
    assert_true(reply_nil(NULL));
    assert_int_equal(reply_int(nil), 0);
    OK(cache_run(c, NULL, &err, "DEL", "test_cache:l", NULL));
}

static void
the_database_of_the_url_is_chosen(void **state)
{
    AUTO(cache) c = open_cache(2000);
    AUTO(reply) r = NULL;
    struct cache_url u;
    struct err err = { 0 };
    char want[32];

    (void)state;
    OK(cache_url_parse(TEST_REDIS_URL(), &u, &err));
    (void)snprintf(want, sizeof want, " db=%d ", u.db);
    OK(cache_run(c, &r, &err, "CLIENT", "INFO", NULL));
    assert_non_null(strstr(reply_str(r), want));
}

static struct error_case {
    const char *name, *message;
    enum rc want;
} error_cases[] = {
    { "error: loading is unavailable", "LOADING Redis is loading", RC_UNAVAILABLE },
    { "error: read only is unavailable", "READONLY You can't write", RC_UNAVAILABLE },
    { "error: no master is unavailable", "MASTERDOWN Link down", RC_UNAVAILABLE },
    { "error: out of memory is a limit", "OOM command not allowed", RC_LIMIT },
    { "error: no login is denied", "NOAUTH Authentication required.", RC_DENIED },
    { "error: no permission is denied", "NOPERM this user", RC_DENIED },
    { "error: a wrong password is denied", "WRONGPASS invalid", RC_DENIED },
    { "error: the rest is protocol", "ERR unknown", RC_PROTOCOL },
};

static void
check_error(void **state)
{
    const struct error_case *e = *state;
    AUTO(cache) c = open_cache(2000);
    AUTO(reply) r = NULL;
    struct err err = { 0 };

    assert_int_equal(
        cache_run(c, &r, &err, "EVAL", "return redis.error_reply(ARGV[1])", "0", e->message, NULL), e->want);
    assert_null(r);
    assert_non_null(strstr(err.text, e->message));
    OK(cache_run(c, NULL, &err, "PING", NULL)); /* an answer that is an error costs no connection */
}

static void
a_wrong_password_is_denied_and_not_shown(void **state)
{
    AUTO(cache) c = NULL;
    struct cache_url u;
    struct err err = { 0 };
    char url[512];

    (void)state;
    OK(cache_url_parse(TEST_REDIS_URL(), &u, &err));
    (void)snprintf(url, sizeof url, "redis://nobody:hunter2@%s:%d", u.host, u.port);
    OK(cache_create(url, 2000, &c, &err));
    assert_int_equal(cache_run(c, NULL, &err, "PING", NULL), RC_DENIED);
    assert_null(strstr(err.text, "hunter2"));
}

static void
a_server_that_is_not_there_is_unavailable(void **state)
{
    AUTO(cache) c = NULL;
    struct err err = { 0 };

    (void)state;
    OK(cache_create("redis://127.0.0.1:1", 500, &c, &err));
    assert_int_equal(cache_run(c, NULL, &err, "PING", NULL), RC_UNAVAILABLE);
    assert_int_equal(cache_check_policy(c, &err), RC_UNAVAILABLE);
}

static void
kill_connection(struct cache *c)
{
    AUTO(cache) other = open_cache(2000);
    AUTO(reply) id = NULL;
    struct err err = { 0 };
    char text[24];

    OK(cache_run(c, &id, &err, "CLIENT", "ID", NULL));
    (void)snprintf(text, sizeof text, "%lld", (long long)reply_int(id));
    OK(cache_run(other, NULL, &err, "CLIENT", "KILL", "ID", text, NULL));
}

static void
a_connection_lost_while_idle_is_made_anew(void **state)
{
    static const char *const args[] = { "k", "a" };
    AUTO(cache) c = open_cache(2000);
    struct err err = { 0 };

    (void)state;
    OK(cache_script(c, SCRIPT_echo, 1, 2, args, NULL, &err));
    kill_connection(c);
    OK(cache_run(c, NULL, &err, "PING", NULL));
    kill_connection(c);
    OK(cache_script(c, SCRIPT_echo, 1, 2, args, NULL, &err));
}

static void
a_command_out_of_time_is_a_timeout_and_its_answer_is_not_the_nexts(void **state)
{
    AUTO(cache) c = open_cache(200);
    AUTO(reply) r = NULL;
    struct err err = { 0 };
    int64_t start = clock_mono();

    (void)state;
    assert_int_equal(cache_run(c, NULL, &err, "BLPOP", "test_cache:none", "0.6", NULL), RC_TIMEOUT);
    assert_true(clock_mono() - start < 550000);
    OK(cache_run(c, &r, &err, "ECHO", "next", NULL));
    assert_string_equal(reply_str(r), "next");
}

static void
a_script_runs_also_when_the_server_has_forgotten_it(void **state)
{
    static const char *const args[] = { "k1", "k2", "a1" };
    AUTO(cache) c = open_cache(2000);
    struct err err = { 0 };

    (void)state;
    for (int i = 0; i < 3; i++) {
        AUTO(reply) r = NULL;

        OK(cache_script(c, SCRIPT_echo, 2, 3, args, &r, &err));
        assert_int_equal(reply_len(r), 4);
        assert_int_equal(reply_int(reply_at(r, 0)), 2);
        assert_string_equal(reply_str(reply_at(r, 2)), "k2");
        assert_string_equal(reply_str(reply_at(r, 3)), "a1");
        OK(cache_run(c, NULL, &err, "SCRIPT", "FLUSH", NULL));
    }
    OK(cache_script(c, SCRIPT_echo, 0, 0, NULL, NULL, &err));
}

static void
a_pipeline_runs_all_and_keeps_the_first_error(void **state)
{
    enum { N = 2000 };
    static size_t argc[N];
    static const char *words[N * 3];
    AUTO(cache) c = open_cache(5000);
    AUTO(reply) r = NULL;
    struct err err = { 0 };

    (void)state;
    OK(cache_run(c, NULL, &err, "DEL", "test_cache:p", NULL));
    for (size_t i = 0; i < N; i++) {
        argc[i] = 3;
        words[i * 3] = "RPUSH";
        words[i * 3 + 1] = "test_cache:p";
        words[i * 3 + 2] = "x";
    }
    OK(cache_pipeline(c, N, argc, words, &err));
    words[1] = "test_cache:q";
    words[0] = "GETX";
    words[3] = "INCRBY"; /* of a list: another error, which is not the first */
    assert_int_equal(cache_pipeline(c, N, argc, words, &err), RC_PROTOCOL);
    assert_non_null(strstr(err.text, "GETX"));
    OK(cache_run(c, &r, &err, "LLEN", "test_cache:p", NULL));
    assert_int_equal(reply_int(r), N + N - 2);
    OK(cache_run(c, NULL, &err, "DEL", "test_cache:p", NULL));
}

static void
another_policy_than_noeviction_is_refused(void **state)
{
    AUTO(cache) c = open_cache(2000);
    struct err err = { 0 };
    struct err refused = { 0 };
    enum rc rc;

    (void)state;
    OK(cache_run(c, NULL, &err, "CONFIG", "SET", "maxmemory-policy", "noeviction", NULL));
    OK(cache_check_policy(c, &err));
    OK(cache_run(c, NULL, &err, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru", NULL));
    rc = cache_check_policy(c, &refused);
    OK(cache_run(c, NULL, &err, "CONFIG", "SET", "maxmemory-policy", "noeviction", NULL));
    assert_int_equal(rc, RC_INVALID);
    assert_non_null(strstr(refused.text, "allkeys-lru"));
    assert_non_null(strstr(refused.text, "noeviction"));
}

static void
memory_is_what_the_limit_is_held_against(void **state)
{
    AUTO(cache) c = open_cache(2000);
    struct err err = { 0 };
    int64_t used = 0, max = -1;
    enum rc rc;

    (void)state;
    OK(cache_memory(c, &used, &max, &err));
    assert_true(used > 100000 && max == 0);
    OK(cache_run(c, NULL, &err, "CONFIG", "SET", "maxmemory", "123456789", NULL));
    rc = cache_memory(c, &used, &max, &err);
    OK(cache_run(c, NULL, &err, "CONFIG", "SET", "maxmemory", "0", NULL));
    assert_int_equal(rc, RC_OK);
    assert_int_equal(max, 123456789);
}

int
main(void)
{
    TEST_TABLE(url_cases, check_url);
    TEST_TABLE(error_cases, check_error);
    TEST_ONE(commands_and_their_answers);
    TEST_ONE(the_database_of_the_url_is_chosen);
    TEST_ONE(a_wrong_password_is_denied_and_not_shown);
    TEST_ONE(a_server_that_is_not_there_is_unavailable);
    TEST_ONE(a_connection_lost_while_idle_is_made_anew);
    TEST_ONE(a_command_out_of_time_is_a_timeout_and_its_answer_is_not_the_nexts);
    TEST_ONE(a_script_runs_also_when_the_server_has_forgotten_it);
    TEST_ONE(a_pipeline_runs_all_and_keeps_the_first_error);
    TEST_ONE(another_policy_than_noeviction_is_refused);
    TEST_ONE(memory_is_what_the_limit_is_held_against);
    return TESTS_RUN("cache");
}
