#include "common/http.h"
#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PADDING         64 /* readable bytes behind a body, for doc_parse() */
#define MAX_PARALLEL    64
#define MAX_HEADERS     (256 * 1024) /* of one response, all together */
#define MAX_RETRY_AFTER INT64_C(86400000)

/* One request under way: an easy handle is made at first need and used again and again. */
struct slot {
    CURL *easy;
    struct curl_slist *lines;
    const struct http_req *req;
    struct http_res *res;
    size_t index;
    char host[256];
    int port;
    bool too_large, no_memory;
    char text[CURL_ERROR_SIZE];
};

/* Connections live in `multi`, so that single and parallel requests share them. */
struct http {
    CURLM *multi;
    struct slot slots[MAX_PARALLEL];
    long connections; /* idle ones that may be kept */
    int connect_timeout_ms, timeout_ms, stall_timeout_ms;
    size_t max_body;
    char *user_agent, *ca_file;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_code;

static void
global_init(void)
{
    global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

void
http_res_fini(struct http_res *r)
{
    buf_fini(&r->body);
    buf_fini(&r->headers);
}

bool
http_res_header(const struct http_res *r, const char *name, char *out, size_t size)
{
    size_t n = strlen(name), len;
    const char *line = r->headers.data, *end;

    assert(size > 0);
    for (; line != NULL && *line != '\0'; line = end + 1) {
        end = strchr(line, '\n'); /* every line has one */
        if (strncmp(line, name, n) != 0 || strncmp(line + n, ": ", 2) != 0)
            continue;
        line += n + 2;
        len = (size_t)(end - line) < size - 1 ? (size_t)(end - line) : size - 1;
        memcpy(out, line, len);
        out[len] = '\0';
        return true;
    }
    return false;
}

/* RFC 9110: a number of seconds or a date. */
static int64_t
retry_after_ms(const char *s, int64_t now)
{
    int64_t ms;
    time_t at;

    if (isdigit((unsigned char)*s)) {
        size_t n = strspn(s, "0123456789");

        if (s[n] != '\0')
            return -1;
        ms = n > 6 ? MAX_RETRY_AFTER : strtoll(s, NULL, 10) * 1000;
        return ms > MAX_RETRY_AFTER ? MAX_RETRY_AFTER : ms;
    }
    at = curl_getdate(s, NULL);
    if (at == (time_t)-1)
        return -1;
    ms = (int64_t)at * 1000 - now / 1000;
    return ms < 0 ? 0 : ms > MAX_RETRY_AFTER ? MAX_RETRY_AFTER : ms;
}

int64_t
http_res_retry_after_ms(const struct http_res *r, int64_t now)
{
    static const char *const names[] = { "retry-after", "x-retry-after" };
    char value[64];
    int64_t ms = -1;

    for (size_t i = 0; ms < 0 && i < COUNT_OF(names); i++)
        if (http_res_header(r, names[i], value, sizeof value))
            ms = retry_after_ms(value, now);
    return ms;
}

void
http_destroy(struct http *h)
{
    if (h == NULL)
        return;
    for (size_t i = 0; i < COUNT_OF(h->slots); i++)
        curl_easy_cleanup(h->slots[i].easy);
    if (h->multi != NULL)
        (void)curl_multi_cleanup(h->multi);
    free(h->user_agent);
    free(h->ca_file);
    free(h);
}

static int
or_default(int value, int by_default)
{
    return value > 0 ? value : by_default;
}

enum rc
http_create(const struct http_options *o, struct http **out, struct err *err)
{
    static const struct http_options none = { 0 };
    AUTO(http) h = NULL;

    if (o == NULL)
        o = &none;
    if (pthread_once(&global_once, global_init) != 0 || global_code != CURLE_OK)
        return err_set(err, RC_INTERNAL, "libcurl: %s", curl_easy_strerror(global_code));
    if ((h = calloc(1, sizeof *h)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for an HTTP client");
    h->connect_timeout_ms = or_default(o->connect_timeout_ms, 10000);
    h->timeout_ms = or_default(o->timeout_ms, 60000);
    h->stall_timeout_ms = or_default(o->stall_timeout_ms, 20000);
    h->max_body = o->max_body > 0 ? o->max_body : (size_t)64 << 20;
    h->user_agent = strdup(o->user_agent != NULL ? o->user_agent : "deskmill/" DESKMILL_VERSION);
    h->ca_file = o->ca_file != NULL ? strdup(o->ca_file) : NULL;
    h->multi = curl_multi_init();
    if (h->multi == NULL || h->user_agent == NULL || (o->ca_file != NULL && h->ca_file == NULL))
        return err_set(err, RC_INTERNAL, "no memory for an HTTP client");
    *out = TAKE(h);
    return RC_OK;
}

static size_t
on_body(char *data, size_t one, size_t n, void *arg)
{
    struct slot *s = arg;
    struct buf *b = &s->res->body;

    (void)one;
    if (n > b->max - PADDING - b->len) {
        s->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    buf_put(b, data, n);
    s->no_memory = b->failed;
    return b->failed ? CURL_WRITEFUNC_ERROR : n;
}

static size_t
on_header(char *data, size_t one, size_t n, void *arg)
{
    struct slot *s = arg;
    struct buf *b = &s->res->headers;
    size_t len = n;
    char *colon;

    (void)one;
    while (len > 0 && isspace((unsigned char)data[len - 1]))
        len--;
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        buf_reset(b); /* an interim answer's headers are not the answer's */
        return n;
    }
    if ((colon = memchr(data, ':', len)) == NULL)
        return n;
    for (char *p = data; p < colon; p++)
        buf_putc(b, (char)tolower((unsigned char)*p));
    buf_puts(b, ": ");
    for (colon++; colon < data + len && isspace((unsigned char)*colon); colon++)
        ;
    for (; colon < data + len; colon++)
        buf_putc(b, (char)(*colon == '\0' ? ' ' : *colon));
    buf_putc(b, '\n');
    s->too_large |= b->failed;
    return b->failed ? CURL_WRITEFUNC_ERROR : n;
}

static void
res_reset(struct http_res *r, size_t max_body)
{
    if (r->body.data == NULL)
        buf_init(&r->body, max_body + PADDING);
    if (r->headers.data == NULL)
        buf_init(&r->headers, MAX_HEADERS);
    buf_reset(&r->body);
    buf_reset(&r->headers);
    r->body.max = max_body + PADDING;
    r->status = 0;
    r->elapsed_us = r->bytes_in = 0;
}

static bool
has_header(const struct http_req *req, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < HTTP_MAX_HEADERS && req->headers[i] != NULL; i++)
        if (strncasecmp(req->headers[i], name, n) == 0 && req->headers[i][n] == ':')
            return true;
    return false;
}

static bool
add_line(struct slot *s, const char *line)
{
    struct curl_slist *more = curl_slist_append(s->lines, line);

    if (more == NULL)
        return false;
    s->lines = more;
    return true;
}

static enum rc
add_lines(struct slot *s, struct err *err)
{
    const struct http_req *req = s->req;
    bool ok =
        add_line(s, "Expect:"); /* no asking first: it costs a round trip, or a second where nobody answers */

    for (size_t i = 0; i < HTTP_MAX_HEADERS && req->headers[i] != NULL; i++) {
        if (strpbrk(req->headers[i], "\r\n") != NULL || strchr(req->headers[i], ':') == NULL)
            return err_set(err, RC_INVALID, "header %zu of the request is not one line of name: value", i);
        ok = ok && add_line(s, req->headers[i]);
    }
    if (req->body != NULL && !has_header(req, "content-type"))
        ok = ok && add_line(s, "Content-Type: application/json");
    return ok ? RC_OK : err_set(err, RC_INTERNAL, "no memory for the headers of a request");
}

#define SET(option, value) (ok = curl_easy_setopt(s->easy, (option), (value)) == CURLE_OK && ok)

static bool
set_request(struct slot *s)
{
    const struct http_req *req = s->req;
    bool ok = true;

    SET(CURLOPT_URL, req->url);
    SET(CURLOPT_HTTPHEADER, s->lines);
    if (req->body != NULL || strcmp(req->method, "POST") == 0) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(req->body != NULL ? req->body_len : 0));
        SET(CURLOPT_POSTFIELDS, req->body != NULL ? req->body : "");
    }
    if (strcmp(req->method, "GET") != 0 || req->body != NULL)
        SET(CURLOPT_CUSTOMREQUEST, req->method);
    return ok;
}

static bool
set_limits(const struct http *h, struct slot *s)
{
    bool ok = true;

    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)h->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)h->timeout_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)(h->stall_timeout_ms + 999) / 1000); /* libcurl counts whole seconds */
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)h->max_body); /* where Content-Length already says it */
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    return ok;
}

/* A proxy out of the environment is for https to other hosts only: it would read plain http, and can't reach
 * our loopback. "" means none, NULL what the environment says. */
static bool
set_network(const struct http *h, struct slot *s, const struct http_url *url)
{
    bool ok = true;
    bool loopback = strcmp(url->host, "localhost") == 0 || strncmp(url->host, "127.", 4) == 0 ||
                    strcmp(url->host, "::1") == 0;

    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, url->tls && !loopback ? NULL : "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    /* Parallel requests are few, and 7.88's HTTP/2 has more ways to fail than it saves round trips. */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_ACCEPT_ENCODING, "gzip");
    SET(CURLOPT_USERAGENT, h->user_agent);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (h->ca_file != NULL)
        SET(CURLOPT_CAINFO, h->ca_file);
    return ok;
}

static bool
set_callbacks(struct slot *s)
{
    bool ok = true;

    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, s);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, s);
    SET(CURLOPT_ERRORBUFFER, s->text);
    SET(CURLOPT_PRIVATE, s);
    return ok;
}

#undef SET

static bool
known_method(const char *m)
{
    static const char *const methods[] = { "GET", "POST", "PATCH", "PUT", "DELETE" };

    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (strcmp(m, methods[i]) == 0)
            return true;
    return false;
}

static void
slot_clear(struct slot *s)
{
    curl_slist_free_all(s->lines);
    s->lines = NULL;
    s->req = NULL;
    s->res = NULL;
}

/* Puts one request on its way. On failure the slot is free again. */
static enum rc
slot_start(struct http *h, struct slot *s, size_t index, const struct http_req *req, struct http_res *res,
           struct err *err)
{
    struct http_url url;
    enum rc rc;

    res_reset(res, h->max_body);
    if (!known_method(req->method))
        return err_set(err, RC_INVALID, "no HTTP method of ours: %s", req->method);
    if ((rc = http_url_parse(req->url, &url, err)) != RC_OK)
        return rc;
    if (s->easy == NULL && (s->easy = curl_easy_init()) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for an HTTP request");
    curl_easy_reset(s->easy); /* options only; connections stay */
    s->req = req;
    s->res = res;
    s->index = index;
    s->too_large = s->no_memory = false;
    s->text[0] = '\0';
    memcpy(s->host, url.host, sizeof s->host);
    s->port = url.port;
    if ((rc = add_lines(s, err)) == RC_OK &&
        !(set_request(s) && set_limits(h, s) && set_network(h, s, &url) && set_callbacks(s) &&
          curl_multi_add_handle(h->multi, s->easy) == CURLM_OK))
        rc = err_set(err, RC_INTERNAL, "libcurl refuses a request");
    if (rc != RC_OK)
        slot_clear(s);
    return rc;
}

static enum rc
rc_of(const struct slot *s, CURLcode code)
{
    if (s->no_memory)
        return RC_INTERNAL;
    if (s->too_large)
        return RC_LIMIT;
    switch (code) {
    case CURLE_OK:
        return RC_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return RC_TIMEOUT;
    case CURLE_FILESIZE_EXCEEDED:
        return RC_LIMIT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return RC_DENIED;
    case CURLE_URL_MALFORMAT:
    case CURLE_SSL_CACERT_BADFILE:
        return RC_INVALID;
    case CURLE_UNSUPPORTED_PROTOCOL: /* the answer's, "HTTP/0.9": the URL's was checked before */
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WEIRD_SERVER_REPLY:
        return RC_PROTOCOL;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        return RC_INTERNAL;
    default:
        return RC_UNAVAILABLE;
    }
}

/* How far it came; the clocks libcurl keeps are 0 for what was not reached. */
static const char *
stage_of(const struct slot *s, CURLcode code)
{
    curl_off_t connected = 0, secured = 0, sent = 0;

    (void)curl_easy_getinfo(s->easy, CURLINFO_CONNECT_TIME_T, &connected);
    (void)curl_easy_getinfo(s->easy, CURLINFO_APPCONNECT_TIME_T, &secured);
    (void)curl_easy_getinfo(s->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR ||
        code == CURLE_SSL_CACERT_BADFILE)
        return "TLS";
    if (sent > 0 || secured > 0)
        return "receiving";
    if (connected > 0)
        return strncasecmp(s->req->url, "https", 5) == 0 ? "TLS" : "receiving";
    return "connecting";
}

/* Host and reason only: a URL's path and query may hold what must not be logged. */
static enum rc
slot_error(const struct slot *s, CURLcode code, struct err *err)
{
    enum rc rc = rc_of(s, code);

    if (rc == RC_OK)
        return rc;
    if (s->no_memory)
        return err_set(err, rc, "%s:%d: no memory for the answer", s->host, s->port);
    if (rc == RC_LIMIT)
        return err_set(err, rc, "%s:%d: the answer is larger than %zu bytes", s->host, s->port,
                       s->res->headers.failed ? (size_t)MAX_HEADERS : s->res->body.max - PADDING);
    return err_set(err, rc, "%s:%d: %s: %s", s->host, s->port, stage_of(s, code),
                   s->text[0] != '\0' ? s->text : curl_easy_strerror(code));
}

/* Takes a request that has ended out again and fills in its result. */
static enum rc
slot_finish(struct http *h, struct slot *s, CURLcode code, struct err *err)
{
    struct http_res *res = s->res;
    curl_off_t us = 0, bytes = 0;
    long status = 0;
    char *pad;
    enum rc rc;

    (void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(s->easy, CURLINFO_TOTAL_TIME_T, &us);
    (void)curl_easy_getinfo(s->easy, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
    res->elapsed_us = us;
    res->bytes_in = bytes;
    if ((rc = slot_error(s, code, err)) == RC_OK) {
        res->status = (int)status;
        if ((pad = buf_reserve(&res->body, PADDING)) != NULL)
            memset(pad, 0, PADDING);
        else
            rc = err_set(err, RC_INTERNAL, "%s:%d: no memory for the answer", s->host, s->port);
    }
    (void)curl_multi_remove_handle(h->multi, s->easy);
    slot_clear(s);
    return rc;
}

enum rc
http_perform(struct http *h, const struct http_req *req, struct http_res *res, struct err *err)
{
    enum rc rc;

    http_perform_many(h, req, 1, 1, res, &rc, err);
    return rc;
}

/* One call of http_perform_many(): what is to be done and how it went. */
struct batch {
    struct http *h;
    const struct http_req *reqs;
    struct http_res *res;
    enum rc *rcs;
    struct err *errs; /* may be NULL */
    size_t n, next;
    int running;
};

static struct err *
batch_err(struct batch *b, size_t i)
{
    return b->errs != NULL ? &b->errs[i] : NULL;
}

/* Gives the slot the next request that can be started, if there is one. */
static void
batch_feed(struct batch *b, struct slot *s)
{
    while (b->next < b->n) {
        size_t i = b->next++;

        b->rcs[i] = slot_start(b->h, s, i, &b->reqs[i], &b->res[i], batch_err(b, i));
        if (b->rcs[i] == RC_OK) {
            b->running++;
            return;
        }
    }
}

static void
batch_collect(struct batch *b)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(b->h->multi, &left)) != NULL) {
        CURLcode code = m->data.result;
        struct slot *s = NULL;
        size_t i;

        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&s);
        i = s->index;
        b->running--;
        b->rcs[i] = slot_finish(b->h, s, code, batch_err(b, i)); /* m is gone from here on */
        batch_feed(b, s);
    }
}

/* libcurl itself failed: nothing that is left can be waited for. */
static void
batch_abandon(struct batch *b, CURLMcode code)
{
    for (size_t k = 0; k < COUNT_OF(b->h->slots); k++) {
        struct slot *s = &b->h->slots[k];
        size_t i = s->index;

        if (s->req == NULL)
            continue;
        (void)slot_finish(b->h, s, CURLE_OUT_OF_MEMORY, batch_err(b, i));
        b->rcs[i] = err_set(batch_err(b, i), RC_INTERNAL, "libcurl: %s", curl_multi_strerror(code));
    }
    for (; b->next < b->n; b->next++)
        b->rcs[b->next] =
            err_set(batch_err(b, b->next), RC_INTERNAL, "libcurl: %s", curl_multi_strerror(code));
    b->running = 0;
}

void
http_perform_many(struct http *h, const struct http_req *reqs, size_t n, int parallel, struct http_res *res,
                  enum rc *rcs, struct err *errs)
{
    struct batch b = { .h = h, .reqs = reqs, .res = res, .rcs = rcs, .errs = errs, .n = n };
    CURLMcode code = CURLM_OK;
    int still;

    assert(parallel > 0);
    if (parallel > MAX_PARALLEL)
        parallel = MAX_PARALLEL;
    if (parallel > h->connections) {
        h->connections = parallel;
        (void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, h->connections);
    }
    for (int i = 0; i < parallel && b.next < n; i++)
        batch_feed(&b, &h->slots[i]);
    while (b.running > 0) {
        if ((code = curl_multi_perform(h->multi, &still)) != CURLM_OK)
            break;
        batch_collect(&b);
        if (b.running > 0 && (code = curl_multi_poll(h->multi, NULL, 0, 1000, NULL)) != CURLM_OK)
            break;
    }
    if (code != CURLM_OK)
        batch_abandon(&b, code);
}

void
http_escape(struct buf *b, const char *s)
{
    for (; *s != '\0'; s++)
        if (isascii(*s) && (isalnum((unsigned char)*s) || strchr("-._~", *s) != NULL))
            buf_putc(b, *s);
        else
            buf_printf(b, "%%%02X", (unsigned char)*s);
}

/* The parts of "host[:port]" or "[v6][:port]", `len` bytes at `s`. */
static enum rc
parse_authority(const char *s, size_t len, struct http_url *u, struct err *err)
{
    static const char name_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    static const char v6_chars[] = "0123456789abcdefABCDEF:.";
    bool v6 = len > 0 && s[0] == '[';
    const char *host = v6 ? s + 1 : s, *end = s + len, *p;
    size_t n = strspn(host, v6 ? v6_chars : name_chars);

    if (memchr(s, '@', len) != NULL)
        return err_set(err, RC_INVALID, "the URL holds user:password@, which belongs elsewhere");
    p = host + n;
    if (v6 && *p++ != ']')
        return err_set(err, RC_INVALID, "the URL's [address] is not an IPv6 address");
    if (n == 0)
        return err_set(err, RC_INVALID, "the URL has no host");
    if (n >= sizeof u->host)
        return err_set(err, RC_INVALID, "the URL's host is too long");
    if (p < end && *p != ':')
        return err_set(err, RC_INVALID, "the URL's host holds a character that no host has");
    for (size_t i = 0; i < n; i++)
        u->host[i] = (char)tolower((unsigned char)host[i]);
    u->host[n] = '\0';
    u->port = u->tls ? 443 : 80;
    if (p == end)
        return RC_OK;
    n = strspn(++p, "0123456789");
    if (n == 0 || n > 5 || p + n != end || (u->port = (int)strtol(p, NULL, 10)) < 1 || u->port > 65535)
        return err_set(err, RC_INVALID, "the URL's port is not a number from 1 to 65535");
    return RC_OK;
}

enum rc
http_url_parse(const char *url, struct http_url *out, struct err *err)
{
    struct http_url u = { 0 };
    const char *s = url;
    size_t n;
    enum rc rc;

    for (const char *p = url; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("\"<>\\", *p) != NULL)
            return err_set(err, RC_INVALID, "the URL holds a character that must be escaped, at byte %td",
                           p - url);
    if (strncasecmp(s, "https://", 8) == 0) {
        u.tls = true;
        s += 8;
    } else if (strncasecmp(s, "http://", 7) == 0) {
        s += 7;
    } else {
        return err_set(err, RC_INVALID, "the URL does not begin with https:// or http://");
    }
    n = strcspn(s, "/?#");
    if ((rc = parse_authority(s, n, &u, err)) != RC_OK)
        return rc;
    s += n;
    n = strcspn(s, "?#");
    while (n > 0 && s[n - 1] == '/')
        n--;
    if (n >= sizeof u.path)
        return err_set(err, RC_INVALID, "the URL's path is longer than %zu bytes", sizeof u.path - 1);
    memcpy(u.path, s, n);
    *out = u;
    return RC_OK;
}
