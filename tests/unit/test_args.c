/* Command lines: words and options in any order, and what is said of wrong ones. */
#include "api/cli/args.h"
#include "api/cli/cli.h"
#include "tests/unit/tables.h"
#include <stdio.h>
#include <string.h>

static const struct cli_option common[] = {
    { "json", NULL, "" },
    { "api-url", "URL", "" },
    { .name = NULL },
};
static const struct cli_option own[] = {
    { "follow", NULL, "" },
    { "from", "TIME", "" },
    { .name = NULL },
};

#define MAX_ARGS 6
static struct args_case {
    const char *name;
    const char *argv[MAX_ARGS];
    const char *words;   /* joined by '|'; NULL = refused */
    const char *options; /* "name=value|..." */
    const char *error;
} args_cases[] = {
    { "nothing", { NULL }, "", "", NULL },
    { "words", { "a", "b" }, "a|b", "", NULL },
    { "an option behind", { "a", "--follow" }, "a", "follow=", NULL },
    { "an option before", { "--follow", "a" }, "a", "follow=", NULL },
    { "a value behind a space", { "--from", "2026", "a" }, "a", "from=2026", NULL },
    { "a value behind an equals sign", { "--from=2026", "a" }, "a", "from=2026", NULL },
    { "an empty value", { "--from=", "a" }, "a", "from=", NULL },
    { "a value that looks like an option", { "--from", "--follow" }, "", "from=--follow", NULL },
    { "a lone dash is a word", { "-" }, "-", "", NULL },
    { "and a value", { "--from", "-" }, "", "from=-", NULL },
    { "two dashes end the options", { "--json", "--", "--follow" }, "--follow", "json=", NULL },
    { "options of both tables",
      { "--json", "a", "--follow", "--api-url", "u" },
      "a",
      "json=|follow=|api-url=u",
      NULL },
    { "an unknown option", { "--frobnicate" }, NULL, NULL, "--frobnicate: there is no such option here" },
    { "a misspelt one", { "--folow" }, NULL, NULL, "did you mean --follow?" },
    { "half of one", { "--fol" }, NULL, NULL, "did you mean --follow?" },
    { "one dash", { "-f" }, NULL, NULL, "two dashes" },
    { "a value too many", { "--follow=yes" }, NULL, NULL, "--follow: takes no value" },
    { "a value too few", { "a", "--from" }, NULL, NULL, "--from: needs a value: --from TIME" },
};

static void
takes(void **state)
{
    const struct args_case *c = *state;
    const struct args_tables t = { .common = common, .own = own };
    char words[200] = "", options[200] = "", *argv[MAX_ARGS];
    struct args a = { .n = 0 };
    struct err err = { 0 };
    bool only_words = false;
    int argc = 0, at = 0;
    enum rc rc = RC_OK;

    for (; argc < MAX_ARGS && c->argv[argc] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)c->argv[argc];
    while (at < argc && rc == RC_OK)
        rc = args_take(&t, argc, argv, &at, &only_words, &a, &err);
    assert_int_equal(rc, c->words != NULL ? RC_OK : RC_INVALID);
    if (c->words == NULL) {
        assert_non_null(strstr(err.text, c->error));
        return;
    }
    for (size_t i = 0, n = 0; i < a.n; i++)
        n += (size_t)snprintf(words + n, sizeof words - n, "%s%s", i > 0 ? "|" : "", a.words[i]);
    for (size_t i = 0, n = 0; i < a.given_n; i++)
        n += (size_t)snprintf(options + n, sizeof options - n, "%s%s=%s", i > 0 ? "|" : "", a.given[i].name,
                              a.given[i].value);
    assert_string_equal(words, c->words);
    assert_string_equal(options, c->options);
}

static void
of_an_option_given_twice_the_last_counts(void **state)
{
    const struct args a = { .given = { { "from", "1" }, { "from", "2" } }, .given_n = 2 };

    (void)state;
    assert_string_equal(args_get(&a, "from"), "2");
    assert_null(args_get(&a, "to"));
}

static struct words_case {
    const char *name, *usage;
    size_t given;
    const char *error; /* NULL = fine */
} words_cases[] = {
    { "none wanted, none given", "", 0, NULL },
    { "one too many", "", 1, "w0: is one word too many" },
    { "one wanted", "ID", 1, NULL },
    { "one missing", "ID", 0, "ID: is missing" },
    { "one may be left out", "[NAME]", 0, NULL },
    { "or given", "[NAME]", 1, NULL },
    { "both kinds", "ID [NAME]", 1, NULL },
    { "both given", "ID [NAME]", 2, NULL },
    { "the second one too many", "ID [NAME]", 3, "w2: is one word too many" },
    { "the second one missing", "ID NAME", 1, "NAME: is missing" },
};

static void
words(void **state)
{
    const struct words_case *c = *state;
    const struct args a = { .words = { "w0", "w1", "w2" }, .n = c->given };
    struct err err = { 0 };

    assert_int_equal(args_check_words(&a, c->usage, &err), c->error == NULL ? RC_OK : RC_INVALID);
    if (c->error != NULL)
        assert_string_equal(err.text, c->error);
}

static struct edit_case {
    const char *name, *a, *b;
    size_t want;
} edit_cases[] = {
    { "the same", "jobs", "jobs", 0 },
    { "one left out", "jbs", "jobs", 1 },
    { "one too many", "joobs", "jobs", 1 },
    { "one other", "jabs", "jobs", 1 },
    { "neighbours swapped", "jbos", "jobs", 1 },
    { "nothing in common", "xyz", "jobs", 4 },
    { "empty", "", "jobs", 4 },
};

static void
edits(void **state)
{
    const struct edit_case *c = *state;

    assert_int_equal(edit_distance(c->a, c->b), c->want);
    assert_int_equal(edit_distance(c->b, c->a), c->want);
}

static void
a_word_too_long_to_compare_is_just_far(void **state)
{
    char word[200];

    (void)state;
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    assert_false(is_near(word, "jobs"));
}

/* The real table: its rows can be told apart, and their options do not hide those of every command. */
static void
every_command_is_well_formed(void **state)
{
    static const char *const everywhere[] = { "api-url", "api-key", "json", "no-color", "help", "version" };

    (void)state;
    for (size_t i = 0; commands[i] != NULL; i++) {
        assert_true(commands[i]->run != NULL && commands[i]->summary[0] != '\0' &&
                    commands[i]->words != NULL);
        for (size_t k = 0; k < i; k++) {
            size_t n = strlen(commands[k]->name);

            assert_string_not_equal(commands[i]->name, commands[k]->name);
            assert_false(strncmp(commands[i]->name, commands[k]->name, n) == 0 &&
                         commands[i]->name[n] == ' ');
        }
        for (const struct cli_option *o = commands[i]->options; o != NULL && o->name != NULL; o++)
            for (size_t k = 0; k < sizeof everywhere / sizeof everywhere[0]; k++)
                assert_string_not_equal(o->name, everywhere[k]);
    }
}

int
main(void)
{
    TEST_TABLE(args_cases, takes);
    TEST_ONE(of_an_option_given_twice_the_last_counts);
    TEST_TABLE(words_cases, words);
    TEST_TABLE(edit_cases, edits);
    TEST_ONE(a_word_too_long_to_compare_is_just_far);
    TEST_ONE(every_command_is_well_formed);
    return TESTS_RUN("args");
}
