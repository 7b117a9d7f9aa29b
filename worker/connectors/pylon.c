/* worker/connectors/pylon.c - Pylon (usepylon.com).
 *
 * What of its habits shows here: the cursor belongs into the body of a search (in the query it is ignored and
 * page 1 comes back); the last page comes with an empty cursor, with none, or without `pagination`; an empty
 * list may come without `data`; missing and null mean the same; whether the bounds of a time filter are
 * included is not documented, so they are taken as excluded and as exact to the second only. */
#include "common/clock.h"
#include "common/htmltext.h"
#include "worker/connectors/map.h"
#include "worker/integration.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 512 /* custom fields of one issue; more than any workspace can define */

enum { BUDGET_SEARCH, BUDGET_MESSAGES, BUDGET_ACCOUNTS, BUDGET_CONTACTS, BUDGET_USERS };

/* Assumed: the lowest limits that Pylon was ever known to have. It has raised them without notice, and says
 * what is left in each answer: believed up to here. */
enum { LEARN_MAX = 6000 };
static const struct budget_class classes[] = {
    [BUDGET_SEARCH] = { "search", 20, LEARN_MAX },     [BUDGET_MESSAGES] = { "messages", 20, LEARN_MAX },
    [BUDGET_ACCOUNTS] = { "accounts", 60, LEARN_MAX }, [BUDGET_CONTACTS] = { "contacts", 60, LEARN_MAX },
    [BUDGET_USERS] = { "users", 60, LEARN_MAX },
};

/* ---- asking ---- */

static void
put_time(struct buf *b, int64_t t)
{
    char text[CLOCK_TEXT];

    buf_printf(b, "\"%s\"", clock_format(t, text));
}

/* Whole seconds, widened by one: right whether the server's bounds are included or not, and exact or cut to
 * the second. */
static int64_t
just_before(int64_t t)
{
    return t - (t % CLOCK_SECOND + CLOCK_SECOND) % CLOCK_SECOND - CLOCK_SECOND;
}

static int64_t
just_after(int64_t t)
{
    return just_before(t - 1) + 3 * CLOCK_SECOND;
}

static void
put_bound(struct buf *b, const char *field, const char *operator, int64_t t)
{
    buf_printf(b, "{\"field\":\"%s\",\"operator\":\"%s\",\"value\":", field, operator);
    put_time(b, t);
    buf_putc(b, '}');
}

static void
put_filter(struct buf *b, const struct call *c)
{
    const char *field = c->axis == AXIS_CREATED ? "created_at" : "updated_at";

    if (c->from == DB_NO_TIME) {
        put_bound(b, field, "time_is_before", just_after(c->to));
    } else if (c->to == DB_NO_TIME) {
        put_bound(b, field, "time_is_after", just_before(c->from));
    } else if (c->axis == AXIS_UPDATED) {
        buf_printf(b, "{\"field\":\"%s\",\"operator\":\"time_range\",\"values\":[", field);
        put_time(b, just_before(c->from));
        buf_putc(b, ',');
        put_time(b, just_after(c->to));
        buf_puts(b, "]}");
    } else { /* two bounds, because a time_range may not span the 30 days and 2 seconds of a widened chunk */
        buf_puts(b, "{\"operator\":\"and\",\"subfilters\":[");
        put_bound(b, field, "time_is_after", just_before(c->from));
        buf_putc(b, ',');
        put_bound(b, field, "time_is_before", just_after(c->to));
        buf_puts(b, "]}");
    }
}

static void
put_search(struct buf *b, const struct call *c, int limit)
{
    buf_puts(b, "{\"filter\":");
    put_filter(b, c);
    buf_printf(b, ",\"limit\":%d", limit);
    if (c->cursor != NULL) {
        buf_puts(b, ",\"cursor\":");
        buf_put_json_string(b, c->cursor, strlen(c->cursor));
    }
    buf_putc(b, '}');
}

static void
put_paging(struct buf *url, const struct call *c, int limit)
{
    buf_printf(url, "?limit=%d", limit);
    if (c->cursor != NULL) {
        buf_puts(url, "&cursor=");
        http_escape(url, c->cursor);
    }
}

static enum rc
build(const struct integration *in, const struct call *c, struct request *out, struct err *err)
{
    int limit = c->limit > 0 ? c->limit : in->page_size;

    buf_reset(&out->url);
    buf_reset(&out->body);
    buf_reset(&out->auth);
    buf_puts(&out->url, in->base_url);
    switch (c->kind) {
    case CALL_ISSUES:
        buf_puts(&out->url, "/issues/search");
        put_search(&out->body, c, limit);
        break;
    case CALL_ACCOUNTS:
        buf_puts(&out->url, "/accounts");
        put_paging(&out->url, c, limit);
        break;
    case CALL_CONTACTS:
        buf_puts(&out->url, "/contacts");
        put_paging(&out->url, c, limit);
        break;
    case CALL_AGENTS: /* people who left still have issues; servers that don't know the parameter ignore it */
        buf_puts(&out->url, "/users?include_deactivated=true");
        break;
    case CALL_MESSAGES:
        buf_puts(&out->url, "/issues/");
        http_escape(&out->url, c->issue_id);
        buf_puts(&out->url, "/messages");
        if (c->cursor != NULL)
            put_paging(&out->url, c, 1000);
        break; /* the first call names neither limit nor cursor: then all come at once */
    case CALL_COUNT:
        assert(false);
    }
    buf_printf(&out->auth, "Authorization: Bearer %s", in->token);
    if (out->url.failed || out->body.failed || out->auth.failed)
        return err_set(err, RC_LIMIT, "%s: the request is too long", in->connector->endpoints[c->kind].label);
    out->http = (struct http_req){ .method = out->body.len > 0 ? "POST" : "GET",
                                   .url = out->url.data,
                                   .headers = { out->auth.data, "Accept: application/json" },
                                   .body = out->body.len > 0 ? out->body.data : NULL,
                                   .body_len = out->body.len };
    return RC_OK;
}

/* ---- custom fields ---- */

/* The canonical columns among the custom fields; the rest stays together as JSON. */
static const struct {
    const char *slug;
    int col;
} field_columns[] = {
    { "priority", COL_issues_priority },
    { "category", COL_issues_category },
    { "handler", COL_issues_handler },
    { "resolution-type", COL_issues_resolution_type },
    { "self-servable", COL_issues_self_servable },
};

struct field {
    const char *slug;
    size_t slug_len, nth;
    struct doc_value value;
};

/* {value, values}: a multi-select has both, and its value is then mostly "". */
static struct doc_value
field_value(struct doc_value v)
{
    struct doc_value one, many;
    size_t len = 0;

    if (v.type != DOC_OBJECT)
        return v;
    one = doc_get(v, "value");
    many = doc_get(v, "values");
    if (one.type == DOC_NULL || (doc_string(one, &len) != NULL && len == 0))
        return doc_len(many) > 0 ? many : one;
    return one;
}

/* Several values in a column for one: joined by ", ". */
static void
put_joined(struct record *r, int col, struct doc_value values, const char *slug)
{
    size_t at = r->scratch.len, len = 0;
    const char *s;

    for (struct doc_iter it = doc_iter(values); doc_next(&it);) {
        if ((s = doc_string(it.value, &len)) == NULL || memchr(s, '\0', len) != NULL) {
            record_unreadable(r, slug);
            continue;
        }
        if (r->scratch.len > at)
            buf_puts(&r->scratch, ", ");
        buf_put(&r->scratch, s, len);
    }
    if (r->scratch.len - at <= RECORD_KEY_MAX)
        record_set_scratch(r, col, at);
    else
        record_unreadable(r, slug);
}

static bool
put_field_column(struct record *r, const struct field *f)
{
    for (size_t i = 0; i < COUNT_OF(field_columns); i++) {
        const char *slug = field_columns[i].slug;

        if (strlen(slug) != f->slug_len || memcmp(slug, f->slug, f->slug_len) != 0)
            continue;
        if (f->value.type == DOC_ARRAY)
            put_joined(r, field_columns[i].col, f->value, slug);
        else
            record_set(r, field_columns[i].col, f->value, slug);
        return true;
    }
    return false;
}

static int
compare_fields(const void *a, const void *b)
{
    const struct field *x = a, *y = b;
    size_t n = x->slug_len < y->slug_len ? x->slug_len : y->slug_len;
    int d = memcmp(x->slug, y->slug, n);

    if (d != 0)
        return d;
    if (x->slug_len != y->slug_len)
        return x->slug_len < y->slug_len ? -1 : 1;
    return x->nth < y->nth ? -1 : x->nth > y->nth;
}

static bool
same_slug(const struct field *x, const struct field *y)
{
    return x->slug_len == y->slug_len && memcmp(x->slug, y->slug, x->slug_len) == 0;
}

/* Sorted by slug, so that the same fields in another order or in the other shape are the same row. Of a slug
 * that comes twice the last counts. */
static void
put_other_fields(struct record *r, struct field *f, size_t n)
{
    size_t at = r->scratch.len;

    qsort(f, n, sizeof f[0], compare_fields);
    buf_putc(&r->scratch, '{');
    for (size_t i = 0; i < n; i++) {
        if ((i + 1 < n && same_slug(&f[i], &f[i + 1])) || f[i].value.type == DOC_NULL)
            continue; /* null means what missing means */
        if (r->scratch.len > at + 1)
            buf_putc(&r->scratch, ',');
        buf_put_json_string(&r->scratch, f[i].slug, f[i].slug_len);
        buf_putc(&r->scratch, ':');
        doc_write(f[i].value, &r->scratch);
    }
    buf_putc(&r->scratch, '}');
    record_set_scratch(r, COL_issues_custom_fields, at);
}

/* Both shapes: an object keyed by slug, and an array of {slug, value}. */
static bool
read_field(const struct doc_iter *it, struct field *f)
{
    f->slug = it->key;
    f->slug_len = it->key_len;
    if (!it->object)
        f->slug = doc_string(doc_get(it->value, "slug"), &f->slug_len);
    f->value = field_value(it->value);
    return f->slug != NULL && f->slug_len > 0;
}

static void
put_custom_fields(struct record *r, struct doc_value v)
{
    struct field fields[FIELDS_MAX], f;
    size_t n = 0;

    if (v.type == DOC_NULL)
        return;
    if (v.type != DOC_OBJECT && v.type != DOC_ARRAY) {
        record_unreadable(r, "custom_fields");
        return;
    }
    for (struct doc_iter it = doc_iter(v); doc_next(&it);) {
        f = (struct field){ .nth = n };
        if (!read_field(&it, &f) || n == COUNT_OF(fields))
            record_unreadable(r, "custom_fields");
        else if (!put_field_column(r, &f))
            fields[n++] = f;
    }
    put_other_fields(r, fields, n);
}

/* ---- the mapping tables; README.md shows them to people ---- */

/* Ids are strings here, so one that is not belongs to no record of Pylon's. */
static void
put_id(struct record *r, struct doc_value v)
{
    if (v.type == DOC_STRING)
        record_set(r, 0, v, "id");
    else
        record_unreadable(r, "id");
}

static const struct map issue_map[] = {
    MAP_CALL("id", put_id),
    MAP("number", COL_issues_number),
    MAP("title", COL_issues_title),
    MAP("link", COL_issues_link),
    MAP("body_html", COL_issues_body_html),
    MAP("state", COL_issues_state),
    MAP("source", COL_issues_source),
    MAP("type", COL_issues_type),
    MAP_PATH("account", "id", COL_issues_account_id),
    MAP_PATH("assignee", "id", COL_issues_assignee_id),
    MAP_PATH("requester", "id", COL_issues_requester_id),
    MAP_PATH("team", "id", COL_issues_team_id),
    MAP("tags", COL_issues_tags),
    MAP_CALL("custom_fields", put_custom_fields),
    MAP("created_at", COL_issues_created_at),
    MAP("updated_at", COL_issues_updated_at),
    MAP("closed_at", COL_issues_closed_at),
    MAP("latest_message_time", COL_issues_latest_message_time),
    MAP("first_response_time", COL_issues_first_response_at),
    MAP("first_response_seconds", COL_issues_first_response_seconds),
    MAP("business_hours_first_response_seconds", COL_issues_business_hours_first_response_seconds),
    MAP("resolution_time", COL_issues_resolution_at),
    MAP("resolution_seconds", COL_issues_resolution_seconds),
    MAP("business_hours_resolution_seconds", COL_issues_business_hours_resolution_seconds),
    MAP("number_of_touches", COL_issues_number_of_touches),
    MAP_IGNORE("first_resolution_time"),
    MAP_IGNORE("customer_portal_visible"),
    MAP_IGNORE("author_unverified"),
    MAP_IGNORE("is_issue_group"),
    MAP_IGNORE("time_in_status_seconds"),
    MAP_IGNORE("business_hours_time_in_status_seconds"),
    MAP_IGNORE("first_response_breach_time"),
    MAP_IGNORE("resolution_breach_time"),
    MAP_IGNORE("snoozed_until_time"),
    MAP_IGNORE("attachment_urls"),
    MAP_IGNORE("external_issues"),
    MAP_IGNORE("csat_responses"),
    MAP_IGNORE("slack"),
    MAP_IGNORE("chat_widget_info"),
    MAP_IGNORE("workspace_email"),
    MAP_IGNORE("team_slas"),
};

/* domain is deprecated, but what the account was known by so far. */
static void
put_domain(struct record *r, struct doc_value v)
{
    size_t len = 0;

    if (record_is_null(r, COL_accounts_domain) && !(doc_string(v, &len) != NULL && len == 0))
        record_set(r, COL_accounts_domain, v, "domain");
}

static void
put_first_domain(struct record *r, struct doc_value v)
{
    struct doc_iter it = doc_iter(v);

    if (doc_next(&it))
        put_domain(r, it.value);
}

static const struct map account_map[] = {
    MAP_CALL("id", put_id),
    MAP("name", COL_accounts_name),
    MAP_CALL("domain", put_domain),
    MAP_CALL("primary_domain", put_domain),
    MAP_CALL("domains", put_first_domain),
    MAP("created_at", COL_accounts_created_at),
    MAP("updated_at", COL_accounts_updated_at),
    MAP_IGNORE("logo_url"),
    MAP_IGNORE("owner"),
    MAP_IGNORE("type"),
    MAP_IGNORE("channels"),
    MAP_IGNORE("tags"),
    MAP_IGNORE("custom_fields"),
    MAP_IGNORE("latest_customer_activity_time"),
    MAP_IGNORE("external_ids"),
    MAP_IGNORE("crm_settings"),
    MAP_IGNORE("is_disabled"),
    MAP_IGNORE("parent_account_id"),
    MAP_IGNORE("subaccount_ids"),
    MAP_IGNORE("associated_account_ids"),
};

static void
put_first_email(struct record *r, struct doc_value v)
{
    struct doc_iter it = doc_iter(v);

    if (record_is_null(r, COL_users_email) && doc_next(&it))
        record_set(r, COL_users_email, it.value, "emails");
}

static const struct map user_map[] = {
    MAP_CALL("id", put_id),
    MAP("name", COL_users_name),
    MAP("email", COL_users_email),
    MAP_CALL("emails", put_first_email),
    MAP_PATH("account", "id", COL_users_account_id), /* contacts only */
    MAP_IGNORE("avatar_url"),
    MAP_IGNORE("role_id"),
    MAP_IGNORE("roles"),
    MAP_IGNORE("status"),
    MAP_IGNORE("is_deactivated"),
    MAP_IGNORE("custom_fields"),
    MAP_IGNORE("external_ids"),
    MAP_IGNORE("integration_user_ids"),
    MAP_IGNORE("phone_numbers"),
    MAP_IGNORE("primary_phone_number"),
    MAP_IGNORE("portal_role"),
    MAP_IGNORE("portal_role_id"),
};

/* `user` is an agent, `contact` a customer; bots have neither. */
static void
put_author(struct record *r, struct doc_value v)
{
    struct doc_value user = doc_get(v, "user"), contact = doc_get(v, "contact");

    record_set(r, COL_messages_sender_name, doc_get(v, "name"), "author.name");
    if (user.type == DOC_OBJECT) {
        record_set_text(r, COL_messages_sender_type, "team", strlen("team"));
        record_set(r, COL_messages_sender_id, doc_get(user, "id"), "author.user.id");
    } else if (contact.type == DOC_OBJECT) {
        record_set_text(r, COL_messages_sender_type, "customer", strlen("customer"));
        record_set(r, COL_messages_sender_id, doc_get(contact, "id"), "author.contact.id");
    }
}

static void
put_message_html(struct record *r, struct doc_value v)
{
    size_t len = 0, at;
    const char *html;

    record_set(r, COL_messages_body_html, v, "message_html");
    if ((html = record_text(r, COL_messages_body_html, &len)) == NULL)
        return;
    at = r->scratch.len;
    if (doc_string(v, &len) != NULL && memchr(doc_string(v, &len), '\0', len) == NULL) {
        htmltext(html, len, &r->scratch);
    } else { /* the cleaned copy is in scratch, which may move while text is appended to it */
        AUTO_FREE char *copy = strndup(html, r->cells[COL_messages_body_html].len);

        if (copy != NULL)
            htmltext(copy, strlen(copy), &r->scratch);
    }
    record_set_scratch(r, COL_messages_body_text, at);
}

static const struct map message_map[] = {
    MAP_CALL("id", put_id),
    MAP_CALL("author", put_author),
    MAP_CALL("message_html", put_message_html),
    MAP("is_private", COL_messages_is_private),
    MAP("source", COL_messages_source),
    MAP("timestamp", COL_messages_created_at),
    MAP_IGNORE("thread_id"),
    MAP_IGNORE("file_urls"),
    MAP_IGNORE("email_info"),
};

static struct map_table issue_table = MAP_TABLE(issue_map), account_table = MAP_TABLE(account_map),
                        user_table = MAP_TABLE(user_map), message_table = MAP_TABLE(message_map);

static void
prepare_tables(void)
{
    map_prepare(&issue_table);
    map_prepare(&account_table);
    map_prepare(&user_table);
    map_prepare(&message_table);
}

/* ---- reading ---- */

static void
read_issue(struct record *r, struct doc_value v)
{
    map_record(&issue_table, r, v);
    /* Pylon gives no closing time; a reopening sets resolution_time back to null. The state would not do:
     * teams have closed states of their own. */
    if (record_is_null(r, COL_issues_closed_at))
        r->cells[COL_issues_closed_at] = r->cells[COL_issues_resolution_at];
}

static void
read_user(struct record *r, struct doc_value v, const char *role)
{
    map_record(&user_table, r, v);
    record_set_text(r, COL_users_role, role, strlen(role));
}

static void
read_message(struct record *r, struct doc_value v, const char *issue_id)
{
    record_set_text(r, COL_messages_sender_type, "system", strlen("system"));
    record_set_number(r, COL_messages_is_private, false);
    map_record(&message_table, r, v);
    if (record_is_null(r, COL_messages_is_private))
        record_set_number(r, COL_messages_is_private, false);
    record_set_text(r, COL_messages_issue_id, issue_id, strlen(issue_id));
}

static void
read_one(const struct call *c, struct record *r, struct doc_value v)
{
    switch (c->kind) {
    case CALL_ISSUES:
        read_issue(r, v);
        break;
    case CALL_ACCOUNTS:
        map_record(&account_table, r, v);
        break;
    case CALL_CONTACTS:
        read_user(r, v, "contact");
        break;
    case CALL_AGENTS:
        read_user(r, v, "agent");
        break;
    case CALL_MESSAGES:
        read_message(r, v, c->issue_id);
        break;
    case CALL_COUNT:
        assert(false);
    }
}

/* An empty list may lack `data`, but then the request's id shows that it is an answer of this API at all. */
static enum rc
check_envelope(struct doc_value root, struct doc_value data, struct err *err)
{
    if (root.type != DOC_OBJECT)
        return err_set(err, RC_PROTOCOL, "the answer is no JSON object");
    if (data.type == DOC_ARRAY || (data.type == DOC_NULL && doc_get(root, "request_id").type == DOC_STRING &&
                                   doc_len(doc_get(root, "errors")) == 0))
        return RC_OK;
    return err_set(err, RC_PROTOCOL,
                   data.type == DOC_NULL ? "the answer has no `data`" : "`data` of the answer is no list");
}

static void
read_cursor(struct doc_value root, struct page *out)
{
    struct doc_value pagination = doc_get(root, "pagination");
    bool more = false;
    size_t len = 0;
    const char *cursor = doc_string(doc_get(pagination, "cursor"), &len);

    if (!doc_bool(doc_get(pagination, "has_next_page"), &more) || !more || cursor == NULL || len == 0)
        return;
    buf_put(&out->cursor, cursor, strlen(cursor));
    out->more = true;
}

/* Records that can't be read are counted and passed over; but if that is all there is, the answer is
 * something else than it should be, and taking it for the end of a list would lose what is behind it. */
static enum rc
check_records(struct doc_value root, const struct page *p, struct err *err)
{
    struct doc_value cursor = doc_path(root, "pagination.cursor");

    if (p->rows.fetched > 0 && p->rows.rejected == p->rows.fetched)
        return err_set(err, RC_PROTOCOL, "none of the %lld records has an id", (long long)p->rows.fetched);
    if (cursor.type != DOC_NULL && cursor.type != DOC_STRING)
        return err_set(err, RC_PROTOCOL, "`pagination.cursor` of the answer is no text");
    if (p->cursor.failed)
        return err_set(err, RC_PROTOCOL, "the cursor is longer than any cursor should be");
    return RC_OK;
}

static enum rc
read_page(const struct call *c, struct doc_value root, struct record *rec, struct page *out, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct doc_value data = doc_get(root, "data");
    enum rc rc;

    (void)pthread_once(&once, prepare_tables);
    if ((rc = check_envelope(root, data, err)) != RC_OK)
        return rc;
    for (struct doc_iter it = doc_iter(data); doc_next(&it);) {
        record_reset(rec, out->rows.stream);
        read_one(c, rec, it.value);
        if ((rc = rows_add(&out->rows, rec, err)) != RC_OK)
            return rc;
    }
    read_cursor(root, out);
    return check_records(root, out, err);
}

/* {"errors": ["text", ...], "code": "snake_case"}; some deployments are said to send objects with a message.
 */
static void
complaint(struct doc_value root, struct buf *out)
{
    size_t from = out->len, len = 0;
    const char *s;

    for (struct doc_iter it = doc_iter(doc_get(root, "errors")); doc_next(&it);) {
        if ((s = doc_string(it.value, &len)) == NULL)
            s = doc_string(doc_get(it.value, "message"), &len);
        if (s == NULL)
            continue;
        if (out->len > from)
            buf_puts(out, "; ");
        buf_put(out, s, len);
    }
    if ((s = doc_string(doc_get(root, "code"), &len)) != NULL) {
        buf_puts(out, out->len > from ? " [" : "[");
        buf_put(out, s, len);
        buf_putc(out, ']');
    }
}

static const enum call_kind directory[] = { CALL_ACCOUNTS, CALL_CONTACTS, CALL_AGENTS };

const struct connector connector_pylon = {
    .name = "pylon",
    .classes = classes,
    .nclasses = COUNT_OF(classes),
    .endpoints = {
        [CALL_ISSUES] = { "POST /issues/search", BUDGET_SEARCH, STREAM_issues },
        [CALL_ACCOUNTS] = { "GET /accounts", BUDGET_ACCOUNTS, STREAM_accounts },
        [CALL_CONTACTS] = { "GET /contacts", BUDGET_CONTACTS, STREAM_users },
        [CALL_AGENTS] = { "GET /users", BUDGET_USERS, STREAM_users },
        [CALL_MESSAGES] = { "GET /issues/{id}/messages", BUDGET_MESSAGES, STREAM_messages },
    },
    .directory = directory,
    .ndirectory = COUNT_OF(directory),
    .page_size = 999,
    .page_size_max = 999, /* documented: less than 1000 */
    .remaining_header = "x-rate-limit-remaining",
    .request_id_header = "x-pylon-request-id",
    .build = build,
    .read = read_page,
    .complaint = complaint,
};
