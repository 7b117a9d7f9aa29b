/* tests/unit/test_pylon.c - Pylon's answers become rows: every column, both shapes of custom fields, what is
 * missing, null, odd or new. */
#include "common/clock.h"
#include "tests/unit/tables.h"
#include "worker/connectors/connector.h"
#include "worker/integration.h"
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A cell of an encoded row as text: "(null)", times as RFC 3339, arrays as a|b. */
static void
show(const struct rows *rows, size_t i, int col, char *out, size_t size)
{
    size_t len = 0;
    const char *p = rows_text(rows, i, col, &len);
    char time[CLOCK_TEXT];
    uint64_t be = 0;

    if (p == NULL) {
        (void)snprintf(out, size, "(null)");
        return;
    }
    switch (record_tables[rows->stream].columns[col].type) {
    case TYPE_TIME:
        (void)snprintf(out, size, "%s", clock_format(rows_time(rows, i, col), time));
        break;
    case TYPE_INT:
        memcpy(&be, p, 8);
        (void)snprintf(out, size, "%lld", (long long)be64toh(be));
        break;
    case TYPE_BOOL:
        (void)snprintf(out, size, "%s", *p ? "true" : "false");
        break;
    case TYPE_JSON:
        assert_int_equal(*p, 1);
        (void)snprintf(out, size, "%.*s", (int)len - 1, p + 1);
        break;
    case TYPE_TEXTS: {
        uint32_t n = 0, l;
        size_t at = 20, w = 0;

        out[0] = '\0';
        if (len > 12) {
            memcpy(&n, p + 12, 4);
            n = be32toh(n);
        }
        for (uint32_t e = 0; e < n; e++) {
            memcpy(&l, p + at, 4);
            l = be32toh(l);
            w += (size_t)snprintf(out + w, size - w, "%s%.*s", e > 0 ? "|" : "", (int)l, p + at + 4);
            at += 4 + l;
        }
        assert_int_equal(at > 20 ? at : 12, n > 0 ? len : 12);
        break;
    }
    default:
        (void)snprintf(out, size, "%.*s", (int)len, p);
    }
}

struct answer {
    struct doc *doc;
    struct record rec;
    struct page page;
    struct err err;
    char *text;
};

static enum rc
read_answer(struct answer *a, const struct call *c, const char *json, size_t len)
{
    struct doc_value root;
    enum rc rc;

    assert_int_equal(doc_create(&a->doc, NULL), RC_OK);
    record_init(&a->rec, &a->page.unknown);
    page_init(&a->page);
    page_reset(&a->page, connector_find("pylon")->endpoints[c->kind].stream);
    a->text = calloc(1, len + 64);
    assert_non_null(a->text);
    memcpy(a->text, json, len);
    if ((rc = doc_parse(a->doc, a->text, len, &root, &a->err)) == RC_OK)
        rc = connector_find("pylon")->read(c, root, &a->rec, &a->page, &a->err);
    if (rc == RC_OK)
        rows_finish(&a->page.rows);
    return rc;
}

static void
answer_fini(struct answer *a)
{
    page_fini(&a->page);
    record_fini(&a->rec);
    doc_destroy(a->doc);
    free(a->text);
}

/* ---- one value at a time ---- */

#define ISSUE(members) "{\"data\":[{\"id\":\"i1\"," members "}],\"request_id\":\"r\"}"
#define LONG_KEY \
    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"

static struct value_case {
    const char *name;
    enum call_kind kind;
    const char *json;
    size_t len;
    int col;
    const char *want;
    const char *unknown; /* the one name expected in the tally; NULL = none */
} values[] = {
    { "text as it is", CALL_ISSUES, BYTES(ISSUE("\"title\":\"caf\\u00e9 \\\"x\\\"\"")), COL_issues_title,
      "caf\xc3\xa9 \"x\"", NULL },
    { "a missing key is null", CALL_ISSUES, BYTES(ISSUE("\"state\":\"new\"")), COL_issues_title, "(null)",
      NULL },
    { "null is null", CALL_ISSUES, BYTES(ISSUE("\"title\":null")), COL_issues_title, "(null)", NULL },
    { "a NUL becomes U+FFFD", CALL_ISSUES, BYTES(ISSUE("\"title\":\"a\\u0000b\"")), COL_issues_title,
      "a\xef\xbf\xbd"
      "b",
      NULL },
    { "a number where text belongs", CALL_ISSUES, BYTES(ISSUE("\"title\":42")), COL_issues_title, "42",
      NULL },
    { "an object where text belongs", CALL_ISSUES, BYTES(ISSUE("\"title\":{}")), COL_issues_title, "(null)",
      "title: unreadable" },
    { "a whole number", CALL_ISSUES, BYTES(ISSUE("\"number\":4107")), COL_issues_number, "4107", NULL },
    { "a whole number written with a point", CALL_ISSUES, BYTES(ISSUE("\"number\":7.0")), COL_issues_number,
      "7", NULL },
    { "a fraction where a whole number belongs", CALL_ISSUES, BYTES(ISSUE("\"number\":7.5")),
      COL_issues_number, "(null)", "number: unreadable" },
    { "a number too large", CALL_ISSUES, BYTES(ISSUE("\"number\":9223372036854775808")), COL_issues_number,
      "(null)", "number: unreadable" },
    { "a time", CALL_ISSUES, BYTES(ISSUE("\"created_at\":\"2026-09-01T09:58:00Z\"")), COL_issues_created_at,
      "2026-09-01T09:58:00Z", NULL },
    { "a time with a fraction and an offset", CALL_ISSUES,
      BYTES(ISSUE("\"updated_at\":\"2026-09-01T12:30:02.4+02:00\"")), COL_issues_updated_at,
      "2026-09-01T10:30:02.4Z", NULL },
    { "a time without a zone", CALL_ISSUES, BYTES(ISSUE("\"created_at\":\"2026-09-01T09:58:00\"")),
      COL_issues_created_at, "(null)", "created_at: unreadable" },
    { "a number where a time belongs", CALL_ISSUES, BYTES(ISSUE("\"created_at\":1")), COL_issues_created_at,
      "(null)", "created_at: unreadable" },
    { "an empty time", CALL_ISSUES, BYTES(ISSUE("\"resolution_time\":\"\"")), COL_issues_resolution_at,
      "(null)", NULL },
    { "Go's zero time", CALL_ISSUES, BYTES(ISSUE("\"resolution_time\":\"0001-01-01T00:00:00Z\"")),
      COL_issues_resolution_at, "(null)", NULL },
    { "account.id", CALL_ISSUES, BYTES(ISSUE("\"account\":{\"id\":\"a1\",\"external_ids\":null}")),
      COL_issues_account_id, "a1", NULL },
    { "no account", CALL_ISSUES, BYTES(ISSUE("\"account\":null")), COL_issues_account_id, "(null)", NULL },
    { "an account that is no object", CALL_ISSUES, BYTES(ISSUE("\"account\":\"a1\"")), COL_issues_account_id,
      "(null)", NULL },
    { "assignee.id", CALL_ISSUES, BYTES(ISSUE("\"assignee\":{\"email\":\"k@v.example\",\"id\":\"u1\"}")),
      COL_issues_assignee_id, "u1", NULL },
    { "requester.id", CALL_ISSUES, BYTES(ISSUE("\"requester\":{\"id\":\"c1\"}")), COL_issues_requester_id,
      "c1", NULL },
    { "team.id", CALL_ISSUES, BYTES(ISSUE("\"team\":{\"id\":\"t1\"}")), COL_issues_team_id, "t1", NULL },
    { "tags", CALL_ISSUES, BYTES(ISSUE("\"tags\":[\"a\",\"b, c\",\"\"]")), COL_issues_tags, "a|b, c|", NULL },
    { "no tags", CALL_ISSUES, BYTES(ISSUE("\"tags\":null")), COL_issues_tags, "(null)", NULL },
    { "an empty list of tags", CALL_ISSUES, BYTES(ISSUE("\"tags\":[]")), COL_issues_tags, "", NULL },
    { "a tag that is no text is left out and counted", CALL_ISSUES, BYTES(ISSUE("\"tags\":[\"a\",5,\"b\"]")),
      COL_issues_tags, "a|b", "tags: unreadable" },
    { "tags of which none is text", CALL_ISSUES, BYTES(ISSUE("\"tags\":[5,null]")), COL_issues_tags, "",
      "tags: unreadable" },
    { "a state longer than an index takes", CALL_ISSUES,
      BYTES(ISSUE("\"state\":\"" LONG_KEY LONG_KEY LONG_KEY LONG_KEY LONG_KEY LONG_KEY "\"")),
      COL_issues_state, "(null)", "state: unreadable" },
    { "closed_at as given", CALL_ISSUES,
      BYTES(ISSUE(
          "\"state\":\"closed\",\"closed_at\":\"2026-01-01T00:00:00Z\",\"resolution_time\":\"2026-01-02T00:00:00Z\"")),
      COL_issues_closed_at, "2026-01-01T00:00:00Z", NULL },
    { "closed_at, where it is not given, is the resolution", CALL_ISSUES,
      BYTES(ISSUE("\"resolution_time\":\"2026-01-02T00:00:00Z\",\"state\":\"closed\"")), COL_issues_closed_at,
      "2026-01-02T00:00:00Z", NULL },
    { "closed_at of a state of the team's own", CALL_ISSUES,
      BYTES(ISSUE("\"resolution_time\":\"2026-01-02T00:00:00Z\",\"state\":\"parked\"")), COL_issues_closed_at,
      "2026-01-02T00:00:00Z", NULL },
    { "closed_at after a reopening", CALL_ISSUES,
      BYTES(ISSUE("\"resolution_time\":null,\"first_resolution_time\":\"2026-01-02T00:00:00Z\"")),
      COL_issues_closed_at, "(null)", NULL },
    { "a field nobody knows is counted", CALL_ISSUES, BYTES(ISSUE("\"mood\":\"sunny\"")), COL_issues_title,
      "(null)", "mood" },
    { "a field known and left out is not", CALL_ISSUES,
      BYTES(ISSUE("\"is_issue_group\":false,\"csat_responses\":[{\"score\":1}]")), COL_issues_title, "(null)",
      NULL },

    { "priority, keyed by slug", CALL_ISSUES,
      BYTES(ISSUE("\"custom_fields\":{\"priority\":{\"value\":\"high\"}}")), COL_issues_priority, "high",
      NULL },
    { "priority, in the array shape", CALL_ISSUES,
      BYTES(ISSUE("\"custom_fields\":[{\"slug\":\"priority\",\"value\":\"high\"}]")), COL_issues_priority,
      "high", NULL },
    { "resolution-type", CALL_ISSUES,
      BYTES(ISSUE(
          "\"custom_fields\":{\"resolution-type\":{\"slug\":\"resolution-type\",\"value\":\"fixed\"}}")),
      COL_issues_resolution_type, "fixed", NULL },
    { "self-servable as a boolean", CALL_ISSUES,
      BYTES(ISSUE("\"custom_fields\":{\"self-servable\":{\"value\":true}}")), COL_issues_self_servable,
      "true", NULL },
    { "handler with several values", CALL_ISSUES,
      BYTES(ISSUE("\"custom_fields\":{\"handler\":{\"value\":\"\",\"values\":[\"ai\",\"human\"]}}")),
      COL_issues_handler, "ai, human", NULL },
    { "category without a value", CALL_ISSUES,
      BYTES(ISSUE("\"custom_fields\":{\"category\":{\"value\":null}}")), COL_issues_category, "(null)",
      NULL },
    { "the columns' own fields are not in the rest", CALL_ISSUES,
      BYTES(ISSUE("\"custom_fields\":{\"priority\":{\"value\":\"high\"}}")), COL_issues_custom_fields, "{}",
      NULL },
    { "the rest, sorted by slug", CALL_ISSUES,
      BYTES(ISSUE(
          "\"custom_fields\":{\"b.os\":{\"value\":\"x\"},\"a\":{\"value\":\"\",\"values\":[\"p\",\"q\"]},\"c\":{\"value\":null}}")),
      COL_issues_custom_fields, "{\"a\":[\"p\",\"q\"],\"b.os\":\"x\"}", NULL },
    { "the same rest in the array shape", CALL_ISSUES,
      BYTES(ISSUE(
          "\"custom_fields\":[{\"slug\":\"c\"},{\"slug\":\"b.os\",\"value\":\"x\"},{\"slug\":\"a\",\"value\":\"\",\"values\":[\"p\",\"q\"]}]")),
      COL_issues_custom_fields, "{\"a\":[\"p\",\"q\"],\"b.os\":\"x\"}", NULL },
    { "a value beside values wins", CALL_ISSUES,
      BYTES(ISSUE("\"custom_fields\":{\"a\":{\"value\":\"x\",\"values\":[\"p\"]}}")),
      COL_issues_custom_fields, "{\"a\":\"x\"}", NULL },
    { "an empty value with empty values stays empty", CALL_ISSUES,
      BYTES(ISSUE("\"custom_fields\":{\"a\":{\"value\":\"\",\"values\":null}}")), COL_issues_custom_fields,
      "{\"a\":\"\"}", NULL },
    { "a slug that comes twice", CALL_ISSUES,
      BYTES(ISSUE("\"custom_fields\":[{\"slug\":\"a\",\"value\":\"1\"},{\"slug\":\"a\",\"value\":\"2\"}]")),
      COL_issues_custom_fields, "{\"a\":\"2\"}", NULL },
    { "a field without a slug", CALL_ISSUES, BYTES(ISSUE("\"custom_fields\":[{\"value\":\"1\"}]")),
      COL_issues_custom_fields, "{}", "custom_fields: unreadable" },
    { "custom fields that are none", CALL_ISSUES, BYTES(ISSUE("\"custom_fields\":\"none\"")),
      COL_issues_custom_fields, "(null)", "custom_fields: unreadable" },
    { "a NUL inside a custom field", CALL_ISSUES,
      BYTES(ISSUE("\"custom_fields\":{\"a\":{\"value\":\"\\u0000\"}}")), COL_issues_custom_fields,
      "{\"a\":\"\xef\xbf\xbd\"}", NULL },

    { "an account's domain", CALL_ACCOUNTS,
      BYTES(
          "{\"data\":[{\"id\":\"a\",\"domain\":\"d.example\",\"primary_domain\":\"p.example\",\"domains\":[\"x.example\"]}]}"),
      COL_accounts_domain, "d.example", NULL },
    { "an account's primary domain", CALL_ACCOUNTS,
      BYTES("{\"data\":[{\"id\":\"a\",\"domain\":\"\",\"primary_domain\":\"p.example\"}]}"),
      COL_accounts_domain, "p.example", NULL },
    { "an account's first domain", CALL_ACCOUNTS,
      BYTES("{\"data\":[{\"id\":\"a\",\"domains\":[\"x.example\",\"y.example\"]}]}"), COL_accounts_domain,
      "x.example", NULL },
    { "a contact's role", CALL_CONTACTS, BYTES("{\"data\":[{\"id\":\"c\",\"account\":{\"id\":\"a9\"}}]}"),
      COL_users_role, "contact", NULL },
    { "a contact's account", CALL_CONTACTS, BYTES("{\"data\":[{\"id\":\"c\",\"account\":{\"id\":\"a9\"}}]}"),
      COL_users_account_id, "a9", NULL },
    { "an agent's role", CALL_AGENTS, BYTES("{\"data\":[{\"id\":\"u\"}]}"), COL_users_role, "agent", NULL },
    { "an e-mail out of the list", CALL_AGENTS,
      BYTES("{\"data\":[{\"id\":\"u\",\"emails\":[\"k@v.example\"]}]}"), COL_users_email, "k@v.example",
      NULL },

    { "a message of an agent", CALL_MESSAGES,
      BYTES("{\"data\":[{\"id\":\"m\",\"author\":{\"name\":\"Kim\",\"user\":{\"id\":\"u1\"}}}]}"),
      COL_messages_sender_type, "team", NULL },
    { "a message of a contact", CALL_MESSAGES,
      BYTES("{\"data\":[{\"id\":\"m\",\"author\":{\"contact\":{\"id\":\"c1\"},\"name\":\"Ops\"}}]}"),
      COL_messages_sender_id, "c1", NULL },
    { "a message of a bot", CALL_MESSAGES, BYTES("{\"data\":[{\"id\":\"m\",\"author\":{\"name\":\"Bot\"}}]}"),
      COL_messages_sender_type, "system", NULL },
    { "a message without an author", CALL_MESSAGES, BYTES("{\"data\":[{\"id\":\"m\",\"author\":null}]}"),
      COL_messages_sender_type, "system", NULL },
    { "a message's issue", CALL_MESSAGES, BYTES("{\"data\":[{\"id\":\"m\"}]}"), COL_messages_issue_id,
      "the-issue", NULL },
    { "a message's text", CALL_MESSAGES,
      BYTES("{\"data\":[{\"id\":\"m\",\"message_html\":\"<p>Hello&nbsp;<b>you</b></p><p>Bye</p>\"}]}"),
      COL_messages_body_text, "Hello you\nBye", NULL },
    { "a message's text, with a NUL", CALL_MESSAGES,
      BYTES("{\"data\":[{\"id\":\"m\",\"message_html\":\"<p>a\\u0000b</p>\"}]}"), COL_messages_body_text,
      "a\xef\xbf\xbd"
      "b",
      NULL },
    { "a message without is_private", CALL_MESSAGES, BYTES("{\"data\":[{\"id\":\"m\",\"is_private\":null}]}"),
      COL_messages_is_private, "false", NULL },
    { "a note", CALL_MESSAGES, BYTES("{\"data\":[{\"id\":\"m\",\"is_private\":true,\"thread_id\":\"t\"}]}"),
      COL_messages_is_private, "true", NULL },
};

static void
check_value(void **state)
{
    const struct value_case *c = *state;
    struct call call = { .kind = c->kind, .issue_id = "the-issue" };
    struct answer a = { 0 };
    char got[2000];

    if (read_answer(&a, &call, c->json, c->len) != RC_OK)
        fail_msg("%s", a.err.text);
    assert_int_equal(a.page.rows.n, 1);
    show(&a.page.rows, 0, c->col, got, sizeof got);
    assert_string_equal(got, c->want);
    if (c->unknown == NULL) {
        assert_int_equal(a.page.unknown.n, 0);
    } else {
        assert_int_equal(a.page.unknown.n, 1);
        assert_string_equal(a.page.unknown.entries[0].name, c->unknown);
    }
    answer_fini(&a);
}

/* ---- whole answers ---- */

static struct page_case {
    const char *name;
    const char *json;
    size_t len;
    const char *error; /* a part of the sentence; NULL = it is read */
    int64_t rows, rejected;
    const char *cursor; /* NULL = the end */
} pages[] = {
    { "a page with more behind it",
      BYTES(
          "{\"data\":[{\"id\":\"1\"}],\"pagination\":{\"cursor\":\"abc\",\"has_next_page\":true},\"request_id\":\"r\"}"),
      NULL, 1, 0, "abc" },
    { "the last page without pagination", BYTES("{\"data\":[{\"id\":\"1\"}],\"request_id\":\"r\"}"), NULL, 1,
      0, NULL },
    { "the last page with an empty cursor",
      BYTES("{\"data\":[{\"id\":\"1\"}],\"pagination\":{\"cursor\":\"\",\"has_next_page\":false}}"), NULL, 1,
      0, NULL },
    { "the last page with a null cursor",
      BYTES("{\"data\":[{\"id\":\"1\"}],\"pagination\":{\"cursor\":null,\"has_next_page\":false}}"), NULL, 1,
      0, NULL },
    { "a cursor without more is not followed",
      BYTES("{\"data\":[{\"id\":\"1\"}],\"pagination\":{\"cursor\":\"abc\",\"has_next_page\":false}}"), NULL,
      1, 0, NULL },
    { "more without a cursor ends",
      BYTES("{\"data\":[{\"id\":\"1\"}],\"pagination\":{\"has_next_page\":true}}"), NULL, 1, 0, NULL },
    { "an empty list", BYTES("{\"data\":[],\"request_id\":\"r\"}"), NULL, 0, 0, NULL },
    { "an empty list without data", BYTES("{\"request_id\":\"r\"}"), NULL, 0, 0, NULL },
    { "an empty list that is null", BYTES("{\"data\":null,\"request_id\":\"r\"}"), NULL, 0, 0, NULL },
    { "a record without an id is rejected",
      BYTES(
          "{\"data\":[{\"id\":\"1\"},{\"title\":\"x\"},{\"id\":\"\"},{\"id\":null},7,null],\"request_id\":\"r\"}"),
      NULL, 1, 5, NULL },
    { "a record that comes twice", BYTES("{\"data\":[{\"id\":\"1\"},{\"id\":\"1\"}]}"), NULL, 1, 0, NULL },
    { "nothing but records without an id", BYTES("{\"data\":[1,\"two\",null,[{}]],\"request_id\":\"r\"}"),
      "none of the 4 records has an id", 0, 0, NULL },
    { "an id that is no text", BYTES("{\"data\":[{\"id\":17}]}"), "none of the 1 records has an id", 0, 0,
      NULL },
    { "a cursor that is no text",
      BYTES("{\"data\":[{\"id\":\"1\"}],\"pagination\":{\"cursor\":5,\"has_next_page\":true}}"), "is no text",
      0, 0, NULL },
    { "data that is no list", BYTES("{\"data\":{\"id\":\"1\"},\"request_id\":\"r\"}"),
      "`data` of the answer is no list", 0, 0, NULL },
    { "an object that is no answer", BYTES("{\"ok\":true}"), "has no `data`", 0, 0, NULL },
    { "errors with status 200", BYTES("{\"errors\":[\"nope\"],\"request_id\":\"r\"}"), "has no `data`", 0, 0,
      NULL },
    { "a list where an object should be", BYTES("[{\"data\":[]}]"), "no JSON object", 0, 0, NULL },
    { "HTML", BYTES("<html><body>Bad Gateway</body></html>"), "looks like HTML", 0, 0, NULL },
    { "half an answer", BYTES("{\"data\":[{\"id\":\"1\"},{\"id\":"), "not JSON", 0, 0, NULL },
    { "nothing", BYTES(""), "empty", 0, 0, NULL },
};

static void
check_page(void **state)
{
    const struct page_case *c = *state;
    struct call call = { .kind = CALL_ISSUES };
    struct answer a = { 0 };
    enum rc rc = read_answer(&a, &call, c->json, c->len);

    if (c->error != NULL) {
        assert_int_equal(rc, RC_PROTOCOL);
        if (strstr(a.err.text, c->error) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", a.err.text, c->error);
    } else {
        if (rc != RC_OK)
            fail_msg("%s", a.err.text);
        assert_int_equal(a.page.rows.n, c->rows);
        assert_int_equal(a.page.rows.rejected, c->rejected);
        assert_int_equal(a.page.more, c->cursor != NULL);
        if (c->cursor != NULL)
            assert_string_equal(a.page.cursor.data, c->cursor);
    }
    answer_fini(&a);
}

/* ---- what is asked ---- */

#define T(s) INT64_C(1767225600000000) + (s) /* 2026-01-01T00:00:00Z */

static struct request_case {
    const char *name;
    struct call call;
    const char *url, *body;
} requests[] = {
    { "a window on changes, widened to whole seconds",
      { .kind = CALL_ISSUES, .from = T(0), .to = T(1500000) },
      "https://desk.example/issues/search",
      "{\"filter\":{\"field\":\"updated_at\",\"operator\":\"time_range\",\"values\":[\"2025-12-31T23:59:59Z\",\"2026-01-01T00:00:03Z\"]},\"limit\":999}" },
    { "a span of creation, with its cursor in the body",
      { .kind = CALL_ISSUES,
        .axis = AXIS_CREATED,
        .from = T(0),
        .to = T(1000000),
        .cursor = "a\"b",
        .limit = 5 },
      "https://desk.example/issues/search",
      "{\"filter\":{\"operator\":\"and\",\"subfilters\":[{\"field\":\"created_at\",\"operator\":\"time_is_after\",\"value\":\"2025-12-31T23:59:59Z\"},{\"field\":\"created_at\",\"operator\":\"time_is_before\",\"value\":\"2026-01-01T00:00:02Z\"}]},\"limit\":5,\"cursor\":\"a\\\"b\"}" },
    { "anything before",
      { .kind = CALL_ISSUES, .axis = AXIS_CREATED, .from = DB_NO_TIME, .to = T(0), .limit = 1 },
      "https://desk.example/issues/search",
      "{\"filter\":{\"field\":\"created_at\",\"operator\":\"time_is_before\",\"value\":\"2026-01-01T00:00:01Z\"},\"limit\":1}" },
    { "accounts, second page",
      { .kind = CALL_ACCOUNTS, .cursor = "a b&c" },
      "https://desk.example/accounts?limit=999&cursor=a%20b%26c",
      NULL },
    { "messages of an issue",
      { .kind = CALL_MESSAGES, .issue_id = "a/b" },
      "https://desk.example/issues/a%2Fb/messages",
      NULL },
};

static void
check_request(void **state)
{
    const struct request_case *c = *state;
    struct integration in = { .connector = connector_find("pylon"),
                              .base_url = (char[]){ "https://desk.example" },
                              .token = (char[]){ "secret" },
                              .page_size = 999 };
    struct request r;
    struct err err = { 0 };

    request_init(&r);
    assert_int_equal(in.connector->build(&in, &c->call, &r, &err), RC_OK);
    assert_string_equal(r.http.url, c->url);
    assert_string_equal(r.http.headers[0], "Authorization: Bearer secret");
    if (c->body == NULL) {
        assert_null(r.http.body);
        assert_string_equal(r.http.method, "GET");
    } else {
        assert_string_equal(r.http.body, c->body);
        assert_string_equal(r.http.method, "POST");
    }
    request_fini(&r);
}

/* ---- errors as sentences ---- */

static struct error_case {
    const char *name;
    int status;
    const char *body;
    enum rc rc;
    const char *want;
} errors[] = {
    { "a list of sentences and a code", 401,
      "{\"errors\":[\"the token is bad\",\"really\"],\"code\":\"invalid_api_token\"}", RC_DENIED,
      "POST /issues/search: 401 credentials refused: the token is bad; really [invalid_api_token] (request abc)" },
    { "objects instead of sentences", 400, "{\"errors\":[{\"message\":\"limit: too large\"}]}", RC_PROTOCOL,
      "POST /issues/search: 400 bad request: limit: too large (request abc)" },
    { "JSON of another kind", 500, "{\"oops\":1}", RC_UNAVAILABLE,
      "POST /issues/search: 500 internal server error (request abc)" },
    { "plain text", 503, "upstream\nis away", RC_UNAVAILABLE,
      "POST /issues/search: 503 service unavailable: upstream is away (request abc)" },
    { "HTML", 502, "<html><head><title>502</title></head><body><h1>Bad</h1><p>Gateway</p></body></html>",
      RC_UNAVAILABLE, "POST /issues/search: 502 bad gateway: Bad Gateway (request abc)" },
    { "nothing", 429, "", RC_LIMIT, "POST /issues/search: 429 too many requests (request abc)" },
    { "a status nobody expects", 418, "", RC_PROTOCOL,
      "POST /issues/search: 418 unexpected status (request abc)" },
    { "not found", 404, "", RC_NOT_FOUND, "POST /issues/search: 404 not found (request abc)" },
};

static void
check_error(void **state)
{
    const struct error_case *c = *state;
    struct call call = { .kind = CALL_ISSUES };
    struct http_res res = { .status = c->status };
    struct err err = { 0 };
    AUTO(doc) doc = NULL;

    assert_int_equal(doc_create(&doc, NULL), RC_OK);
    buf_init(&res.body, 1 << 16);
    buf_init(&res.headers, 1 << 16);
    buf_puts(&res.body, c->body);
    memset(buf_reserve(&res.body, 64), 0, 64);
    buf_puts(&res.headers, "x-pylon-request-id: abc\n");
    assert_int_equal(connector_error(connector_find("pylon"), &call, &res, doc, &err), c->rc);
    assert_string_equal(err.text, c->want);
    http_res_fini(&res);
}

int
main(void)
{
    TEST_TABLE(values, check_value);
    TEST_TABLE(pages, check_page);
    TEST_TABLE(requests, check_request);
    TEST_TABLE(errors, check_error);
    return TESTS_RUN("pylon");
}
