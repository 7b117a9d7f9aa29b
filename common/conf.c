#include "common/conf.h"
#include "common/atfile.h"
#include "common/buf.h"
#include "common/log.h"
#include "common/mask.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HELP_COLUMNS = 100, HELP_INDENT = 8 };

const struct conf_option conf_common[] = {
    { .name = "log-level",
      .env = "DESKMILL_LOG_LEVEL",
      .type = CONF_CHOICE,
      .def = "info",
      .choices = "debug|info|warn|error",
      .help = "The least important lines that are still logged." },
    { .name = "log-format",
      .env = "DESKMILL_LOG_FORMAT",
      .type = CONF_CHOICE,
      .def = "kv",
      .choices = "kv|json",
      .help = "How a line is written: key=value for people, JSON for machines." },
    { .name = "help",
      .type = CONF_CHOICE,
      .def = "",
      .choices = "text|markdown",
      .help = "Print these options and exit; --help=markdown prints the table of the README." },
    { .name = "version", .type = CONF_BOOL, .def = "false", .help = "Print the version and exit." },
    { .name = NULL },
};

struct value {
    const struct conf_option *option;
    const char *source; /* where it came from, borrowed; NULL while it has none */
    char *text;
    int64_t number; /* CONF_INT, CONF_BOOL */
    bool from_file; /* the text is what the file named held */
};

struct conf {
    struct value *values;
    size_t count;
};

void
conf_destroy(struct conf *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; c->values != NULL && i < c->count; i++)
        free(c->values[i].text);
    free(c->values);
    free(c);
}

static size_t
rows(const struct conf_option *table)
{
    size_t n = 0;

    while (table[n].name != NULL)
        n++;
    return n;
}

static enum rc
conf_create(const struct conf_option *table, struct conf **out, struct err *err)
{
    AUTO(conf) c = calloc(1, sizeof *c);
    size_t own = rows(table), common = rows(conf_common);

    if (c == NULL || (c->values = calloc(own + common, sizeof *c->values)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for the options");
    c->count = own + common;
    for (size_t i = 0; i < c->count; i++)
        c->values[i].option = i < own ? &table[i] : &conf_common[i - own];
    *out = TAKE(c);
    return RC_OK;
}

static struct value *
find(const struct conf *c, const char *name, size_t len)
{
    for (size_t i = 0; i < c->count; i++)
        if (strncmp(c->values[i].option->name, name, len) == 0 && c->values[i].option->name[len] == '\0')
            return &c->values[i];
    return NULL;
}

static enum rc
set(struct value *v, const char *text, const char *source, struct err *err)
{
    free(v->text);
    v->source = source;
    if ((v->text = strdup(text)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for the options");
    return RC_OK;
}

/* ---- what is right: the words for help and for errors ---- */

/* "a|b" becomes "a, b" with `suffix` behind each. */
static void
put_choices(struct buf *b, const char *choices, const char *suffix)
{
    for (const char *p = choices; *p != '\0'; p++) {
        if (*p != '|') {
            buf_putc(b, *p);
            continue;
        }
        buf_puts(b, suffix);
        buf_puts(b, ", ");
    }
    buf_puts(b, suffix);
}

static void
put_range(struct buf *b, const struct conf_option *o)
{
    switch (o->type) {
    case CONF_INT:
        if (o->max == INT64_MAX)
            buf_printf(b, "%" PRId64 " or more", o->min);
        else
            buf_printf(b, "%" PRId64 " to %" PRId64, o->min, o->max);
        break;
    case CONF_BOOL:
        buf_puts(b, "true, false");
        break;
    case CONF_CHOICE:
        put_choices(b, o->choices, "");
        break;
    case CONF_URL:
        put_choices(b, o->choices, "://");
        break;
    case CONF_STRING:
    case CONF_SECRET:
        buf_puts(b, "-");
        break;
    }
}

/* What may hold a secret may stand in a file. */
static bool
may_be_file(const struct conf_option *o)
{
    return o->type == CONF_SECRET || o->type == CONF_URL;
}

/* As help and README say it. */
static void
put_range_of_help(struct buf *b, const struct conf_option *o)
{
    if (o->type == CONF_SECRET)
        buf_puts(b, "text");
    else
        put_range(b, o);
    if (may_be_file(o))
        buf_puts(b, ", @file");
}

static void
put_default(struct buf *b, const struct conf_option *o)
{
    char masked[256];

    if (o->def == NULL)
        buf_puts(b, "required");
    else if (*o->def == '\0')
        buf_puts(b, "-");
    else
        buf_puts(b, o->type == CONF_SECRET ? "***" : mask_urls(o->def, masked, sizeof masked));
}

static const char *
text_of(const struct buf *b)
{
    return b->len == 0 || b->failed ? "" : b->data;
}

/* ---- checking ---- */

/* "--lease-ms (DESKMILL_LEASE_MS): '5s' is not right: expected ..."; never the value of a secret, nor what a
 * file held. */
static enum rc
refuse(const struct value *v, const char *expected, struct err *err)
{
    const struct conf_option *o = v->option;
    char shown[160];
    struct buf b;

    buf_init(&b, 1000);
    buf_printf(&b, "--%s", o->name);
    if (o->env != NULL)
        buf_printf(&b, " (%s)", o->env);
    if (o->type == CONF_SECRET || v->from_file)
        buf_puts(&b, v->from_file ? ", read from its file: " : ": ");
    else
        buf_printf(&b, ": '%s' is wrong: ", mask_urls(v->text, shown, sizeof shown));
    buf_printf(&b, "expected %s", expected);
    if (o->type == CONF_INT || o->type == CONF_CHOICE || o->type == CONF_URL) {
        buf_putc(&b, ' ');
        put_range(&b, o);
    }
    (void)err_set(err, RC_INVALID, "%s", text_of(&b));
    buf_fini(&b);
    return RC_INVALID;
}

static enum rc
check_int(struct value *v, struct err *err)
{
    const struct conf_option *o = v->option;
    const char *digits = v->text + (*v->text == '-');
    char *end;
    intmax_t n;

    if (*digits < '0' || *digits > '9')
        return refuse(v, "an integer,", err);
    errno = 0;
    n = strtoimax(v->text, &end, 10);
    if (*end != '\0')
        return refuse(v, "an integer without a unit,", err);
    if (errno == ERANGE || n < o->min || n > o->max)
        return refuse(v, "an integer,", err);
    v->number = n;
    return RC_OK;
}

static enum rc
check_bool(struct value *v, struct err *err)
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strcasecmp(v->text, words[i]) == 0) {
            v->number = (int64_t)(i % 2);
            return RC_OK;
        }
    return refuse(v, "true or false", err);
}

/* Whether `text` begins with one of the choices and `suffix`; with an empty suffix, whether it is one of
 * them. */
static bool
among(const char *choices, const char *suffix, const char *text)
{
    for (const char *p = choices;; p++) {
        size_t n = strcspn(p, "|");

        if (strncasecmp(text, p, n) == 0) {
            if (*suffix == '\0' ? text[n] == '\0' : strncmp(text + n, suffix, strlen(suffix)) == 0)
                return true;
        }
        p += n;
        if (*p == '\0')
            return false;
    }
}

static enum rc
check_value(struct value *v, struct err *err)
{
    const struct conf_option *o = v->option;

    if (*v->text == '\0' && o->def != NULL && *o->def == '\0')
        return RC_OK; /* may be left empty */
    switch (o->type) {
    case CONF_INT:
        return check_int(v, err);
    case CONF_BOOL:
        return check_bool(v, err);
    case CONF_CHOICE:
        return among(o->choices, "", v->text) ? RC_OK : refuse(v, "one of", err);
    case CONF_URL:
        return among(o->choices, "://", v->text) ? RC_OK : refuse(v, "a URL with", err);
    case CONF_STRING:
    case CONF_SECRET:
        return *v->text != '\0' ? RC_OK : refuse(v, "a value", err);
    }
    return RC_OK;
}

/* The file's first line in place of its name. */
static enum rc
read_file(struct value *v, struct err *err)
{
    const struct conf_option *o = v->option;
    AUTO_FREE char *line = NULL;
    enum rc rc = atfile_read(v->text, &line, err);

    if (rc != RC_OK)
        return err_wrap(err, "--%s%s%s%s", o->name, o->env ? " (" : "", o->env ? o->env : "",
                        o->env ? ")" : "");
    free(v->text);
    v->text = TAKE(line);
    v->from_file = true;
    return RC_OK;
}

/* What neither a flag nor the environment gave comes from the default. */
static enum rc
complete(struct value *v, struct err *err)
{
    const struct conf_option *o = v->option;
    const char *env = o->env == NULL ? NULL : getenv(o->env);
    enum rc rc = RC_OK;

    if (v->text == NULL && env != NULL && *env != '\0')
        rc = set(v, env, o->env, err);
    if (v->text == NULL && rc == RC_OK) {
        if (o->def == NULL)
            return err_set(err, RC_INVALID, "--%s%s%s%s is required: %s", o->name, o->env ? " (" : "",
                           o->env ? o->env : "", o->env ? ")" : "", o->help);
        rc = set(v, o->def, "default", err);
    }
    if (rc == RC_OK && may_be_file(o) && *v->text == '@')
        rc = read_file(v, err);
    return rc != RC_OK ? rc : check_value(v, err);
}

/* ---- flags ---- */

static size_t
min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

/* Levenshtein's distance; names of options are short, longer ones are infinitely far. */
static size_t
distance(const char *a, size_t len, const char *b)
{
    size_t row[64], n = strlen(b);

    if (n >= COUNT_OF(row))
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; i <= len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j];

            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

static enum rc
unknown(const struct conf *c, const char *flag, size_t len, struct err *err)
{
    const char *nearest = NULL;
    size_t best = len / 2 < 4 ? len / 2 + 1 : 4; /* farther than that is no slip of the finger */

    for (size_t i = 0; i < c->count; i++) {
        size_t d = distance(flag, len, c->values[i].option->name);

        if (d < best) {
            best = d;
            nearest = c->values[i].option->name;
        }
    }
    if (nearest != NULL)
        return err_set(err, RC_INVALID, "unknown option --%.*s: did you mean --%s?", (int)len, flag, nearest);
    return err_set(err, RC_INVALID, "unknown option --%.*s: --help lists them all", (int)len, flag);
}

/* One option at argv[*i], and its value there or in the next argument. */
static enum rc
read_flag(struct conf *c, int argc, char **argv, int *i, struct err *err)
{
    const char *flag = argv[*i] + 2, *text = strchr(flag, '=');
    size_t len = text == NULL ? strlen(flag) : (size_t)(text - flag);
    struct value *v = find(c, flag, len);

    if (v == NULL)
        return unknown(c, flag, len > 60 ? 60 : len, err);
    if (text != NULL)
        return set(v, text + 1, "flag", err);
    if (v->option->type == CONF_BOOL)
        return set(v, "true", "flag", err);
    if (strcmp(v->option->name, "help") == 0)
        return set(v, "text", "flag", err);
    if (*i + 1 >= argc)
        return err_set(err, RC_INVALID, "--%s wants a value: --%s=...", v->option->name, v->option->name);
    return set(v, argv[++*i], "flag", err);
}

static bool
is_given(const struct conf *c, const char *name)
{
    const struct value *v = find(c, name, strlen(name));

    return v != NULL && v->text != NULL && strcmp(v->text, "false") != 0;
}

/* Stops at --help and --version: whoever asks for help gets it, whatever else is wrong. */
static enum rc
read_flags(struct conf *c, int argc, char **argv, int *rest, struct err *err)
{
    enum rc rc;
    int i = 1;

    for (; i < argc && !is_given(c, "help") && !is_given(c, "version"); i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (argv[i][0] != '-' || argv[i][1] == '\0')
            break;
        if (argv[i][1] != '-')
            return err_set(err, RC_INVALID, "unknown option %.60s: options begin with --", argv[i]);
        if ((rc = read_flag(c, argc, argv, &i, err)) != RC_OK)
            return rc;
    }
    if (rest != NULL)
        *rest = i;
    else if (i < argc && !is_given(c, "help") && !is_given(c, "version"))
        return err_set(err, RC_INVALID, "unexpected argument '%.60s': only options are expected", argv[i]);
    return RC_OK;
}

/* ---- help ---- */

struct widths {
    int flag, env, def;
};

static void
widen(int *width, size_t n)
{
    if (n > (size_t)*width)
        *width = (int)n;
}

/* Words, at most HELP_COLUMNS wide behind the indent. */
static void
print_wrapped(FILE *f, const char *text)
{
    size_t column = 0;

    while (*text != '\0') {
        size_t n = strcspn(text, " ");

        if (column == 0 || column + 1 + n > HELP_COLUMNS) {
            fprintf(f, "%s%*s%.*s", column == 0 ? "" : "\n", HELP_INDENT, "", (int)n, text);
            column = HELP_INDENT + n;
        } else {
            fprintf(f, " %.*s", (int)n, text);
            column += 1 + n;
        }
        text += n + strspn(text + n, " ");
    }
    fputc('\n', f);
}

static void
print_option(FILE *f, const struct conf_option *o, const struct widths *w)
{
    struct buf def, range;

    buf_init(&def, 1000);
    buf_init(&range, 1000);
    put_default(&def, o);
    put_range_of_help(&range, o);
    fprintf(f, "  --%-*s  %-*s  %-*s  %s\n", w->flag, o->name, w->env, o->env != NULL ? o->env : "-", w->def,
            text_of(&def), text_of(&range));
    print_wrapped(f, o->help);
    buf_fini(&range);
    buf_fini(&def);
}

static void
print_help(FILE *f, const char *about, const struct conf *c)
{
    struct widths w = { .flag = 4, .env = 8, .def = 8 };

    for (size_t i = 0; i < c->count; i++) {
        const struct conf_option *o = c->values[i].option;
        struct buf def;

        buf_init(&def, 1000);
        put_default(&def, o);
        widen(&w.flag, strlen(o->name));
        widen(&w.env, o->env != NULL ? strlen(o->env) : 0);
        widen(&w.def, def.len < 24 ? def.len : 24); /* one long default does not push the others away */
        buf_fini(&def);
    }
    fprintf(f, "%s\n\nA flag beats the variable, which beats the default.\n\n", about);
    fprintf(f, "  %-*s  %-*s  %-*s  %s\n", w.flag + 2, "flag", w.env, "variable", w.def, "default", "range");
    for (size_t i = 0; i < c->count; i++)
        print_option(f, c->values[i].option, &w);
}

/* A '|' would end the cell. */
static void
print_cell(FILE *f, const char *text)
{
    for (; *text != '\0'; text++)
        fprintf(f, *text == '|' ? "\\%c" : "%c", *text);
    fputs(" |", f);
}

static void
print_row(FILE *f, const struct conf_option *o)
{
    struct buf b;

    buf_init(&b, 1000);
    fprintf(f, "| `--%s` | ", o->name);
    if (o->env != NULL)
        fprintf(f, "`%s` | ", o->env);
    else
        fputs("- | ", f);
    put_default(&b, o);
    print_cell(f, text_of(&b));
    buf_reset(&b);
    put_range_of_help(&b, o);
    fputc(' ', f);
    print_cell(f, text_of(&b));
    fputc(' ', f);
    print_cell(f, o->help);
    fputc('\n', f);
    buf_fini(&b);
}

void
conf_print_markdown(FILE *f, const struct conf_option *table)
{
    fputs("| option | variable | default | range | meaning |\n|---|---|---|---|---|\n", f);
    for (; table->name != NULL; table++)
        print_row(f, table);
    for (const struct conf_option *o = conf_common; o->name != NULL; o++)
        print_row(f, o);
}

static enum rc
print_and_exit(const char *proc, const char *about, const struct conf *c, const struct conf_option *table,
               struct err *err)
{
    struct value *help = find(c, "help", 4);
    enum rc rc;

    if (help->text == NULL) {
        printf("deskmill %s " DESKMILL_VERSION "\n", proc);
        exit(EXIT_SUCCESS);
    }
    if ((rc = check_value(help, err)) != RC_OK)
        return rc;
    if (strcasecmp(help->text, "markdown") == 0)
        conf_print_markdown(stdout, table);
    else
        print_help(stdout, about, c);
    exit(EXIT_SUCCESS);
}

/* ---- the public face ---- */

enum rc
conf_load(const char *proc, const char *about, const struct conf_option *table, int argc, char **argv,
          int *rest, struct conf **out, struct err *err)
{
    AUTO(conf) c = NULL;
    enum rc rc;

    assert(proc != NULL && about != NULL && table != NULL && out != NULL);
    if ((rc = conf_create(table, &c, err)) != RC_OK || (rc = read_flags(c, argc, argv, rest, err)) != RC_OK)
        return rc;
    if ((is_given(c, "help") || is_given(c, "version")) &&
        (rc = print_and_exit(proc, about, c, table, err)) != RC_OK)
        return rc;
    for (size_t i = 0; i < c->count; i++)
        if ((rc = complete(&c->values[i], err)) != RC_OK)
            return rc;
    *out = TAKE(c);
    return RC_OK;
}

static const struct value *
get(const struct conf *c, const char *name)
{
    const struct value *v = find(c, name, strlen(name));

    assert(v != NULL); /* the name is a row of the table */
    return v;
}

const char *
conf_str(const struct conf *c, const char *name)
{
    return get(c, name)->text;
}

int64_t
conf_int(const struct conf *c, const char *name)
{
    const struct value *v = get(c, name);

    assert(v->option->type == CONF_INT);
    return v->number;
}

bool
conf_bool(const struct conf *c, const char *name)
{
    const struct value *v = get(c, name);

    assert(v->option->type == CONF_BOOL);
    return v->number != 0;
}

/* The place of `text` among "a|b|c". */
static int
choice_index(const struct conf *c, const char *name)
{
    const struct value *v = get(c, name);
    int i = 0;

    for (const char *p = v->option->choices; *p != '\0'; p += strcspn(p, "|"), p += *p == '|', i++)
        if (strncasecmp(p, v->text, strcspn(p, "|")) == 0 && strlen(v->text) == strcspn(p, "|"))
            return i;
    return 0;
}

void
conf_open_log(const struct conf *c, const char *proc)
{
    log_open(proc, (enum log_level)choice_index(c, "log-level"),
             (enum log_format)choice_index(c, "log-format"));
}

int
conf_fail(const char *proc, const char *what, const struct err *err)
{
    char masked[sizeof err->text + 64];

    if (log_is_open())
        log_error("proc.failed", KV_STR("doing", what), KV_ERR(err));
    else
        fprintf(stderr, "deskmill %s: %s: %s\n", proc, what, mask_urls(err->text, masked, sizeof masked));
    return err->rc == RC_INVALID ? 2 : 1;
}
