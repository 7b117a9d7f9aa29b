#include "common/jobkind.h"
#include "common/auto.h"
#include "common/buf.h"
#include "common/json.h"
#include <inttypes.h>
#include <string.h>

const struct jobkind jobkinds[] = {
#define JOB_KIND(kind, in_queue, prio, attempts, timeout, lock_pattern, dedupe_pattern, text) \
    { .name = #kind,                                                                          \
      .queue = (in_queue),                                                                    \
      .priority = (prio),                                                                     \
      .max_attempts = (attempts),                                                             \
      .timeout_s = (timeout),                                                                 \
      .lock = (lock_pattern),                                                                 \
      .dedupe = (dedupe_pattern),                                                             \
      .help = (text) },
#include JOBKIND_DEF
#undef JOB_KIND
    { .name = NULL },
};

/* The arguments a kind takes. `from` and `to` of one kind must be in order. */
static const struct kind_arg {
    const char *kind, *name;
    enum { ARG_BOOL, ARG_INT, ARG_TIME, ARG_TEXT } type;
    bool required;
    int64_t max; /* ARG_INT: 0 to max; ARG_TEXT: bytes */
} kind_args[] = {
    { "issue_pull", "full", ARG_BOOL, false, 0 },  { "issue_backfill", "from", ARG_TIME, false, 0 },
    { "issue_backfill", "to", ARG_TIME, true, 0 }, { "issue_chunk", "from", ARG_TIME, true, 0 },
    { "issue_chunk", "to", ARG_TIME, true, 0 },    { "noop", "sleep_ms", ARG_INT, false, 300000 },
    { "noop", "fail", ARG_TEXT, false, 200 },      { "noop", "lock", ARG_TEXT, false, 100 },
    { "noop", "stamp", ARG_BOOL, false, 0 },       { "noop", "since_us", ARG_INT, false, INT64_MAX },
    { "noop", "pad", ARG_TEXT, false, 100000 },
};

enum { MAX_ARGS = 8, KEY_MAX = 512 };

const struct jobkind *
jobkind_find(const char *name)
{
    for (const struct jobkind *k = jobkinds; k->name != NULL; k++)
        if (strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

static enum rc
check_arg(const struct kind_arg *a, const json_t *args, struct err *err)
{
    const char *text;
    int64_t number;
    bool yes;
    enum rc rc = RC_OK;

    switch (a->type) {
    case ARG_BOOL:
        rc = json_get_bool(args, a->name, &yes, err);
        break;
    case ARG_INT:
        rc = json_get_int(args, a->name, 0, a->max, &number, err);
        break;
    case ARG_TIME:
        rc = json_get_time(args, a->name, &number, err);
        break;
    case ARG_TEXT:
        rc = json_get_string(args, a->name, 1, (size_t)a->max, &text, err);
        break;
    }
    if (rc == RC_NOT_FOUND && !a->required)
        return RC_OK;
    if (rc == RC_OK)
        return RC_OK;
    err->rc = RC_INVALID;
    return err_wrap(err, "args");
}

static enum rc
check_order(const json_t *args, struct err *err)
{
    int64_t from, to;

    if (json_get_time(args, "from", &from, NULL) != RC_OK || json_get_time(args, "to", &to, NULL) != RC_OK)
        return RC_OK;
    if (from >= to)
        return err_set(err, RC_INVALID, "args.from: must be before args.to");
    return RC_OK;
}

enum rc
jobkind_check_args(const struct jobkind *k, const json_t *args, int64_t integration_id, struct err *err)
{
    const char *allowed[MAX_ARGS + 1] = { NULL };
    size_t n = 0;
    enum rc rc;

    if (k->lock != NULL && strstr(k->lock, "%i") != NULL && integration_id == 0)
        return err_set(err, RC_INVALID, "integration: is required for kind %s", k->name);
    for (size_t i = 0; i < COUNT_OF(kind_args); i++) {
        if (strcmp(kind_args[i].kind, k->name) != 0)
            continue;
        allowed[n++] = kind_args[i].name;
        if (args == NULL && !kind_args[i].required)
            continue;
        if ((rc = check_arg(&kind_args[i], args, err)) != RC_OK)
            return rc;
    }
    if (args == NULL)
        return RC_OK;
    if ((rc = json_only_keys(args, allowed, err)) != RC_OK)
        return err_wrap(err, "args");
    return check_order(args, err);
}

/* Appends the text of args.<name>; false if there is none. */
static bool
put_arg(struct buf *b, const json_t *args, const char *name)
{
    const json_t *v = json_object_get(args, name);

    if (json_is_string(v))
        buf_puts(b, json_string_value(v));
    else if (json_is_integer(v))
        buf_printf(b, "%" PRId64, (int64_t)json_integer_value(v));
    else if (json_is_true(v))
        buf_puts(b, name);
    else if (json_is_false(v))
        return true;
    else
        return false;
    return true;
}

static bool
strip_question_mark(char *name)
{
    size_t n = strlen(name);

    if (n == 0 || name[n - 1] != '?')
        return false;
    name[n - 1] = '\0';
    return true;
}

enum rc
jobkind_key(const char *pattern, int64_t integration_id, const json_t *args, char **out, struct err *err)
{
    struct buf b;
    bool complete = true, optional;

    if (pattern == NULL) {
        *out = NULL;
        return RC_OK;
    }
    buf_init(&b, KEY_MAX);
    for (const char *p = pattern; *p != '\0' && complete; p++) {
        if (strncmp(p, "%i", 2) == 0) {
            buf_printf(&b, "%" PRId64, integration_id);
            p++;
        } else if (strncmp(p, "%{", 2) == 0) {
            char name[32] = "";
            size_t n = strcspn(p + 2, "}");

            memcpy(name, p + 2, n < sizeof name ? n : sizeof name - 1);
            optional = strip_question_mark(name);
            complete = put_arg(&b, args, name) || optional;
            p += 2 + n;
        } else {
            buf_putc(&b, *p);
        }
    }
    if (b.failed) {
        buf_fini(&b);
        return err_set(err, RC_INVALID, "args: too long for the key %s", pattern);
    }
    if (complete)
        *out = TAKE(b.data);
    else
        *out = NULL;
    buf_fini(&b);
    return RC_OK;
}
