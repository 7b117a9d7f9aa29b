/* pylon_filter - the filter tree of an issue search.
 *
 * All bounds of time are exclusive: the API does not say, and a client that works with exclusive ones works
 * with both.
 */
#include "pylon_filter.h"

#include <stdlib.h>
#include <string.h>

#include "pylon_json.h"
#include "text.h"

enum { DEPTH_MAX = 3, WINDOW_MAX_DAYS = 30 };

enum op {
    OP_EQUALS,
    OP_NOT_EQUALS,
    OP_CONTAINS,
    OP_NOT_CONTAINS,
    OP_IN,
    OP_NOT_IN,
    OP_AND,
    OP_OR,
    OP_AFTER,
    OP_BEFORE,
    OP_RANGE,
    OP_STRING_CONTAINS,
    OP_STRING_NOT_CONTAINS,
    OP_IS_SET,
    OP_IS_UNSET,
    OP_GT,
    OP_LT,
    OP_GE,
    OP_LE,
    OPS,
};

static const char *const op_names[OPS] = {
    [OP_EQUALS] = "equals",
    [OP_NOT_EQUALS] = "not_equals",
    [OP_CONTAINS] = "contains",
    [OP_NOT_CONTAINS] = "does_not_contain",
    [OP_IN] = "in",
    [OP_NOT_IN] = "not_in",
    [OP_AND] = "and",
    [OP_OR] = "or",
    [OP_AFTER] = "time_is_after",
    [OP_BEFORE] = "time_is_before",
    [OP_RANGE] = "time_range",
    [OP_STRING_CONTAINS] = "string_contains",
    [OP_STRING_NOT_CONTAINS] = "string_does_not_contain",
    [OP_IS_SET] = "is_set",
    [OP_IS_UNSET] = "is_unset",
    [OP_GT] = "greater_than",
    [OP_LT] = "less_than",
    [OP_GE] = "greater_than_or_equals",
    [OP_LE] = "less_than_or_equals",
};

#define BIT(op)    (1u << (op))
#define OPS_TIME   (BIT(OP_AFTER) | BIT(OP_BEFORE) | BIT(OP_RANGE))
#define OPS_MEMBER (BIT(OP_EQUALS) | BIT(OP_IN) | BIT(OP_NOT_IN))
#define OPS_REF    (OPS_MEMBER | BIT(OP_IS_SET) | BIT(OP_IS_UNSET))
#define OPS_TAGS   (BIT(OP_CONTAINS) | BIT(OP_NOT_CONTAINS) | BIT(OP_IN) | BIT(OP_NOT_IN))
#define OPS_TEXT   (BIT(OP_STRING_CONTAINS) | BIT(OP_STRING_NOT_CONTAINS))
#define OPS_CUSTOM \
    (OPS_REF | OPS_TAGS | OPS_TEXT | BIT(OP_NOT_EQUALS) | BIT(OP_GT) | BIT(OP_LT) | BIT(OP_GE) | BIT(OP_LE))
#define OPS_OF_LISTS (BIT(OP_IN) | BIT(OP_NOT_IN))

/* The values an issue has under one field: none, one or several strings. `text` holds those made for the
 * purpose. */
struct values {
    const char *v[16];
    int n;
    struct buf text;
};

struct field {
    const char *name;
    unsigned ops;
    int64_t (*time)(const struct issue *is);
    void (*get)(const struct world *w, const struct issue *is, const char *slug, struct values *out);
};

struct pylon_filter {
    enum op op;
    const struct world *w;
    const struct field *field;
    char *slug; /* of a custom field */
    struct pylon_filter **subs;
    size_t nsubs;
    json_t *values; /* an array of strings */
    int64_t lo, hi; /* exclusive */
};

/* -- what an issue has -- */

static int64_t
time_created(const struct issue *is)
{
    return is->created;
}

static int64_t
time_updated(const struct issue *is)
{
    return is->updated;
}

static int64_t
time_resolved(const struct issue *is)
{
    return is->resolution;
}

static int64_t
time_latest_message(const struct issue *is)
{
    return is->latest_message;
}

static void
add_value(struct values *out, const char *v)
{
    if (v != NULL && out->n < (int)(sizeof(out->v) / sizeof(out->v[0])))
        out->v[out->n++] = v;
}

static void
get_account(const struct world *w, const struct issue *is, const char *slug, struct values *out)
{
    (void)slug;
    add_value(out, is->account != NOBODY ? w->accounts[is->account].id : NULL);
}

static void
get_assignee(const struct world *w, const struct issue *is, const char *slug, struct values *out)
{
    (void)slug;
    add_value(out, is->assignee != NOBODY ? w->users[is->assignee].id : NULL);
}

static void
get_requester(const struct world *w, const struct issue *is, const char *slug, struct values *out)
{
    (void)slug;
    add_value(out, is->requester != NOBODY ? w->contacts[is->requester].id : NULL);
}

static void
get_team(const struct world *w, const struct issue *is, const char *slug, struct values *out)
{
    (void)slug;
    add_value(out, is->team != NOBODY ? w->teams[is->team].id : NULL);
}

static void
get_state(const struct world *w, const struct issue *is, const char *slug, struct values *out)
{
    (void)w;
    (void)slug;
    add_value(out, is->state);
}

static void
get_type(const struct world *w, const struct issue *is, const char *slug, struct values *out)
{
    (void)w;
    (void)slug;
    add_value(out, is->type);
}

static void /* for what this workspace does not use: followers, forms */
get_nothing(const struct world *w, const struct issue *is, const char *slug, struct values *out)
{
    (void)w;
    (void)is;
    (void)slug;
    (void)out;
}

static void
get_tags(const struct world *w, const struct issue *is, const char *slug, struct values *out)
{
    const json_t *given = json_object_get(is->extra, "tags");
    const char *tags[TAGS_MAX];
    int n;

    (void)w;
    (void)slug;
    for (size_t i = 0; i < json_array_size(given); i++)
        add_value(out, json_string_value(json_array_get(given, i)));
    n = given == NULL ? text_tags(is->seed ^ 14, tags) : 0;
    for (int i = 0; i < n; i++)
        add_value(out, tags[i]);
}

static void
get_title(const struct world *w, const struct issue *is, const char *slug, struct values *out)
{
    (void)w;
    (void)slug;
    pylon_title(&out->text, is);
    add_value(out, buf_cstr(&out->text));
}

static void
get_body(const struct world *w, const struct issue *is, const char *slug, struct values *out)
{
    (void)slug;
    pylon_body(&out->text, w, is);
    add_value(out, buf_cstr(&out->text));
}

static void
get_custom(const struct world *w, const struct issue *is, const char *slug, struct values *out)
{
    struct pylon_cf cf[CF_MAX];
    int n = pylon_custom_fields(is, cf);

    (void)w;
    for (int i = 0; i < n; i++) {
        const json_t *list = json_object_get(cf[i].raw, "values");

        if (strcmp(cf[i].slug, slug) != 0)
            continue;
        if (cf[i].value != NULL && cf[i].value[0] != '\0')
            add_value(out, cf[i].value);
        for (int k = 0; k < cf[i].nvalues; k++)
            add_value(out, cf[i].values[k]);
        for (size_t k = 0; k < json_array_size(list); k++)
            add_value(out, json_string_value(json_array_get(list, k)));
    }
}

static const struct field fields[] = {
    { "created_at", OPS_TIME, time_created, NULL },
    { "updated_at", OPS_TIME, time_updated, NULL },
    { "resolved_at", OPS_TIME, time_resolved, NULL },
    { "latest_message_activity_at", OPS_TIME, time_latest_message, NULL },
    { "account_id", OPS_REF, NULL, get_account },
    { "assignee_id", OPS_REF, NULL, get_assignee },
    { "requester_id", OPS_REF, NULL, get_requester },
    { "ticket_form_id", OPS_REF, NULL, get_nothing },
    { "follower_user_id", OPS_MEMBER, NULL, get_nothing },
    { "follower_contact_id", OPS_MEMBER, NULL, get_nothing },
    { "team_id", OPS_MEMBER, NULL, get_team },
    { "state", OPS_MEMBER, NULL, get_state },
    { "issue_type", OPS_REF, NULL, get_type },
    { "tags", OPS_TAGS, NULL, get_tags },
    { "title", OPS_TEXT, NULL, get_title },
    { "body_html", OPS_TEXT, NULL, get_body },
};

static const struct field custom_field = { "custom field", OPS_CUSTOM, NULL, get_custom };

/* -- checking and compiling -- */

static bool
find_op(const char *name, enum op *out)
{
    for (int i = 0; name != NULL && i < OPS; i++) {
        if (strcmp(op_names[i], name) == 0) {
            *out = (enum op)i;
            return true;
        }
    }
    return false;
}

static const struct field *
find_field(const char *name)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return pylon_is_custom_field(name) ? &custom_field : NULL;
}

static bool
read_time(const json_t *v, const char *field, int64_t *out, struct buf *why)
{
    const char *s = json_string_value(v);

    if (s != NULL && simtime_parse(s, out))
        return true;
    buf_printf(why, "filter: %s: expected an RFC 3339 time with a zone, got '%s'", field,
               s != NULL ? s : "no string");
    return false;
}

static bool
read_window(struct pylon_filter *f, const json_t *node, struct buf *why)
{
    const json_t *value = json_object_get(node, "value"), *values = json_object_get(node, "values");

    f->lo = INT64_MIN; /* which is TIME_NONE, so that an unset time is never inside */
    f->hi = INT64_MAX;
    if (f->op == OP_AFTER)
        return read_time(value, f->field->name, &f->lo, why);
    if (f->op == OP_BEFORE)
        return read_time(value, f->field->name, &f->hi, why);
    if (json_array_size(values) != 2) {
        buf_printf(why, "filter: %s: time_range needs values with a start and an end", f->field->name);
        return false;
    }
    if (!read_time(json_array_get(values, 0), f->field->name, &f->lo, why) ||
        !read_time(json_array_get(values, 1), f->field->name, &f->hi, why))
        return false;
    if (f->hi - f->lo > WINDOW_MAX_DAYS * DAY_US) {
        buf_printf(why, "filter: %s: time_range may span %d days at most", f->field->name, WINDOW_MAX_DAYS);
        return false;
    }
    return true;
}

/* Takes the strings of `value` or `values` into f->values, whichever the operator reads. */
static bool
read_values(struct pylon_filter *f, const json_t *node, const char *field, struct buf *why)
{
    bool wants_list = (BIT(f->op) & OPS_OF_LISTS) != 0;
    json_t *given = json_object_get(node, wants_list ? "values" : "value");
    bool ok = wants_list ? json_is_array(given) : json_is_string(given);

    f->values = json_array();
    if (f->op == OP_IS_SET || f->op == OP_IS_UNSET)
        return true;
    for (size_t i = 0; ok && wants_list && i < json_array_size(given); i++) {
        ok = json_is_string(json_array_get(given, i));
        (void)json_array_append(f->values, json_array_get(given, i));
    }
    if (ok && !wants_list)
        (void)json_array_append(f->values, given);
    if (!ok)
        buf_printf(why, "filter: %s: operator '%s' needs %s", field, op_names[f->op],
                   wants_list ? "values, an array of strings" : "a value, a string");
    return ok;
}

static struct pylon_filter *compile(const struct world *w, const json_t *node, int depth, struct buf *why);

static bool
compile_subs(struct pylon_filter *f, const json_t *node, int depth, struct buf *why)
{
    const json_t *subs = json_object_get(node, "subfilters");
    size_t n = json_array_size(subs);

    if (n == 0) {
        buf_printf(why, "filter: operator %s needs subfilters", op_names[f->op]);
        return false;
    }
    f->subs = must_alloc(n * sizeof(struct pylon_filter *));
    for (size_t i = 0; i < n; i++) {
        f->subs[i] = compile(f->w, json_array_get(subs, i), depth + 1, why);
        if (f->subs[i] == NULL)
            return false;
        f->nsubs++;
    }
    return true;
}

static bool
compile_test(struct pylon_filter *f, const json_t *node, struct buf *why)
{
    const char *name = json_string_value(json_object_get(node, "field"));

    f->field = name != NULL ? find_field(name) : NULL;
    if (f->field == NULL) {
        buf_printf(why, "filter: unknown field '%s'", name != NULL ? name : "");
        return false;
    }
    if ((f->field->ops & BIT(f->op)) == 0) {
        buf_printf(why, "filter: operator '%s' does not apply to field '%s'", op_names[f->op], name);
        return false;
    }
    f->slug = must_strdup(name);
    return f->field->time != NULL ? read_window(f, node, why) : read_values(f, node, name, why);
}

static struct pylon_filter *
compile(const struct world *w, const json_t *node, int depth, struct buf *why)
{
    const char *op = json_string_value(json_object_get(node, "operator"));
    struct pylon_filter *f;
    enum op code;
    bool ok;

    if (!json_is_object(node) || depth > DEPTH_MAX) {
        if (json_is_object(node))
            buf_printf(why, "filter: nested deeper than %d levels", DEPTH_MAX);
        else
            buf_str(why, "filter: expected an object");
        return NULL;
    }
    if (!find_op(op, &code)) {
        buf_printf(why, "filter: unknown operator '%s'", op != NULL ? op : "");
        return NULL;
    }
    f = must_alloc(sizeof(*f));
    f->w = w;
    f->op = code;
    ok = code == OP_AND || code == OP_OR ? compile_subs(f, node, depth, why) : compile_test(f, node, why);
    if (!ok) {
        pylon_filter_destroy(f);
        return NULL;
    }
    return f;
}

/* What a chain of `and`s leaves of the time line of updated_at. */
static void
narrow(const struct pylon_filter *f, int64_t *lo, int64_t *hi)
{
    for (size_t i = 0; f->op == OP_AND && i < f->nsubs; i++)
        narrow(f->subs[i], lo, hi);
    if (f->field != NULL && f->field->time == time_updated) {
        *lo = f->lo > *lo ? f->lo : *lo;
        *hi = f->hi < *hi ? f->hi : *hi;
    }
}

/* A window that is open at one end is fine. */
static bool
too_wide(const struct pylon_filter *f)
{
    int64_t lo = INT64_MIN, hi = INT64_MAX;

    for (size_t i = 0; f->op == OP_OR && i < f->nsubs; i++)
        if (too_wide(f->subs[i]))
            return true;
    narrow(f, &lo, &hi);
    return lo != INT64_MIN && hi != INT64_MAX && hi - lo > WINDOW_MAX_DAYS * DAY_US;
}

struct pylon_filter *
pylon_filter_create(const struct world *w, const json_t *tree, struct buf *why)
{
    struct pylon_filter *f = compile(w, tree, 1, why);

    if (f != NULL && too_wide(f)) {
        buf_printf(why, "filter: the window on updated_at may span %d days at most", WINDOW_MAX_DAYS);
        pylon_filter_destroy(f);
        return NULL;
    }
    return f;
}

void
pylon_filter_destroy(struct pylon_filter *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->nsubs; i++)
        pylon_filter_destroy(f->subs[i]);
    free(f->subs);
    free(f->slug);
    json_decref(f->values);
    free(f);
}

/* -- asking -- */

static bool
is_among(const json_t *list, const char *v)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), v) == 0)
            return true;
    return false;
}

static bool
any_among(const struct pylon_filter *f, const struct values *have)
{
    for (int i = 0; i < have->n; i++)
        if (is_among(f->values, have->v[i]))
            return true;
    return false;
}

static bool
any_with_text(const struct pylon_filter *f, const struct values *have)
{
    const char *part = json_string_value(json_array_get(f->values, 0));

    for (int i = 0; i < have->n; i++)
        if (strstr(have->v[i], part) != NULL)
            return true;
    return false;
}

static bool
compare_number(const struct pylon_filter *f, const struct values *have)
{
    double a, b;

    if (have->n == 0)
        return false;
    a = strtod(have->v[0], NULL);
    b = strtod(json_string_value(json_array_get(f->values, 0)), NULL);
    return f->op == OP_GT ? a > b : f->op == OP_LT ? a < b : f->op == OP_GE ? a >= b : a <= b;
}

static bool
test_values(const struct pylon_filter *f, const struct values *have)
{
    switch (f->op) {
    case OP_EQUALS:
    case OP_CONTAINS:
    case OP_IN:
        return any_among(f, have);
    case OP_NOT_EQUALS:
    case OP_NOT_CONTAINS:
    case OP_NOT_IN:
        return !any_among(f, have);
    case OP_STRING_CONTAINS:
        return any_with_text(f, have);
    case OP_STRING_NOT_CONTAINS:
        return !any_with_text(f, have);
    case OP_IS_SET:
        return have->n > 0;
    case OP_IS_UNSET:
        return have->n == 0;
    default:
        return compare_number(f, have);
    }
}

bool
pylon_filter_match(const struct pylon_filter *f, const struct issue *is)
{
    struct values have;
    bool yes;

    if (f->op == OP_AND || f->op == OP_OR) {
        for (size_t i = 0; i < f->nsubs; i++)
            if (pylon_filter_match(f->subs[i], is) == (f->op == OP_OR))
                return f->op == OP_OR;
        return f->op == OP_AND;
    }
    if (f->field->time != NULL) {
        int64_t at = f->field->time(is);

        return at != TIME_NONE && at > f->lo && at < f->hi;
    }
    have.n = 0;
    have.text = (struct buf){ 0 };
    f->field->get(f->w, is, f->slug, &have);
    yes = test_values(f, &have);
    buf_fini(&have.text);
    return yes;
}
