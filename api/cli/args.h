/* api/cli/args.h
 * args - words and options of a command line, in any order: `pull acme/pylon --follow`, `pull --follow
 * acme/pylon`.
 *
 * --name VALUE or --name=VALUE; a lone "-" is a word; after "--" everything is. Unknown options are answered
 * with the nearest one.
 *
 * Ownership: everything is borrowed from argv and the tables.
 */
#ifndef DESKMILL_CLI_ARGS_H
#define DESKMILL_CLI_ARGS_H

#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>

struct cli_option {
    const char *name;  /* without dashes; NULL ends a table */
    const char *value; /* what it takes, for the help ("CRON"); NULL = it is a flag */
    const char *help;
};

enum { ARGS_WORDS_MAX = 8, ARGS_OPTIONS_MAX = 24 };
struct args {
    const char *words[ARGS_WORDS_MAX];
    size_t n;
    struct arg_given {
        const char *name, *value; /* value is "" for a flag */
    } given[ARGS_OPTIONS_MAX];
    size_t given_n;
};

/* Takes one option at argv[*at] apart if it is among `common` or `own` (NULL = none): stores it and moves *at
 * past it and its value. A word is stored too. RC_INVALID names the option and the nearest known one. */
struct args_tables {
    const struct cli_option *common, *own;
};
enum rc args_take(const struct args_tables *t, int argc, char **argv, int *at, bool *only_words,
                  struct args *out, struct err *err);

/* The value of an option, "" for a flag; NULL if it was not given. Of one given twice the last counts. */
const char *args_get(const struct args *a, const char *name);
bool args_has(const struct args *a, const char *name);

/* Checks the number of words against a usage like "ID [NAME]": required ones first. RC_INVALID says what is
 * missing or too much. */
enum rc args_check_words(const struct args *a, const char *usage, struct err *err);

/* How many single-character edits (swaps of neighbours count as one) lead from a to b. */
size_t edit_distance(const char *a, const char *b);
/* Whether `known` is close enough to `given` to be worth a hint. */
bool is_near(const char *given, const char *known);

#endif
