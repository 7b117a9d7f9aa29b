#include "api/server.h"
#include "api/dispatch.h"
#include "common/clock.h"
#include "common/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BODY_MAX = 1 << 20, /* more is 413 */
    BODY_DISCARD_MAX =
        8 << 20,        /* so much is read and thrown away to get that 413 across; then the line is cut */
    REQUEST_MAX_S = 60, /* for a client to send its request */
    HEADER_MEMORY = 32 << 10, /* request line and headers of one connection */
    ID_MAX = 64,
    BACKLOG = 256,
};

struct server {
    struct app *app;
    struct MHD_Daemon *daemon;
    int listen_fd; /* ours to close once quiesced; -1 while the daemon has it */
    int port;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    int in_flight;
    atomic_bool draining;
};

/* One request, from its first header to its last byte out. */
struct exchange {
    struct server *server;
    int64_t began; /* clock_mono */
    struct buf body;
    size_t received;
    char id[ID_MAX + 1];
    char method[16];
    const struct route *route;
    int status;
    size_t bytes_out;
};

static void
flight_add(struct server *s, int n)
{
    (void)pthread_mutex_lock(&s->lock);
    s->in_flight += n;
    if (s->in_flight == 0)
        (void)pthread_cond_broadcast(&s->idle);
    (void)pthread_mutex_unlock(&s->lock);
}

/* The caller's id where it is fit for a log line, else one of ours. */
static void
choose_id(const char *given, char out[static ID_MAX + 1])
{
    static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    uint64_t random = 0;

    if (given != NULL && given[0] != '\0' && strlen(given) <= ID_MAX && given[strspn(given, fit)] == '\0') {
        (void)snprintf(out, ID_MAX + 1, "%s", given);
        return;
    }
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint64_t)clock_mono(); /* an id for logs needs no secret */
    (void)snprintf(out, ID_MAX + 1, "%016" PRIx64, random);
}

static const char *
header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static struct exchange *
exchange_begin(struct server *s, struct MHD_Connection *c, const char *method)
{
    struct exchange *x = calloc(1, sizeof *x);

    if (x == NULL)
        return NULL;
    x->server = s;
    x->began = clock_mono();
    buf_init(&x->body, BODY_MAX);
    choose_id(header(c, "X-Request-Id"), x->id);
    (void)snprintf(x->method, sizeof x->method, "%s", method);
    flight_add(s, 1);
    return x;
}

/* Called by the library when an exchange is over, however it ended. */
static void
exchange_end(void *cls, struct MHD_Connection *c, void **slot, enum MHD_RequestTerminationCode why)
{
    struct exchange *x = *slot;

    (void)cls;
    (void)c;
    if (x == NULL)
        return;
    log_info("http.request", KV_STR("id", x->id), KV_STR("method", x->method),
             KV_STR("route", x->route != NULL ? x->route->path : "-"), KV_INT("status", x->status),
             KV_INT("ms", (clock_mono() - x->began) / 1000), KV_INT("bytes", (int64_t)x->bytes_out),
             KV_STR("cut", why == MHD_REQUEST_TERMINATED_COMPLETED_OK ? NULL : "the connection ended first"));
    flight_add(x->server, -1);
    buf_fini(&x->body);
    free(x);
    *slot = NULL;
}

struct query_list {
    struct request_param items[REQUEST_QUERY_MAX + 1]; /* one more than is allowed, so that it is noticed */
    size_t n;
};

static enum MHD_Result
collect_query(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct query_list *q = cls;

    (void)kind;
    if (q->n == COUNT_OF(q->items))
        return MHD_NO;
    q->items[q->n++] = (struct request_param){ .name = key, .value = value };
    return MHD_YES;
}

static void
add_header(struct MHD_Response *r, const char *name, const char *value)
{
    if (value[0] != '\0')
        (void)MHD_add_response_header(r, name, value); /* fails only without memory */
}

static struct MHD_Response *
make_response(struct exchange *x, struct answer *an)
{
    size_t len = an->body.len;
    char *data = TAKE(an->body.data); /* the library frees it */
    struct MHD_Response *r = MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE);
    char retry[16] = "";

    if (r == NULL) {
        free(data);
        return NULL;
    }
    if (an->retry_after_s > 0)
        (void)snprintf(retry, sizeof retry, "%d", an->retry_after_s);
    add_header(r, "Content-Type", len > 0 ? an->type : "");
    add_header(r, "X-Request-Id", x->id);
    add_header(r, "Cache-Control", "no-store");
    add_header(r, "X-Content-Type-Options", "nosniff");
    add_header(r, "Location", an->location);
    add_header(r, "Allow", an->allow);
    add_header(r, "Retry-After", retry);
    add_header(r, "WWW-Authenticate", an->challenge ? "Bearer realm=\"deskmill\"" : "");
    if (x->server->draining)
        add_header(r, "Connection", "close");
    return r;
}

static void
count(struct app *a, int status, size_t bytes)
{
    atomic_fetch_add(&a->counts.by_class[status / 100 % 6], 1);
    atomic_fetch_add(&a->counts.bytes_out, (long long)bytes);
}

static enum MHD_Result
respond(struct exchange *x, struct MHD_Connection *c, const char *path)
{
    struct query_list query = { .n = 0 };
    struct wire_request w = { .method = x->method,
                              .path = path,
                              .authorization = header(c, "Authorization"),
                              .api_key = header(c, "X-API-Key"),
                              .body = x->body.data,
                              .body_len = x->body.len,
                              .too_large = x->received > BODY_MAX,
                              .body_max = BODY_MAX };
    struct MHD_Response *r;
    enum MHD_Result sent = MHD_NO;
    struct answer an;

    (void)MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, collect_query, &query);
    w.query = query.items;
    w.query_n = query.n;
    answer_init(&an);
    dispatch(x->server->app, &w, &an, &x->route);
    x->status = an.status;
    x->bytes_out = strcmp(x->method, "HEAD") == 0 ? 0 : an.body.len;
    count(x->server->app, x->status, x->bytes_out);
    if ((r = make_response(x, &an)) != NULL) {
        sent = MHD_queue_response(c, (unsigned int)an.status, r);
        MHD_destroy_response(r);
    }
    answer_fini(&an);
    return sent;
}

/* Keeps what fits under the ceiling; false: cut the line, this client does not stop. */
static bool
receive(struct exchange *x, const char *data, size_t n)
{
    x->received += n;
    if (x->received <= BODY_MAX)
        buf_put(&x->body, data, n);
    return x->received <= BODY_DISCARD_MAX && clock_mono() - x->began < REQUEST_MAX_S * CLOCK_SECOND;
}

/* Whether the client announces more than we would even throw away: then it is told before it sends. */
static bool
announces_too_much(struct MHD_Connection *c)
{
    const char *length = header(c, "Content-Length");

    return length != NULL && strtoull(length, NULL, 10) > BODY_DISCARD_MAX;
}

/* Called once with the headers (*slot is NULL), once per piece of the body, and once more at its end. */
static enum MHD_Result
on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method, const char *version,
           const char *data, size_t *data_len, void **slot)
{
    struct exchange *x = *slot;

    (void)version;
    if (x == NULL) {
        if ((x = *slot = exchange_begin(cls, c, method)) == NULL)
            return MHD_NO;
        if (!announces_too_much(c))
            return MHD_YES;
        x->received = (size_t)BODY_MAX + 1;
    } else if (*data_len > 0) {
        bool go_on = receive(x, data, *data_len);

        *data_len = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    return respond(x, c, url);
}

/* The router decodes paths and queries itself, after it has taken them apart. */
static size_t
leave_encoded(void *cls, struct MHD_Connection *c, char *s)
{
    (void)cls;
    (void)c;
    return strlen(s);
}

static void on_library_log(void *cls, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void
on_library_log(void *cls, const char *fmt, va_list ap)
{
    char text[256];

    (void)cls;
    (void)vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug("http.library", KV_STR("text", text));
}

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static enum rc
parse_address(const char *host, int port, union address *out, socklen_t *len, struct err *err)
{
    *out = (union address){ 0 };
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons((uint16_t)port);
        *len = sizeof out->v4;
        return RC_OK;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons((uint16_t)port);
        *len = sizeof out->v6;
        return RC_OK;
    }
    return err_set(err, RC_INVALID, "listen: %s is not an address like 127.0.0.1, 0.0.0.0 or ::1", host);
}

static enum rc
open_listener(struct server *s, const char *host, int port, struct err *err)
{
    union address at;
    socklen_t len;
    enum rc rc = parse_address(host, port, &at, &len, err);
    int on = 1;

    if (rc != RC_OK)
        return rc;
    s->listen_fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0)
        return err_set(err, RC_INTERNAL, "a socket to listen on: %s", strerror(errno));
    (void)setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s->listen_fd, &at.any, len) != 0 || listen(s->listen_fd, BACKLOG) != 0 ||
        getsockname(s->listen_fd, &at.any, &len) != 0)
        return err_set(err, RC_CONFLICT,
                       "listening on %s port %d: %s; choose another with --listen and --port", host, port,
                       strerror(errno));
    s->port = ntohs(at.any.sa_family == AF_INET ? at.v4.sin_port : at.v6.sin6_port);
    return RC_OK;
}

static enum rc
start(struct server *s, struct err *err)
{
    const struct conf *conf = s->app->conf;
    int64_t threads = conf_int(conf, "threads");
    unsigned int pool = threads > 1 ? (unsigned int)threads : 0; /* the library wants no pool of one */

    s->daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL, NULL,
                         on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
                         MHD_OPTION_LISTEN_SOCKET, s->listen_fd, MHD_OPTION_NOTIFY_COMPLETED, exchange_end,
                         NULL, MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL, MHD_OPTION_THREAD_POOL_SIZE,
                         pool, MHD_OPTION_CONNECTION_LIMIT, (unsigned int)conf_int(conf, "max-connections"),
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)conf_int(conf, "idle-timeout-s"),
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_MEMORY, MHD_OPTION_END);
    if (s->daemon == NULL)
        return err_set(err, RC_INTERNAL, "the HTTP server does not start: %s", strerror(errno));
    return RC_OK;
}

enum rc
server_create(struct app *a, struct server **out, struct err *err)
{
    AUTO(server) s = calloc(1, sizeof *s);
    enum rc rc;

    if (s == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    s->app = a;
    s->listen_fd = -1;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->idle, NULL);
    if ((rc = open_listener(s, conf_str(a->conf, "listen"), (int)conf_int(a->conf, "port"), err)) != RC_OK ||
        (rc = start(s, err)) != RC_OK)
        return rc;
    s->listen_fd = -1; /* the daemon's now */
    *out = TAKE(s);
    return RC_OK;
}

int
server_port(const struct server *s)
{
    return s->port;
}

int
server_drain(struct server *s, int64_t ms)
{
    struct timespec until;
    int left;

    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* a clock that is set back must not make this long */
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    s->listen_fd = MHD_quiesce_daemon(s->daemon);
    if (s->listen_fd >= 0)
        (void)shutdown(s->listen_fd,
                       SHUT_RDWR); /* refuse newcomers; the library wants it open until it has stopped */
    (void)pthread_mutex_lock(&s->lock);
    s->draining = true;
    while (s->in_flight > 0)
        if (pthread_cond_clockwait(&s->idle, &s->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
            break;
    left = s->in_flight;
    (void)pthread_mutex_unlock(&s->lock);
    return left;
}

void
server_destroy(struct server *s)
{
    if (s == NULL)
        return;
    if (s->daemon != NULL)
        MHD_stop_daemon(s->daemon);
    if (s->listen_fd >= 0)
        (void)close(s->listen_fd);
    (void)pthread_cond_destroy(&s->idle);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}
