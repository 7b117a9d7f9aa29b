#include "common/cachea.h"
#include "common/clock.h"
#include "tests/unit/stage.h"
#include <stdio.h>
#include <string.h>

static void
on_result(void *arg, enum rc rc, const struct reply *r, const struct err *err)
{
    struct ticket *t = arg;
    struct stage *s = t->s;
    const struct reply *last = reply_len(r) > 0 && reply_at(r, 0) != NULL ? reply_at(r, reply_len(r) - 1) : r;

    stage_came(t, rc, err);
    if (rc == RC_OK && reply_len(last) > 0)
        (void)snprintf(s->texts[t->i], sizeof s->texts[0], "%s", reply_str(last));
    else if (rc == RC_OK)
        (void)snprintf(s->texts[t->i], sizeof s->texts[0], "%lld", (long long)reply_int(last));
}

static struct stage *
stage_open_url(const char *url, int timeout_ms)
{
    struct stage *s = stage_create();
    struct err err = { 0 };

    OK(cachea_create(s->loop, url, timeout_ms, stage_on_state, s, &s->cache, &err));
    return s;
}

static struct stage *
stage_open(int timeout_ms)
{
    struct stage *s = stage_open_url(TEST_REDIS_URL(), timeout_ms);

    s->stop_when_up = true;
    stage_run(s);
    assert_true(cachea_is_up(s->cache));
    s->stop_when_up = false;
    return s;
}

static void
stage_close(struct stage *s)
{
    cachea_destroy(s->cache);
    stage_destroy(s);
}

#define CALL(s, i, ...)                                                           \
    call((s), (i), sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), \
         (const char *const[]){ __VA_ARGS__ })
static void
call(struct stage *s, size_t i, size_t argc, const char *const argv[])
{
    tickets[i] = (struct ticket){ s, i };
    s->in_run = true;
    cachea_runv(s->cache, argc, argv, on_result, &tickets[i]);
    s->in_run = false;
}

static void
call_script(struct stage *s, size_t i, const char *text)
{
    tickets[i] = (struct ticket){ s, i };
    s->in_run = true;
    cachea_script(s->cache, SCRIPT_echo, 1, 2, (const char *const[]){ "key", text }, on_result, &tickets[i]);
    s->in_run = false;
}

static void
command(const char *a, const char *b, const char *c, const char *e)
{
    AUTO(cache) other = NULL;
    struct err err = { 0 };

    OK(cache_create(TEST_REDIS_URL(), 2000, &other, &err));
    OK(cache_run(other, NULL, &err, a, b, c, e, NULL));
}

static void
results_come_in_order_each_once(void **state)
{
    enum { N = 3000 };
    struct stage *s = stage_open(2000);
    char text[24];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        (void)snprintf(text, sizeof text, "t%zu", i);
        if (i % 2 == 0)
            CALL(s, i, "ECHO", text);
        else
            call_script(s, i, text);
    }
    stage_run_until(s, N);
    for (size_t i = 0; i < N; i++) {
        (void)snprintf(text, sizeof text, "t%zu", i);
        assert_int_equal(s->order[i], i);
        assert_int_equal(s->times[i], 1);
        assert_string_equal(s->texts[i], text);
    }
    stage_close(s);
}

static void
an_error_reply_fails_its_call_alone(void **state)
{
    struct stage *s = stage_open(2000);

    (void)state;
    CALL(s, 0, "NOSUCHCOMMAND");
    CALL(s, 1, "EVAL", "return redis.error_reply('OOM x')", "0");
    CALL(s, 2, "ECHO", "fine");
    cachea_runv(s->cache, 1, (const char *const[]){ "PING" }, NULL, NULL); /* fire and forget */
    CALL(s, 3, "ECHO", "last");
    stage_run_until(s, 4);
    assert_int_equal(s->rcs[0], RC_PROTOCOL);
    assert_int_equal(s->rcs[1], RC_LIMIT);
    assert_string_equal(s->texts[2], "fine");
    assert_string_equal(s->texts[3], "last");
    stage_close(s);
}

static void
a_script_runs_also_when_the_server_has_forgotten_it(void **state)
{
    struct stage *s = stage_open(2000);

    (void)state;
    command("SCRIPT", "FLUSH", NULL, NULL);
    for (size_t i = 0; i < 20; i++)
        call_script(s, i, "again");
    stage_run_until(s, 20);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(s->times[i], 1);
        assert_string_equal(s->texts[i], "again");
    }
    stage_close(s);
}

static void
a_blocking_command_waits_without_a_timeout(void **state)
{
    struct stage *s = stage_open(0);
    struct stage *pusher = stage_open(2000);
    struct loop_timer *nothing = loop_timer_create(s->loop, (void (*)(void *))loop_stop, s->loop);

    (void)state;
    CALL(s, 0, "DEL", "test_cachea:wake");
    CALL(s, 1, "BLPOP", "test_cachea:wake", "0");
    loop_timer_after(nothing, 300);
    stage_run(s);
    assert_int_equal(s->called, 1);
    assert_true(cachea_is_up(s->cache));
    CALL(pusher, 2, "RPUSH", "test_cachea:wake", "token");
    stage_run_until(pusher, 1);
    stage_run_until(s, 2);
    assert_string_equal(s->texts[1], "token");
    loop_timer_destroy(nothing);
    stage_close(pusher);
    stage_close(s);
}

static void
a_command_out_of_time_breaks_the_connection(void **state)
{
    struct stage *s = stage_open(200);
    int64_t start = clock_mono();

    (void)state;
    CALL(s, 0, "BLPOP", "test_cachea:none", "5");
    CALL(s, 1, "PING");
    s->stop_when_down = true;
    stage_run(s);
    assert_in_range((clock_mono() - start) / 1000, 150, 2000);
    assert_int_equal(s->called, 2);
    assert_int_equal(s->rcs[0], RC_UNAVAILABLE);
    assert_int_equal(s->rcs[1], RC_UNAVAILABLE);
    s->stop_when_down = false;
    s->stop_when_up = true;
    stage_run(s);
    CALL(s, 2, "ECHO", "next");
    stage_run_until(s, 3);
    assert_string_equal(s->texts[2], "next");
    stage_close(s);
}

static void
a_connection_that_is_killed_fails_all_in_flight_once_and_comes_back(void **state)
{
    struct stage *s = stage_open(0);
    char id[24];

    (void)state;
    CALL(s, 0, "CLIENT", "ID");
    stage_run_until(s, 1);
    (void)snprintf(id, sizeof id, "%s", s->texts[0]);
    CALL(s, 1, "BLPOP", "test_cachea:none", "0");
    for (size_t i = 2; i < 10; i++)
        call_script(s, i, "x");
    command("CLIENT", "KILL", "ID", id);
    s->stop_when_down = true;
    stage_run(s);
    assert_int_equal(s->called, 10);
    assert_int_equal(s->down_rc, RC_UNAVAILABLE);
    for (size_t i = 1; i < 10; i++) {
        assert_int_equal(s->times[i], 1);
        assert_int_equal(s->rcs[i], RC_UNAVAILABLE);
    }
    CALL(s, 10, "PING"); /* while down */
    call_script(s, 11, "x");
    stage_run_until(s, 12);
    assert_int_equal(s->rcs[10], RC_UNAVAILABLE);
    assert_int_equal(s->rcs[11], RC_UNAVAILABLE);
    s->stop_when_down = false;
    s->stop_when_up = true;
    stage_run(s);
    assert_int_equal(s->ups, 2);
    call_script(s, 12, "back");
    stage_run_until(s, 13);
    assert_string_equal(s->texts[12], "back");
    stage_close(s);
}

static void
destroying_answers_everything(void **state)
{
    struct stage *s = stage_open(0);

    (void)state;
    for (size_t i = 0; i < 10; i++)
        CALL(s, i, "BLPOP", "test_cachea:none", "0");
    cachea_destroy(s->cache);
    s->cache = NULL;
    assert_int_equal(s->called, 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(s->rcs[i], RC_UNAVAILABLE);
    stage_close(s);
}

static void
on_result_destroys(void *arg, enum rc rc, const struct reply *r, const struct err *err)
{
    struct ticket *t = arg;
    struct stage *s = t->s;

    cachea_destroy(s->cache);
    s->cache = NULL;
    on_result(arg, rc, r, err); /* both are still there */
    loop_stop(s->loop);
}

/* The first call's callback destroys the connection, while two more wait. */
static void
destroy_in_callback(const char *const argv[], size_t argc, enum rc want)
{
    struct stage *s = stage_open(300);

    for (size_t i = 0; i < 3; i++)
        tickets[i] = (struct ticket){ s, i };
    cachea_runv(s->cache, argc, argv, on_result_destroys, &tickets[0]);
    CALL(s, 1, "ECHO", "x");
    CALL(s, 2, "ECHO", "x");
    stage_run(s);
    assert_int_equal(s->called, 3);
    assert_int_equal(s->rcs[0], want);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(s->times[i], 1);
    stage_close(s);
}

static void
it_may_be_destroyed_within_a_callback(void **state)
{
    (void)state;
    destroy_in_callback((const char *const[]){ "PING" }, 1, RC_OK);
}

static void
it_may_be_destroyed_while_a_lost_connection_is_settled(void **state)
{
    (void)state;
    destroy_in_callback((const char *const[]){ "BLPOP", "test_cachea:none", "5" }, 3,
                        RC_UNAVAILABLE);                            /* by the watchdog */
    destroy_in_callback((const char *const[]){ "QUIT" }, 1, RC_OK); /* by the answer before the end */
}

static void
on_state_destroys(void *arg, bool up, const struct err *err)
{
    struct stage *s = arg;

    (void)up, (void)err;
    cachea_destroy(s->cache);
    s->cache = NULL;
    loop_stop(s->loop);
}

static void
it_may_be_destroyed_when_told_up_or_down(void **state)
{
    const char *url = TEST_REDIS_URL();
    struct err err = { 0 };
    struct stage *s = stage_open_url("redis://127.0.0.1:1", 500);

    (void)state;
    cachea_destroy(s->cache);
    OK(cachea_create(s->loop, "redis://127.0.0.1:1", 500, on_state_destroys, s, &s->cache, &err));
    stage_run(s);
    OK(cachea_create(s->loop, url, 500, on_state_destroys, s, &s->cache, &err));
    stage_run(s);
    stage_close(s);
}

static void
a_server_that_is_not_there_is_tried_again(void **state)
{
    struct stage *s = stage_open_url("redis://127.0.0.1:1", 500);

    (void)state;
    CALL(s, 0, "PING");
    s->stop_when_down = true;
    stage_run(s);
    stage_run(s);
    assert_int_equal(s->downs, 2);
    assert_int_equal(s->down_rc, RC_UNAVAILABLE);
    assert_int_equal(s->rcs[0], RC_UNAVAILABLE);
    assert_int_equal(s->ups, 0);
    stage_close(s);
}

int
main(void)
{
    TEST_ONE(results_come_in_order_each_once);
    TEST_ONE(an_error_reply_fails_its_call_alone);
    TEST_ONE(a_script_runs_also_when_the_server_has_forgotten_it);
    TEST_ONE(a_blocking_command_waits_without_a_timeout);
    TEST_ONE(a_command_out_of_time_breaks_the_connection);
    TEST_ONE(a_connection_that_is_killed_fails_all_in_flight_once_and_comes_back);
    TEST_ONE(destroying_answers_everything);
    TEST_ONE(it_may_be_destroyed_within_a_callback);
    TEST_ONE(it_may_be_destroyed_while_a_lost_connection_is_settled);
    TEST_ONE(it_may_be_destroyed_when_told_up_or_down);
    TEST_ONE(a_server_that_is_not_there_is_tried_again);
    return TESTS_RUN("cachea");
}
