#include "api/cli/args.h"
#include <stdint.h>
#include <string.h>

enum { EDIT_MAX = 40 };

static size_t
min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

size_t
edit_distance(const char *a, const char *b)
{
    size_t d[EDIT_MAX + 1][EDIT_MAX + 1], n = strlen(a), m = strlen(b);

    if (n > EDIT_MAX || m > EDIT_MAX)
        return n > m ? n : m;
    for (size_t i = 0; i <= n; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            size_t swap = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, swap);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    return d[n][m];
}

bool
is_near(const char *given, const char *known)
{
    size_t n = strlen(given), far = n < 4 ? 1 : n < 8 ? 2 : 3;

    return edit_distance(given, known) <= far || (n >= 3 && strncmp(given, known, n) == 0);
}

static const struct cli_option *
find_option(const struct cli_option *table, const char *name, size_t n)
{
    for (; table != NULL && table->name != NULL; table++)
        if (strlen(table->name) == n && memcmp(table->name, name, n) == 0)
            return table;
    return NULL;
}

static void
nearest_option(const struct cli_option *table, const char *name, const char **best, size_t *distance)
{
    for (; table != NULL && table->name != NULL; table++) {
        size_t d = edit_distance(name, table->name);

        if (is_near(name, table->name) && d < *distance) {
            *best = table->name;
            *distance = d;
        }
    }
}

static enum rc
unknown_option(const struct args_tables *t, const char *name, size_t n, struct err *err)
{
    const char *best = NULL;
    size_t distance = SIZE_MAX;
    char text[EDIT_MAX + 1] = "";

    memcpy(text, name, n < EDIT_MAX ? n : EDIT_MAX);
    nearest_option(t->common, text, &best, &distance);
    nearest_option(t->own, text, &best, &distance);
    if (best != NULL)
        return err_set(err, RC_INVALID, "--%s: there is no such option here; did you mean --%s?", text, best);
    if (t->own == NULL)
        return err_set(err, RC_INVALID,
                       "--%s: there is no such option here; those of a command come after its name", text);
    return err_set(err, RC_INVALID, "--%s: there is no such option here", text);
}

static enum rc
take_word(const char *word, struct args *out, struct err *err)
{
    if (out->n == ARGS_WORDS_MAX)
        return err_set(err, RC_INVALID, "%s: too many words", word);
    out->words[out->n++] = word;
    return RC_OK;
}

static enum rc
take_option(const struct args_tables *t, int argc, char **argv, int *at, struct args *out, struct err *err)
{
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t n = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct cli_option *o = find_option(t->own, name, n);
    const char *value = equals != NULL ? equals + 1 : NULL;

    if (o == NULL && (o = find_option(t->common, name, n)) == NULL)
        return unknown_option(t, name, n, err);
    if (o->value == NULL && value != NULL)
        return err_set(err, RC_INVALID, "--%s: takes no value", o->name);
    if (o->value != NULL && value == NULL) {
        if (*at + 1 >= argc)
            return err_set(err, RC_INVALID, "--%s: needs a value: --%s %s", o->name, o->name, o->value);
        value = argv[++*at];
    }
    if (out->given_n == ARGS_OPTIONS_MAX)
        return err_set(err, RC_INVALID, "--%s: too many options", o->name);
    out->given[out->given_n++] = (struct arg_given){ .name = o->name, .value = value != NULL ? value : "" };
    return RC_OK;
}

enum rc
args_take(const struct args_tables *t, int argc, char **argv, int *at, bool *only_words, struct args *out,
          struct err *err)
{
    const char *arg = argv[*at];
    enum rc rc;

    if (*only_words || arg[0] != '-' || arg[1] == '\0')
        rc = take_word(arg, out, err);
    else if (strcmp(arg, "--") == 0)
        *only_words = true, rc = RC_OK;
    else if (arg[1] != '-')
        rc = err_set(err, RC_INVALID, "%s: options have two dashes, like --json", arg);
    else
        rc = take_option(t, argc, argv, at, out, err);
    (*at)++;
    return rc;
}

const char *
args_get(const struct args *a, const char *name)
{
    for (size_t i = a->given_n; i > 0; i--)
        if (strcmp(a->given[i - 1].name, name) == 0)
            return a->given[i - 1].value;
    return NULL;
}

bool
args_has(const struct args *a, const char *name)
{
    return args_get(a, name) != NULL;
}

enum rc
args_check_words(const struct args *a, const char *usage, struct err *err)
{
    size_t max = 0;

    for (const char *p = usage; *p != '\0';) {
        size_t n = strcspn(p, " ");

        if (p[0] != '[' && max >= a->n)
            return err_set(err, RC_INVALID, "%.*s: is missing", (int)n, p);
        max++;
        p += n + (p[n] == ' ');
    }
    if (a->n > max)
        return err_set(err, RC_INVALID, "%s: is one word too many", a->words[max]);
    return RC_OK;
}
