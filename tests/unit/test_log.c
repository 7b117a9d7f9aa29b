#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/tables.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define X100 \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X1000 X100 X100 X100 X100 X100 X100 X100 X100 X100 X100

/* What log_write() sends to standard error, through a pipe so that the number of writes shows too. */
static char text[PIPE_BUF + 1];

static const char *
logged(enum log_level level, const char *event, const struct kv *fields)
{
    int fds[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    assert_true(saved >= 0);
    assert_int_equal(pipe2(fds, O_DIRECT), 0); /* a packet per write */
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    log_write(level, event, fields);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(fds[1]);
    (void)close(saved);
    assert_true((n = read(fds[0], text, sizeof text - 1)) > 0);
    text[n] = '\0';
    assert_int_equal(read(fds[0], text + n, 1), 0); /* it was one write */
    (void)close(fds[0]);
    return text;
}

static struct field_case {
    const char *name;
    struct kv field;
    const char *kv, *json; /* what comes after the event */
} cases[] = {
    { "a plain word",
      { "kind", KV_TYPE_STR, { .str = "issue_pull" } },
      " kind=issue_pull",
      ",\"kind\":\"issue_pull\"" },
    { "a blank", { "s", KV_TYPE_STR, { .str = "a b" } }, " s=\"a b\"", ",\"s\":\"a b\"" },
    { "an equals sign", { "s", KV_TYPE_STR, { .str = "a=b" } }, " s=\"a=b\"", ",\"s\":\"a=b\"" },
    { "nothing in it", { "s", KV_TYPE_STR, { .str = "" } }, " s=\"\"", ",\"s\":\"\"" },
    { "NULL is left out", { "s", KV_TYPE_STR, { .str = NULL } }, "", "" },
    { "a quote", { "s", KV_TYPE_STR, { .str = "a\"b" } }, " s=\"a\\\"b\"", ",\"s\":\"a\\\"b\"" },
    { "a backslash", { "s", KV_TYPE_STR, { .str = "a\\b" } }, " s=\"a\\\\b\"", ",\"s\":\"a\\\\b\"" },
    { "a forged line", { "s", KV_TYPE_STR, { .str = "x\nts=1" } }, " s=\"x\\nts=1\"", ",\"s\":\"x\\nts=1\"" },
    { "control characters",
      { "s", KV_TYPE_STR, { .str = "\x1b\x7f\t\r" } },
      " s=\"\\u001b\\u007f\\t\\r\"",
      ",\"s\":\"\\u001b\\u007f\\t\\r\"" },
    { "UTF-8 stays",
      { "s", KV_TYPE_STR, { .str = "caf\xc3\xa9" } },
      " s=caf\xc3\xa9",
      ",\"s\":\"caf\xc3\xa9\"" },
    { "invalid UTF-8", { "s", KV_TYPE_STR, { .str = "\xff\xe2\x82z" } }, " s=???z", ",\"s\":\"???z\"" },
    { "an integer",
      { "job", KV_TYPE_INT, { .i64 = INT64_MIN } },
      " job=-9223372036854775808",
      ",\"job\":-9223372036854775808" },
    { "a number", { "s", KV_TYPE_DBL, { .dbl = 0.25 } }, " s=0.25", ",\"s\":0.25" },
    { "not a number", { "s", KV_TYPE_DBL, { .dbl = NAN } }, " s=nan", ",\"s\":null" },
    { "true", { "ok", KV_TYPE_BOOL, { .yes = true } }, " ok=true", ",\"ok\":true" },
    { "false", { "ok", KV_TYPE_BOOL, { .yes = false } }, " ok=false", ",\"ok\":false" },
    { "a secret", { "api_key", KV_TYPE_STR, { .str = "abc" } }, " api_key=***", ",\"api_key\":\"***\"" },
    { "a secret number", { "token", KV_TYPE_INT, { .i64 = 12 } }, " token=***", ",\"token\":\"***\"" },
    { "a URL's password",
      { "url", KV_TYPE_STR, { .str = "redis://u:pw@h" } },
      " url=redis://u:***@h",
      ",\"url\":\"redis://u:***@h\"" },
    { "1,000 bytes stay", { "s", KV_TYPE_STR, { .str = X1000 } }, " s=" X1000, ",\"s\":\"" X1000 "\"" },
};

static void
compare_tail(const char *line, const char *start, const char *want)
{
    const char *at = strstr(line, start);

    assert_non_null(at);
    assert_string_equal(at + strlen(start), want);
}

static void
check_kv(void **state)
{
    const struct field_case *c = *state;
    char want[1200];

    log_open("worker", LOG_LEVEL_INFO, LOG_FORMAT_KV);
    (void)snprintf(want, sizeof want, "%s\n", c->kv);
    compare_tail(logged(LOG_LEVEL_INFO, "x.y", (struct kv[]){ c->field, { .key = NULL } }), " event=x.y",
                 want);
}

static void
check_json(void **state)
{
    const struct field_case *c = *state;
    char want[1200];

    log_open("worker", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    (void)snprintf(want, sizeof want, "%s}\n", c->json);
    compare_tail(logged(LOG_LEVEL_INFO, "x.y", (struct kv[]){ c->field, { .key = NULL } }),
                 ",\"event\":\"x.y\"", want);
}

static void
before_log_open_lines_are_kv_at_info(void **state)
{
    char want[64];

    (void)state;
    assert_false(log_is_open());
    assert_true(log_enabled(LOG_LEVEL_INFO));
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
    (void)snprintf(want, sizeof want, " level=info proc=? pid=%d event=x\n", (int)getpid());
    assert_string_equal(logged(LOG_LEVEL_INFO, "x", (struct kv[]){ { .key = NULL } }) +
                            strlen("ts=2030-01-02T03:04:05.678Z"),
                        want);
}

static void
the_head_of_a_line(void **state)
{
    char want[100];
    int64_t t = 0, now = clock_now();

    (void)state;
    log_open("worker", LOG_LEVEL_WARN, LOG_FORMAT_KV);
    assert_true(log_is_open());
    (void)snprintf(want, sizeof want, " level=error proc=worker pid=%d event=job.dead n=1\n", (int)getpid());
    (void)logged(LOG_LEVEL_ERROR, "job.dead", (struct kv[]){ KV_INT("n", 1), { .key = NULL } });
    assert_memory_equal(text, "ts=", 3);
    assert_int_equal(text[22], '.');
    assert_int_equal(clock_parse(text + 3, 24, &t, NULL), RC_OK);
    assert_true(t >= now - 1000 && t < now + 60 * CLOCK_SECOND);
    assert_string_equal(text + 27, want);
    assert_false(log_enabled(LOG_LEVEL_INFO));
    assert_true(log_enabled(LOG_LEVEL_WARN));
}

static void
the_head_in_json(void **state)
{
    char want[100];

    (void)state;
    log_open("worker", LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
    (void)logged(LOG_LEVEL_DEBUG, "x", (struct kv[]){ { .key = NULL } });
    assert_memory_equal(text, "{\"ts\":\"2", 8);
    (void)snprintf(want, sizeof want,
                   "Z\",\"level\":\"debug\",\"proc\":\"worker\",\"pid\":%d,\"event\":\"x\"}\n",
                   (int)getpid());
    assert_string_equal(strchr(text, 'Z'), want);
}

static void
the_running_job_is_on_every_line(void **state)
{
    (void)state;
    log_open("worker", LOG_LEVEL_INFO, LOG_FORMAT_KV);
    log_set_job(42);
    compare_tail(logged(LOG_LEVEL_INFO, "x", (struct kv[]){ KV_INT("n", 1), { .key = NULL } }), " event=x",
                 " job=42 n=1\n");
    compare_tail(logged(LOG_LEVEL_INFO, "x", (struct kv[]){ KV_INT("job", 7), { .key = NULL } }), " event=x",
                 " job=7\n");
    log_set_job(0);
    compare_tail(logged(LOG_LEVEL_INFO, "x", (struct kv[]){ { .key = NULL } }), " event=x", "\n");
}

static void
long_values_are_cut_between_characters(void **state)
{
    char value[1200], want[1200];

    (void)state;
    log_open("worker", LOG_LEVEL_INFO, LOG_FORMAT_KV);
    for (int i = 0; i < 400; i++)
        memcpy(value + (size_t)i * 3, "\xe2\x82\xac", 3);
    value[1199] = '\0';
    (void)snprintf(want, sizeof want, " s=%.996s...\n", value);
    compare_tail(logged(LOG_LEVEL_INFO, "x", (struct kv[]){ KV_STR("s", value), { .key = NULL } }),
                 " event=x", want);
    memset(value, '\n', 1199);
    (void)logged(LOG_LEVEL_INFO, "x", (struct kv[]){ KV_STR("s", value), { .key = NULL } });
    assert_int_equal(strlen(strstr(text, "\"\\n")),
                     1 + 996 + 3 + 2); /* quotes, whole escapes, dots, line end */
}

static void
check_full(enum log_format format, const char *tail)
{
    const struct kv fields[] = { KV_STR("a", X1000), KV_STR("b", X1000), KV_STR("c", X1000),
                                 KV_STR("d", X1000), KV_STR("e", X1000), KV_STR("f", "little"),
                                 { .key = NULL } };

    log_open("worker", LOG_LEVEL_INFO, format);
    (void)logged(LOG_LEVEL_INFO, "x", fields);
    assert_true(strlen(text) <= PIPE_BUF);
    assert_non_null(strstr(text, X1000));
    assert_string_equal(text + strlen(text) - strlen(tail), tail);
}

static void
a_line_never_outgrows_a_pipe(void **state)
{
    (void)state;
    check_full(LOG_FORMAT_KV, "xxx cut=true\n");
    check_full(LOG_FORMAT_JSON, "xxx\",\"cut\":true}\n");
}

static void
errno_stays(void **state)
{
    (void)state;
    errno = ENOENT;
    (void)logged(LOG_LEVEL_INFO, "x", (struct kv[]){ { .key = NULL } });
    errno = EDOM;
    log_write(LOG_LEVEL_INFO, "errno.stays", (struct kv[]){ { .key = NULL } });
    assert_int_equal(errno, EDOM);
}

static void
a_forked_child_has_its_own_pid(void **state)
{
    char want[32];
    int status;
    pid_t pid = fork();

    (void)state;
    log_open("worker", LOG_LEVEL_INFO, LOG_FORMAT_KV);
    if (pid == 0) {
        (void)snprintf(want, sizeof want, " pid=%d ", (int)getpid());
        _exit(strstr(logged(LOG_LEVEL_INFO, "x", (struct kv[]){ { .key = NULL } }), want) == NULL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void
the_macros_filter_and_end_the_list(void **state)
{
    int calls = 0;

    (void)state;
    log_open("worker", LOG_LEVEL_ERROR, LOG_FORMAT_KV);
    log_info("hidden", KV_INT("n", ++calls));
    assert_int_equal(calls, 0);
    log_error("shown", KV_INT("n", ++calls), KV_ERR(&((struct err){ .rc = RC_LIMIT, .text = "too many" })));
    log_error("shown.bare");
    assert_int_equal(calls, 1);
}

int
main(void)
{
    TEST_ONE(before_log_open_lines_are_kv_at_info); /* first: nothing closes the log again */
    TEST_TABLE(cases, check_kv);
    TEST_TABLE(cases, check_json);
    TEST_ONE(the_head_of_a_line);
    TEST_ONE(the_head_in_json);
    TEST_ONE(the_running_job_is_on_every_line);
    TEST_ONE(long_values_are_cut_between_characters);
    TEST_ONE(a_line_never_outgrows_a_pipe);
    TEST_ONE(errno_stays);
    TEST_ONE(a_forked_child_has_its_own_pid);
    TEST_ONE(the_macros_filter_and_end_the_list);
    return TESTS_RUN("log");
}
