/* pylon_json - the records as Pylon's API shows them.
 *
 * An issue's and a message's fields are tables: one row is one key. A field may leave itself out (it returns
 * false and has written nothing), as optional ones do. A value that an edit gave literally goes before the
 * row's own.
 */
#include "pylon_json.h"

#include <stdio.h>
#include <string.h>

#include "rng.h"
#include "text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What a field needs to write itself. `dice` is its own, so that one field never moves another. */
struct view {
    const struct world *w;
    const struct issue *is;
    const struct msg *m;
    enum esc esc;
    struct rng dice;
};

struct field {
    const char *name;
    bool (*put)(struct buf *b, struct view *v);
};

static enum esc
esc_of(uint64_t seed)
{
    uint64_t die = (seed >> 20) & 15;

    return die < 2 ? ESC_GO : die == 2 ? ESC_ASCII : ESC_PLAIN;
}

/* -- text that may have been edited -- */

void
pylon_title(struct buf *b, const struct issue *is)
{
    const char *given = json_string_value(json_object_get(is->extra, "title"));

    if (given != NULL)
        buf_str(b, given);
    else
        text_title(b, is->seed ^ 11);
}

void
pylon_body(struct buf *b, const struct world *w, const struct issue *is)
{
    const char *given = json_string_value(json_object_get(is->extra, "body_html"));

    if (given != NULL)
        buf_str(b, given);
    else
        text_body_html(b, is->seed ^ 12, w->body_bytes);
}

/* -- custom fields -- */

static const char *const cf_slugs[] = { "priority",      "category", "handler",        "resolution-type",
                                        "self-servable", "area",     "chat_widget.os", "root_cause",
                                        "seats",         "products", "unset_field" };
static const char *const cf_priorities[] = { "urgent", "high", "medium", "medium", "medium", "low" };
static const char *const cf_categories[] = { "billing", "how_to",          "bug",
                                             "access",  "feature_request", "integration" };
static const char *const cf_handlers[] = { "human", "human", "ai_agent", "runbook" };
static const char *const cf_resolutions[] = { "answered", "fixed", "wont_fix", "workaround", "duplicate" };
static const char *const cf_areas[] = { "export", "billing", "auth", "mobile", "a,b", "über \"q\"", "空" };
static const char *const cf_systems[] = { "macOS", "Windows 11", "Linux", "iOS 19.1" };
static const char *const cf_causes[] = { "Config: \"strict\" mode\non the client", "C:\\cfg\\app.ini missing",
                                         "кэш", "{\"not\":\"json\"}", "" };
static const char *const cf_seats[] = { "1", "12", "250", "1e3", "" };

bool
pylon_is_custom_field(const char *slug)
{
    for (size_t i = 0; i < COUNT(cf_slugs); i++)
        if (strcmp(cf_slugs[i], slug) == 0)
            return true;
    return false;
}

static void
add_single(struct pylon_cf *list, int *n, const char *slug, const char *value)
{
    list[(*n)++] = (struct pylon_cf){ .slug = slug, .value = value, .nvalues = -1 };
}

static void
add_multi(struct pylon_cf *list, int *n, const char *slug, struct rng *r)
{
    struct pylon_cf *cf = &list[(*n)++];
    uint32_t at = rng_below(r, COUNT(cf_areas));

    *cf = (struct pylon_cf){ .slug = slug, .value = "", .nvalues = (int)rng_below(r, CF_VALUES) };
    for (int i = 0; i < cf->nvalues; i++)
        cf->values[i] = cf_areas[(at + (uint32_t)i) % COUNT(cf_areas)];
}

static int
generated_fields(const struct issue *is, struct pylon_cf *list)
{
    struct rng r = { is->seed ^ 13 };
    int n = 0;

#define SOMETIMES(permille, slug, table) \
    if (rng_chance(&r, permille))        \
    add_single(list, &n, slug, (table)[rng_below(&r, COUNT(table))])
    SOMETIMES(900, "priority", cf_priorities);
    SOMETIMES(850, "category", cf_categories);
    SOMETIMES(600, "handler", cf_handlers);
    if (is->first_resolution != TIME_NONE)
        SOMETIMES(800, "resolution-type", cf_resolutions);
    if (rng_chance(&r, 700))
        add_single(list, &n, "self-servable", rng_chance(&r, 400) ? "true" : "false");
    if (rng_chance(&r, 500))
        add_multi(list, &n, "area", &r);
    if (strcmp(is->source, "chat_widget") == 0)
        SOMETIMES(900, "chat_widget.os", cf_systems);
    SOMETIMES(150, "root_cause", cf_causes);
    SOMETIMES(150, "seats", cf_seats);
    if (rng_chance(&r, 100))
        add_multi(list, &n, "products", &r);
    if (rng_chance(&r, 30))
        add_single(list, &n, "unset_field", NULL);
#undef SOMETIMES
    return n;
}

int
pylon_custom_fields(const struct issue *is, struct pylon_cf out[CF_MAX])
{
    struct pylon_cf own[CF_MAX];
    int nown = generated_fields(is, own), n = 0;
    const char *slug;
    json_t *raw;

    for (int i = 0; i < nown; i++)
        if (json_object_get(is->cf, own[i].slug) == NULL)
            out[n++] = own[i];
    json_object_foreach(is->cf, slug, raw)
    {
        if (n < CF_MAX && !json_is_null(raw))
            out[n++] = (struct pylon_cf){ .slug = slug,
                                          .value = json_string_value(json_object_get(raw, "value")),
                                          .nvalues = -1,
                                          .raw = raw };
    }
    return n;
}

static void
put_cf_members(struct buf *b, const struct pylon_cf *cf, enum esc esc)
{
    buf_str(b, "\"value\":");
    buf_jstr(b, cf->value, esc);
    if (cf->nvalues < 0)
        return;
    buf_str(b, ",\"values\":");
    if (cf->nvalues == 0) { /* an unset slice of Go's */
        buf_str(b, "null");
        return;
    }
    for (int i = 0; i < cf->nvalues; i++) {
        buf_char(b, i == 0 ? '[' : ',');
        buf_jstr(b, cf->values[i], esc);
    }
    buf_char(b, ']');
}

static void
put_cf_raw(struct buf *b, const json_t *raw, enum esc esc)
{
    const char *key;
    json_t *item;
    int i = 0;

    json_object_foreach((json_t *)(uintptr_t)raw, key, item)
    {
        if (strcmp(key, "slug") == 0)
            continue;
        if (i++ > 0)
            buf_char(b, ',');
        buf_jstr(b, key, esc);
        buf_char(b, ':');
        buf_value(b, item, esc);
    }
    if (i == 0)
        buf_str(b, "\"value\":null");
}

static bool
cf_as_array(const struct issue *is)
{
    const char *pinned = json_string_value(json_object_get(is->extra, "custom_fields_shape"));

    if (pinned != NULL)
        return strcmp(pinned, "array") == 0;
    return (is->seed >> 30) % 20 == 0;
}

static bool
put_custom_fields(struct buf *b, struct view *v)
{
    struct pylon_cf cf[CF_MAX];
    int n = pylon_custom_fields(v->is, cf);
    bool array = cf_as_array(v->is), named = rng_chance(&v->dice, 300);

    buf_char(b, array ? '[' : '{');
    for (int i = 0; i < n; i++) {
        if (i > 0)
            buf_char(b, ',');
        if (!array) {
            buf_jstr(b, cf[i].slug, v->esc);
            buf_char(b, ':');
        }
        buf_char(b, '{');
        if (array || named) {
            buf_str(b, "\"slug\":");
            buf_jstr(b, cf[i].slug, v->esc);
            buf_char(b, ',');
        }
        if (cf[i].raw != NULL)
            put_cf_raw(b, cf[i].raw, v->esc);
        else
            put_cf_members(b, &cf[i], v->esc);
        buf_char(b, '}');
    }
    buf_char(b, array ? ']' : '}');
    return true;
}

/* -- fields of an issue -- */

static bool
put_text(struct buf *b, struct view *v, void (*make)(struct buf *, uint64_t), uint64_t seed)
{
    struct buf text = { 0 };

    make(&text, seed);
    buf_json(b, text.p, text.len, v->esc);
    buf_fini(&text);
    return true;
}

static bool
put_id(struct buf *b, struct view *v)
{
    buf_jstr(b, v->is->id, ESC_PLAIN);
    return true;
}

static bool
put_number(struct buf *b, struct view *v)
{
    buf_i64(b, v->is->number);
    return true;
}

static bool
put_title(struct buf *b, struct view *v)
{
    return put_text(b, v, text_title, v->is->seed ^ 11);
}

static bool
put_link(struct buf *b, struct view *v)
{
    buf_str(b, "\"https://app.usepylon.com/issues?issueNumber=");
    buf_i64(b, v->is->number);
    buf_char(b, '"');
    return true;
}

static bool
put_body(struct buf *b, struct view *v)
{
    struct buf text = { 0 };

    text_body_html(&text, v->is->seed ^ 12, v->w->body_bytes);
    buf_json(b, text.p, text.len, v->esc);
    buf_fini(&text);
    return true;
}

static bool
put_state(struct buf *b, struct view *v)
{
    buf_jstr(b, v->is->state, v->esc);
    return true;
}

/* The ids that other systems know an account by: null for most. */
static void
put_external_ids(struct buf *b, const struct world *w, int account)
{
    struct rng r = { w->accounts[account].seed ^ 5 };

    if (!rng_chance(&r, 300))
        buf_str(b, "null");
    else
        buf_printf(b, "[{\"external_id\":\"crm-%d\",\"label\":\"CRM \\\"main\\\"\"}]", account + 1);
}

static bool
put_issue_account(struct buf *b, struct view *v)
{
    if (v->is->account == NOBODY) {
        buf_str(b, "null");
        return true;
    }
    buf_str(b, "{\"id\":");
    buf_jstr(b, v->w->accounts[v->is->account].id, ESC_PLAIN);
    buf_str(b, ",\"external_ids\":");
    put_external_ids(b, v->w, v->is->account);
    buf_char(b, '}');
    return true;
}

static void
put_person(struct buf *b, const char *id, const char *email, enum esc esc)
{
    buf_str(b, "{\"id\":");
    buf_jstr(b, id, ESC_PLAIN);
    if (email != NULL && *email != '\0') {
        buf_str(b, ",\"email\":");
        buf_jstr(b, email, esc);
    }
    buf_char(b, '}');
}

static bool
put_assignee(struct buf *b, struct view *v)
{
    const struct user *u = v->is->assignee != NOBODY ? &v->w->users[v->is->assignee] : NULL;

    if (u == NULL)
        buf_str(b, "null");
    else
        put_person(b, u->id, rng_chance(&v->dice, 900) ? u->email : NULL, v->esc);
    return true;
}

static bool
put_requester(struct buf *b, struct view *v)
{
    const struct contact *c = v->is->requester != NOBODY ? &v->w->contacts[v->is->requester] : NULL;

    if (c == NULL)
        buf_str(b, "null");
    else
        put_person(b, c->id, rng_chance(&v->dice, 900) ? c->email : NULL, v->esc);
    return true;
}

static bool
put_issue_team(struct buf *b, struct view *v)
{
    if (v->is->team == NOBODY)
        buf_str(b, "null");
    else
        put_person(b, v->w->teams[v->is->team].id, NULL, v->esc);
    return true;
}

static bool
put_tags(struct buf *b, struct view *v)
{
    const char *tags[TAGS_MAX];
    int n = text_tags(v->is->seed ^ 14, tags);

    if (n == 0) {
        buf_str(b, rng_chance(&v->dice, 900) ? "null" : "[]");
        return true;
    }
    for (int i = 0; i < n; i++) {
        buf_char(b, i == 0 ? '[' : ',');
        buf_jstr(b, tags[i], v->esc);
    }
    buf_char(b, ']');
    return true;
}

#define TIME_FIELD(name, member)                    \
    static bool name(struct buf *b, struct view *v) \
    {                                               \
        simtime_put(b, v->is->member);              \
        return true;                                \
    }
TIME_FIELD(put_first_response, first_response)
TIME_FIELD(put_resolution, resolution)
TIME_FIELD(put_first_resolution, first_resolution)
TIME_FIELD(put_latest_message, latest_message)
TIME_FIELD(put_created, created)
TIME_FIELD(put_updated, updated)

static bool
put_bool_rarely(struct buf *b, struct view *v)
{
    buf_str(b, rng_chance(&v->dice, 80) ? "true" : "false");
    return true;
}

static bool
put_bool_often(struct buf *b, struct view *v)
{
    buf_str(b, rng_chance(&v->dice, 600) ? "true" : "false");
    return true;
}

static bool
put_source(struct buf *b, struct view *v)
{
    buf_jstr(b, v->is->source, v->esc);
    return true;
}

/* Older replies began the type with a capital. */
static bool
put_type(struct buf *b, struct view *v)
{
    const char *type = v->is->type;

    if (rng_chance(&v->dice, 20) && strcmp(type, "ticket") == 0)
        type = "Ticket";
    buf_jstr(b, type, v->esc);
    return true;
}

static int64_t
seconds_between(int64_t from, int64_t to)
{
    return (to - from) / USEC;
}

static bool
put_first_response_seconds(struct buf *b, struct view *v)
{
    if (v->is->first_response == TIME_NONE)
        return false;
    buf_i64(b, seconds_between(v->is->created, v->is->first_response));
    return true;
}

static bool
put_first_response_business(struct buf *b, struct view *v)
{
    if (v->is->first_response == TIME_NONE)
        return false;
    buf_i64(b, seconds_between(v->is->created, v->is->first_response) * 2 / 5);
    return true;
}

static bool
put_resolution_seconds(struct buf *b, struct view *v)
{
    if (v->is->first_resolution == TIME_NONE || v->is->resolution == TIME_NONE)
        return false;
    buf_i64(b, seconds_between(v->is->created, v->is->resolution));
    return true;
}

static bool
put_resolution_business(struct buf *b, struct view *v)
{
    if (v->is->first_resolution == TIME_NONE || v->is->resolution == TIME_NONE)
        return false;
    buf_i64(b, seconds_between(v->is->created, v->is->resolution) * 2 / 5);
    return true;
}

static bool
put_touches(struct buf *b, struct view *v)
{
    buf_i64(b, v->is->touches);
    return true;
}

static void
put_status_times(struct buf *b, const struct issue *is, int64_t part, int64_t whole)
{
    int64_t all = seconds_between(is->created, is->updated) * part / whole;
    int64_t first = is->first_response != TIME_NONE
                        ? seconds_between(is->created, is->first_response) * part / whole
                        : all / 4;

    if (strcmp(is->state, "new") == 0) {
        buf_printf(b, "{\"new\":%lld}", (long long)all);
        return;
    }
    buf_printf(b, "{\"new\":%lld,\"waiting_on_customer\":%lld,", (long long)first,
               (long long)((all - first) / 3));
    if (strcmp(is->state, "waiting_on_customer") != 0) {
        buf_jstr(b, is->state, ESC_PLAIN);
        buf_printf(b, ":%lld}", (long long)(all - first - (all - first) / 3));
    } else {
        buf_printf(b, "\"waiting_on_you\":%lld}", (long long)(all - first - (all - first) / 3));
    }
}

static bool
put_time_in_status(struct buf *b, struct view *v)
{
    put_status_times(b, v->is, 1, 1);
    return true;
}

static bool
put_business_in_status(struct buf *b, struct view *v)
{
    put_status_times(b, v->is, 2, 5);
    return true;
}

/* Optional ones: absent for most, null for a few. */
static bool
put_breach(struct buf *b, struct view *v)
{
    uint32_t die = rng_below(&v->dice, 100);

    if (die >= 25)
        return false;
    simtime_put(b, die < 3 ? TIME_NONE : v->is->created + (int64_t)(1 + die) * HOUR_US);
    return true;
}

static bool
put_snoozed(struct buf *b, struct view *v)
{
    if (strcmp(v->is->state, "on_hold") != 0 || rng_chance(&v->dice, 400))
        return false;
    simtime_put(b, v->is->updated + rng_between(&v->dice, 1, 20) * DAY_US);
    return true;
}

static bool
put_attachments(struct buf *b, struct view *v)
{
    uint32_t die = rng_below(&v->dice, 100);

    if (die >= 15)
        return false;
    if (die < 2)
        buf_str(b, "null");
    else
        buf_printf(b, "[\"https://assets.vendor.example/f/%lld/r%%C3%%A9sum%%C3%%A9.pdf?sig=%u\"]",
                   (long long)v->is->number, rng_below(&v->dice, 99999));
    return true;
}

static bool
put_external_issues(struct buf *b, struct view *v)
{
    if (!rng_chance(&v->dice, 80))
        return false;
    buf_printf(
        b, "[{\"source\":\"linear\",\"external_id\":\"ENG-%u\",\"link\":\"https://tracker.example/ENG\"}]",
        rng_below(&v->dice, 5000));
    return true;
}

static bool
put_csat(struct buf *b, struct view *v)
{
    static const char *const comments[] = { "Great, thanks!", "slow…", "👍", "",
                                            "He said \"wait\"\nand I did" };

    if (v->is->resolution == TIME_NONE || !rng_chance(&v->dice, 150))
        return false;
    buf_printf(b, "[{\"score\":%u,\"comment\":", 1 + rng_below(&v->dice, 5));
    buf_jstr(b, comments[rng_below(&v->dice, COUNT(comments))], v->esc);
    buf_str(b, "}]");
    return true;
}

static bool
put_slack(struct buf *b, struct view *v)
{
    if (strcmp(v->is->source, "slack") != 0)
        return false;
    buf_printf(b, "{\"channel_id\":\"C%06u\",\"message_ts\":\"%lld.000200\",\"workspace_id\":\"T0SIM\"}",
               rng_below(&v->dice, 999999), (long long)(v->is->created / USEC));
    return true;
}

static bool
put_chat_widget(struct buf *b, struct view *v)
{
    if (strcmp(v->is->source, "chat_widget") != 0)
        return false;
    buf_printf(b, "{\"page_url\":\"https://app.client.example/settings?tab=%u&ref=mail\"}",
               rng_below(&v->dice, 9));
    return true;
}

static bool
put_workspace_email(struct buf *b, struct view *v)
{
    if (strcmp(v->is->source, "email") != 0)
        return false;
    buf_jstr(b, "help@vendor.example", v->esc);
    return true;
}

static bool
put_team_slas(struct buf *b, struct view *v)
{
    if (v->is->team == NOBODY || v->is->first_response == TIME_NONE || !rng_chance(&v->dice, 200))
        return false;
    buf_printf(b, "[{\"team_id\":\"%s\",\"first_response\":{\"time\":", v->w->teams[v->is->team].id);
    simtime_put(b, v->is->first_response);
    buf_printf(b, ",\"seconds\":%lld,\"business_hours_seconds\":%lld}}]",
               (long long)seconds_between(v->is->created, v->is->first_response),
               (long long)seconds_between(v->is->created, v->is->first_response) * 2 / 5);
    return true;
}

static const struct field issue_fields[] = {
    { "id", put_id },
    { "number", put_number },
    { "title", put_title },
    { "link", put_link },
    { "body_html", put_body },
    { "state", put_state },
    { "account", put_issue_account },
    { "assignee", put_assignee },
    { "requester", put_requester },
    { "team", put_issue_team },
    { "tags", put_tags },
    { "custom_fields", put_custom_fields },
    { "first_response_time", put_first_response },
    { "resolution_time", put_resolution },
    { "first_resolution_time", put_first_resolution },
    { "latest_message_time", put_latest_message },
    { "created_at", put_created },
    { "updated_at", put_updated },
    { "customer_portal_visible", put_bool_often },
    { "source", put_source },
    { "slack", put_slack },
    { "type", put_type },
    { "is_issue_group", put_bool_rarely },
    { "first_response_seconds", put_first_response_seconds },
    { "business_hours_first_response_seconds", put_first_response_business },
    { "resolution_seconds", put_resolution_seconds },
    { "business_hours_resolution_seconds", put_resolution_business },
    { "number_of_touches", put_touches },
    { "author_unverified", put_bool_rarely },
    { "time_in_status_seconds", put_time_in_status },
    { "business_hours_time_in_status_seconds", put_business_in_status },
    { "first_response_breach_time", put_breach },
    { "resolution_breach_time", put_breach },
    { "snoozed_until_time", put_snoozed },
    { "attachment_urls", put_attachments },
    { "external_issues", put_external_issues },
    { "csat_responses", put_csat },
    { "chat_widget_info", put_chat_widget },
    { "workspace_email", put_workspace_email },
    { "team_slas", put_team_slas },
};

static bool
is_row(const struct field *fields, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i].name, name) == 0)
            return true;
    return false;
}

/* Writes the object: the rows in their order, then whatever else an edit has put in. */
static void
put_object(struct buf *b, struct view *v, const struct field *fields, size_t n, uint64_t seed,
           const json_t *extra)
{
    const char *key;
    json_t *given;

    buf_char(b, '{');
    for (size_t i = 0; i < n; i++) {
        size_t before = b->len;

        if (i > 0)
            buf_char(b, ',');
        buf_jstr(b, fields[i].name, ESC_PLAIN);
        buf_char(b, ':');
        given = extra != NULL ? json_object_get(extra, fields[i].name) : NULL;
        v->dice.s = seed + i * UINT64_C(0x632be59bd9b4e019);
        if (given != NULL)
            buf_value(b, given, v->esc);
        else if (!fields[i].put(b, v))
            b->len = before;
    }
    json_object_foreach((json_t *)(uintptr_t)extra, key, given)
    {
        if (is_row(fields, n, key) || strcmp(key, "custom_fields_shape") == 0)
            continue;
        buf_char(b, ',');
        buf_jstr(b, key, v->esc);
        buf_char(b, ':');
        buf_value(b, given, v->esc);
    }
    buf_char(b, '}');
}

struct blob *
pylon_issue(const struct world *w, struct issue *is)
{
    struct view v = { .w = w, .is = is, .esc = esc_of(is->seed) };
    struct buf b = { 0 };

    if (is->render == NULL) {
        buf_room(&b, 2048 + (size_t)w->body_bytes * 2);
        put_object(&b, &v, issue_fields, COUNT(issue_fields), is->seed, is->extra);
        is->render = blob_make(&b);
        buf_fini(&b);
    }
    return is->render;
}

/* -- messages -- */

static const struct user *
message_user(struct view *v)
{
    struct rng r = { v->m->seed ^ 21 };

    if (v->w->nusers == 0)
        return NULL;
    if (v->is->assignee != NOBODY && rng_chance(&r, 800))
        return &v->w->users[v->is->assignee];
    return &v->w->users[rng_below(&r, (uint32_t)v->w->nusers)];
}

static const struct contact *
message_contact(struct view *v)
{
    struct rng r = { v->m->seed ^ 22 };

    if (v->w->ncontacts == 0)
        return NULL;
    return &v->w->contacts[v->is->requester != NOBODY ? (uint32_t)v->is->requester
                                                      : rng_below(&r, (uint32_t)v->w->ncontacts)];
}

static void
put_author_as(struct buf *b, struct view *v, const char *key, const char *id, const char *email,
              uint64_t seed)
{
    buf_str(b, "{\"name\":");
    (void)put_text(b, v, text_person, seed);
    buf_printf(b, ",\"avatar_url\":\"\",\"%s\":", key);
    put_person(b, id, email, v->esc);
    buf_char(b, '}');
}

static bool
put_author(struct buf *b, struct view *v)
{
    const struct user *u = v->m->kind == MSG_USER ? message_user(v) : NULL;
    const struct contact *c = v->m->kind == MSG_CONTACT ? message_contact(v) : NULL;

    if (u != NULL)
        put_author_as(b, v, "user", u->id, u->email, u->seed ^ 31);
    else if (c != NULL)
        put_author_as(b, v, "contact", c->id, c->email, c->seed ^ 31);
    else
        buf_str(b, rng_chance(&v->dice, 500)
                       ? "{\"name\":\"Auto-reply\",\"avatar_url\":\"\"}"
                       : "{\"name\":\"\",\"avatar_url\":\"\",\"user\":null,\"contact\":null}");
    return true;
}

static bool
put_message_id(struct buf *b, struct view *v)
{
    buf_jstr(b, v->m->id, ESC_PLAIN);
    return true;
}

static bool
put_message_html(struct buf *b, struct view *v)
{
    return put_text(b, v, text_message_html, v->m->seed ^ 23);
}

static bool
put_is_private(struct buf *b, struct view *v)
{
    buf_str(b, v->m->is_private ? "true" : "false");
    return true;
}

static bool
put_thread_id(struct buf *b, struct view *v)
{
    if (!v->m->is_private)
        return false;
    buf_printf(b, "\"th-%08x\"", rng_below(&v->dice, UINT32_MAX));
    return true;
}

static bool
put_timestamp(struct buf *b, struct view *v)
{
    simtime_put(b, v->m->at);
    return true;
}

static bool
put_file_urls(struct buf *b, struct view *v)
{
    uint32_t die = rng_below(&v->dice, 100);

    if (die >= 20)
        return false;
    if (die < 10)
        buf_str(b, "null");
    else
        buf_printf(b, "[\"https://assets.vendor.example/m/%u.png\"]", die);
    return true;
}

static bool
put_email_info(struct buf *b, struct view *v)
{
    const struct user *u = message_user(v);
    const struct contact *c = message_contact(v);
    const char *agent = u != NULL ? u->email : "help@vendor.example";
    const char *customer = c != NULL && c->email[0] != '\0' ? c->email : "unknown@client.example";
    bool out = v->m->kind == MSG_USER;

    if (strcmp(v->is->source, "email") != 0 || v->m->is_private)
        return false;
    buf_str(b, "{\"from_email\":");
    buf_jstr(b, out ? agent : customer, v->esc);
    buf_str(b, ",\"to_emails\":[");
    buf_jstr(b, out ? customer : "help@vendor.example", v->esc);
    buf_printf(b, "],\"cc_emails\":%s,\"bcc_emails\":null,\"message_id\":\"<%llx@vendor.example>\"}",
               rng_chance(&v->dice, 200) ? "[\"boss@client.example\"]" : "[]",
               (unsigned long long)v->m->seed);
    return true;
}

static const struct field message_fields[] = {
    { "id", put_message_id },         { "author", put_author },       { "message_html", put_message_html },
    { "is_private", put_is_private }, { "source", put_source },       { "thread_id", put_thread_id },
    { "timestamp", put_timestamp },   { "file_urls", put_file_urls }, { "email_info", put_email_info },
};

void
pylon_put_message(struct buf *b, const struct world *w, const struct issue *is, const struct msg *m)
{
    struct view v = { .w = w, .is = is, .m = m, .esc = esc_of(m->seed) };

    put_object(b, &v, message_fields, COUNT(message_fields), m->seed, m->extra);
}

/* -- the others, which never change -- */

static void
put_named(struct buf *b, const char *id, void (*make)(struct buf *, uint64_t), uint64_t seed)
{
    struct view v = { .esc = esc_of(seed) };

    buf_str(b, "{\"id\":");
    buf_jstr(b, id, ESC_PLAIN);
    buf_str(b, ",\"name\":");
    (void)put_text(b, &v, make, seed ^ 31);
}

void
pylon_put_account(struct buf *b, const struct world *w, int i)
{
    static const char *const types[] = { "customer", "customer", "partner", "prospect" };
    const struct account *a = &w->accounts[i];
    struct rng r = { a->seed ^ 6 };
    const struct user *owner =
        w->nusers > 0 && rng_chance(&r, 600) ? &w->users[rng_below(&r, (uint32_t)w->nusers)] : NULL;

    put_named(b, a->id, text_company, a->seed);
    buf_str(b, ",\"logo_url\":\"\",\"owner\":");
    if (owner != NULL)
        put_person(b, owner->id, owner->email, ESC_PLAIN);
    else
        buf_str(b, "null");
    buf_printf(
        b,
        ",\"domain\":\"client%d.example\",\"primary_domain\":\"client%d.example\",\"domains\":[\"client%d.example\"]",
        i + 1, i + 1, i + 1);
    buf_printf(b, ",\"type\":\"%s\",\"channels\":", types[rng_below(&r, COUNT(types))]);
    if (rng_chance(&r, 300))
        buf_printf(
            b, "[{\"channel_id\":\"C%05d\",\"source\":\"slack\",\"is_primary\":true,\"is_internal\":false}]",
            i);
    else
        buf_str(b, "null");
    buf_str(b, ",\"created_at\":");
    simtime_put(b, a->created);
    buf_str(b, ",\"updated_at\":");
    simtime_put(b, a->updated);
    buf_str(b, rng_chance(&r, 300) ? ",\"tags\":[\"enterprise\",\"EU, \\\"west\\\"\"]" : ",\"tags\":null");
    buf_printf(b, ",\"custom_fields\":{%s}", rng_chance(&r, 400) ? "\"plan\":{\"value\":\"business\"}" : "");
    buf_str(b, ",\"latest_customer_activity_time\":");
    simtime_put(b, rng_chance(&r, 800) ? a->updated : TIME_NONE);
    buf_str(b, ",\"external_ids\":");
    put_external_ids(b, w, i);
    if (rng_chance(&r, 150))
        buf_printf(b, ",\"crm_settings\":{\"details\":[{\"source\":\"salesforce\",\"id\":\"sf%d\"}]}", i);
    buf_printf(b, ",\"is_disabled\":%s}", rng_chance(&r, 40) ? "true" : "false");
}

static void
put_emails(struct buf *b, const char *email)
{
    buf_str(b, ",\"email\":");
    buf_jstr(b, email, ESC_PLAIN);
    if (*email == '\0') {
        buf_str(b, ",\"emails\":null");
        return;
    }
    buf_str(b, ",\"emails\":[");
    buf_jstr(b, email, ESC_PLAIN);
    buf_char(b, ']');
}

void
pylon_put_user(struct buf *b, const struct world *w, int i)
{
    static const char *const statuses_of_users[] = { "active", "active", "away", "out_of_office" };
    const struct user *u = &w->users[i];
    struct rng r = { u->seed ^ 6 };

    put_named(b, u->id, text_person, u->seed);
    put_emails(b, u->email);
    buf_printf(b, ",\"avatar_url\":\"\",\"role_id\":\"role-%u\",\"status\":\"%s\",\"is_deactivated\":false}",
               rng_below(&r, 3), statuses_of_users[rng_below(&r, COUNT(statuses_of_users))]);
}

void
pylon_put_contact(struct buf *b, const struct world *w, int i)
{
    static const char *const roles[] = { "no_access", "no_access", "member", "admin" };
    const struct contact *c = &w->contacts[i];
    struct rng r = { c->seed ^ 6 };

    put_named(b, c->id, text_person, c->seed);
    put_emails(b, c->email);
    buf_str(b, ",\"account\":");
    if (c->account == NOBODY) {
        buf_str(b, "null");
    } else {
        buf_printf(b, "{\"id\":\"%s\",\"external_ids\":", w->accounts[c->account].id);
        put_external_ids(b, w, c->account);
        buf_char(b, '}');
    }
    buf_printf(b, ",\"avatar_url\":\"\",\"custom_fields\":{},\"portal_role\":\"%s\"",
               roles[rng_below(&r, COUNT(roles))]);
    if (*c->email == '\0')
        buf_printf(b, ",\"phone_numbers\":[\"+4930%06d\"],\"primary_phone_number\":\"+4930%06d\"", i, i);
    buf_char(b, '}');
}

void
pylon_put_team(struct buf *b, const struct world *w, int i)
{
    const struct team *t = &w->teams[i];
    bool first = true;

    buf_printf(b, "{\"id\":\"%s\",\"name\":", t->id);
    buf_jstr(b, t->name, ESC_PLAIN);
    buf_str(b, ",\"users\":[");
    for (int u = i; u < w->nusers; u += TEAMS) {
        if (!first)
            buf_char(b, ',');
        first = false;
        put_person(b, w->users[u].id, w->users[u].email, ESC_PLAIN);
    }
    buf_str(b, "]}");
}

void
pylon_put_status(struct buf *b, const struct world *w, int i)
{
    const struct status *s = &statuses[i];

    (void)w;
    buf_printf(
        b,
        "{\"slug\":\"%s\",\"label\":\"%s\",\"category\":\"%s\",\"is_default_status\":%s,\"is_archived\":%s}",
        s->slug, s->label, s->category, s->is_default ? "true" : "false", s->is_archived ? "true" : "false");
}
