/* common/http.h
 * http - HTTP requests with timeouts, keep-alive, gzip, a size ceiling and TLS that is always verified. The
 * one user of libcurl.
 *
 * Redirects are not followed. Only http and https, in HTTP/1.1. The environment's proxies are used for https
 * to other hosts, never for http or loopback. A body larger than the ceiling is RC_LIMIT (also when only its
 * inflated form is).
 *
 * Ownership: http_res is init'ed by a call and fini'ed by the caller.
 * Threads:   one thread at a time per struct http; connections are kept and reused within it. Not across a
 * fork. Errors:    any HTTP status is RC_OK here. RC_UNAVAILABLE: no connection, reset, name not found,
 * truncated body; RC_TIMEOUT; RC_LIMIT; RC_DENIED: the certificate does not verify; RC_PROTOCOL: the answer
 * is no HTTP or its gzip is broken; RC_INVALID: a URL, method or header that is none, a ca_file that can't be
 * read. The sentence names host and stage (connecting, TLS, receiving) and nothing else of the URL.
 */
#ifndef DESKMILL_HTTP_H
#define DESKMILL_HTTP_H

#include "common/auto.h"
#include "common/buf.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_options {
    int connect_timeout_ms; /* 0 = 10,000 */
    int timeout_ms;         /* whole request; 0 = 60,000 */
    int stall_timeout_ms;   /* no byte for so long; 0 = 20,000 */
    size_t max_body;        /* bytes after inflating; 0 = 64 MiB */
    const char *user_agent; /* NULL = "deskmill/<version>" */
    const char *ca_file;    /* NULL = the system's */
};

#define HTTP_MAX_HEADERS 12
struct http_req {
    const char *method; /* "GET", "POST", "PATCH", "PUT", "DELETE" */
    const char *url;
    const char *headers[HTTP_MAX_HEADERS]; /* "Name: value", NULL ends them */
    const char
        *body; /* NULL = none; borrowed. Without a Content-Type among the headers it is application/json */
    size_t body_len;
};

struct http_res {
    int status;
    struct buf body;    /* terminated with a 0 that is not counted, and padded with 64 readable bytes (doc.h
                           wants them) */
    struct buf headers; /* "name: value\n" lines, names in lower case */
    int64_t elapsed_us;
    int64_t bytes_in; /* as received, before inflating */
};
void http_res_fini(struct http_res *r);
/* Value of a response header, or NULL. `name` in lower case. Copied into `out` (terminated, cut to size). */
bool http_res_header(const struct http_res *r, const char *name, char *out, size_t size);
/* Milliseconds out of Retry-After or X-Retry-After (whole seconds, or an HTTP date against `now` in
 * microseconds), at most a day; -1 if neither is there or makes sense. */
int64_t http_res_retry_after_ms(const struct http_res *r, int64_t now);

struct http;
void http_destroy(struct http *h);
AUTO_DEFINE(http)
enum rc http_create(const struct http_options *o, struct http **out, struct err *err); /* o may be NULL */

/* `res` is all zero or a result of an earlier call, whose memory is then reused. */
enum rc http_perform(struct http *h, const struct http_req *req, struct http_res *res, struct err *err);

/* n requests, at most `parallel` (up to 64) under way at once over as many connections, which single requests
 * share. rcs[i] and errs[i] (`errs` may be NULL) tell how each went; returns when all have ended. */
void http_perform_many(struct http *h, const struct http_req *reqs, size_t n, int parallel,
                       struct http_res *res, enum rc *rcs, struct err *errs);

/* Percent-encodes `s` for a path segment or a query value into `b`. */
void http_escape(struct buf *b, const char *s);

/* Checks an http or https URL and takes it apart; RC_INVALID says what is wrong. No user:password@. A query
 * and a fragment may be there and are left out, so that a vendor's "next page" can be held against its base
 * URL. */
struct http_url {
    bool tls;
    char host[256]; /* in lower case; an IPv6 address without its brackets */
    int port;
    char path[512]; /* "" or "/..." without a trailing slash, no query, no fragment */
};
enum rc http_url_parse(const char *url, struct http_url *out, struct err *err);

#endif
