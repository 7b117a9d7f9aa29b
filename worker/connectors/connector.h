/* worker/connectors/connector.h
 * connector - a vendor's API: what may be asked, how it is asked, how an answer becomes records.
 *
 * A vendor is one file that defines `const struct connector connector_<name>` and one row in connectors.def.
 * It knows requests, mapping tables and error bodies; it knows nothing of jobs, budgets, retries or Postgres.
 * README.md: how to add one.
 *
 * Threads: connectors are constants; their functions may run in any thread, with objects of the caller's.
 */
#ifndef DESKMILL_WORKER_CONNECTORS_CONNECTOR_H
#define DESKMILL_WORKER_CONNECTORS_CONNECTOR_H

#include "common/budget.h"
#include "common/doc.h"
#include "common/http.h"
#include "worker/records.h"

/* What can be asked of a help desk. */
enum call_kind { CALL_ISSUES, CALL_ACCOUNTS, CALL_CONTACTS, CALL_AGENTS, CALL_MESSAGES, CALL_COUNT };
enum axis { AXIS_UPDATED, AXIS_CREATED };

/* One question: a page. Strings are borrowed. */
struct call {
    enum call_kind kind;
    enum axis axis;     /* of CALL_ISSUES: the time that from and to are about */
    int64_t from, to;   /* both included (the connector widens them as its vendor needs); DB_NO_TIME = open */
    const char *cursor; /* of the page; NULL = the first */
    int limit;          /* records wanted; 0 = the integration's page size */
    const char *issue_id; /* of CALL_MESSAGES */
};

#define CONNECTOR_CLASSES_MAX 8
struct endpoint {
    const char *label;  /* "POST /issues/search": what people read in an error */
    int budget;         /* index of its budget class */
    enum stream stream; /* what it brings */
};

/* A call as an HTTP request. */
struct request {
    struct http_req http;
    struct buf url, body, auth;
};
void request_init(struct request *r);
void request_fini(struct request *r); /* the token is wiped */

/* What one answer brought. */
struct page {
    struct rows rows;
    struct tally unknown; /* fields that have no place, values that can't be read */
    struct buf cursor;    /* of the next page, terminated */
    bool more;
};
void page_init(struct page *p);
void page_fini(struct page *p);
void page_reset(struct page *p, enum stream stream);

struct integration;
struct connector {
    const char *name;
    const struct budget_class *classes;
    int nclasses;
    struct endpoint endpoints[CALL_COUNT];
    const enum call_kind *directory; /* accounts and people, in the order to read them */
    int ndirectory;
    int page_size, page_size_max;
    const char *remaining_header, *request_id_header; /* lower case, or NULL */

    enum rc (*build)(const struct integration *in, const struct call *c, struct request *out,
                     struct err *err);
    /* RC_PROTOCOL for an answer that is none of this API. `rec` is the caller's, to be reused from page to
     * page. */
    enum rc (*read)(const struct call *c, struct doc_value root, struct record *rec, struct page *out,
                    struct err *err);
    /* Appends the vendor's own sentence out of an error body; nothing if there is none in it. */
    void (*complaint)(struct doc_value root, struct buf *out);
};

/* NULL if unknown. */
const struct connector *connector_find(const char *vendor);

/* An answer that is not 2xx as an error: endpoint, status, the vendor's sentence (JSON, plain text, HTML or
 * nothing), request id. RC_DENIED 401 and 403, RC_NOT_FOUND 404 and 410, RC_LIMIT 429, RC_UNAVAILABLE 408,
 * 425 and 5xx, RC_PROTOCOL the rest. */
enum rc connector_error(const struct connector *k, const struct call *c, const struct http_res *res,
                        struct doc *doc, struct err *err);

#endif
