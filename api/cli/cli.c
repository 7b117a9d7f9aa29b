#include "api/cli/cli.h"
#include "api/cli/client.h"
#include "api/cli/table.h"
#include "common/auto.h"
#include "common/clock.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND(name) extern const struct command command_##name;
#include "api/cli/commands.def"
#undef COMMAND

const struct command *const commands[] = {
#define COMMAND(name) &command_##name,
#include "api/cli/commands.def"
#undef COMMAND
    NULL,
};

static const struct cli_option common_options[] = {
    { "api-url", "URL", "where the api is; DESKMILL_API_URL, else http://127.0.0.1:8080" },
    { "api-key", "KEY", "the api's key; better in DESKMILL_API_KEY, where `ps` does not show it" },
    { "json", NULL, "print the api's JSON instead of tables" },
    { "no-color", NULL, "no colours; NO_COLOR does the same" },
    { "help", NULL, "what the command does and takes" },
    { "version", NULL, "print the version" },
    { .name = NULL },
};

enum ending
cli_fail(const struct err *err)
{
    static const struct {
        enum rc rc;
        enum ending ending;
    } endings[] = {
        { RC_INVALID, END_USAGE },
        { RC_NOT_FOUND, END_NOT_FOUND },
        { RC_DENIED, END_DENIED },
        { RC_UNAVAILABLE, END_UNREACHABLE },
    };

    (void)fprintf(stderr, "deskmill: %s\n", err->text);
    for (size_t i = 0; i < COUNT_OF(endings); i++)
        if (endings[i].rc == err->rc)
            return endings[i].ending;
    return END_FAILED;
}

enum ending
cli_usage(const char *fmt, ...)
{
    struct err err = { .rc = RC_INVALID };
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(err.text, sizeof err.text, fmt, ap);
    va_end(ap);
    return cli_fail(&err);
}

const char *
cli_word(const struct cli *c, size_t n)
{
    return n < c->args.n ? c->args.words[n] : NULL;
}

const char *
cli_option(const struct cli *c, const char *name)
{
    return args_get(&c->args, name);
}

bool
cli_flag(const struct cli *c, const char *name)
{
    return args_has(&c->args, name);
}

/* ---- help ---- */

static void
print_options(const struct cli_option *o)
{
    for (; o != NULL && o->name != NULL; o++) {
        char left[64];

        (void)snprintf(left, sizeof left, "--%s%s%s", o->name, o->value != NULL ? " " : "",
                       o->value != NULL ? o->value : "");
        (void)printf("  %-24s %s\n", left, o->help);
    }
}

static void
print_command(const struct command *k)
{
    (void)printf("deskmill %s%s%s%s\n\n%s.\n", k->name, k->words[0] != '\0' ? " " : "", k->words,
                 k->options != NULL ? " [OPTIONS]" : "", k->summary);
    if (k->more != NULL)
        (void)printf("\n%s\n", k->more);
    if (k->options != NULL) {
        (void)printf("\nOptions:\n");
        print_options(k->options);
    }
    (void)printf("\nOptions of every command:\n");
    print_options(common_options);
}

static void
print_overview(void)
{
    (void)printf("deskmill - steers Deskmill through its api.\n\nCommands:\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        char left[64];

        (void)snprintf(left, sizeof left, "%s %s", commands[i]->name, commands[i]->words);
        (void)printf("  %-30s %s\n", left, commands[i]->summary);
    }
    (void)printf("  %-30s %s\n\nOptions of every command, before or after its words:\n", "help [COMMAND]",
                 "what a command does and takes");
    print_options(common_options);
    (void)printf(
        "\nExit status: 0 ok; 1 failed at the server, or the job is dead; 2 bad input; 3 the job was cancelled; 4 not found;\n"
        "5 the api cannot be reached; 6 denied (no key, or a wrong one); 130 stopped with Ctrl-C.\n");
}

/* ---- finding the command ---- */

/* The command that the first words mean, and how many of them are its name. */
static const struct command *
find_command(const struct args *a, size_t *words)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        const char *name = commands[i]->name, *space = strchr(name, ' ');
        size_t first = space != NULL ? (size_t)(space - name) : strlen(name);

        if (a->n == 0 || strlen(a->words[0]) != first || strncmp(a->words[0], name, first) != 0)
            continue;
        if (space != NULL && (a->n < 2 || strcmp(a->words[1], space + 1) != 0))
            continue;
        *words = space != NULL ? 2 : 1;
        return commands[i];
    }
    return NULL;
}

/* Whether more words may still make a command: "job" alone is none, "job show" is. */
static bool
is_group(const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; commands[i] != NULL; i++)
        if (strncmp(commands[i]->name, word, n) == 0 && commands[i]->name[n] == ' ')
            return true;
    return false;
}

static enum ending
unknown_command(const struct args *a)
{
    char given[128], list[256] = "";
    const char *best = NULL;
    size_t distance = (size_t)-1;
    bool group = is_group(a->words[0]);

    (void)snprintf(given, sizeof given, "%s%s%s", a->words[0], group && a->n > 1 ? " " : "",
                   group && a->n > 1 ? a->words[1] : "");
    for (size_t i = 0; commands[i] != NULL; i++) {
        const char *name = commands[i]->name;
        size_t d = edit_distance(given, name), n = strlen(list), first = strlen(a->words[0]);

        if (group && strncmp(name, a->words[0], first) == 0 && name[first] == ' ')
            (void)snprintf(list + n, sizeof list - n, "%s%s", n > 0 ? ", " : "", name);
        if (is_near(given, name) && d < distance) {
            best = name;
            distance = d;
        }
    }
    if (group && a->n == 1)
        return cli_usage("%s: goes on with a word: %s", given, list);
    if (best != NULL)
        return cli_usage("%s: there is no such command; did you mean `deskmill %s`?", given, best);
    if (group)
        return cli_usage("%s: there is no such command; there are %s", given, list);
    return cli_usage("%s: there is no such command; `deskmill help` lists them", given);
}

static enum ending
help(const struct args *a)
{
    struct args rest = { .n = a->n > 0 ? a->n - 1 : 0 };
    const struct command *k;
    size_t words;

    for (size_t i = 0; i < rest.n; i++)
        rest.words[i] = a->words[i + 1];
    if (rest.n == 0) {
        print_overview();
        return END_OK;
    }
    if ((k = find_command(&rest, &words)) == NULL)
        return unknown_command(&rest);
    print_command(k);
    return END_OK;
}

/* Reads up to and with the command's name: only options of every command may stand before it. */
static enum rc
read_name(struct cli *c, int argc, char **argv, int *at, bool *only_words, struct err *err)
{
    const struct args_tables before = { .common = common_options };
    size_t words;
    enum rc rc = RC_OK;

    while (*at < argc && rc == RC_OK && c->command == NULL) {
        if ((rc = args_take(&before, argc, argv, at, only_words, &c->args, err)) == RC_OK &&
            (c->command = find_command(&c->args, &words)) != NULL)
            c->args.n = 0;
        else if (rc == RC_OK && (c->args.n > 1 || (c->args.n == 1 && !is_group(c->args.words[0]))) &&
                 strcmp(c->args.words[0], "help") != 0)
            break;
    }
    return rc;
}

static enum rc
say_where_help_is(const struct command *k, struct err *err)
{
    struct err said = *err;

    return err_set(err, said.rc, "%.300s; `deskmill help %s` shows what it takes", said.text, k->name);
}

static enum rc
read_all(struct cli *c, int argc, char **argv, struct err *err)
{
    struct args_tables all = { .common = common_options };
    bool only_words = false;
    int at = 1;
    enum rc rc = read_name(c, argc, argv, &at, &only_words, err);

    if (rc != RC_OK || c->command == NULL)
        return rc;
    all.own = c->command->options;
    while (at < argc && rc == RC_OK)
        rc = args_take(&all, argc, argv, &at, &only_words, &c->args, err);
    if (rc == RC_OK && !cli_flag(c, "help"))
        rc = args_check_words(&c->args, c->command->words, err);
    return rc == RC_OK || cli_flag(c, "help") ? RC_OK : say_where_help_is(c->command, err);
}

static enum ending
run(struct cli *c)
{
    const char *no_color = getenv("NO_COLOR");
    enum ending end;

    c->json = cli_flag(c, "json");
    c->colors =
        isatty(STDOUT_FILENO) == 1 && !cli_flag(c, "no-color") && (no_color == NULL || no_color[0] == '\0');
    c->now = clock_now();
    end = c->command->run(c);
    if (fflush(stdout) != 0 && end == END_OK)
        end = END_FAILED; /* a full disk, say: the caller did not get what it asked for */
    return end;
}

enum ending
cli_main(int argc, char **argv)
{
    struct cli c = { .command = NULL };
    struct err err = { 0 };
    enum ending end;

    table_use_utf8();
    if (read_all(&c, argc, argv, &err) != RC_OK)
        return cli_fail(&err);
    if (cli_flag(&c, "version")) {
        (void)printf("deskmill %s\n", DESKMILL_VERSION);
        return END_OK;
    }
    if (c.command != NULL && cli_flag(&c, "help")) {
        print_command(c.command);
        return END_OK;
    }
    if (c.command == NULL && c.args.n > 0 && strcmp(c.args.words[0], "help") != 0)
        return unknown_command(&c.args);
    if (c.command == NULL)
        return help(&c.args);
    end = run(&c);
    client_destroy(c.client);
    return end;
}
