#include "common/conf.h"
#include "common/log.h"
#include "tests/unit/tables.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PRIVATE "hunter2"

static const struct conf_option table[] = {
    { .name = "database-url",
      .env = "T_DATABASE_URL",
      .type = CONF_URL,
      .choices = "postgresql|postgres",
      .help = "Where the truth is." },
    { .name = "lease-ms",
      .env = "T_LEASE_MS",
      .type = CONF_INT,
      .def = "10000",
      .min = 1000,
      .max = 60000,
      .help =
          "How long a worker may be silent before its jobs are taken back, in milliseconds; long enough to wrap." },
    { .name = "debt",
      .type = CONF_INT,
      .def = "-5",
      .min = -10,
      .max = INT64_MAX,
      .help = "A number below zero." },
    { .name = "drain", .env = "T_DRAIN", .type = CONF_BOOL, .def = "true", .help = "Whether to drain." },
    { .name = "mode", .type = CONF_CHOICE, .def = "slow", .choices = "slow|fast", .help = "Slow | fast." },
    { .name = "api-key", .env = "T_API_KEY", .type = CONF_SECRET, .def = PRIVATE, .help = "A secret." },
    { .name = "name", .env = "T_NAME", .type = CONF_STRING, .def = "", .help = "A name." },
    { .name = NULL },
};

#define URL      "postgresql://db/x"
#define MAX_ARGS 6

/* argv and environment ("NAME=value") of one load. */
struct input {
    const char *args[MAX_ARGS];
    const char *env;
};

static enum rc
load(const struct input *in, int *rest, struct conf **out, struct err *err)
{
    char *argv[MAX_ARGS + 2] = { (char *)(uintptr_t) "test" };
    int argc = 1;

    for (size_t i = 0; i < MAX_ARGS && in->args[i] != NULL; i++)
        argv[argc++] = (char *)(uintptr_t)in->args[i];
    (void)unsetenv("T_DATABASE_URL");
    (void)unsetenv("T_LEASE_MS");
    (void)unsetenv("T_DRAIN");
    (void)unsetenv("T_API_KEY");
    (void)unsetenv("T_NAME");
    if (in->env != NULL) {
        char name[32] = { 0 };

        memcpy(name, in->env, strcspn(in->env, "="));
        assert_int_equal(setenv(name, strchr(in->env, '=') + 1, 1), 0);
    }
    return conf_load("worker", "Runs jobs.", table, argc, argv, rest, out, err);
}

static struct good_case {
    const char *name;
    struct input in;
    const char *option, *want;
    int64_t number;
} good[] = {
    { "a default", { { "--database-url=" URL }, NULL }, "lease-ms", "10000", 10000 },
    { "the environment beats the default",
      { { "--database-url=" URL }, "T_LEASE_MS=2000" },
      "lease-ms",
      "2000",
      2000 },
    { "a flag beats the environment",
      { { "--database-url=" URL, "--lease-ms=3000" }, "T_LEASE_MS=2000" },
      "lease-ms",
      "3000",
      3000 },
    { "a value in the next argument",
      { { "--lease-ms", "3000", "--database-url", URL }, NULL },
      "lease-ms",
      "3000",
      3000 },
    { "the last of two flags counts",
      { { "--database-url=" URL, "--lease-ms=3000", "--lease-ms=4000" }, NULL },
      "lease-ms",
      "4000",
      4000 },
    { "the lower end of a range",
      { { "--database-url=" URL, "--lease-ms=1000" }, NULL },
      "lease-ms",
      "1000",
      1000 },
    { "the upper end of a range",
      { { "--database-url=" URL, "--lease-ms=60000" }, NULL },
      "lease-ms",
      "60000",
      60000 },
    { "a negative number", { { "--database-url=" URL }, NULL }, "debt", "-5", -5 },
    { "a negative number as the next argument",
      { { "--debt", "-7", "--database-url=" URL }, NULL },
      "debt",
      "-7",
      -7 },
    { "an empty variable counts as not set",
      { { "--database-url=" URL }, "T_LEASE_MS=" },
      "lease-ms",
      "10000",
      10000 },
    { "true by default", { { "--database-url=" URL }, NULL }, "drain", "true", 1 },
    { "a flag turned off", { { "--database-url=" URL, "--drain=no" }, NULL }, "drain", "no", 0 },
    { "a flag alone is true", { { "--database-url=" URL, "--drain" }, "T_DRAIN=off" }, "drain", "true", 1 },
    { "a choice", { { "--database-url=" URL, "--mode=fast" }, NULL }, "mode", "fast", -1 },
    { "a required URL from the environment",
      { { NULL }, "T_DATABASE_URL=postgres://u:p@h/d" },
      "database-url",
      "postgres://u:p@h/d",
      -1 },
    { "an empty string where that is allowed",
      { { "--database-url=" URL, "--name=" }, "T_NAME=x" },
      "name",
      "",
      -1 },
    { "a secret", { { "--database-url=" URL }, "T_API_KEY=abc" }, "api-key", "abc", -1 },
    { "a common option", { { "--database-url=" URL, "--log-format=json" }, NULL }, "log-format", "json", -1 },
};

static void
check_good(void **state)
{
    const struct good_case *c = *state;
    struct err err = { 0 };
    AUTO(conf) conf = NULL;

    if (load(&c->in, NULL, &conf, &err) != RC_OK)
        fail_msg("%s", err.text);
    assert_string_equal(conf_str(conf, c->option), c->want);
    if (strcmp(c->option, "drain") == 0)
        assert_int_equal(conf_bool(conf, c->option), c->number);
    else if (c->number != -1)
        assert_int_equal(conf_int(conf, c->option), c->number);
}

static struct bad_case {
    const char *name;
    struct input in;
    const char *text; /* the whole sentence */
} bad[] = {
    { "a required option is missing",
      { { NULL }, NULL },
      "--database-url (T_DATABASE_URL) is required: Where the truth is." },
    { "a unit",
      { { "--lease-ms=5s" }, NULL },
      "--lease-ms (T_LEASE_MS): '5s' is wrong: expected an integer without a unit, 1000 to 60000" },
    { "no number",
      { { "--lease-ms=soon" }, NULL },
      "--lease-ms (T_LEASE_MS): 'soon' is wrong: expected an integer, 1000 to 60000" },
    { "blanks around a number",
      { { "--lease-ms= 5000" }, NULL },
      "--lease-ms (T_LEASE_MS): ' 5000' is wrong: expected an integer, 1000 to 60000" },
    { "too small",
      { { "--lease-ms=999" }, NULL },
      "--lease-ms (T_LEASE_MS): '999' is wrong: expected an integer, 1000 to 60000" },
    { "too large, from the environment",
      { { "--database-url=" URL }, "T_LEASE_MS=60001" },
      "--lease-ms (T_LEASE_MS): '60001' is wrong: expected an integer, 1000 to 60000" },
    { "larger than any integer",
      { { "--debt=99999999999999999999" }, NULL },
      "--debt: '99999999999999999999' is wrong: expected an integer, -10 or more" },
    { "neither true nor false",
      { { "--drain=maybe" }, NULL },
      "--drain (T_DRAIN): 'maybe' is wrong: expected true or false" },
    { "not among the choices",
      { { "--mode=fas" }, NULL },
      "--mode: 'fas' is wrong: expected one of slow, fast" },
    { "more than a choice",
      { { "--mode=faster" }, NULL },
      "--mode: 'faster' is wrong: expected one of slow, fast" },
    { "a wrong scheme",
      { { "--database-url=mysql://u:" PRIVATE "@h" }, NULL },
      "--database-url (T_DATABASE_URL): 'mysql://u:***@h' is wrong: expected a URL with postgresql://, postgres://" },
    { "no URL at all",
      { { "--database-url=db" }, NULL },
      "--database-url (T_DATABASE_URL): 'db' is wrong: expected a URL with postgresql://, postgres://" },
    { "an empty value where one is needed",
      { { "--database-url=" URL, "--mode=" }, NULL },
      "--mode: '' is wrong: expected one of slow, fast" },
    { "an empty secret where one is needed",
      { { "--database-url=" URL, "--api-key=" }, NULL },
      "--api-key (T_API_KEY): expected a value" },
    { "a flag without its value", { { "--mode" }, NULL }, "--mode wants a value: --mode=..." },
    { "a slip of the finger",
      { { "--leese-ms=5" }, NULL },
      "unknown option --leese-ms: did you mean --lease-ms?" },
    { "an option like no other",
      { { "--frobnicate" }, NULL },
      "unknown option --frobnicate: --help lists them all" },
    { "a short option", { { "-x" }, NULL }, "unknown option -x: options begin with --" },
    { "an argument where none is expected",
      { { "now" }, NULL },
      "unexpected argument 'now': only options are expected" },
    { "an unknown kind of help",
      { { "--help=html" }, NULL },
      "--help: 'html' is wrong: expected one of text, markdown" },
};

static void
check_bad(void **state)
{
    const struct bad_case *c = *state;
    struct conf *conf = NULL;
    struct input in = c->in;
    struct err err = { 0 };

    if (strcmp(c->name, bad[0].name) != 0 && in.env == NULL)
        in.env = "T_DATABASE_URL=" URL;
    assert_int_equal(load(&in, NULL, &conf, &err), RC_INVALID);
    assert_null(conf);
    assert_string_equal(err.text, c->text);
}

/* "PREFIX" of an argument, then @ and the path of a file that holds `text`. */
static enum rc
load_with_file(const char *prefix, const char *text, char path[static 40], struct conf **out, struct err *err)
{
    char arg[80];
    struct input in = { .args = { arg }, .env = "T_DATABASE_URL=" URL };
    enum rc rc;
    int fd;

    (void)snprintf(path, 40, "/tmp/deskmill-conf-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    (void)snprintf(arg, sizeof arg, "%s@%s", prefix, path);
    rc = load(&in, NULL, out, err);
    (void)unlink(path);
    return rc;
}

static void
a_secret_or_a_url_may_stand_in_a_file(void **state)
{
    struct err err = { 0 };
    AUTO(conf) secret = NULL;
    AUTO(conf) url = NULL;
    AUTO(conf) name = NULL;
    char path[40];

    (void)state;
    assert_int_equal(load_with_file("--api-key=", "out of a file\n", path, &secret, &err), RC_OK);
    assert_string_equal(conf_str(secret, "api-key"), "out of a file");
    assert_int_equal(load_with_file("--database-url=", "postgresql://u:" PRIVATE "@h/x\n", path, &url, &err),
                     RC_OK);
    assert_string_equal(conf_str(url, "database-url"), "postgresql://u:" PRIVATE "@h/x");
    assert_int_equal(load_with_file("--name=", "x\n", path, &name, &err), RC_OK); /* that is no secret */
    assert_int_equal(conf_str(name, "name")[0], '@');
}

static void
a_file_that_is_not_right_is_named_and_not_shown(void **state)
{
    struct err err = { 0 };
    struct conf *conf = NULL;
    struct input missing = { .args = { "--database-url=" URL }, .env = "T_API_KEY=@/nonexistent/key" };
    char path[40];

    (void)state;
    assert_int_equal(load(&missing, NULL, &conf, &err), RC_INVALID);
    assert_string_equal(err.text,
                        "--api-key (T_API_KEY): the file /nonexistent/key: No such file or directory");
    assert_int_equal(load_with_file("--api-key=", "\n", path, &conf, &err), RC_INVALID);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(load_with_file("--database-url=", PRIVATE, path, &conf, &err), RC_INVALID);
    assert_string_equal(
        err.text,
        "--database-url (T_DATABASE_URL), read from its file: expected a URL with postgresql://, postgres://");
    assert_null(conf);
}

static void
check_rest(const char *const args[], int want)
{
    struct input in = { .env = "T_DATABASE_URL=" URL };
    struct err err = { 0 };
    AUTO(conf) conf = NULL;
    int rest = 0;

    memcpy(in.args, args, sizeof in.args);
    if (load(&in, &rest, &conf, &err) != RC_OK)
        fail_msg("%s", err.text);
    assert_int_equal(rest, want);
}

static void
options_end_at_the_first_argument(void **state)
{
    (void)state;
    check_rest((const char *const[MAX_ARGS]){ "--mode=fast", "pull", "--unknown" }, 2);
    check_rest((const char *const[MAX_ARGS]){ "--mode", "fast", "--", "--unknown" }, 4);
    check_rest((const char *const[MAX_ARGS]){ "--mode=fast" }, 2);
    check_rest((const char *const[MAX_ARGS]){ NULL }, 1);
}

/* Runs a load that exits, in a child; gives what it printed. */
static char printed[8192];

static int
print(const char *flag)
{
    struct input in = { .args = { flag, "--nonsense" } };
    int fds[2], status;
    size_t n = 0;
    ssize_t got;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    (void)fflush(NULL);
    if ((pid = fork()) == 0) {
        struct conf *conf = NULL;

        (void)dup2(fds[1], STDOUT_FILENO);
        (void)load(&in, NULL, &conf, NULL);
        _exit(9);
    }
    (void)close(fds[1]);
    while ((got = read(fds[0], printed + n, sizeof printed - 1 - n)) > 0)
        n += (size_t)got;
    printed[n] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void
help_lists_every_option_in_a_hundred_columns(void **state)
{
    (void)state;
    assert_int_equal(print("--help"), 0);
    assert_memory_equal(printed, "Runs jobs.\n", 11);
    for (const struct conf_option *o = table; o->name != NULL; o++)
        assert_non_null(strstr(printed, o->name));
    for (const struct conf_option *o = conf_common; o->name != NULL; o++)
        assert_non_null(strstr(printed, o->name));
    assert_non_null(strstr(printed, "\n  --lease-ms      T_LEASE_MS           10000     1000 to 60000\n"));
    assert_non_null(strstr(
        printed, "\n  --database-url  T_DATABASE_URL       required  postgresql://, postgres://, @file\n"));
    assert_null(strstr(printed, PRIVATE));
    for (const char *p = printed; *p != '\0'; p += strcspn(p, "\n") + 1)
        assert_true(strcspn(p, "\n") <= 100);
}

static void
markdown_is_the_table_of_the_readme(void **state)
{
    (void)state;
    assert_int_equal(print("--help=markdown"), 0);
    assert_memory_equal(printed, "| option | variable | default | range | meaning |\n|---|", 53);
    assert_non_null(strstr(printed, "\n| `--mode` | - | slow | slow, fast | Slow \\| fast. |\n"));
    assert_non_null(strstr(printed, "\n| `--api-key` | `T_API_KEY` | *** | text, @file | A secret. |\n"));
    assert_non_null(
        strstr(printed, "\n| `--log-level` | `DESKMILL_LOG_LEVEL` | info | debug, info, warn, error |"));
}

static void
version_names_the_process(void **state)
{
    (void)state;
    assert_int_equal(print("--version"), 0);
    assert_memory_equal(printed, "deskmill worker ", 16);
    assert_true(printed[16] >= '0' && printed[16] <= '9');
}

static void
the_common_options_open_the_log(void **state)
{
    struct input in = { .args = { "--database-url=" URL, "--log-level=warn" } };
    AUTO(conf) conf = NULL;

    (void)state;
    assert_int_equal(load(&in, NULL, &conf, NULL), RC_OK);
    conf_open_log(conf, "worker");
    assert_false(log_enabled(LOG_LEVEL_INFO));
    assert_true(log_enabled(LOG_LEVEL_WARN));
}

static void
the_exit_status_tells_bad_input_from_bad_luck(void **state)
{
    struct err invalid = { .rc = RC_INVALID, .text = "x" },
               down = { .rc = RC_UNAVAILABLE, .text = "redis://u:" PRIVATE "@h" };

    (void)state;
    assert_int_equal(conf_fail("worker", "config", &invalid), 2);
    assert_int_equal(conf_fail("worker", "connecting", &down), 1);
}

static void
destroying_nothing_is_fine(void **state)
{
    (void)state;
    conf_destroy(NULL);
}

int
main(void)
{
    TEST_TABLE(good, check_good);
    TEST_TABLE(bad, check_bad);
    TEST_ONE(a_secret_or_a_url_may_stand_in_a_file);
    TEST_ONE(a_file_that_is_not_right_is_named_and_not_shown);
    TEST_ONE(options_end_at_the_first_argument);
    TEST_ONE(help_lists_every_option_in_a_hundred_columns);
    TEST_ONE(markdown_is_the_table_of_the_readme);
    TEST_ONE(version_names_the_process);
    TEST_ONE(the_exit_status_tells_bad_input_from_bad_luck);
    TEST_ONE(the_common_options_open_the_log);
    TEST_ONE(destroying_nothing_is_fine);
    return TESTS_RUN("conf");
}
