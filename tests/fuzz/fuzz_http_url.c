/* fuzz_http_url - the addresses that operators give: any text is taken apart or refused with a reason. The
 * parts put together again are taken apart to the same; of an http address, libcurl, which is given the whole
 * text later, must see the very host and port that we saw, or refuse it. */
#include "common/auto.h"
#include "common/buf.h"
#include "common/cache.h"
#include "common/http.h"
#include "tests/fuzz/fuzz.h"
#include <arpa/inet.h>
#include <curl/curl.h> /* as the second opinion, so here and not through common/http.h */
#include <string.h>
#include <strings.h>

/* The same IPv4 address, however it is spelled: libcurl writes 127.1 as 127.0.0.1. */
static bool
same_v4(const char *a, const char *b)
{
    struct in_addr x, y;

    return inet_aton(a, &x) != 0 && inet_aton(b, &y) != 0 && x.s_addr == y.s_addr;
}

static bool
same_v6(const char *ours, const char *bracketed)
{
    size_t len = strlen(bracketed);
    char other[INET6_ADDRSTRLEN];
    struct in6_addr x, y;

    if (len < 2 || len - 2 >= sizeof other || bracketed[0] != '[')
        return false;
    memcpy(other, bracketed + 1, len - 2);
    other[len - 2] = '\0';
    return inet_pton(AF_INET6, ours, &x) == 1 && inet_pton(AF_INET6, other, &y) == 1 &&
           memcmp(&x, &y, sizeof x) == 0;
}

static void
check_against_curl(const char *text, const struct http_url *u)
{
    CURLU *c = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;

    MUST(c != NULL);
    if (curl_url_set(c, CURLUPART_URL, text, 0) == CURLUE_OK) {
        MUST(curl_url_get(c, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK);
        MUST(curl_url_get(c, CURLUPART_HOST, &host, 0) == CURLUE_OK);
        MUST(curl_url_get(c, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK);
        MUST(strcasecmp(scheme, u->tls ? "https" : "http") == 0);
        MUST(strcasecmp(host, u->host) == 0 || same_v4(u->host, host) || same_v6(u->host, host));
        MUST(atoi(port) == u->port);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(c);
}

static void
check_http(const char *text)
{
    struct http_url u, again;
    struct err err = { 0 };
    struct buf b;
    size_t path;
    enum rc rc;

    memset(&u, 0x5a, sizeof u);
    again = u;
    if ((rc = http_url_parse(text, &u, &err)) != RC_OK) {
        MUST(rc == RC_INVALID && err.text[0] != '\0' && memcmp(&u, &again, sizeof u) == 0);
        return;
    }
    path = strlen(u.path);
    MUST(u.host[0] != '\0' && u.port >= 1 && u.port <= 65535 && strpbrk(u.path, "?#") == NULL);
    MUST(path == 0 || (u.path[0] == '/' && u.path[path - 1] != '/'));
    buf_init(&b, 2048);
    buf_printf(&b, strchr(u.host, ':') != NULL ? "%s://[%s]:%d%s" : "%s://%s:%d%s", u.tls ? "https" : "http",
               u.host, u.port, u.path);
    MUST(!b.failed && http_url_parse(b.data, &again, &err) == RC_OK);
    MUST(again.tls == u.tls && strcmp(again.host, u.host) == 0 && again.port == u.port &&
         strcmp(again.path, u.path) == 0);
    check_against_curl(b.data, &u);
    check_against_curl(text, &u);
    buf_fini(&b);
}

static void
put_cache_url(struct buf *b, const struct cache_url *u)
{
    buf_puts(b, "redis://");
    if (u->user[0] != '\0' || u->password[0] != '\0') {
        http_escape(b, u->user);
        buf_putc(b, ':');
        http_escape(b, u->password);
        buf_putc(b, '@');
    }
    if (strchr(u->host, ':') != NULL)
        buf_puts(b, "[");
    http_escape(b, u->host);
    if (strchr(u->host, ':') != NULL)
        buf_puts(b, "]");
    buf_printf(b, ":%d/%d", u->port, u->db);
}

static void
check_cache(const char *text)
{
    struct cache_url u, again;
    struct err err = { 0 };
    struct buf b;
    enum rc rc;

    memset(&u, 0x5a, sizeof u);
    again = u;
    if ((rc = cache_url_parse(text, &u, &err)) != RC_OK) {
        MUST(rc == RC_INVALID && err.text[0] != '\0' && memcmp(&u, &again, sizeof u) == 0);
        return;
    }
    MUST(u.host[0] != '\0' && u.port >= 1 && u.port <= 65535 && u.db >= 0 && !u.tls);
    buf_init(&b, 4096);
    put_cache_url(&b, &u);
    MUST(!b.failed && cache_url_parse(b.data, &again, &err) == RC_OK);
    MUST(strcmp(again.host, u.host) == 0 && strcmp(again.user, u.user) == 0 &&
         strcmp(again.password, u.password) == 0);
    MUST(again.port == u.port && again.db == u.db);
    buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO_FREE char *text = malloc(len + 1); /* just its size, so that a step too far is seen */

    MUST(text != NULL);
    memcpy(text, data, len);
    text[len] = '\0';
    check_http(text);
    check_cache(text);
    return 0;
}
