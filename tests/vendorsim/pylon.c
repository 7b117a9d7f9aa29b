/* pylon - the help desk Pylon: its endpoints, envelopes, limits and paging.
 *
 * Where the vendor's behaviour is not known, the choice made here is the one that a careless client trips
 * over, and README.md lists it.
 */
#include "pylon.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pylon_filter.h"
#include "pylon_json.h"
#include "rng.h"
#include "sim.h"

enum {
    LIMIT_DEFAULT = 100,
    LIMIT_MAX = 999,
    MESSAGES_MAX = 1000,
    WINDOW_LIST_MAX = 20000,
    WINDOW_DAYS_OLD = 30,
    WINDOW_DAYS_NEW = 365,
    CURSOR_SIZE = 128,
};

/* Where a list goes on. In keyset mode behind (created, id), in offset mode and for other lists at `offset`.
 */
struct cursor {
    bool given;
    int64_t offset;
    int64_t created;
    char id[ID_SIZE];
};

/* -- errors -- */

static void
fail(struct call *c, struct reply *r, int status, const char *code, const char *text)
{
    r->status = status;
    r->body.len = 0;
    buf_str(&r->body, "{\"errors\":[");
    buf_jstr(&r->body, text, ESC_GO);
    buf_char(&r->body, ']');
    if (c->sim->is_new && code != NULL)
        buf_printf(&r->body, ",\"code\":\"%s\"", code);
    buf_char(&r->body, ',');
}

static void
refuse(struct call *c, struct reply *r, const char *text)
{
    fail(c, r, 400, "invalid_request", text);
}

static bool
is_of_other_region(const struct call *c, const char *token)
{
    const char *foreign = strcmp(c->sim->opts.region, "us") == 0 ? "eu-" : "us-";

    return strncmp(token, foreign, 3) == 0;
}

static bool
authorize(struct call *c, struct reply *r)
{
    const char *auth = call_header(c, "Authorization");

    if (auth == NULL || strncasecmp(auth, "Bearer ", 7) != 0 || auth[7] == '\0') {
        fail(c, r, 401, "invalid_authorization_header", "authorization header must be: Bearer <token>");
        return false;
    }
    if (is_of_other_region(c, auth + 7)) {
        fail(c, r, 401, "wrong_region_token", "this token belongs to another region");
        return false;
    }
    if (strcmp(auth + 7, c->sim->opts.token) != 0) {
        fail(c, r, 401, "invalid_api_token", "the API token is not valid");
        return false;
    }
    return true;
}

static void
not_found(struct call *c, struct reply *r)
{
    fail(c, r, 404, "not_found", "not found");
}

static void
limited(struct call *c, struct reply *r)
{
    fail(c, r, 429, "rate_limited", "too many requests, slow down");
}

static void
failure(struct call *c, struct reply *r)
{
    fail(c, r, r->status,
         r->status == 429   ? "rate_limited"
         : r->status >= 500 ? "internal_error"
                            : "invalid_request",
         r->status >= 500 ? "something went wrong on our side" : "the request was refused");
}

static void
finish(struct call *c, struct reply *r)
{
    char id[ID_SIZE];

    world_uuid(rng_mix(c->sim->world.seed, 600, ++c->sim->requests), id);
    buf_printf(&r->tail, "\"request_id\":\"%s\"}", id);
    r->content_type = "application/json";
    reply_header(r, "x-pylon-request-id", "%s", id);
    reply_header(r, "access-control-expose-headers", "X-Pylon-Request-ID");
    reply_header(r, "vary", "Accept-Encoding, Origin");
    reply_header(r, "x-frame-options", "DENY");
    reply_header(r, "x-content-type-options", "nosniff");
    reply_header(r, "strict-transport-security", "max-age=31536000; includeSubDomains; preload");
    if (r->status == 200 && c->left >= 0)
        reply_header(r, "x-rate-limit-remaining", "%" PRId64, c->left);
}

/* -- cursors: opaque outside, so they are turned into something that invites no arithmetic -- */

static void
cursor_write(char out[CURSOR_SIZE], const char *plain)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    out[n++] = 'c';
    for (; *plain != '\0'; plain++) {
        unsigned char x = (unsigned char)(*plain ^ 0x2a);

        if (n + 2 >= CURSOR_SIZE)
            break;
        out[n++] = hex[x >> 4];
        out[n++] = hex[x & 15];
    }
    out[n] = '\0';
}

static bool
cursor_plain(const char *text, char *out, size_t size)
{
    size_t n = strlen(text);

    if (n < 3 || n % 2 == 0 || text[0] != 'c' || (n - 1) / 2 >= size)
        return false;
    for (size_t i = 1; i < n; i += 2) {
        char pair[3] = { text[i], text[i + 1], '\0' };

        if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1]))
            return false;
        *out++ = (char)(strtoul(pair, NULL, 16) ^ 0x2a);
    }
    *out = '\0';
    return true;
}

static void
cursor_of_offset(char out[CURSOR_SIZE], int64_t offset)
{
    char plain[32];

    (void)snprintf(plain, sizeof(plain), "o%" PRIx64, (uint64_t)offset);
    cursor_write(out, plain);
}

static void
cursor_of_issue(char out[CURSOR_SIZE], const struct issue *is)
{
    char plain[64], id[ID_SIZE];
    int n = 0;

    for (const char *p = is->id; *p != '\0'; p++) /* without the dashes, to be short enough */
        if (*p != '-')
            id[n++] = *p;
    id[n] = '\0';
    (void)snprintf(plain, sizeof(plain), "%" PRIx64 "k%s", (uint64_t)is->created, id);
    cursor_write(out, plain);
}

static bool
cursor_read(const char *text, struct cursor *out)
{
    char plain[64], *end;
    int n = 0;

    *out = (struct cursor){ 0 };
    if (text == NULL || *text == '\0')
        return true;
    if (!cursor_plain(text, plain, sizeof(plain)))
        return false;
    out->given = true;
    if (plain[0] == 'o') {
        out->offset = (int64_t)strtoull(plain + 1, &end, 16);
        return *end == '\0' && out->offset > 0;
    }
    out->offset = -1;
    out->created = (int64_t)strtoull(plain, &end, 16);
    if (*end != 'k' || strlen(end + 1) != 32)
        return false;
    for (const char *p = end + 1; *p != '\0'; p++) {
        if (n == 8 || n == 13 || n == 18 || n == 23)
            out->id[n++] = '-';
        out->id[n++] = *p;
    }
    out->id[n] = '\0';
    return true;
}

/* -- lists -- */

/* A list being written: open it, put items behind item(), close it. */
struct list {
    struct buf *b;
    size_t n;
};

static struct buf *
list_item(struct list *l)
{
    buf_str(l->b, l->n++ == 0 ? "{\"data\":[" : ",");
    return l->b;
}

/* Ends a page. `next` is the cursor of the page behind it; NULL when there is none. The last page comes in
 * three forms: mostly without pagination, every third time with an empty cursor, every seventh time with a
 * null one. */
static void
list_close(struct call *c, struct list *l, const char *next, const char *given)
{
    if (c->repeat_cursor && given != NULL)
        next = given;
    if (l->n == 0 && next == NULL) {
        buf_char(l->b, '{');
        return;
    }
    buf_str(l->b, l->n == 0 ? "{\"data\":[]," : "],");
    if (next != NULL) {
        buf_printf(l->b, "\"pagination\":{\"cursor\":\"%s\",\"has_next_page\":true},", next);
        return;
    }
    c->sim->last_pages++;
    if (c->sim->last_pages % 7 == 0)
        buf_str(l->b, "\"pagination\":{\"cursor\":null,\"has_next_page\":false},");
    else if (c->sim->last_pages % 3 == 0)
        buf_str(l->b, "\"pagination\":{\"cursor\":\"\",\"has_next_page\":false},");
}

/* Ends a list that this API never pages. */
static void
list_close_whole(struct list *l)
{
    buf_str(l->b, l->n == 0 ? "{" : "],");
}

static bool
parse_limit(struct call *c, struct reply *r, int64_t min, int64_t max, int64_t *out)
{
    const char *text = call_query(c, "limit");
    char *end, why[96];

    if (text == NULL)
        return true;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && *out >= min && *out <= max)
        return true;
    (void)snprintf(why, sizeof(why), "limit: must be a whole number from %" PRId64 " to %" PRId64, min, max);
    refuse(c, r, why);
    return false;
}

/* One page of records that are numbered 0..total-1 and never move. */
static void
answer_list(struct call *c, struct reply *r, int total, void (*put)(struct buf *, const struct world *, int))
{
    const char *given = call_query(c, "cursor");
    struct list l = { &r->body, 0 };
    int64_t limit = LIMIT_DEFAULT;
    char next[CURSOR_SIZE];
    struct cursor at;
    int64_t i;

    if (!parse_limit(c, r, 1, LIMIT_MAX, &limit))
        return;
    if (!cursor_read(given, &at) || at.offset < 0) {
        refuse(c, r, "cursor: not one of ours");
        return;
    }
    for (i = at.offset; i < total && i < at.offset + limit; i++)
        put(list_item(&l), &c->sim->world, (int)i);
    cursor_of_offset(next, i);
    list_close(c, &l, i < total ? next : NULL, given);
}

static void
answer_whole_list(struct call *c, struct reply *r, int total,
                  void (*put)(struct buf *, const struct world *, int))
{
    struct list l = { &r->body, 0 };

    for (int i = 0; i < total; i++)
        put(list_item(&l), &c->sim->world, i);
    list_close_whole(&l);
}

static void
get_accounts(struct call *c, struct reply *r)
{
    answer_list(c, r, c->sim->world.naccounts, pylon_put_account);
}

static void
get_contacts(struct call *c, struct reply *r)
{
    answer_list(c, r, c->sim->world.ncontacts, pylon_put_contact);
}

static void
get_users(struct call *c, struct reply *r)
{
    answer_whole_list(c, r, c->sim->world.nusers, pylon_put_user);
}

static void
get_teams(struct call *c, struct reply *r)
{
    answer_whole_list(c, r, TEAMS, pylon_put_team);
}

static void
get_statuses(struct call *c, struct reply *r)
{
    answer_whole_list(c, r, (int)nstatuses, pylon_put_status);
}

static void
get_account(struct call *c, struct reply *r)
{
    int i = world_account(&c->sim->world, c->arg);

    if (i == NOBODY) {
        not_found(c, r);
        return;
    }
    buf_str(&r->body, "{\"data\":");
    pylon_put_account(&r->body, &c->sim->world, i);
    buf_char(&r->body, ',');
}

static void
get_me(struct call *c, struct reply *r)
{
    const struct world *w = &c->sim->world;

    buf_printf(&r->body, "{\"data\":{\"id\":\"%s\",\"name\":\"Simulated Desk\"", w->org_id);
    if (c->sim->is_new && w->nusers > 0)
        buf_printf(&r->body, ",\"user\":{\"id\":\"%s\",\"email\":\"%s\"}", w->users[0].id, w->users[0].email);
    buf_str(&r->body, "},");
}

/* -- issues -- */

/* What a walk over the issues asks for. */
struct walk {
    const struct pylon_filter *filter; /* NULL: all */
    const char *search_text;           /* NULL: any */
    int64_t created_from, created_to;  /* both included */
    int64_t limit;
    const char *cursor; /* as it was given */
    struct cursor at;
};

static bool
has_text(const struct world *w, const struct issue *is, const char *part)
{
    struct buf text = { 0 };
    bool found;

    pylon_title(&text, is);
    buf_char(&text, '\n');
    pylon_body(&text, w, is);
    found = strcasestr(buf_cstr(&text), part) != NULL;
    buf_fini(&text);
    return found;
}

static bool
walk_wants(const struct walk *k, const struct world *w, const struct issue *is)
{
    if (is->created < k->created_from || is->created > k->created_to)
        return false;
    if (k->filter != NULL && !pylon_filter_match(k->filter, is))
        return false;
    return k->search_text == NULL || has_text(w, is, k->search_text);
}

static void
walk_page(struct call *c, struct reply *r, const struct walk *k)
{
    const struct world *w = &c->sim->world;
    bool by_offset = strcmp(c->sim->opts.cursor, "offset") == 0;
    int64_t skip = by_offset ? k->at.offset : 0, taken = 0;
    size_t i = k->at.given && !by_offset ? world_after(w, k->at.created, k->at.id) : 0;
    struct list l = { &r->body, 0 };
    const struct issue *last = NULL;
    char next[CURSOR_SIZE];
    bool more = false;

    for (; i < w->nissues && !more; i++) {
        struct issue *is = w->order[i];
        const struct blob *blob;

        if (!walk_wants(k, w, is) || skip-- > 0)
            continue;
        if (taken == k->limit) {
            more = true;
            break;
        }
        blob = pylon_issue(w, is);
        if (taken == 0) /* most pages are full and even: one growth, not twelve */
            buf_room(&r->body, (size_t)(k->limit < LIMIT_MAX ? k->limit : LIMIT_MAX) * (blob->len + 64));
        buf_add(list_item(&l), blob->data, blob->len);
        last = is;
        taken++;
    }
    if (more && by_offset)
        cursor_of_offset(next, k->at.offset + taken);
    else if (more && last != NULL)
        cursor_of_issue(next, last);
    list_close(c, &l, more ? next : NULL, k->cursor);
}

static bool
walk_cursor(struct call *c, struct reply *r, struct walk *k, const char *text)
{
    bool by_offset = strcmp(c->sim->opts.cursor, "offset") == 0;

    k->cursor = text;
    if (cursor_read(text, &k->at) && (!k->at.given || by_offset == (k->at.offset > 0)))
        return true;
    refuse(c, r, "cursor: not one of ours");
    return false;
}

/* The simple members of a search's body. */
static bool
read_search(struct call *c, struct reply *r, struct walk *k)
{
    const json_t *limit = json_object_get(c->body, "limit"), *cursor = json_object_get(c->body, "cursor");
    const json_t *filter = json_object_get(c->body, "filter");

    if (c->body_broken || (c->body != NULL && !json_is_object(c->body))) {
        refuse(c, r, "body: not a JSON object");
        return false;
    }
    if (limit != NULL && !json_is_null(limit)) {
        k->limit = json_is_integer(limit) ? json_integer_value(limit) : -1;
        if (k->limit < 1 || k->limit > LIMIT_MAX) {
            refuse(c, r, "limit: must be greater than 0 and less than 1000");
            return false;
        }
    }
    if (cursor != NULL && !json_is_null(cursor) && !json_is_string(cursor)) {
        refuse(c, r, "cursor: must be a string");
        return false;
    }
    if (!c->sim->is_new && !json_is_object(filter)) {
        refuse(c, r, "filter: required");
        return false;
    }
    if (c->sim->is_new) {
        k->search_text = json_string_value(json_object_get(c->body, "search_text"));
        if (k->search_text != NULL && *k->search_text == '\0')
            k->search_text = NULL;
    }
    return walk_cursor(c, r, k, json_string_value(cursor));
}

static void
search_issues(struct call *c, struct reply *r)
{
    struct walk k = { .limit = LIMIT_DEFAULT, .created_from = INT64_MIN, .created_to = INT64_MAX };
    const json_t *tree = json_object_get(c->body, "filter");
    struct pylon_filter *filter = NULL;
    struct buf why = { 0 };

    if (!read_search(c, r, &k))
        return;
    if (tree != NULL && !json_is_null(tree) && !(json_is_object(tree) && json_object_size(tree) == 0)) {
        filter = pylon_filter_create(&c->sim->world, tree, &why);
        if (filter == NULL) {
            refuse(c, r, buf_cstr(&why));
            buf_fini(&why);
            return;
        }
    }
    k.filter = filter;
    walk_page(c, r, &k);
    pylon_filter_destroy(filter);
}

static bool
parse_window(struct call *c, struct reply *r, struct walk *k)
{
    const char *start = call_query(c, "start_time"), *end = call_query(c, "end_time");
    int64_t days = c->sim->is_new ? WINDOW_DAYS_NEW : WINDOW_DAYS_OLD;

    if (start == NULL || end == NULL) {
        refuse(c, r, "start_time and end_time: required");
        return false;
    }
    if (!simtime_parse(start, &k->created_from) || !simtime_parse(end, &k->created_to)) {
        refuse(c, r, "start_time and end_time: must be RFC 3339 times with a zone");
        return false;
    }
    if (k->created_to < k->created_from || k->created_to - k->created_from > days * DAY_US) {
        refuse(c, r,
               c->sim->is_new ? "the window may span 365 days at most"
                              : "the window may span 30 days at most");
        return false;
    }
    return true;
}

static void
get_issues(struct call *c, struct reply *r)
{
    struct walk k = { .limit = INT64_MAX };

    if (!parse_window(c, r, &k))
        return;
    if (c->sim->is_new) {
        k.limit = WINDOW_LIST_MAX;
        if (!parse_limit(c, r, 0, WINDOW_LIST_MAX, &k.limit) ||
            !walk_cursor(c, r, &k, call_query(c, "cursor")))
            return;
        if (k.limit == 0)
            k.limit = WINDOW_LIST_MAX;
    }
    walk_page(c, r, &k);
}

static void
get_issue(struct call *c, struct reply *r)
{
    struct issue *is = world_find(&c->sim->world, c->arg);
    const struct blob *blob;

    if (is == NULL) {
        not_found(c, r);
        return;
    }
    blob = pylon_issue(&c->sim->world, is);
    buf_str(&r->body, "{\"data\":");
    buf_add(&r->body, blob->data, blob->len);
    buf_char(&r->body, ',');
}

/* The old API knows no pages of messages; the new one pages once limit or cursor is given. */
static void
get_messages(struct call *c, struct reply *r)
{
    const struct issue *is = world_find(&c->sim->world, c->arg);
    const char *given = call_query(c, "cursor");
    bool paged = c->sim->is_new && (given != NULL || call_query(c, "limit") != NULL);
    struct list l = { &r->body, 0 };
    struct cursor at = { 0 };
    int64_t limit = LIMIT_DEFAULT, end, i;
    char next[CURSOR_SIZE];

    if (is == NULL) {
        not_found(c, r);
        return;
    }
    if (paged && !parse_limit(c, r, 1, MESSAGES_MAX, &limit))
        return;
    if (paged && (!cursor_read(given, &at) || at.offset < 0)) {
        refuse(c, r, "cursor: not one of ours");
        return;
    }
    end = paged && at.offset + limit < is->nmsgs ? at.offset + limit : is->nmsgs;
    for (i = at.offset; i < end; i++)
        pylon_put_message(list_item(&l), &c->sim->world, is, &is->msgs[i]);
    cursor_of_offset(next, end);
    list_close(c, &l, end < is->nmsgs ? next : NULL, paged ? given : NULL);
}

/* -- searching contacts: by e-mail, or by id -- */

static bool
contact_matches(const struct contact *k, const char *field, const char *op, const char *value)
{
    const char *have = strcmp(field, "email") == 0 ? k->email : k->id;

    return strcmp(op, "contains") == 0 || strcmp(op, "string_contains") == 0 ? strstr(have, value) != NULL
                                                                             : strcmp(have, value) == 0;
}

static const char *
contact_filter_error(const char *field, const char *op, const char *value)
{
    if (field == NULL || (strcmp(field, "email") != 0 && strcmp(field, "id") != 0))
        return "filter: unknown field";
    if (op == NULL ||
        (strcmp(op, "equals") != 0 && strcmp(op, "contains") != 0 && strcmp(op, "string_contains") != 0))
        return "filter: unknown operator";
    return value == NULL ? "filter: needs a value, a string" : NULL;
}

static void
search_contacts(struct call *c, struct reply *r)
{
    const struct world *w = &c->sim->world;
    const json_t *filter = json_object_get(c->body, "filter");
    const char *field = json_string_value(json_object_get(filter, "field"));
    const char *op = json_string_value(json_object_get(filter, "operator"));
    const char *value = json_string_value(json_object_get(filter, "value"));
    struct walk k = { .limit = LIMIT_DEFAULT };
    const char *error = contact_filter_error(field, op, value);
    struct list l = { &r->body, 0 };
    int64_t seen = 0;
    char next[CURSOR_SIZE];

    if (error != NULL || !cursor_read(json_string_value(json_object_get(c->body, "cursor")), &k.at) ||
        k.at.offset < 0) {
        refuse(c, r, error != NULL ? error : "cursor: not one of ours");
        return;
    }
    if (json_is_integer(json_object_get(c->body, "limit")))
        k.limit = json_integer_value(json_object_get(c->body, "limit"));
    if (k.limit < 1 || k.limit > LIMIT_MAX) {
        refuse(c, r, "limit: must be greater than 0 and less than 1000");
        return;
    }
    for (int i = 0; i < w->ncontacts && seen <= k.at.offset + k.limit; i++)
        if (contact_matches(&w->contacts[i], field, op, value) && seen++ >= k.at.offset &&
            seen <= k.at.offset + k.limit)
            pylon_put_contact(list_item(&l), w, i);
    cursor_of_offset(next, k.at.offset + k.limit);
    list_close(c, &l, seen > k.at.offset + k.limit ? next : NULL,
               json_string_value(json_object_get(c->body, "cursor")));
}

static const struct endpoint endpoints[] = {
    /* name, method, path, { old, new } calls a minute, cursor in the body, a page of the walk */
    { "issues", "GET", "/issues", { 10, 30 }, false, false, get_issues },
    { "search", "POST", "/issues/search", { 20, 120 }, true, true, search_issues },
    { "issue", "GET", "/issues/{}", { 60, 300 }, false, false, get_issue },
    { "messages", "GET", "/issues/{}/messages", { 20, 300 }, false, false, get_messages },
    { "accounts", "GET", "/accounts", { 60, 300 }, false, false, get_accounts },
    { "account", "GET", "/accounts/{}", { 60, 300 }, false, false, get_account },
    { "contacts", "GET", "/contacts", { 60, 300 }, false, false, get_contacts },
    { "contacts_search", "POST", "/contacts/search", { 20, 120 }, true, false, search_contacts },
    { "users", "GET", "/users", { 60, 300 }, false, false, get_users },
    { "teams", "GET", "/teams", { 60, 300 }, false, false, get_teams },
    { "statuses", "GET", "/issue-statuses", { 10, 30 }, false, false, get_statuses },
    { "me", "GET", "/me", { 60, 300 }, false, false, get_me },
};

const struct vendor vendor_pylon = {
    .name = "pylon",
    .endpoints = endpoints,
    .nendpoints = sizeof(endpoints) / sizeof(endpoints[0]),
    .authorize = authorize,
    .not_found = not_found,
    .limited = limited,
    .failure = failure,
    .finish = finish,
    .issue = pylon_issue,
    .put_message = pylon_put_message,
    .put_account = pylon_put_account,
    .put_user = pylon_put_user,
    .put_contact = pylon_put_contact,
};
