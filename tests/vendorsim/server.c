/* server - HTTP: takes requests and sends answers, or what was ordered instead of them.
 *
 * A request goes through stages: receive() gathers the body, decide() lets the vendor or the door answer
 * while the lock is held, wait_held() and wait_latency() delay it, send_reply() compresses and queues it, and
 * on_done() counts what has really gone out.
 */
#include "server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <microhttpd.h>

#include "door.h"
#include "edit.h"

enum {
    BODY_MAX = 32 * 1024 * 1024,
    CONNECTIONS_MAX = 1000,
    STACK_BYTES = 1024 * 1024,
    SETTLE_MS = 200,
    WAIT_MS = 20, /* how long a waiting request may not notice that its client has gone */
    STREAM_BLOCK = 256 * 1024,
    GZIP_MIN = 200,
};

struct server {
    struct sim *sim;
    struct MHD_Daemon *daemon;
};

/* An answer on its way: in the list from queueing until the last byte. */
struct sending {
    uint64_t number;
    struct sending *next, **back;
};

struct request {
    struct buf body;
    bool too_long;
    bool queued;
    bool counts_page; /* a page of the walk, sent as the vendor would */
    size_t bytes, bytes_raw;
    struct sending sending;
};

/* What decide() has settled on. */
struct decision {
    struct reply reply;
    struct door_stream *stream;
    struct fault fault;
    bool failed; /* `fault` is to be followed */
    bool held;
    bool is_door;
    bool good_page;
};

/* -- waiting -- */

static int
socket_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info != NULL ? info->connect_fd : -1;
}

static bool
client_is_gone(struct MHD_Connection *conn)
{
    struct pollfd p = { .fd = socket_of(conn), .events = POLLRDHUP };

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

/* Waits while *counter is what it was, counting itself in *waiting. The lock is held. False: answer nobody.
 */
static bool
wait_for(struct sim *s, struct MHD_Connection *conn, const uint64_t *counter, uint64_t *waiting)
{
    uint64_t was = *counter;
    bool gone = false;

    ++*waiting;
    while (*counter == was && !s->stopping && !gone) {
        sim_wait(s, WAIT_MS);
        gone = client_is_gone(conn);
    }
    --*waiting;
    return !gone && !s->stopping;
}

static void
wait_latency(struct sim *s)
{
    int64_t until = mono_us() + s->opts.latency_ms * 1000, left;

    while (!s->stopping && (left = until - mono_us()) > 0)
        sim_wait(s, left / 1000 + 1);
}

void
server_settle(struct sim *s)
{
    int64_t until = mono_us() + (int64_t)SETTLE_MS * 1000;
    uint64_t upto = s->answers_sent;
    bool busy = true;

    while (busy && mono_us() < until) {
        busy = false;
        for (const struct sending *p = s->sending; p != NULL; p = p->next)
            busy = busy || p->number <= upto;
        if (busy)
            sim_wait(s, 2);
    }
}

/* -- deciding -- */

static const struct endpoint *
find_endpoint(const struct vendor *v, const char *method, const char *path, char *arg, size_t size)
{
    for (size_t i = 0; i < v->nendpoints; i++) /* literal paths first: /issues/search is no issue */
        if (strcmp(v->endpoints[i].method, method) == 0 && strcmp(v->endpoints[i].path, path) == 0)
            return &v->endpoints[i];
    for (size_t i = 0; i < v->nendpoints; i++)
        if (strcmp(v->endpoints[i].method, method) == 0 && path_match(v->endpoints[i].path, path, arg, size))
            return &v->endpoints[i];
    return NULL;
}

static void
spoil_text(struct reply *r, const char *type, const char *text, size_t n)
{
    r->content_type = type;
    r->body.len = r->tail.len = 0;
    buf_add(&r->body, text, n);
}

static void
spoil_shape(struct sim *s, struct reply *r)
{
    static const char *const shapes[] = {
        "{\"data\":\"none\",\"pagination\":{\"cursor\":\"x\",\"has_next_page\":\"yes\"},\"request_id\":7}",
        "{\"data\":{\"id\":{}},\"pagination\":[],\"request_id\":null}",
        "{\"data\":[1,\"two\",null,[{}]],\"pagination\":{\"cursor\":5,\"has_next_page\":true}}",
        "[{\"data\":[]}]",
        "{\"data\":[{\"id\":17,\"title\":[],\"state\":{},\"custom_fields\":\"none\",\"created_at\":1,\"updated_at\":false}]}",
        "\"ok\"",
    };
    const char *shape = shapes[s->wrong_shapes++ % (sizeof(shapes) / sizeof(shapes[0]))];

    spoil_text(r, "application/json", shape, strlen(shape));
}

/* Turns the answer into the ordered failure, where that is a matter of its bytes. */
static void
spoil(struct call *c, const struct fault *f, struct reply *r)
{
    static const char html[] =
        "<html><head><title>502 Bad Gateway</title></head>\n<body><h1>Bad Gateway</h1></body></html>\n";
    static const char garbage[] = "{\"data\":[{\"id\":\"\xff\xfe\0\x01 \xc3(\",,]}}trailing";

    switch (f->mode) {
    case FAULT_GARBAGE:
        spoil_text(r, "application/json", garbage, sizeof(garbage) - 1);
        break;
    case FAULT_WRONG_SHAPE:
        spoil_shape(c->sim, r);
        break;
    case FAULT_EMPTY:
        spoil_text(r, NULL, "", 0);
        break;
    case FAULT_HTML:
        spoil_text(r, "text/html", html, sizeof(html) - 1);
        break;
    default:
        return;
    }
    r->status = f->status;
}

static void
answer_failed(struct call *c, struct decision *d)
{
    const struct fault *f = &d->fault;

    c->sim->stats.failed++;
    d->reply.status = f->status;
    switch (f->mode) {
    case FAULT_RESET:
    case FAULT_HANG:
        return;
    case FAULT_TRUNCATE:
    case FAULT_REPEAT_CURSOR:
        d->reply.status = 200;
        c->repeat_cursor = f->mode == FAULT_REPEAT_CURSOR;
        c->ep->answer(c, &d->reply);
        break;
    default:
        c->sim->vendor->failure(c, &d->reply);
        break;
    }
    c->sim->vendor->finish(c, &d->reply);
    spoil(c, f, &d->reply);
    if (f->retry_after >= 0)
        reply_header(&d->reply, f->x_header ? "X-Retry-After" : "Retry-After", "%lld",
                     (long long)f->retry_after);
}

static void
answer_limited(struct call *c, struct reply *r, int64_t wait_us)
{
    long long seconds = (long long)((wait_us + USEC - 1) / USEC);

    r->status = 429;
    c->sim->vendor->limited(c, r);
    c->sim->vendor->finish(c, r);
    reply_header(r, c->sim->limited++ % 2 == 0 ? "Retry-After" : "X-Retry-After", "%lld",
                 seconds > 0 ? seconds : 1);
}

static void
churn(struct sim *s)
{
    struct churn *k = &s->churn;

    if (k->per_page <= 0 || k->pages_left <= 0)
        return;
    k->pages_left--;
    for (int64_t i = 0; i < k->per_page; i++, k->edits++)
        edit_random(&s->world, &k->rng, simclock_now(&s->clock));
}

static void
answer_good(struct call *c, size_t at, struct decision *d)
{
    struct sim *s = c->sim;

    c->ep->answer(c, &d->reply);
    s->vendor->finish(c, &d->reply);
    if (d->reply.status != 200)
        return;
    s->stats.answers[at]++;
    d->good_page = c->ep->is_page;
    d->held = holds_take(&s->holds, c->ep->name, s->stats.answers[at]);
    if (c->ep->is_page)
        churn(s);
}

static bool
brings_cursor(const struct call *c)
{
    const char *cursor = c->ep->cursor_in_body ? json_string_value(json_object_get(c->body, "cursor"))
                                               : call_query(c, "cursor");

    return cursor != NULL && *cursor != '\0';
}

/* A call that the vendor lets in: counted against the limit, then failed or answered. */
static void
admit(struct call *c, struct decision *d)
{
    struct sim *s = c->sim;
    size_t at = (size_t)(c->ep - s->vendor->endpoints);
    int64_t now = mono_us(), wait = limiter_wait(&s->limiters[at], now);

    if (wait > 0) {
        answer_limited(c, &d->reply, wait);
        return;
    }
    d->failed = faults_take(&s->faults, c->ep->name, brings_cursor(c), &d->fault);
    if (!d->failed || d->fault.status != 429)
        limiter_count(&s->limiters[at], now);
    c->left = limiter_left(&s->limiters[at]);
    if (d->failed)
        answer_failed(c, d);
    else
        answer_good(c, at, d);
}

/* The lock is held. */
static void
decide(struct call *c, const char *method, const char *path, struct decision *d)
{
    struct sim *s = c->sim;

    d->reply.status = 200;
    if (strncmp(path, DOOR_PREFIX, strlen(DOOR_PREFIX)) == 0) {
        d->is_door = true;
        door_answer(c, method, path + strlen(DOOR_PREFIX), &d->reply, &d->stream);
        return;
    }
    c->ep = find_endpoint(s->vendor, method, path, c->arg, sizeof(c->arg));
    if (c->ep != NULL)
        s->stats.calls[c->ep - s->vendor->endpoints]++;
    else
        s->stats.unknown_path++;
    if (!s->vendor->authorize(c, &d->reply)) {
        s->vendor->finish(c, &d->reply);
    } else if (c->ep == NULL) {
        s->vendor->not_found(c, &d->reply);
        s->vendor->finish(c, &d->reply);
    } else {
        admit(c, d);
    }
    if (!d->failed && d->reply.status != 200)
        s->stats.rejected[d->reply.status]++;
    if (c->ep != NULL)
        calls_add(
            &s->call_log, mono_us(), (size_t)(c->ep - s->vendor->endpoints),
            d->failed && (d->fault.mode == FAULT_RESET || d->fault.mode == FAULT_HANG) ? 0 : d->reply.status);
}

/* -- sending -- */

static bool
accepts_gzip(const struct sim *s, struct MHD_Connection *conn)
{
    const char *accept = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Accept-Encoding");
    const char *at = accept != NULL ? strcasestr(accept, "gzip") : NULL;

    return strcmp(s->opts.gzip, "on") == 0 && at != NULL && strncmp(at + 4, ";q=0,", 5) != 0 &&
           strcmp(at + 4, ";q=0") != 0;
}

static ssize_t
read_stream(void *cls, uint64_t pos, char *out, size_t max)
{
    struct door_stream *s = cls;
    size_t n = 0;

    (void)pos;
    while (n < max && s->at < s->n) {
        const struct blob *part = s->parts[s->at];
        size_t more = part->len - s->offset < max - n ? part->len - s->offset : max - n;

        memcpy(out + n, part->data + s->offset, more);
        n += more;
        s->offset += more;
        if (s->offset == part->len) {
            s->at++;
            s->offset = 0;
        }
    }
    return n > 0 ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void
free_stream(void *cls)
{
    door_stream_destroy(cls);
}

/* Half of an answer, then the connection breaks. */
static ssize_t
read_half(void *cls, uint64_t pos, char *out, size_t max)
{
    const struct buf *b = cls;
    size_t half = b->len / 2, n;

    if (pos >= half)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = half - pos < max ? half - (size_t)pos : max;
    memcpy(out, b->p + pos, n);
    return (ssize_t)n;
}

static void
free_buf(void *cls)
{
    struct buf *b = cls;

    buf_fini(b);
    free(b);
}

/* Takes what is in `bytes`. */
static struct MHD_Response *
make_response(struct decision *d, struct buf *bytes)
{
    struct buf *kept;

    if (d->stream != NULL)
        return MHD_create_response_from_callback(d->stream->bytes, STREAM_BLOCK, read_stream, d->stream,
                                                 free_stream);
    if (d->failed && d->fault.mode == FAULT_TRUNCATE) {
        kept = must_alloc(sizeof(*kept));
        *kept = *bytes;
        return MHD_create_response_from_callback(kept->len, STREAM_BLOCK, read_half, kept, free_buf);
    }
    return MHD_create_response_from_buffer(bytes->len, bytes->p, MHD_RESPMEM_MUST_FREE);
}

/* Enters the request in the list of answers on their way. */
static void
note_sending(struct sim *s, struct request *req, const struct decision *d)
{
    (void)pthread_mutex_lock(&s->lock);
    req->queued = !d->is_door;
    req->counts_page = d->good_page;
    if (req->queued) {
        req->sending =
            (struct sending){ .number = ++s->answers_sent, .next = s->sending, .back = &s->sending };
        if (s->sending != NULL)
            s->sending->back = &req->sending.next;
        s->sending = &req->sending;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

static enum MHD_Result
send_reply(struct sim *s, struct MHD_Connection *conn, struct request *req, struct decision *d)
{
    struct reply *r = &d->reply;
    struct buf bytes = { 0 };
    struct MHD_Response *response;
    enum MHD_Result rc;
    bool gzip = d->stream == NULL && r->body.len + r->tail.len >= GZIP_MIN && accepts_gzip(s, conn);

    req->bytes_raw = r->body.len + r->tail.len;
    if (gzip) {
        gzip_join(s->gzip, &r->body, &r->tail, &bytes);
    } else {
        buf_add(&r->body, r->tail.p, r->tail.len);
        bytes = r->body;
        r->body = (struct buf){ 0 };
    }
    req->bytes = bytes.len;
    response = make_response(d, &bytes);
    assert(response != NULL);
    if (gzip)
        (void)MHD_add_response_header(response, "Content-Encoding", "gzip");
    if (r->content_type != NULL)
        (void)MHD_add_response_header(response, "Content-Type", r->content_type);
    for (int i = 0; i < r->nheaders; i++)
        (void)MHD_add_response_header(response, r->headers[i].name, r->headers[i].value);
    note_sending(s, req, d);
    rc = MHD_queue_response(conn, (unsigned)r->status, response);
    MHD_destroy_response(response);
    return rc;
}

/* The connection breaks with a reset, at once: that is what "disconnecting" a TCP socket does. */
static void
reset_connection(struct MHD_Connection *conn)
{
    struct sockaddr none = { .sa_family = AF_UNSPEC };

    (void)connect(socket_of(conn), &none, sizeof(none));
}

/* The delays between deciding and sending. False: the connection is to be closed without an answer. */
static bool
delay(struct sim *s, struct MHD_Connection *conn, struct decision *d)
{
    bool go_on = true;

    if (d->failed && d->fault.mode == FAULT_HANG) {
        (void)wait_for(s, conn, &s->faults.clears, &s->stats.hanging);
        return false;
    }
    if (d->held)
        go_on = wait_for(s, conn, &s->holds.releases, &s->stats.held);
    if (!d->is_door)
        wait_latency(s);
    return go_on && !(d->failed && d->fault.mode == FAULT_RESET);
}

static enum MHD_Result
serve(struct sim *s, struct MHD_Connection *conn, const char *method, const char *path, struct request *req)
{
    struct decision d = { .held = false };
    struct call call = { .sim = s, .conn = conn, .left = -1 };
    enum MHD_Result rc = MHD_NO;
    json_error_t error;
    bool go_on;

    if (req->body.len > 0) {
        call.body = json_loadb(req->body.p, req->body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
        call.body_broken = call.body == NULL || req->too_long;
    }
    (void)pthread_mutex_lock(&s->lock);
    decide(&call, method, path, &d);
    go_on = delay(s, conn, &d);
    (void)pthread_mutex_unlock(&s->lock);
    json_decref(call.body);
    if (go_on)
        rc = send_reply(s, conn, req, &d);
    else if (d.failed && d.fault.mode == FAULT_RESET)
        reset_connection(conn);
    if (!go_on)
        door_stream_destroy(d.stream);
    reply_fini(&d.reply);
    return rc;
}

/* -- libmicrohttpd's callbacks -- */

static void
receive(struct request *req, const char *data, size_t n)
{
    if (req->body.len + n > BODY_MAX)
        req->too_long = true;
    else
        buf_add(&req->body, data, n);
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method, const char *version,
           const char *data, size_t *data_size, void **state)
{
    struct request *req = *state;

    (void)version;
    if (req == NULL) { /* the headers are here, the body follows */
        *state = must_alloc(sizeof(*req));
        return MHD_YES;
    }
    if (*data_size > 0) {
        receive(req, data, *data_size);
        *data_size = 0;
        return MHD_YES;
    }
    return serve(cls, conn, method, url, req);
}

static void
on_done(void *cls, struct MHD_Connection *conn, void **state, enum MHD_RequestTerminationCode how)
{
    struct sim *s = cls;
    struct request *req = *state;

    (void)conn;
    if (req == NULL)
        return;
    (void)pthread_mutex_lock(&s->lock);
    if (req->queued) {
        *req->sending.back = req->sending.next;
        if (req->sending.next != NULL)
            req->sending.next->back = req->sending.back;
        if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
            s->stats.pages_served += req->counts_page;
            s->stats.bytes += req->bytes;
            s->stats.bytes_raw += req->bytes_raw;
        }
        (void)pthread_cond_broadcast(&s->wake);
    }
    (void)pthread_mutex_unlock(&s->lock);
    buf_fini(&req->body);
    free(req);
    *state = NULL;
}

struct server *
server_create(struct sim *sim, int *port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)sim->opts.port) };
    struct server *s;
    const union MHD_DaemonInfo *info;

    if (inet_pton(AF_INET, sim->opts.bind, &at.sin_addr) != 1)
        return NULL;
    s = must_alloc(sizeof(*s));
    s->sim = sim;
    s->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC,
        (uint16_t)sim->opts.port, NULL, NULL, on_request, sim, MHD_OPTION_SOCK_ADDR, &at,
        MHD_OPTION_NOTIFY_COMPLETED, on_done, sim, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_END);
    if (s->daemon == NULL) {
        free(s);
        return NULL;
    }
    info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    *port = info->port;
    return s;
}

void
server_destroy(struct server *s)
{
    if (s == NULL)
        return;
    sim_stop(s->sim);
    MHD_stop_daemon(s->daemon);
    free(s);
}
