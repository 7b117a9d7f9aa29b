/* test_http - requests against a small server of our own that misbehaves on demand. */
#include "common/http.h"
#include "tests/unit/tables.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the server: one thread accepts, each connection gets its own ---- */

#define MAX_CONNS 256

struct conn {
    pthread_t thread;
    int fd, number;
};

static struct server {
    pthread_t thread;
    int fd, port;
    struct conn conns[MAX_CONNS];
    atomic_int accepted, busy, busiest;
    atomic_bool stop;
} server;

struct request {
    char head[8192];
    char body[8192];
    size_t body_len;
};

static void
nap_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

static bool
say_bytes(int fd, const void *p, size_t n)
{
    return send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool
say(int fd, const char *s)
{
    return say_bytes(fd, s, strlen(s));
}

static bool
answer(int fd, const char *head, const void *body, size_t n)
{
    char text[1024];

    (void)snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n", head, n);
    return say(fd, text) && say_bytes(fd, body, n);
}

/* Reads one request; false when the client has gone. */
static bool
listen_to(int fd, struct request *r)
{
    size_t n = 0, want = 0;
    char *end = NULL;
    const char *length;

    memset(r, 0, sizeof *r);
    while (end == NULL && n < sizeof r->head - 1) {
        if (recv(fd, r->head + n, 1, 0) != 1)
            return false;
        n++;
        end = strstr(r->head, "\r\n\r\n");
    }
    if ((length = strcasestr(r->head, "\r\nContent-Length: ")) != NULL)
        want = strtoul(length + 18, NULL, 10);
    while (r->body_len < want && r->body_len < sizeof r->body) {
        ssize_t got = recv(fd, r->body + r->body_len, want - r->body_len, 0);

        if (got <= 0)
            return false;
        r->body_len += (size_t)got;
    }
    return true;
}

static bool
do_number(int fd, struct conn *c, const struct request *r)
{
    char text[32];

    (void)r;
    (void)snprintf(text, sizeof text, "connection %d", c->number);
    return answer(fd, "", text, strlen(text));
}

static bool
do_echo(int fd, struct conn *c, const struct request *r)
{
    char text[sizeof *r];
    int n = snprintf(text, sizeof text, "%s%.*s", r->head, (int)r->body_len, r->body);

    (void)c;
    return answer(fd, "", text, (size_t)n);
}

static uint32_t
crc32_of(const char *s, size_t n)
{
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)s[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static const unsigned char gzip_head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 };

static void
put_le(unsigned char *p, uint32_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

/* one stored block: gzip without a compressor */
static bool
do_gzip(int fd, struct conn *c, const struct request *r)
{
    static const char text[] = "{\"packed\":true,\"padding\":\"xxxxxxxxxxxxxxxxxxxxxxxxxx\"}";
    const size_t n = sizeof text - 1;
    unsigned char out[256];

    (void)c;
    if (strstr(r->head, "Accept-Encoding: gzip\r\n") == NULL)
        return answer(fd, "", "not asked for", 13);
    memcpy(out, gzip_head, 10);
    out[10] = 1;
    put_le(out + 11, (uint32_t)n, 2);
    put_le(out + 13, ~(uint32_t)n, 2);
    memcpy(out + 15, text, n);
    put_le(out + 15 + n, crc32_of(text, n), 4);
    put_le(out + 19 + n, (uint32_t)n, 4);
    return answer(fd, "Content-Encoding: gzip\r\n", out, 23 + n);
}

/* 8 MiB of zeros in some 53 KB: in the fixed code of deflate, "258 bytes from one byte back" takes 13 bits.
 */
static bool
do_bomb(int fd, struct conn *c, const struct request *r)
{
    enum { COPIES = 32520 };
    static unsigned char out[10 + 2 + COPIES * 13 / 8 + 8];
    static const char code[] = "1100010100000"; /* bits in the order they are sent */
    size_t bit = 8 * 10;

    (void)c;
    (void)r;
    memset(out, 0, sizeof out);
    memcpy(out, gzip_head, 10);
    out[10] = 3; /* last block, fixed code */
    bit += 3;
    out[bit / 8] |= (unsigned char)(0x0c << bit % 8); /* the literal 0 is 00110000 */
    bit += 8;
    for (int i = 0; i < COPIES; i++)
        for (const char *p = code; *p != '\0'; p++, bit++)
            out[bit / 8] |= (unsigned char)((*p - '0') << bit % 8);
    return answer(fd, "Content-Encoding: gzip\r\n", out, bit / 8 + 2);
}

static bool
do_truncated(int fd, struct conn *c, const struct request *r)
{
    (void)c;
    (void)r;
    (void)say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":");
    return false;
}

static bool
do_truncated_chunks(int fd, struct conn *c, const struct request *r)
{
    (void)c;
    (void)r;
    (void)say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n");
    return false;
}

static bool
do_reset(int fd, struct conn *c, const struct request *r)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    (void)c;
    (void)r;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    return false;
}

static bool
do_close(int fd, struct conn *c, const struct request *r)
{
    (void)fd;
    (void)c;
    (void)r;
    return false;
}

/* Says nothing until the client gives up. */
static void
outwait(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    while (!server.stop && poll(&p, 1, 20) == 0)
        ;
}

static bool
do_hang(int fd, struct conn *c, const struct request *r)
{
    (void)c;
    (void)r;
    outwait(fd);
    return false;
}

static bool
do_stall(int fd, struct conn *c, const struct request *r)
{
    (void)c;
    (void)r;
    (void)say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
    outwait(fd);
    return false;
}

static bool
do_drip(int fd, struct conn *c, const struct request *r)
{
    (void)c;
    (void)r;
    if (!say(fd, "HTTP/1.1 200 OK\r\nX-Long: "))
        return false;
    while (!server.stop && say(fd, "x"))
        nap_ms(20);
    return false;
}

static bool
do_slow_headers(int fd, struct conn *c, const struct request *r)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Slow: yes\r\n\r\nok";

    (void)c;
    (void)r;
    for (const char *p = text; *p != '\0'; p++) {
        if (!say_bytes(fd, p, 1))
            return false;
        nap_ms(2);
    }
    return true;
}

static bool
do_many_headers(int fd, struct conn *c, const struct request *r)
{
    (void)c;
    (void)r;
    if (!say(fd, "HTTP/1.1 200 OK\r\n"))
        return false;
    for (int i = 0; i < 40000; i++)
        if (!say(fd, "X-Filler: 0123456789\r\n"))
            return false;
    return say(fd, "Content-Length: 0\r\n\r\n");
}

static bool
do_headers(int fd, struct conn *c, const struct request *r)
{
    (void)c;
    (void)r;
    return say(fd, "HTTP/1.1 103 Early Hints\r\nX-Early: yes\r\n\r\n"
                   "HTTP/1.1 429 Too Many Requests\r\nX-RateLimit-Remaining:   17  \r\nX-Empty:\r\n"
                   "Retry-After: 30\r\nX-Rate: 1\r\nContent-Length: 4\r\n\r\nbusy");
}

static bool
do_redirect(int fd, struct conn *c, const struct request *r)
{
    (void)c;
    (void)r;
    return say(fd, "HTTP/1.1 302 Found\r\nLocation: /number\r\nContent-Length: 0\r\n\r\n");
}

static bool
do_big(int fd, struct conn *c, const struct request *r)
{
    static const char kilobyte[1024] = "";
    bool ok = true;

    (void)c;
    ok = strstr(r->head, "chunked") != NULL ? say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                                            : say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
    for (int i = 0; ok && i < 1024; i++) {
        if (strstr(r->head, "chunked") != NULL)
            ok = say(fd, "400\r\n") && say_bytes(fd, kilobyte, 1024) && say(fd, "\r\n");
        else
            ok = say_bytes(fd, kilobyte, 1024);
    }
    return ok && (strstr(r->head, "chunked") == NULL || say(fd, "0\r\n\r\n"));
}

static bool
do_busy(int fd, struct conn *c, const struct request *r)
{
    int now = atomic_fetch_add(&server.busy, 1) + 1, most = server.busiest;

    (void)c;
    while (now > most && !atomic_compare_exchange_weak(&server.busiest, &most, now))
        ;
    nap_ms(20);
    atomic_fetch_sub(&server.busy, 1);
    return answer(fd, "", r->head, 20);
}

static bool
do_garbage(int fd, struct conn *c, const struct request *r)
{
    (void)c;
    (void)r;
    (void)say(fd, "220 smtp.example ESMTP\r\n");
    return false;
}

static const struct route {
    const char *path;
    bool (*run)(int fd, struct conn *c, const struct request *r); /* false closes the connection */
} routes[] = {
    { " /number", do_number },
    { " /echo", do_echo },
    { " /gzip", do_gzip },
    { " /bomb", do_bomb },
    { " /truncated-chunks", do_truncated_chunks },
    { " /truncated", do_truncated },
    { " /reset", do_reset },
    { " /close", do_close },
    { " /hang", do_hang },
    { " /stall", do_stall },
    { " /drip", do_drip },
    { " /slow-headers", do_slow_headers },
    { " /many-headers", do_many_headers },
    { " /headers", do_headers },
    { " /redirect", do_redirect },
    { " /big", do_big },
    { " /busy", do_busy },
    { " /garbage", do_garbage },
};

static void *
serve_conn(void *arg)
{
    struct conn *c = arg;
    struct request *r = malloc(sizeof *r);
    bool go_on = r != NULL;

    while (go_on && !server.stop && listen_to(c->fd, r)) {
        const char *line_end = strstr(r->head, "\r\n");

        go_on = false;
        for (size_t i = 0; i < COUNT_OF(routes); i++) {
            const char *hit = strstr(r->head, routes[i].path);

            if (hit != NULL && hit < line_end) {
                go_on = routes[i].run(c->fd, c, r);
                break;
            }
        }
    }
    free(r);
    (void)shutdown(c->fd, SHUT_WR);
    (void)close(c->fd);
    c->fd = -1;
    return NULL;
}

static void *
serve(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        int i = server.accepted;

        if (server.stop || i >= MAX_CONNS) {
            (void)close(fd);
            break;
        }
        server.conns[i] = (struct conn){ .fd = fd, .number = i };
        if (pthread_create(&server.conns[i].thread, NULL, serve_conn, &server.conns[i]) != 0)
            abort();
        server.accepted = i + 1;
    }
    return NULL;
}

static int
bound_socket(int *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static int
server_up(void **state)
{
    static const char *const proxies[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(proxies);
         i++) /* nobody listens there: a request that asks a proxy fails */
        assert_int_equal(setenv(proxies[i], "http://127.0.0.1:1", 1), 0);
    server.fd = bound_socket(&server.port);
    assert_int_equal(listen(server.fd, 64), 0);
    return pthread_create(&server.thread, NULL, serve, NULL);
}

static int
server_down(void **state)
{
    (void)state;
    server.stop = true;
    (void)shutdown(server.fd, SHUT_RDWR);
    (void)pthread_join(server.thread, NULL);
    for (int i = 0; i < server.accepted; i++) {
        if (server.conns[i].fd >= 0)
            (void)shutdown(server.conns[i].fd, SHUT_RDWR);
        (void)pthread_join(server.conns[i].thread, NULL);
    }
    return close(server.fd);
}

/* ---- the client's side ---- */

static const char *
url_of(const char *path)
{
    static char urls[8][256];
    static size_t next;
    char *u = urls[next++ % COUNT_OF(urls)];

    (void)snprintf(u, sizeof urls[0], "http://127.0.0.1:%d%s", server.port, path);
    return u;
}

static struct http *
client(const struct http_options *o)
{
    struct http *h = NULL;
    struct err err = { 0 };

    if (http_create(o, &h, &err) != RC_OK)
        fail_msg("%s", err.text);
    return h;
}

static enum rc
get(struct http *h, const char *path, struct http_res *res, struct err *err)
{
    struct http_req req = { .method = "GET", .url = url_of(path) };

    return http_perform(h, &req, res, err);
}

static void
get_ok(struct http *h, const char *path, struct http_res *res)
{
    struct err err = { 0 };

    if (get(h, path, res, &err) != RC_OK)
        fail_msg("%s: %s", path, err.text);
}

static void
test_connections_are_kept(void **state)
{
    AUTO(http) h = client(NULL);
    struct http_res res = { 0 };
    char first[64];

    (void)state;
    get_ok(h, "/number", &res);
    (void)snprintf(first, sizeof first, "%s", res.body.data);
    for (int i = 0; i < 5; i++) {
        get_ok(h, "/number", &res);
        assert_string_equal(res.body.data, first);
    }
    assert_int_equal(res.status, 200);
    assert_true(res.elapsed_us > 0);
    http_res_fini(&res);
}

static void
test_a_closed_connection_is_replaced(void **state)
{
    AUTO(http) h = client(NULL);
    struct http_res res = { 0 };
    struct err err = { 0 };

    (void)state;
    get_ok(h, "/number", &res);
    assert_int_equal(get(h, "/close", &res, &err), RC_UNAVAILABLE);
    get_ok(h, "/number", &res);
    assert_int_equal(strncmp(res.body.data, "connection ", 11), 0);
    http_res_fini(&res);
}

static void
test_a_body_is_padded_and_a_result_reused(void **state)
{
    AUTO(http) h = client(NULL);
    struct http_res res = { 0 };
    struct err err = { 0 };

    (void)state;
    get_ok(h, "/headers", &res);
    assert_int_equal(res.status, 429);
    assert_int_equal(res.body.len, 4);
    assert_true(res.body.cap >= res.body.len + 64);
    for (size_t i = res.body.len; i < res.body.len + 64; i++)
        assert_int_equal(res.body.data[i], 0);
    get_ok(h, "/redirect", &res);
    assert_int_equal(res.status, 302); /* told, not followed */
    assert_int_equal(res.body.len, 0);
    assert_string_equal(res.body.data, "");
    assert_int_equal(get(h, "/close", &res, &err), RC_UNAVAILABLE);
    assert_int_equal(res.status, 0); /* nothing of the last time is left */
    assert_int_equal(res.body.len, 0);
    http_res_fini(&res);
    http_res_fini(&res); /* all zero again */
}

static void
test_headers_are_found(void **state)
{
    AUTO(http) h = client(NULL);
    struct http_res res = { 0 };
    char value[16], tiny[2];

    (void)state;
    get_ok(h, "/headers", &res);
    assert_true(http_res_header(&res, "x-ratelimit-remaining", value, sizeof value));
    assert_string_equal(value, "17");
    assert_true(http_res_header(&res, "x-ratelimit-remaining", tiny, sizeof tiny));
    assert_string_equal(tiny, "1");
    assert_true(http_res_header(&res, "x-empty", value, sizeof value));
    assert_string_equal(value, "");
    assert_true(http_res_header(&res, "x-rate", value, sizeof value));
    assert_string_equal(value, "1");
    assert_false(http_res_header(&res, "x-early", value, sizeof value)); /* of the interim answer */
    assert_false(http_res_header(&res, "ratelimit-remaining", value, sizeof value));
    assert_int_equal(http_res_retry_after_ms(&res, 0), 30000);
    http_res_fini(&res);
}

static void
test_what_is_sent(void **state)
{
    AUTO(http) h = client(NULL);
    struct http_res res = { 0 };
    struct err err = { 0 };
    struct http_req req = { .method = "POST",
                            .url = url_of("/echo?q=1"),
                            .body = "{\"a\":1}",
                            .body_len = 7,
                            .headers = { "Authorization: Bearer abc", "X-Two: 2" } };

    (void)state;
    assert_int_equal(http_perform(h, &req, &res, &err), RC_OK);
    assert_int_equal(strncmp(res.body.data, "POST /echo?q=1 HTTP/1.1\r\n", 25), 0);
    assert_non_null(strstr(res.body.data, "\r\nAuthorization: Bearer abc\r\n"));
    assert_non_null(strstr(res.body.data, "\r\nX-Two: 2\r\n"));
    assert_non_null(strstr(res.body.data, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(res.body.data, "\r\nUser-Agent: deskmill/"));
    assert_non_null(strstr(res.body.data, "\r\n\r\n{\"a\":1}"));

    req = (struct http_req){ .method = "PATCH",
                             .url = url_of("/echo"),
                             .body = "x=1",
                             .body_len = 3,
                             .headers = { "content-type: text/plain" } };
    assert_int_equal(http_perform(h, &req, &res, &err), RC_OK);
    assert_int_equal(strncmp(res.body.data, "PATCH /echo ", 12), 0);
    assert_non_null(strstr(res.body.data, "content-type: text/plain\r\n"));
    assert_null(strstr(res.body.data, "application/json"));

    req = (struct http_req){ .method = "DELETE", .url = url_of("/echo") };
    assert_int_equal(http_perform(h, &req, &res, &err), RC_OK);
    assert_int_equal(strncmp(res.body.data, "DELETE /echo ", 13), 0);

    req = (struct http_req){ .method = "GET", .url = url_of("/echo") }; /* no trace of the request before */
    assert_int_equal(http_perform(h, &req, &res, &err), RC_OK);
    assert_int_equal(strncmp(res.body.data, "GET /echo ", 10), 0);
    assert_null(strcasestr(res.body.data, "content-"));

    req =
        (struct http_req){ .method = "GET", .url = url_of("/echo"), .headers = { "X: 1\r\nX-Smuggled: 2" } };
    assert_int_equal(http_perform(h, &req, &res, &err), RC_INVALID);
    req = (struct http_req){ .method = "BREW", .url = url_of("/echo") };
    assert_int_equal(http_perform(h, &req, &res, &err), RC_INVALID);
    req = (struct http_req){ .method = "GET", .url = "ftp://127.0.0.1/echo" };
    assert_int_equal(http_perform(h, &req, &res, &err), RC_INVALID);
    http_res_fini(&res);
}

static void
test_gzip(void **state)
{
    AUTO(http) h = client(NULL);
    struct http_res res = { 0 };

    (void)state;
    get_ok(h, "/gzip", &res);
    assert_string_equal(res.body.data, "{\"packed\":true,\"padding\":\"xxxxxxxxxxxxxxxxxxxxxxxxxx\"}");
    assert_int_equal(res.bytes_in, (int64_t)res.body.len + 23);
    http_res_fini(&res);
}

static void
test_a_bomb_within_the_ceiling_inflates(void **state)
{
    AUTO(http) h = client(NULL);
    struct http_res res = { 0 };
    struct err err = { 0 };

    (void)state;
    /* it ends in the middle, which libcurl forgives; what matters is that it does inflate to 8 MiB */
    (void)get(h, "/bomb", &res, &err);
    assert_true(res.body.len > (size_t)8 << 20);
    assert_true(res.bytes_in < 60000);
    http_res_fini(&res);
}

static struct failure_case {
    const char *name, *path;
    struct http_options options;
    enum rc want;
    const char *says;
} failures[] = {
    { "failure: a body cut off", "/truncated", { 0 }, RC_UNAVAILABLE, "receiving: " },
    { "failure: chunks cut off", "/truncated-chunks", { 0 }, RC_UNAVAILABLE, "receiving: " },
    { "failure: a reset", "/reset", { 0 }, RC_UNAVAILABLE, "receiving: " },
    { "failure: closed without an answer", "/close", { 0 }, RC_UNAVAILABLE, "receiving: " },
    { "failure: no HTTP", "/garbage", { 0 }, RC_PROTOCOL, "receiving: " },
    { "failure: no answer", "/hang", { .timeout_ms = 200 }, RC_TIMEOUT, "receiving: " },
    { "failure: no end of headers", "/drip", { .timeout_ms = 300 }, RC_TIMEOUT, "receiving: " },
    { "failure: a body that stops coming",
      "/stall",
      { .stall_timeout_ms = 500, .timeout_ms = 30000 },
      RC_TIMEOUT,
      "receiving: " },
    { "failure: a gzip bomb", "/bomb", { .max_body = 1 << 20 }, RC_LIMIT, "larger than 1048576 bytes" },
    { "failure: too large by its own word",
      "/big",
      { .max_body = 100000 },
      RC_LIMIT,
      "larger than 100000 bytes" },
    { "failure: too large in chunks",
      "/big?chunked",
      { .max_body = 100000 },
      RC_LIMIT,
      "larger than 100000 bytes" },
    { "failure: too many headers", "/many-headers", { 0 }, RC_LIMIT, "larger than 262144 bytes" },
};

static void
check_failure(void **state)
{
    const struct failure_case *c = *state;
    AUTO(http) h = client(&c->options);
    struct http_res res = { 0 };
    struct err err = { 0 };

    assert_int_equal(get(h, c->path, &res, &err), c->want);
    if (strstr(err.text, c->says) == NULL)
        fail_msg("expected \"%s\" in: %s", c->says, err.text);
    assert_null(strstr(err.text, "?"));
    assert_true(res.elapsed_us < 15 * 1000000);
    get_ok(h, "/number", &res); /* and the client is as good as new */
    http_res_fini(&res);
}

static void
test_a_body_may_be_as_large_as_the_ceiling(void **state)
{
    AUTO(http) h = client(&(struct http_options){ .max_body = 1 << 20 });
    struct http_res res = { 0 };

    (void)state;
    get_ok(h, "/big", &res);
    assert_int_equal(res.body.len, 1 << 20);
    get_ok(h, "/big?chunked", &res);
    assert_int_equal(res.body.len, 1 << 20);
    http_res_fini(&res);
}

static void
test_slow_headers_are_waited_for(void **state)
{
    AUTO(http) h = client(NULL);
    struct http_res res = { 0 };
    char value[8];

    (void)state;
    get_ok(h, "/slow-headers", &res);
    assert_true(http_res_header(&res, "x-slow", value, sizeof value));
    assert_string_equal(res.body.data, "ok");
    http_res_fini(&res);
}

static void
test_nobody_listens(void **state)
{
    AUTO(http) h = client(NULL);
    struct http_res res = { 0 };
    struct err err = { 0 };
    struct http_req req = { .method = "GET" };
    char url[64];
    int port, fd = bound_socket(&port); /* bound, but nobody listens */

    (void)state;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/?token=secret", port);
    req.url = url;
    assert_int_equal(http_perform(h, &req, &res, &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.text, "connecting: "));
    assert_null(strstr(err.text, "secret"));
    req.url = "http://no-such-host.invalid/";
    assert_int_equal(http_perform(h, &req, &res, &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.text, "connecting: "));
    (void)close(fd);
    http_res_fini(&res);
}

static void
test_the_environments_proxy_is_for_https(void **state)
{
    AUTO(http) h = client(NULL);
    struct http_res res = { 0 };
    struct err err = { 0 };
    struct http_req req = { .method = "GET", .url = "https://desk.invalid/" };

    (void)state;
    assert_int_equal(http_perform(h, &req, &res, &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.text, "127.0.0.1 port 1 ")); /* it was asked */
    req.url = "http://desk.invalid/";
    assert_int_equal(http_perform(h, &req, &res, &err), RC_UNAVAILABLE);
    assert_null(strstr(err.text, "127.0.0.1"));
    http_res_fini(&res);
}

static void
test_many_at_once_but_not_more(void **state)
{
    enum { N = 40, PARALLEL = 4 };
    AUTO(http) h = client(NULL);
    static char urls[N][64];
    struct http_req reqs[N];
    struct http_res res[N] = { 0 };
    enum rc rcs[N];
    struct err errs[N] = { 0 };
    char want[32];
    int before = server.accepted;

    (void)state;
    server.busiest = 0;
    for (int i = 0; i < N; i++) {
        (void)snprintf(urls[i], sizeof urls[i], "http://127.0.0.1:%d/busy/%02d", server.port, i);
        reqs[i] = (struct http_req){ .method = "GET", .url = urls[i] };
    }
    http_perform_many(h, reqs, N, PARALLEL, res, rcs, errs);
    for (int i = 0; i < N; i++) {
        assert_int_equal(rcs[i], RC_OK);
        (void)snprintf(want, sizeof want, "GET /busy/%02d HTTP", i); /* each got its own answer */
        assert_int_equal(strncmp(res[i].body.data, want, strlen(want)), 0);
    }
    assert_true(server.busiest > 1);
    assert_true(server.busiest <= PARALLEL);
    assert_true(server.accepted - before <= PARALLEL);
    get_ok(h, "/number", &res[0]);
    assert_true(server.accepted - before <= PARALLEL); /* a single request goes over the same connections */
    for (int i = 0; i < N; i++)
        http_res_fini(&res[i]);
}

static void
test_many_of_which_some_fail(void **state)
{
    static const char *const paths[] = { "/number", "/reset", "/echo", "/truncated", "/gzip", "/close" };
    static const enum rc want[] = { RC_OK, RC_UNAVAILABLE, RC_OK,     RC_UNAVAILABLE,
                                    RC_OK, RC_UNAVAILABLE, RC_INVALID };
    enum { N = COUNT_OF(want) };
    AUTO(http) h = client(NULL);
    struct http_req reqs[N];
    struct http_res res[N] = { 0 };
    enum rc rcs[N];
    struct err errs[N] = { 0 };

    (void)state;
    for (size_t i = 0; i < N; i++)
        reqs[i] =
            (struct http_req){ .method = "GET", .url = i < COUNT_OF(paths) ? url_of(paths[i]) : "nonsense" };
    http_perform_many(h, reqs, N, 16, res, rcs, errs);
    for (size_t i = 0; i < N; i++) {
        if (rcs[i] != want[i])
            fail_msg("request %zu: %s, not %s: %s", i, rc_name(rcs[i]), rc_name(want[i]), errs[i].text);
        http_res_fini(&res[i]);
    }
    http_perform_many(h, reqs, 0, 16, res, rcs, errs); /* nothing to do is nothing done */
}

/* 2026-11-22T12:00:00Z */
#define NOON (INT64_C(1795348800) * 1000000)

static struct retry_case {
    const char *name, *headers;
    int64_t want;
} retries[] = {
    { "retry-after: seconds", "retry-after: 7\n", 7000 },
    { "retry-after: zero", "retry-after: 0\n", 0 },
    { "retry-after: Pylon's name for it", "x-retry-after: 12\n", 12000 },
    { "retry-after: the standard name first", "x-retry-after: 12\nretry-after: 3\n", 3000 },
    { "retry-after: nonsense, but the other makes sense", "retry-after: soon\nx-retry-after: 12\n", 12000 },
    { "retry-after: a date", "retry-after: Sun, 22 Nov 2026 12:01:30 GMT\n", 90000 },
    { "retry-after: a date gone by", "retry-after: Sun, 22 Nov 2026 11:00:00 GMT\n", 0 },
    { "retry-after: no longer than a day", "retry-after: 99999999999999999999\n", 86400000 },
    { "retry-after: no longer than a day, by date", "retry-after: Sun, 22 Nov 2037 12:00:00 GMT\n",
      86400000 },
    { "retry-after: negative", "retry-after: -5\n", -1 },
    { "retry-after: empty", "retry-after: \n", -1 },
    { "retry-after: a number and more", "retry-after: 5 minutes\n", -1 },
    { "retry-after: none", "content-type: text/html\n", -1 },
};

static void
check_retry(void **state)
{
    const struct retry_case *c = *state;
    struct http_res res = { 0 };

    buf_init(&res.headers, 1024);
    buf_puts(&res.headers, c->headers);
    assert_int_equal(http_res_retry_after_ms(&res, NOON), c->want);
    http_res_fini(&res);
}

static struct url_case {
    const char *name, *url;
    enum rc rc;
    bool tls;
    const char *host;
    int port;
    const char *path;
} url_cases[] = {
    { "url: plain", "https://api.usepylon.com", RC_OK, true, "api.usepylon.com", 443, "" },
    { "url: a trailing slash", "http://desk.example/", RC_OK, false, "desk.example", 80, "" },
    { "url: everything", "HTTPS://Desk.Example:8443/a/b//?q=1#f", RC_OK, true, "desk.example", 8443, "/a/b" },
    { "url: a query at once", "http://desk.example?x=/y", RC_OK, false, "desk.example", 80, "" },
    { "url: IPv6", "http://[2001:db8::1]:8080/x", RC_OK, false, "2001:db8::1", 8080, "/x" },
    { "url: a service name", "http://vendor_sim:1", RC_OK, false, "vendor_sim", 1, "" },
    { "url: empty", "", RC_INVALID, false, NULL, 0, NULL },
    { "url: no scheme", "desk.example/x", RC_INVALID, false, NULL, 0, NULL },
    { "url: another scheme", "file:///etc/passwd", RC_INVALID, false, NULL, 0, NULL },
    { "url: no host", "https:///x", RC_INVALID, false, NULL, 0, NULL },
    { "url: a user", "https://me:pw@desk.example/", RC_INVALID, false, NULL, 0, NULL },
    { "url: a port too high", "https://desk.example:65536/", RC_INVALID, false, NULL, 0, NULL },
    { "url: port 0", "https://desk.example:0/", RC_INVALID, false, NULL, 0, NULL },
    { "url: a port of letters", "https://desk.example:http/", RC_INVALID, false, NULL, 0, NULL },
    { "url: an empty port", "https://desk.example:/", RC_INVALID, false, NULL, 0, NULL },
    { "url: a space", "https://desk.example/a b", RC_INVALID, false, NULL, 0, NULL },
    { "url: a line break", "https://desk.example/a\r\nX: y", RC_INVALID, false, NULL, 0, NULL },
    { "url: a backslash", "https://desk.example\\@evil.example/", RC_INVALID, false, NULL, 0, NULL },
    { "url: not ASCII", "https://d\xc3\xa9sk.example/", RC_INVALID, false, NULL, 0, NULL },
    { "url: a percent in the host", "https://desk%2eexample/", RC_INVALID, false, NULL, 0, NULL },
    { "url: half an IPv6", "http://[::1/x", RC_INVALID, false, NULL, 0, NULL },
    { "url: more behind IPv6", "http://[::1]x/", RC_INVALID, false, NULL, 0, NULL },
};

static void
check_url(void **state)
{
    const struct url_case *c = *state;
    struct http_url u = { .port = -7 };
    struct err err = { 0 };

    assert_int_equal(http_url_parse(c->url, &u, &err), c->rc);
    if (c->rc != RC_OK) {
        assert_int_equal(u.port, -7);
        assert_int_not_equal(err.text[0], '\0');
        assert_null(strstr(err.text, "pw"));
        return;
    }
    assert_int_equal(u.tls, c->tls);
    assert_string_equal(u.host, c->host);
    assert_int_equal(u.port, c->port);
    assert_string_equal(u.path, c->path);
}

static void
test_escape(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 256);
    http_escape(&b, "aZ0-._~ /?&=+%\xc3\xbc");
    assert_string_equal(b.data, "aZ0-._~%20%2F%3F%26%3D%2B%25%C3%BC");
    buf_fini(&b);
}

/* ---- TLS, with openssl's command as the server ---- */

static pid_t
spawn(char *const argv[])
{
    posix_spawn_file_actions_t fa;
    pid_t pid;
    int rc;

    assert_int_equal(posix_spawn_file_actions_init(&fa), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDWR, 0), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&fa, 0, 1), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&fa, 0, 2), 0);
    rc = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&fa);
    return rc == 0 ? pid : -1;
}

static bool
run(char *const argv[])
{
    pid_t pid = spawn(argv);
    int status;

    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool
someone_listens(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;

    (void)close(fd);
    return ok;
}

static enum rc
get_tls(const char *host, int port, const char *ca, int *status, struct err *err)
{
    AUTO(http) h = client(&(struct http_options){ .ca_file = ca, .timeout_ms = 10000 });
    struct http_res res = { 0 };
    char url[64];
    struct http_req req = { .method = "GET", .url = url };
    enum rc rc;

    (void)snprintf(url, sizeof url, "https://%s:%d/", host, port);
    rc = http_perform(h, &req, &res, err);
    *status = res.status;
    http_res_fini(&res);
    return rc;
}

static void
check_tls(const char *cert, const char *key)
{
    struct err err = { 0 };
    int port, status, fd = bound_socket(&port);
    char accept_at[32];
    pid_t pid;

    (void)close(fd); /* free a moment ago */
    (void)snprintf(accept_at, sizeof accept_at, "127.0.0.1:%d", port);
    pid = spawn((char *[]){ "openssl", "s_server", "-accept", accept_at, "-cert", (char *)cert, "-key",
                            (char *)key, "-www", "-quiet", NULL });
    assert_true(pid > 0);
    for (int i = 0; i < 500 && !someone_listens(port); i++)
        nap_ms(10);
    assert_int_equal(get_tls("127.0.0.1", port, NULL, &status, &err), RC_DENIED);
    assert_non_null(strstr(err.text, "TLS: "));
    assert_int_equal(get_tls("127.0.0.1", port, cert, &status, &err), RC_OK);
    assert_int_equal(status, 200);
    assert_int_equal(get_tls("localhost", port, cert, &status, &err),
                     RC_DENIED); /* a good certificate, another host's */
    assert_int_equal(get_tls("127.0.0.1", port, "/nonexistent", &status, &err), RC_INVALID);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
}

static void
test_tls_is_verified(void **state)
{
    char dir[] = "/tmp/test_http.XXXXXX", cert[64], key[64];
    bool made;

    (void)state;
    if (!run((char *[]){ "openssl", "version", NULL }))
        skip();
    assert_non_null(mkdtemp(dir));
    (void)snprintf(cert, sizeof cert, "%s/cert.pem", dir);
    (void)snprintf(key, sizeof key, "%s/key.pem", dir);
    made = run((char *[]){ "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                           "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                           "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert, NULL });
    assert_true(made);
    check_tls(cert, key);
    (void)unlink(cert);
    (void)unlink(key);
    (void)rmdir(dir);
}

int
main(void)
{
    TEST_ONE(test_connections_are_kept);
    TEST_ONE(test_a_closed_connection_is_replaced);
    TEST_ONE(test_a_body_is_padded_and_a_result_reused);
    TEST_ONE(test_headers_are_found);
    TEST_ONE(test_what_is_sent);
    TEST_ONE(test_gzip);
    TEST_ONE(test_a_bomb_within_the_ceiling_inflates);
    TEST_TABLE(failures, check_failure);
    TEST_ONE(test_a_body_may_be_as_large_as_the_ceiling);
    TEST_ONE(test_slow_headers_are_waited_for);
    TEST_ONE(test_nobody_listens);
    TEST_ONE(test_the_environments_proxy_is_for_https);
    TEST_ONE(test_many_at_once_but_not_more);
    TEST_ONE(test_many_of_which_some_fail);
    TEST_TABLE(retries, check_retry);
    TEST_TABLE(url_cases, check_url);
    TEST_ONE(test_escape);
    TEST_ONE(test_tls_is_verified);
    return _cmocka_run_group_tests("http", tests_, tests_count_, server_up, server_down);
}
