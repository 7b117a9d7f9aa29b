/* api/cli/cli.h
 * cli - what a command of `deskmill` is given, and how it ends.
 *
 * A command is one row: `const struct command command_x` in commands/<resource>.c and the line COMMAND(x) in
 * commands.def.
 */
#ifndef DESKMILL_CLI_CLI_H
#define DESKMILL_CLI_CLI_H

#include "api/cli/args.h"
#include <jansson.h>
#include <stdint.h>

/* Exit statuses; documented in the help and README.md. */
enum ending {
    END_OK = 0,
    END_FAILED = 1,    /* the server or the job failed */
    END_USAGE = 2,     /* bad input */
    END_CANCELLED = 3, /* the job followed was cancelled */
    END_NOT_FOUND = 4,
    END_UNREACHABLE = 5, /* no answer from the api */
    END_DENIED = 6,      /* no key, or the wrong one */
    END_INTERRUPTED = 130,
};

struct client;
struct cli {
    struct args args;
    struct client *client; /* made on first use */
    const struct command *command;
    bool json;   /* print the api's JSON */
    bool colors; /* on standard output */
    int64_t now; /* microseconds: what ages are measured against */
};

struct command {
    const char *name;                 /* "integration add" */
    const char *words;                /* "NAME [WHAT]" */
    const struct cli_option *options; /* NULL = none of its own */
    const char *summary;
    const char *more; /* further help, or NULL */
    enum ending (*run)(struct cli *c);
};
extern const struct command *const commands[]; /* ends with NULL */

/* The whole program. */
enum ending cli_main(int argc, char **argv);

/* One line on standard error; `err`'s code decides the ending. */
enum ending cli_fail(const struct err *err);
/* The same for bad input: END_USAGE. */
enum ending cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The command's n-th word (NULL if not given) and options. */
const char *cli_word(const struct cli *c, size_t n);
const char *cli_option(const struct cli *c, const char *name);
bool cli_flag(const struct cli *c, const char *name);

#endif
