/* common/conf.h
 * conf - a process's options, from one table: environment, flags, defaults, ranges, --help and the README's
 * table.
 *
 * A flag beats the environment, which beats the default. `name` "lease-ms" is the flag --lease-ms (or
 * --lease-ms=5000) and the variable given in `env`. Bad input is one line naming the option, what was given
 * and what would be right.
 *
 * A secret or a URL may stand in a file: "@/run/secrets/key" (atfile.h).
 *
 * An empty variable counts as not set. A CONF_BOOL flag alone means true; --flag=false turns it off. Of a
 * flag given twice the last counts.
 *
 * Ownership: conf_load() gives a struct conf; strings it lends live as long as it does.
 * Threads:   read-only after conf_load().
 */
#ifndef DESKMILL_CONF_H
#define DESKMILL_CONF_H

#include "common/auto.h"
#include "common/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum conf_type { CONF_STRING, CONF_SECRET, CONF_INT, CONF_BOOL, CONF_CHOICE, CONF_URL };

struct conf_option {
    const char *name; /* the flag without dashes; NULL ends a table */
    const char *env;  /* the environment variable, or NULL */
    enum conf_type type;
    const char *def;     /* default as text; NULL = required, "" = may be left empty */
    int64_t min, max;    /* CONF_INT only, both ends included */
    const char *choices; /* CONF_CHOICE: "a|b|c"; CONF_URL: schemes allowed, "postgresql|postgres" */
    const char *help;    /* one sentence, with the unit */
};

/* Every process has these too: log-level, log-format, help, version. They are rows of conf_common. */
extern const struct conf_option conf_common[];

struct conf;
void conf_destroy(struct conf *c); /* NULL is fine */
AUTO_DEFINE(conf)

/* Options of `table` and conf_common from argv and the environment. Arguments that are no options are
 * RC_INVALID unless `rest` is given: then it gets their index (options end at the first one). --help and
 * --version print to stdout and exit(0): `about` is the sentence that heads the help. */
enum rc conf_load(const char *proc, const char *about, const struct conf_option *table, int argc, char **argv,
                  int *rest, struct conf **out, struct err *err);

/* The name must be in the table: a bug otherwise. */
const char *conf_str(const struct conf *c, const char *name); /* "" when empty */
int64_t conf_int(const struct conf *c, const char *name);
bool conf_bool(const struct conf *c, const char *name);

/* Opens the log as the common options say. `proc` is borrowed. */
void conf_open_log(const struct conf *c, const char *proc);

/* The table as the README shows it (Markdown): option, variable, default, range, meaning. Used by
 * `--help=markdown`. */
void conf_print_markdown(FILE *f, const struct conf_option *table);

/* What main() does with an error: one line on standard error (a log line once the log is open), and the exit
 * status (2 for RC_INVALID, else 1). */
int conf_fail(const char *proc, const char *what, const struct err *err);

#endif
