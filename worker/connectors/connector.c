#include "worker/connectors/connector.h"
#include "common/htmltext.h"
#include <ctype.h>
#include <string.h>

#define ROWS_MAX      ((size_t)256 << 20) /* a page, encoded: an answer's ceiling and what the encoding adds */
#define URL_MAX       ((size_t)64 << 10)
#define BODY_MAX      ((size_t)1 << 20)
#define CURSOR_MAX    ((size_t)64 << 10)
#define COMPLAINT_MAX ((size_t)300)

#define CONNECTOR(name) extern const struct connector connector_##name;
#include "worker/connectors/connectors.def"
#undef CONNECTOR

const struct connector *
connector_find(const char *vendor)
{
    static const struct connector *const all[] = {
#define CONNECTOR(name) &connector_##name,
#include "worker/connectors/connectors.def"
#undef CONNECTOR
    };

    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (strcmp(all[i]->name, vendor) == 0)
            return all[i];
    return NULL;
}

void
request_init(struct request *r)
{
    *r = (struct request){ 0 };
    buf_init(&r->url, URL_MAX);
    buf_init(&r->body, BODY_MAX);
    buf_init(&r->auth, URL_MAX);
}

void
request_fini(struct request *r)
{
    if (r->auth.data != NULL)
        explicit_bzero(r->auth.data, r->auth.cap);
    buf_fini(&r->url);
    buf_fini(&r->body);
    buf_fini(&r->auth);
}

void
page_init(struct page *p)
{
    *p = (struct page){ 0 };
    rows_init(&p->rows, ROWS_MAX);
    buf_init(&p->cursor, CURSOR_MAX);
}

void
page_fini(struct page *p)
{
    rows_fini(&p->rows);
    buf_fini(&p->cursor);
}

void
page_reset(struct page *p, enum stream stream)
{
    rows_reset(&p->rows, stream);
    buf_reset(&p->cursor);
    p->unknown.n = 0;
    p->unknown.entries[TALLY_MAX].times = 0;
    p->more = false;
}

static const char *
status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } known[] = {
        { 301, "moved permanently" },
        { 302, "found elsewhere" },
        { 307, "moved for now" },
        { 308, "moved permanently" },
        { 400, "bad request" },
        { 401, "credentials refused" },
        { 402, "payment required" },
        { 403, "not permitted" },
        { 404, "not found" },
        { 408, "request timed out" },
        { 409, "conflict" },
        { 413, "request too large" },
        { 422, "request not understood" },
        { 429, "too many requests" },
        { 500, "internal server error" },
        { 502, "bad gateway" },
        { 503, "service unavailable" },
        { 504, "gateway timed out" },
    };

    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (known[i].status == status)
            return known[i].text;
    return status >= 500 ? "server error" : "unexpected status";
}

static enum rc
status_rc(int status)
{
    switch (status) {
    case 401:
    case 403:
        return RC_DENIED;
    case 404:
    case 410:
        return RC_NOT_FOUND;
    case 408:
    case 425:
        return RC_UNAVAILABLE;
    case 429:
        return RC_LIMIT;
    default:
        return status >= 500 ? RC_UNAVAILABLE : RC_PROTOCOL;
    }
}

/* Plain text and HTML, as a person would read them, on one line. */
static void
plain_complaint(const struct buf *body, struct buf *out)
{
    size_t from = out->len;

    htmltext(body->data, body->len < 4096 ? body->len : 4096, out);
    for (size_t i = from; i < out->len; i++)
        if ((unsigned char)out->data[i] < 0x20)
            out->data[i] = ' ';
}

enum rc
connector_error(const struct connector *k, const struct call *c, const struct http_res *res, struct doc *doc,
                struct err *err)
{
    char id[80] = "";
    struct doc_value root;
    struct buf said;
    enum rc rc;
    int len;

    buf_init(&said, (size_t)1 << 20);
    if (res->body.len > 0) {
        if (doc_parse(doc, res->body.data, res->body.len, &root, NULL) == RC_OK)
            k->complaint(root, &said);
        else
            plain_complaint(&res->body, &said);
    }
    if (k->request_id_header != NULL && !http_res_header(res, k->request_id_header, id, sizeof id))
        id[0] = '\0';
    len = (int)(said.len < COMPLAINT_MAX ? said.len : COMPLAINT_MAX);
    rc = err_set(err, status_rc(res->status), "%s: %d %s%s%.*s%s%s%s", k->endpoints[c->kind].label,
                 res->status, status_text(res->status), len > 0 ? ": " : "", len, len > 0 ? said.data : "",
                 id[0] != '\0' ? " (request " : "", id, id[0] != '\0' ? ")" : "");
    buf_fini(&said);
    return rc;
}
