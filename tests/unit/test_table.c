/* What people are shown: aligned columns, clean text, times and numbers. */
#include "api/cli/table.h"
#include "api/cli/when.h"
#include "common/clock.h"
#include "tests/unit/tables.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CELLS 6
static struct table_case {
    const char *name;
    const char *cells[CELLS]; /* of columns NAME, N (right), NOTE (at most 6 wide) */
    const char *want;
} table_cases[] = {
    { "only a header", { NULL }, "NAME  N  NOTE\n" },
    { "short and long",
      { "a", "1", "x", "longer", "1,000", "" },
      "NAME        N  NOTE\na           1  x\nlonger  1,000\n" },
    { "accents take one column",
      { "é", "1", "x", "ab", "2", "y" },
      "NAME  N  NOTE\né     1  x\nab    2  y\n" },
    { "wide characters take two",
      { "日本語", "1", "x", "abcdef", "2", "y" },
      "NAME    N  NOTE\n日本語  1  x\nabcdef  2  y\n" },
    { "combining marks take none", { "e\xcc\x81", "1", "x", NULL }, "NAME  N  NOTE\ne\xcc\x81     1  x\n" },
    { "a long cell is cut", { "a", "1", "abcdefgh", NULL }, "NAME  N  NOTE\na     1  abcde…\n" },
    { "a wide one too", { "a", "1", "日本語日本", NULL }, "NAME  N  NOTE\na     1  日本…\n" },
    { "one that just fits is not", { "a", "1", "abcdef", NULL }, "NAME  N  NOTE\na     1  abcdef\n" },
    { "no terminal commands", { "\033[2J", "1", "a\nb", NULL }, "NAME  N  NOTE\n?[2J  1  a?b\n" },
    { "no broken UTF-8", { "\xff\xfe", "1", "\xe6\x97", NULL }, "NAME  N  NOTE\n??    1  ??\n" },
    { "empty cells leave no spaces at the end", { "a", "", "", NULL }, "NAME  N  NOTE\na\n" },
};

static const struct table_column columns[] = { { "NAME", false, 0 }, { "N", true, 0 }, { "NOTE", false, 6 } };

static char *
printed(const struct table *t, bool colors)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    assert_non_null(f);
    table_print(t, f, colors);
    (void)fclose(f);
    return text;
}

static void
prints(void **state)
{
    const struct table_case *c = *state;
    AUTO(table) t = table_create(columns, 3);
    AUTO_FREE char *text = NULL;

    for (size_t i = 0; i < CELLS && c->cells[i] != NULL; i++)
        table_cell(t, c->cells[i], STYLE_PLAIN);
    text = printed(t, false);
    assert_string_equal(text, c->want);
}

static void
colours_do_not_move_columns(void **state)
{
    AUTO(table) t = table_create(columns, 2);
    AUTO_FREE char *text = NULL;

    (void)state;
    table_cell(t, "ok", STYLE_GOOD);
    table_cell(t, "1", STYLE_PLAIN);
    text = printed(t, true);
    assert_string_equal(text, "\033[2mNAME\033[0m  \033[2mN\033[0m\n\033[32mok\033[0m    1\n");
}

static struct span_case {
    const char *name;
    int64_t s;
    const char *want;
} span_cases[] = {
    { "seconds", 59, "59s" },       { "a minute", 60, "1m" },   { "minutes and seconds", 95, "1m 35s" },
    { "more minutes", 905, "15m" }, { "hours", 7500, "2h 5m" }, { "days", 4 * 86400 + 3 * 3600, "4d 3h" },
    { "nothing", 0, "0s" },
};

static void
spans(void **state)
{
    const struct span_case *c = *state;
    char out[WHEN_TEXT];

    assert_string_equal(span_text(c->s * CLOCK_SECOND, out), c->want);
}

static struct number_case {
    const char *name;
    int64_t n;
    const char *want;
} number_cases[] = {
    { "zero", 0, "0" },
    { "three digits", 999, "999" },
    { "four", 1000, "1,000" },
    { "seven", 1234567, "1,234,567" },
    { "below zero", -1234, "-1,234" },
    { "three below zero", -123, "-123" },
    { "the largest", INT64_MAX, "9,223,372,036,854,775,807" },
};

static void
numbers(void **state)
{
    const struct number_case *c = *state;
    char out[WHEN_TEXT];

    assert_string_equal(number_text(c->n, out), c->want);
}

#define NOW INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */
static struct since_case {
    const char *name, *text, *want; /* NULL = refused */
} since_cases[] = {
    { "seconds", "90s", "2025-12-31T23:58:30Z" },
    { "minutes", "15m", "2025-12-31T23:45:00Z" },
    { "hours", "2h", "2025-12-31T22:00:00Z" },
    { "days", "3d", "2025-12-29T00:00:00Z" },
    { "a date", "2025-06-01", "2025-06-01T00:00:00Z" },
    { "a moment", "2025-06-01T12:00:00+02:00", "2025-06-01T10:00:00Z" },
    { "a word", "yesterday", NULL },
    { "a number alone", "5", NULL },
    { "a unit alone", "h", NULL },
    { "too much", "99999999d", NULL },
    { "something behind it", "5mm", NULL },
};

static void
since(void **state)
{
    const struct since_case *c = *state;
    struct err err = { 0 };
    char out[WHEN_TEXT];

    assert_int_equal(since_parse(c->text, NOW, out, &err), c->want != NULL ? RC_OK : RC_INVALID);
    if (c->want != NULL)
        assert_string_equal(out, c->want);
}

static void
a_moment_has_its_age(void **state)
{
    char out[WHEN_TEXT];

    (void)state;
    (void)setenv("TZ", "UTC", 1);
    tzset();
    assert_string_equal(when_text(NOW, NOW + 95 * CLOCK_SECOND, out), "2026-01-01 00:00:00 (1m 35s ago)");
    assert_string_equal(when_text(NOW, NOW - 5 * CLOCK_MINUTE, out), "2026-01-01 00:00:00 (in 5m)");
}

static struct fit_case {
    const char *name, *text;
    size_t columns, bytes;
} fit_cases[] = {
    { "all of it fits", "abc", 5, 3 },
    { "just so", "abc", 3, 3 },
    { "the rest does not", "abcdef", 4, 4 },
    { "bytes are no columns", "\u00e4\u00f6\u00fc", 2, 4 },
    { "a wide character needs two", "a\u65e5\u672c", 2, 1 },
    { "a style takes none", "\033[32mok\033[0m!", 2, 11 },
    { "a style that is cut short takes none", "a\033[3", 3, 4 },
    { "nothing fits nowhere", "abc", 0, 0 },
};

static void
fits(void **state)
{
    const struct fit_case *c = *state;

    assert_int_equal(text_fit(c->text, c->columns), c->bytes);
}

int
main(void)
{
    table_use_utf8();
    TEST_TABLE(table_cases, prints);
    TEST_ONE(colours_do_not_move_columns);
    TEST_TABLE(fit_cases, fits);
    TEST_TABLE(span_cases, spans);
    TEST_TABLE(number_cases, numbers);
    TEST_TABLE(since_cases, since);
    TEST_ONE(a_moment_has_its_age);
    return TESTS_RUN("table");
}
