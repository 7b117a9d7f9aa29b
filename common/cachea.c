#include "common/cachea.h"
#include "common/backoff.h"
#include "common/cache_internal.h"
#include <assert.h>
#include <fcntl.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 5000

/* A script's arguments, kept until its answer: the server may turn out not to know the hash. */
struct script_args {
    enum script_id id;
    bool by_text;
    char nkeys[24];
    size_t argc;
    char *argv[];
};

/* One call, from cachea_runv() until its callback. hiredis keeps no pointer to it: answers come in order, so
 * the one at the head is always the one meant, and what hiredis says about calls that we have settled long
 * ago hits nothing. */
struct call {
    struct call *next;
    enum { CALL_OWNERS, CALL_HELLO, CALL_LOAD } kind;
    enum script_id load; /* CALL_LOAD */
    bool last_of_greeting;
    cachea_cb cb;
    void *arg;
    struct script_args *script; /* or NULL */
    enum rc rc;
    struct err err;
    char what[24]; /* the command's name, for errors */
};

struct call_list {
    struct call *head, **tail;
};

enum cachea_state { CACHEA_DOWN, CACHEA_CONNECTING, CACHEA_GREETING, CACHEA_UP };

struct cachea {
    struct loop *loop;
    struct cache_url url;
    int timeout_ms;
    cachea_state_cb state_cb;
    void *state_arg;
    enum cachea_state state;
    redisAsyncContext *ctx; /* its `data` is us until we let go of it */
    struct loop_io *io;
    bool want_read, want_write;
    struct loop_timer *reconnect, *watchdog, *soon;
    int failures;                /* attempts to connect since the last that worked */
    struct call_list sent, lost; /* lost: sent before the connection broke, being failed now */
    struct call_list refused;    /* made while down, to be failed from the loop */
    char sha[SCRIPT_COUNT][41];  /* "" where this server would not load it */
    bool broken;                 /* found out within a call of the owner's: dealt with from the loop */
    bool destroying;
    bool *gone; /* set when a callback destroys us */
};

static void lose(struct cachea *c, const struct err *why);

static void
list_init(struct call_list *l)
{
    *l = (struct call_list){ .tail = &l->head };
}

static void
list_add(struct call_list *l, struct call *call)
{
    *l->tail = call;
    l->tail = &call->next;
}

static struct call *
list_pop(struct call_list *l)
{
    struct call *call = l->head;

    if (call == NULL)
        return NULL;
    if ((l->head = call->next) == NULL)
        l->tail = &l->head;
    call->next = NULL;
    return call;
}

static struct call *
call_create(const char *what, cachea_cb cb, void *arg)
{
    struct call *call = calloc(1, sizeof *call);

    if (call == NULL)
        abort(); /* the promise of one callback per call cannot be kept without it */
    call->cb = cb;
    call->arg = arg;
    (void)snprintf(call->what, sizeof call->what, "%s", what);
    return call;
}

static void
script_args_destroy(struct script_args *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->argc; i++)
        free(s->argv[i]);
    free(s);
}

static struct script_args *
script_args_create(enum script_id id, size_t nkeys, size_t argc, const char *const argv[])
{
    struct script_args *s = calloc(1, sizeof *s + argc * sizeof *s->argv);

    if (s == NULL)
        abort();
    s->id = id;
    s->argc = argc;
    (void)snprintf(s->nkeys, sizeof s->nkeys, "%zu", nkeys);
    for (size_t i = 0; i < argc; i++)
        if ((s->argv[i] = strdup(argv[i])) == NULL)
            abort();
    return s;
}

/* ---- callbacks of the owner's ---- */

/* After a callback: whether we still exist. `outer` is what d->gone was before it. */
static bool
survived(struct cachea *c, bool gone, bool *outer)
{
    if (!gone) {
        c->gone = outer;
        return true;
    }
    if (outer != NULL)
        *outer = true;
    return false;
}

/* The callback, exactly once; false when it destroyed us. Takes the call. */
static bool
finish_call(struct cachea *c, struct call *call, const redisReply *r)
{
    bool gone = false, *outer = c->gone;

    c->gone = &gone;
    if (call->cb != NULL)
        call->cb(call->arg, call->rc, call->rc == RC_OK ? reply_of(r) : NULL, &call->err);
    script_args_destroy(call->script);
    free(call);
    return survived(c, gone, outer);
}

static bool
tell(struct cachea *c, bool up, const struct err *why)
{
    bool gone = false, *outer = c->gone;

    if (c->state_cb == NULL)
        return true;
    c->gone = &gone;
    c->state_cb(c->state_arg, up, why);
    return survived(c, gone, outer);
}

/* Fails what `l` holds now and what callbacks add meanwhile. False when we are gone. */
static bool
fail_all(struct cachea *c, struct call_list *l, const struct err *why)
{
    struct call *call;

    while ((call = list_pop(l)) != NULL) {
        call->rc = RC_UNAVAILABLE;
        call->err = *why;
        call->err.rc = RC_UNAVAILABLE;
        if (!finish_call(c, call, NULL))
            return false;
    }
    return true;
}

bool
cachea_is_up(const struct cachea *c)
{
    return c->state == CACHEA_UP;
}

/* ---- going down ---- */

/* hiredis frees a context when it likes, also after we are gone: from here on it finds nothing of ours in it.
 */
static redisAsyncContext *
let_go(struct cachea *c)
{
    redisAsyncContext *ctx = TAKE(c->ctx);

    loop_io_destroy(TAKE(c->io));
    if (ctx == NULL)
        return NULL;
    ctx->data = NULL;
    memset(&ctx->ev, 0, sizeof ctx->ev);
    return ctx;
}

static void
close_connection(struct cachea *c)
{
    redisAsyncContext *ctx = let_go(c);

    if (ctx != NULL)
        redisAsyncFree(ctx);
}

/* Every way down ends here: closes, answers what was in flight, tells, and tries again after a while. */
static void
lose(struct cachea *c, const struct err *why)
{
    struct call *call;

    close_connection(c);
    loop_timer_stop(c->watchdog);
    memset(c->sha, 0, sizeof c->sha);
    c->broken = false;
    c->failures = c->state == CACHEA_UP ? 1 : c->failures + 1;
    c->state = CACHEA_DOWN; /* before the callbacks: what they call is refused */
    loop_timer_after(c->reconnect, backoff_jitter_ms(&backoff_connect, c->failures));
    while ((call = list_pop(&c->sent)) != NULL)
        list_add(&c->lost, call);
    if (fail_all(c, &c->lost, why))
        (void)tell(c, false, why);
}

static void
lose_because(struct cachea *c, const char *reason)
{
    struct err why = { 0 };

    err_set(&why, RC_UNAVAILABLE, "redis %s:%d: %s", c->url.host, c->url.port, reason);
    lose(c, &why);
}

static void
on_watchdog(void *arg)
{
    lose_because(arg, "no answer in time");
}

static void
on_soon(void *arg)
{
    struct cachea *c = arg;
    struct err why = { 0 };

    err_set(&why, RC_UNAVAILABLE, "not connected to Redis");
    if (fail_all(c, &c->refused, &why) && c->broken)
        lose_because(c, "the connection takes no more commands");
}

static void
arm_watchdog(struct cachea *c)
{
    int ms = c->timeout_ms;

    if (c->state != CACHEA_UP && ms == 0)
        ms = CONNECT_TIMEOUT_MS; /* a greeting is answered at once, whatever the connection is for */
    if (c->sent.head == NULL || ms == 0)
        loop_timer_stop(c->watchdog);
    else
        loop_timer_after(c->watchdog, ms);
}

/* ---- calls ---- */

static void on_reply(redisAsyncContext *ctx, void *reply, void *arg);

static void
send_call(struct cachea *c, struct call *call, size_t argc, const char *const argv[])
{
    bool first = c->sent.head == NULL;

    list_add(&c->sent, call);
    if (c->broken)
        return;
    if (redisAsyncCommandArgv(c->ctx, on_reply, NULL, (int)argc, (const char **)(void *)argv, NULL) !=
        REDIS_OK) {
        c->broken = true;
        loop_timer_after(c->soon, 0);
    } else if (first) {
        arm_watchdog(c);
    }
}

/* True when the call was put aside, to be failed from the loop. */
static bool
refused(struct cachea *c, struct call *call)
{
    if (c->state == CACHEA_UP && !c->broken)
        return false;
    list_add(&c->refused, call);
    if (!c->destroying)
        loop_timer_after(c->soon, 0);
    return true;
}

void
cachea_runv(struct cachea *c, size_t argc, const char *const argv[], cachea_cb cb, void *arg)
{
    struct call *call;

    assert(argc > 0);
    call = call_create(argv[0], cb, arg);
    if (!refused(c, call))
        send_call(c, call, argc, argv);
}

static void
send_script(struct cachea *c, struct call *call)
{
    struct script_args *s = call->script;
    AUTO_FREE const char **words = malloc((s->argc + 3) * sizeof *words);

    if (words == NULL)
        abort();
    if (c->sha[s->id][0] == '\0')
        s->by_text = true;
    cache_script_argv(!s->by_text, s->by_text ? cache_script_text(s->id) : c->sha[s->id], s->nkeys, s->argc,
                      (const char *const *)s->argv, words);
    send_call(c, call, s->argc + 3, words);
}

void
cachea_script(struct cachea *c, enum script_id id, size_t nkeys, size_t argc, const char *const argv[],
              cachea_cb cb, void *arg)
{
    struct call *call = call_create("script", cb, arg);

    assert(nkeys <= argc);
    call->script = script_args_create(id, nkeys, argc, argv);
    if (!refused(c, call))
        send_script(c, call);
}

/* An answer to one of the greeting's commands. False when that was the end of the connection, or of us. */
static bool
greeted(struct cachea *c, struct call *call, const redisReply *r)
{
    bool last = call->last_of_greeting;
    struct err why = call->err;
    enum rc rc = call->rc;

    if (call->kind == CALL_LOAD && rc == RC_OK && r->type == REDIS_REPLY_STRING &&
        r->len == sizeof c->sha[0] - 1)
        memcpy(c->sha[call->load], r->str, sizeof c->sha[0]);
    rc = call->kind == CALL_LOAD
             ? RC_OK
             : rc; /* a script that will not load goes by text, and says why when it is run */
    free(call);
    if (rc != RC_OK) {
        lose(c, &why);
        return false;
    }
    if (!last)
        return true;
    c->state = CACHEA_UP;
    c->failures = 0;
    arm_watchdog(c);
    return tell(c, true, NULL);
}

static void
on_reply(redisAsyncContext *ctx, void *reply, void *arg)
{
    struct cachea *c = ctx->data;
    const redisReply *r = reply;
    struct call *call;

    (void)arg;
    if (c == NULL || r == NULL) /* let go of, or breaking: on_disconnect() settles what is open */
        return;
    call = list_pop(&c->sent);
    assert(call != NULL);
    arm_watchdog(c);
    if (call->script != NULL && !call->script->by_text && cache_reply_noscript(r)) {
        call->script->by_text = true; /* it did not run: ask again, which also loads it */
        send_script(c, call);
        return;
    }
    call->rc = cache_reply_error(r, call->what, &call->err);
    if (call->kind == CALL_OWNERS)
        (void)finish_call(c, call, r);
    else
        (void)greeted(c, call, r);
}

/* ---- hiredis's side of the loop ---- */

static void
on_io(void *arg, bool readable, bool writable)
{
    struct cachea *c = arg;

    /* Either may free the context and, through a callback, us. So one of them a turn; the other comes at the
     * next. */
    if (readable)
        redisAsyncHandleRead(c->ctx);
    else if (writable)
        redisAsyncHandleWrite(c->ctx);
}

static void
want(struct cachea *c, bool read, bool write)
{
    c->want_read = read;
    c->want_write = write;
    loop_io_want(c->io, read, write);
}

static void
add_read(void *arg)
{
    struct cachea *c = arg;

    want(c, true, c->want_write);
}

static void
del_read(void *arg)
{
    struct cachea *c = arg;

    want(c, false, c->want_write);
}

static void
add_write(void *arg)
{
    struct cachea *c = arg;

    want(c, c->want_read, true);
}

static void
del_write(void *arg)
{
    struct cachea *c = arg;

    want(c, c->want_read, false);
}

/* The last time hiredis uses its hooks, before it closes the descriptor. */
static void
cleanup(void *arg)
{
    struct cachea *c = arg;

    loop_io_destroy(TAKE(c->io));
    memset(&c->ctx->ev, 0, sizeof c->ctx->ev);
}

static void
on_disconnect(const redisAsyncContext *ctx, int status)
{
    struct cachea *c = ctx->data;
    struct err why = { 0 };

    (void)status;
    if (c == NULL)
        return;
    err_set(&why, RC_UNAVAILABLE, "redis %s:%d: %s", c->url.host, c->url.port,
            ctx->c.errstr[0] == '\0' ? "disconnected" : ctx->c.errstr);
    (void)let_go(c); /* hiredis frees it by itself when we return */
    lose(c, &why);
}

static void
send_greeting(struct cachea *c)
{
    struct cache_hello h;
    struct call *call;

    c->state = CACHEA_GREETING;
    cache_hello_init(&h, &c->url);
    for (size_t i = 0; i < h.n; i++) {
        call = call_create(h.words[i][0], NULL, NULL);
        call->kind = CALL_HELLO;
        call->last_of_greeting = i + 1 == h.n && SCRIPT_COUNT == 0;
        send_call(c, call, h.argc[i], h.words[i]);
    }
    for (int id = 0; id < SCRIPT_COUNT; id++) {
        const char *const words[] = { "SCRIPT", "LOAD", cache_script_text((enum script_id)id) };

        call = call_create("SCRIPT LOAD", NULL, NULL);
        call->kind = CALL_LOAD;
        call->load = (enum script_id)id;
        call->last_of_greeting = id + 1 == SCRIPT_COUNT;
        send_call(c, call, COUNT_OF(words), words);
    }
}

/* hiredis still needs the context when this returns: nothing here may free it. */
static void
on_connect(const redisAsyncContext *ctx, int status)
{
    struct cachea *c = ctx->data;
    struct err why = { 0 };

    if (c == NULL)
        return;
    if (status == REDIS_OK) {
        send_greeting(c);
        return;
    }
    err_set(&why, RC_UNAVAILABLE, "redis %s:%d: %s", c->url.host, c->url.port, ctx->c.errstr);
    (void)let_go(c); /* hiredis frees it by itself when we return */
    lose(c, &why);
}

static void
attach(struct cachea *c)
{
    redisAsyncContext *ctx = c->ctx;

    (void)fcntl(ctx->c.fd, F_SETFD, FD_CLOEXEC);
    c->want_read = c->want_write = false;
    c->io = loop_io_create(c->loop, ctx->c.fd, on_io, c);
    ctx->data = c;
    ctx->ev.data = c;
    ctx->ev.addRead = add_read;
    ctx->ev.delRead = del_read;
    ctx->ev.addWrite = add_write;
    ctx->ev.delWrite = del_write;
    ctx->ev.cleanup = cleanup;
    (void)redisAsyncSetDisconnectCallback(ctx, on_disconnect);
    (void)redisAsyncSetConnectCallback(ctx, on_connect); /* asks for "writable": that is "connected" */
}

static void
start_connecting(void *arg)
{
    struct cachea *c = arg;
    redisAsyncContext *ctx = redisAsyncConnect(c->url.host, c->url.port);
    char reason[128] = "no memory";

    assert(c->state == CACHEA_DOWN && c->ctx == NULL);
    c->state = CACHEA_CONNECTING;
    if (ctx == NULL || ctx->err != 0) {
        if (ctx != NULL) {
            (void)snprintf(reason, sizeof reason, "%s", ctx->errstr);
            redisAsyncFree(ctx);
        }
        lose_because(c, reason);
        return;
    }
    c->ctx = ctx;
    attach(c);
    loop_timer_after(c->watchdog, c->timeout_ms > 0 ? c->timeout_ms : CONNECT_TIMEOUT_MS);
}

enum rc
cachea_create(struct loop *l, const char *url, int timeout_ms, cachea_state_cb state, void *arg,
              struct cachea **out, struct err *err)
{
    struct cache_url u;
    struct cachea *c;
    enum rc rc;

    assert(timeout_ms >= 0);
    if ((rc = cache_url_parse(url, &u, err)) != RC_OK)
        return rc;
    if ((c = calloc(1, sizeof *c)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a Redis connection");
    c->loop = l;
    c->url = u;
    c->timeout_ms = timeout_ms;
    c->state_cb = state;
    c->state_arg = arg;
    list_init(&c->sent);
    list_init(&c->lost);
    list_init(&c->refused);
    c->reconnect = loop_timer_create(l, start_connecting, c);
    c->watchdog = loop_timer_create(l, on_watchdog, c);
    c->soon = loop_timer_create(l, on_soon, c);
    loop_timer_after(c->reconnect, 0); /* so that no callback comes before the caller has its handle */
    *out = c;
    return RC_OK;
}

void
cachea_destroy(struct cachea *c)
{
    struct err why = { 0 };

    if (c == NULL)
        return;
    assert(!c->destroying); /* from within a callback that destroying called */
    c->destroying = true;
    if (c->gone != NULL)
        *c->gone = true;
    c->gone = NULL;
    close_connection(c);
    c->state = CACHEA_DOWN; /* the owner knows: no state callback */
    err_set(&why, RC_UNAVAILABLE, "the Redis connection is being closed");
    (void)fail_all(c, &c->lost, &why);
    (void)fail_all(c, &c->sent, &why);
    (void)fail_all(c, &c->refused, &why);
    loop_timer_destroy(c->reconnect);
    loop_timer_destroy(c->watchdog);
    loop_timer_destroy(c->soon);
    explicit_bzero(&c->url, sizeof c->url);
    free(c);
}
