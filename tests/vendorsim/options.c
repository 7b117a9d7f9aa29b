/* options - the command line. */
#include "options.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simtime.h"

enum type {
    TYPE_INT,
    TYPE_TEXT,
    TYPE_CHOICE,
    TYPE_TIME,
};

struct option_row {
    const char *name;
    enum type type;
    size_t at;
    const char *fallback; /* NULL: keep what options_parse() starts with */
    int64_t min, max;
    const char *choices; /* "a|b|c" */
    const char *help;
};

#define AT(field) offsetof(struct options, field)

static const struct option_row rows[] = {
    { "vendor", TYPE_CHOICE, AT(vendor), "pylon", 0, 0, "pylon", "the help desk to behave like" },
    { "port", TYPE_INT, AT(port), "0", 0, 65535, NULL, "port to listen on; 0 takes any free one" },
    { "port-file", TYPE_TEXT, AT(port_file), NULL, 0, 0, NULL, "file that gets the port once listening" },
    { "bind", TYPE_TEXT, AT(bind), "127.0.0.1", 0, 0, NULL, "IPv4 address to listen on" },
    { "token", TYPE_TEXT, AT(token), "sim-token", 0, 0, NULL, "the API token that is accepted" },
    { "region", TYPE_CHOICE, AT(region), "us", 0, 0, "us|eu", "where this host stands" },
    { "profile", TYPE_CHOICE, AT(profile), "old", 0, 0, "old|new|generous|none",
      "rate limits and age of the API" },
    { "seed", TYPE_INT, AT(seed), "1", 0, INT64_MAX, NULL, "seed of the data" },
    { "issues", TYPE_INT, AT(issues), "1500", 0, 5000000, NULL, "number of issues" },
    { "accounts", TYPE_INT, AT(accounts), "100", 0, 1000000, NULL, "number of accounts" },
    { "users", TYPE_INT, AT(users), "20", 0, 100000, NULL, "number of users" },
    { "contacts", TYPE_INT, AT(contacts), NULL, 0, 3000000, NULL,
      "number of contacts; three for each account if not given" },
    { "messages", TYPE_INT, AT(messages), "15000", 0, 20000000, NULL, "number of messages, over all issues" },
    { "days", TYPE_INT, AT(days), "365", 1, 3650, NULL, "days that the data covers" },
    { "body-bytes", TYPE_INT, AT(body_bytes), "600", 0, 1000000, NULL, "average size of an issue's body" },
    { "now", TYPE_TIME, AT(now), NULL, 0, 0, NULL, "RFC 3339 end of the data; the start time if not given" },
    { "cursor", TYPE_CHOICE, AT(cursor), "keyset", 0, 0, "keyset|offset",
      "what a cursor of issues stands for" },
    { "gzip", TYPE_CHOICE, AT(gzip), "on", 0, 0, "on|off", "compress for clients that accept it" },
    { "latency-ms", TYPE_INT, AT(latency_ms), "0", 0, 600000, NULL, "wait before each answer" },
    { "order", TYPE_CHOICE, AT(order), "desc", 0, 0, "desc", "order of issues by creation" },
};

static void
print_help(void)
{
    puts("usage: vendorsim [--option value]...\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct option_row *o = &rows[i];

        printf("  --%-11s %s", o->name, o->help);
        if (o->choices != NULL)
            printf(" (%s)", o->choices);
        if (o->fallback != NULL)
            printf(" [%s]", o->fallback);
        putchar('\n');
    }
}

static bool
is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);

    for (const char *p = choices; p != NULL; p = strchr(p, '|')) {
        p += *p == '|';
        if (n > 0 && strncmp(p, value, n) == 0 && (p[n] == '|' || p[n] == '\0'))
            return true;
    }
    return false;
}

static bool
parse_int(const struct option_row *o, const char *value, int64_t *out)
{
    char *end;
    long long v;

    errno = 0;
    v = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || v < o->min || v > o->max) {
        fprintf(stderr, "vendorsim: --%s: '%s' is not a whole number from %" PRId64 " to %" PRId64 "\n",
                o->name, value, o->min, o->max);
        return false;
    }
    *out = v;
    return true;
}

static bool
set_option(struct options *opts, const struct option_row *o, const char *value)
{
    char *field = (char *)opts + o->at;

    switch (o->type) {
    case TYPE_INT:
        return parse_int(o, value, (int64_t *)(void *)field);
    case TYPE_TIME:
        if (!simtime_parse(value, (int64_t *)(void *)field)) {
            fprintf(stderr, "vendorsim: --%s: '%s' is not an RFC 3339 time with a zone\n", o->name, value);
            return false;
        }
        return true;
    case TYPE_CHOICE:
        if (!is_choice(o->choices, value)) {
            fprintf(stderr, "vendorsim: --%s: '%s' is not one of %s\n", o->name, value, o->choices);
            return false;
        }
        break;
    case TYPE_TEXT:
        if (*value == '\0') {
            fprintf(stderr, "vendorsim: --%s: must not be empty\n", o->name);
            return false;
        }
        break;
    }
    *(const char **)(void *)field = value;
    return true;
}

static const struct option_row *
find_row(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
            return &rows[i];
    return NULL;
}

/* One option at argv[*i], as `--name value` or `--name=value`. */
static bool
take_arg(struct options *opts, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    const char *eq = strchr(arg, '=');
    const struct option_row *o = NULL;
    const char *value;

    if (strncmp(arg, "--", 2) == 0)
        o = find_row(arg + 2, eq != NULL ? (size_t)(eq - arg - 2) : strlen(arg + 2));
    if (o == NULL) {
        fprintf(stderr, "vendorsim: %s: unknown option (see --help)\n", arg);
        return false;
    }
    value = eq != NULL ? eq + 1 : *i + 1 < argc ? argv[++*i] : NULL;
    if (value == NULL) {
        fprintf(stderr, "vendorsim: --%s: needs a value\n", o->name);
        return false;
    }
    return set_option(opts, o, value);
}

enum options_result
options_parse(int argc, char **argv, struct options *out)
{
    struct options opts = { .contacts = -1, .now = TIME_NONE };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool ok = rows[i].fallback == NULL || set_option(&opts, &rows[i], rows[i].fallback);

        assert(ok);
        (void)ok;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help();
            return OPTIONS_HELP;
        }
        if (!take_arg(&opts, argc, argv, &i))
            return OPTIONS_BAD;
    }
    if (opts.contacts < 0)
        opts.contacts = 3 * opts.accounts;
    *out = opts;
    return OPTIONS_RUN;
}
