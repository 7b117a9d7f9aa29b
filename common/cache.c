#include "common/cache.h"
#include "common/cache_internal.h"
#include "lua_all.h" /* made by the build from common/lua */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_TIMEOUT_MS 5000
#define SHA_TEXT           41
#define WORDS_MAX          64 /* of a command given as variable arguments */

struct cache {
    struct cache_url url;
    int timeout_ms;
    redisContext *ctx;                /* NULL while disconnected */
    char sha[SCRIPT_COUNT][SHA_TEXT]; /* what this connection's server calls a script; "" until loaded */
};

static const char *const script_texts[SCRIPT_COUNT] = {
#define SCRIPT(n) [SCRIPT_##n] = lua_##n,
#include "common/lua/scripts.def"
#undef SCRIPT
};

const char *
cache_script_text(enum script_id id)
{
    return script_texts[id];
}

/* ---- replies ---- */

static const redisReply *
raw(const struct reply *r)
{
    return (const redisReply *)(const void *)r;
}

static struct reply *
own(void *r)
{
    return r;
}

void
reply_destroy(struct reply *r)
{
    freeReplyObject(r); /* NULL is fine */
}

bool
reply_nil(const struct reply *r)
{
    return r == NULL || raw(r)->type == REDIS_REPLY_NIL;
}

static bool
stringy(const struct reply *r)
{
    return r != NULL && (raw(r)->type == REDIS_REPLY_STRING || raw(r)->type == REDIS_REPLY_STATUS ||
                         raw(r)->type == REDIS_REPLY_ERROR);
}

int64_t
reply_int(const struct reply *r)
{
    if (r != NULL && raw(r)->type == REDIS_REPLY_INTEGER)
        return raw(r)->integer;
    return stringy(r) ? strtoll(raw(r)->str, NULL, 10) : 0;
}

const char *
reply_str(const struct reply *r)
{
    return stringy(r) ? raw(r)->str : "";
}

size_t
reply_len(const struct reply *r)
{
    if (r != NULL && raw(r)->type == REDIS_REPLY_ARRAY)
        return raw(r)->elements;
    return stringy(r) ? (size_t)raw(r)->len : 0;
}

const struct reply *
reply_at(const struct reply *r, size_t i)
{
    if (r == NULL || raw(r)->type != REDIS_REPLY_ARRAY || i >= raw(r)->elements)
        return NULL;
    return reply_of(raw(r)->element[i]);
}

static const struct {
    const char *prefix; /* of an error reply; the first match counts */
    enum rc rc;
} meanings[] = {
    { "LOADING", RC_UNAVAILABLE },
    { "READONLY", RC_UNAVAILABLE },
    { "MASTERDOWN", RC_UNAVAILABLE },
    { "BUSY ", RC_UNAVAILABLE },
    { "MISCONF", RC_UNAVAILABLE },
    { "ERR max number of clients", RC_UNAVAILABLE },
    { "NOREPLICAS", RC_UNAVAILABLE },
    { "UNBLOCKED", RC_UNAVAILABLE },
    { "OOM", RC_LIMIT },
    { "NOAUTH", RC_DENIED },
    { "NOPERM", RC_DENIED },
    { "WRONGPASS", RC_DENIED },
    { "ERR invalid password", RC_DENIED },
    { "ERR AUTH <password> called without any password", RC_DENIED },
};

enum rc
cache_reply_error(const redisReply *r, const char *what, struct err *err)
{
    assert(r != NULL);
    if (r->type != REDIS_REPLY_ERROR)
        return RC_OK;
    for (size_t i = 0; i < COUNT_OF(meanings); i++)
        if (strncmp(r->str, meanings[i].prefix, strlen(meanings[i].prefix)) == 0)
            return err_set(err, meanings[i].rc, "redis %s: %s", what, r->str);
    return err_set(err, RC_PROTOCOL, "redis %s: %s", what, r->str);
}

bool
cache_reply_noscript(const redisReply *r)
{
    return r != NULL && r->type == REDIS_REPLY_ERROR && strncmp(r->str, "NOSCRIPT", 8) == 0;
}

/* ---- the URL ---- */

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* [from, to) without its %XX into `out`; false when it does not fit or is no such text. */
static bool
decode(const char *from, const char *to, char *out, size_t size)
{
    size_t n = 0;

    while (from < to) {
        char c = *from++;

        if (c == '%') {
            if (to - from < 2 || hex_digit(from[0]) < 0 || hex_digit(from[1]) < 0)
                return false;
            c = (char)(hex_digit(from[0]) * 16 + hex_digit(from[1]));
            from += 2;
        }
        if (c == '\0' || n + 1 >= size)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

/* A whole number of [from, to) in [0, max], or -1. */
static int
number(const char *from, const char *to, int max)
{
    int n = 0;

    if (from == to)
        return -1;
    for (; from < to; from++) {
        if (*from < '0' || *from > '9' || (n = n * 10 + (*from - '0')) > max)
            return -1;
    }
    return n;
}

static bool
parse_login(const char *from, const char *to, struct cache_url *u)
{
    const char *colon = memchr(from, ':', (size_t)(to - from));

    if (colon == NULL) /* redis://secret@host, as some write it */
        return decode(from, to, u->password, sizeof u->password);
    return decode(from, colon, u->user, sizeof u->user) &&
           decode(colon + 1, to, u->password, sizeof u->password);
}

static bool
parse_host(const char *from, const char *to, struct cache_url *u)
{
    const char *end, *colon;

    if (from < to && *from == '[') { /* an IPv6 address */
        if ((end = memchr(from, ']', (size_t)(to - from))) == NULL ||
            !decode(from + 1, end, u->host, sizeof u->host))
            return false;
        colon = ++end;
        if (end < to && *end != ':')
            return false;
    } else {
        colon = memchr(from, ':', (size_t)(to - from));
        end = colon == NULL ? to : colon;
        if (!decode(from, end, u->host, sizeof u->host))
            return false;
    }
    if (u->host[0] == '\0')
        return false;
    if (end < to)
        u->port = number(colon + 1, to, 65535);
    return u->port > 0;
}

enum rc
cache_url_parse(const char *url, struct cache_url *out, struct err *err)
{
    static const char scheme[] = "redis://", tls_scheme[] = "rediss://";
    static const char wrong[] =
        "redis URL: expected redis://[user:password@]host[:port][/db]"; /* it holds a password */
    struct cache_url u = { .port = 6379 };
    const char *p, *end, *slash, *at;

    if (strncasecmp(url, tls_scheme, strlen(tls_scheme)) == 0)
        return err_set(err, RC_INVALID,
                       "redis URL: rediss:// needs a hiredis with TLS (1.0 or newer), which this build "
                       "does not have; put a TLS proxy such as stunnel beside it and use redis://");
    if (strncasecmp(url, scheme, strlen(scheme)) != 0)
        return err_set(err, RC_INVALID, "%s", wrong);
    p = url + strlen(scheme);
    end = p + strlen(p);
    at = memrchr(p, '@', (size_t)(end - p));
    if (at != NULL && !parse_login(p, at, &u))
        return err_set(err, RC_INVALID, "%s", wrong);
    p = at == NULL ? p : at + 1;
    slash = memchr(p, '/', (size_t)(end - p));
    if (!parse_host(p, slash == NULL ? end : slash, &u))
        return err_set(err, RC_INVALID, "%s", wrong);
    if (slash != NULL && slash + 1 < end && (u.db = number(slash + 1, end, 1 << 20)) < 0)
        return err_set(err, RC_INVALID, "%s", wrong);
    *out = u;
    return RC_OK;
}

void
cache_hello_init(struct cache_hello *h, const struct cache_url *u)
{
    *h = (struct cache_hello){ 0 };
    if (u->password[0] != '\0' && u->user[0] != '\0') {
        h->argc[h->n] = 3;
        memcpy(h->words[h->n++], (const char *[]){ "AUTH", u->user, u->password }, sizeof h->words[0]);
    } else if (u->password[0] != '\0') {
        h->argc[h->n] = 2;
        memcpy(h->words[h->n++], (const char *[]){ "AUTH", u->password, NULL }, sizeof h->words[0]);
    }
    (void)snprintf(h->db, sizeof h->db, "%d", u->db);
    h->argc[h->n] = 2; /* also for database 0: the answer tells that the server is serving */
    memcpy(h->words[h->n++], (const char *[]){ "SELECT", h->db, NULL }, sizeof h->words[0]);
}

/* ---- the connection ---- */

enum rc
cache_create(const char *url, int timeout_ms, struct cache **out, struct err *err)
{
    AUTO(cache) c = calloc(1, sizeof *c);
    enum rc rc;

    if (c == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a Redis connection");
    c->timeout_ms = timeout_ms > 0 ? timeout_ms : DEFAULT_TIMEOUT_MS;
    if ((rc = cache_url_parse(url, &c->url, err)) != RC_OK)
        return rc;
    *out = TAKE(c);
    return RC_OK;
}

static void
drop(struct cache *c)
{
    if (c->ctx != NULL)
        redisFree(TAKE(c->ctx));
    memset(c->sha, 0, sizeof c->sha);
}

void
cache_destroy(struct cache *c)
{
    if (c == NULL)
        return;
    drop(c);
    explicit_bzero(&c->url, sizeof c->url);
    free(c);
}

/* The connection broke in the middle of `what`: whether that took effect is unknown. */
static enum rc
broken(struct cache *c, const char *what, struct err *err)
{
    bool late = c->ctx->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK);
    enum rc rc = late ? RC_TIMEOUT : c->ctx->err == REDIS_ERR_PROTOCOL ? RC_PROTOCOL : RC_UNAVAILABLE;

    rc = err_set(err, rc, "redis %s: %s", what, late ? "no answer in time" : c->ctx->errstr);
    drop(c); /* an answer that comes later would be taken for the next command's */
    return rc;
}

/* One command, one answer, in *out. */
static enum rc
exchange(struct cache *c, size_t argc, const char *const argv[], redisReply **out, struct err *err)
{
    redisReply *r = redisCommandArgv(c->ctx, (int)argc, (const char **)(void *)argv, NULL);

    if (r == NULL)
        return broken(c, argv[0], err);
    *out = r;
    return RC_OK;
}

static enum rc
say_hello(struct cache *c, struct err *err)
{
    struct cache_hello h;

    cache_hello_init(&h, &c->url);
    for (size_t i = 0; i < h.n; i++) {
        redisReply *r = NULL;
        enum rc rc = exchange(c, h.argc[i], h.words[i], &r, err);

        if (rc == RC_OK)
            rc = cache_reply_error(r, h.words[i][0], err);
        freeReplyObject(r);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static enum rc
connect_now(struct cache *c, struct err *err)
{
    struct timeval tv = { .tv_sec = c->timeout_ms / 1000, .tv_usec = (c->timeout_ms % 1000) * 1000L };
    enum rc rc;

    if ((c->ctx = redisConnectWithTimeout(c->url.host, c->url.port, tv)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a Redis connection");
    if (c->ctx->err != 0) {
        rc = err_set(err, RC_UNAVAILABLE, "redis %s:%d: %s", c->url.host, c->url.port, c->ctx->errstr);
        drop(c);
        return rc;
    }
    (void)fcntl(c->ctx->fd, F_SETFD, FD_CLOEXEC);
    (void)redisEnableKeepAlive(c->ctx);
    if (redisSetTimeout(c->ctx, tv) != REDIS_OK)
        return broken(c, "connect", err);
    if ((rc = say_hello(c, err)) != RC_OK)
        drop(c);
    return rc == RC_TIMEOUT
               ? err_set(err, RC_UNAVAILABLE, "redis %s:%d: no answer in time", c->url.host, c->url.port)
               : rc;
}

/* A live connection, or why there is none. One that died while idle is found here, before anything is sent on
 * it. */
static enum rc
ready(struct cache *c, struct err *err)
{
    if (c->ctx != NULL) {
        struct pollfd p = { .fd = c->ctx->fd, .events = POLLIN };

        if (poll(&p, 1, 0) == 0)
            return RC_OK;
        drop(c); /* between commands a server only ever says good-bye */
    }
    return connect_now(c, err);
}

/* Judges an answer and gives it to *res (which may be NULL). Takes r. */
static enum rc
settle(redisReply *r, const char *what, struct reply **res, struct err *err)
{
    enum rc rc = cache_reply_error(r, what, err);

    if (rc != RC_OK || res == NULL)
        freeReplyObject(r);
    else
        *res = own(r);
    return rc;
}

enum rc
cache_runv(struct cache *c, size_t argc, const char *const argv[], struct reply **res, struct err *err)
{
    redisReply *r = NULL;
    enum rc rc;

    assert(argc > 0);
    if ((rc = ready(c, err)) != RC_OK || (rc = exchange(c, argc, argv, &r, err)) != RC_OK)
        return rc;
    return settle(r, argv[0], res, err);
}

enum rc
cache_run(struct cache *c, struct reply **res, struct err *err, ...)
{
    const char *words[WORDS_MAX];
    size_t n = 0;
    va_list ap;

    va_start(ap, err);
    while ((words[n] = va_arg(ap, const char *)) != NULL) {
        n++;
        assert(n < WORDS_MAX);
    }
    va_end(ap);
    return cache_runv(c, n, words, res, err);
}

/* ---- scripts ---- */

void
cache_script_argv(bool by_sha, const char *sha_or_text, const char *nkeys, size_t argc,
                  const char *const argv[], const char **argv_out)
{
    argv_out[0] = by_sha ? "EVALSHA" : "EVAL";
    argv_out[1] = sha_or_text;
    argv_out[2] = nkeys;
    if (argc > 0)
        memcpy(argv_out + 3, argv, argc * sizeof *argv);
}

/* Redis computes the hash, so we need no SHA-1 of our own. */
static enum rc
load_script(struct cache *c, enum script_id id, struct err *err)
{
    const char *const words[] = { "SCRIPT", "LOAD", script_texts[id] };
    AUTO(reply) sha = NULL;
    redisReply *r = NULL;
    enum rc rc;

    if ((rc = exchange(c, COUNT_OF(words), words, &r, err)) != RC_OK ||
        (rc = settle(r, "SCRIPT LOAD", &sha, err)) != RC_OK)
        return rc;
    if (reply_len(sha) != SHA_TEXT - 1)
        return err_set(err, RC_PROTOCOL, "redis SCRIPT LOAD: not a hash");
    memcpy(c->sha[id], reply_str(sha), SHA_TEXT);
    return RC_OK;
}

enum rc
cache_script(struct cache *c, enum script_id id, size_t nkeys, size_t argc, const char *const argv[],
             struct reply **res, struct err *err)
{
    AUTO_FREE const char **words = malloc((argc + 3) * sizeof *words);
    char keys[24];
    redisReply *r = NULL;
    enum rc rc;

    assert(nkeys <= argc);
    if (words == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a script's arguments");
    (void)snprintf(keys, sizeof keys, "%zu", nkeys);
    if ((rc = ready(c, err)) != RC_OK || (c->sha[id][0] == '\0' && (rc = load_script(c, id, err)) != RC_OK))
        return rc;
    cache_script_argv(true, c->sha[id], keys, argc, argv, words);
    if ((rc = exchange(c, argc + 3, words, &r, err)) != RC_OK)
        return rc;
    if (cache_reply_noscript(
            r)) { /* SCRIPT FLUSH, or a failover: it did not run; the text runs and loads it */
        freeReplyObject(TAKE(r));
        cache_script_argv(false, script_texts[id], keys, argc, argv, words);
        if ((rc = exchange(c, argc + 3, words, &r, err)) != RC_OK)
            return rc;
    }
    return settle(r, "script", res, err);
}

enum rc
cache_pipeline(struct cache *c, size_t n, const size_t argc[], const char *const words[], struct err *err)
{
    const char *const *first = words;
    enum rc rc, kept = RC_OK;

    if ((rc = ready(c, err)) != RC_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (redisAppendCommandArgv(c->ctx, (int)argc[i], (const char **)(void *)words, NULL) != REDIS_OK)
            return broken(c, words[0], err);
        words += argc[i];
    }
    for (size_t i = 0; i < n; i++) {
        void *r = NULL;

        if (redisGetReply(c->ctx, &r) != REDIS_OK || r == NULL)
            return broken(c, first[0], err);
        rc = settle(r, first[0], NULL, kept == RC_OK ? err : NULL);
        kept = kept == RC_OK ? rc : kept;
        first += argc[i];
    }
    return kept;
}

enum rc
cache_check_policy(struct cache *c, struct err *err)
{
    static const char key[] = "maxmemory_policy:";
    AUTO(reply) info = NULL;
    const char *p;
    enum rc rc;
    int n;

    if ((rc = cache_run(c, &info, err, "INFO", "memory", NULL)) != RC_OK)
        return rc;
    if ((p = strstr(reply_str(info), key)) == NULL)
        return err_set(err, RC_PROTOCOL, "redis INFO memory: no maxmemory_policy in it");
    p += strlen(key);
    n = (int)strcspn(p, "\r\n");
    if (n == (int)strlen("noeviction") && strncmp(p, "noeviction", (size_t)n) == 0)
        return RC_OK;
    return err_set(
        err, RC_INVALID,
        "redis %s:%d: maxmemory-policy is %.*s, which would throw queued work away: set it to noeviction "
        "(CONFIG SET maxmemory-policy noeviction, and the same in redis.conf)",
        c->url.host, c->url.port, n, p);
}

static int64_t
info_int(const char *info, const char *field)
{
    const char *p = strstr(info, field);

    return p == NULL ? 0 : strtoll(p + strlen(field), NULL, 10);
}

enum rc
cache_memory(struct cache *c, int64_t *used, int64_t *max, struct err *err)
{
    AUTO(reply) info = NULL;
    const char *text;
    enum rc rc;

    if ((rc = cache_run(c, &info, err, "INFO", "memory", NULL)) != RC_OK)
        return rc;
    text = reply_str(info);
    *used = info_int(text, "\nused_memory:") - info_int(text, "\nmem_not_counted_for_evict:");
    *max = info_int(text, "\nmaxmemory:");
    return RC_OK;
}
