#include "worker/fetch.h"
#include "common/clock.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 3, CACHE_TIMEOUT_MS = 2000, STOP_POLL_MS = 100, LEAVE_AFTER_MS = 3000, REFUSALS_MAX = 5 };
#define STOP_POLL_US (INT64_C(1000) * STOP_POLL_MS)

static const int pause_ms[ROUNDS - 1] = { 250, 1000 };

struct batch {
    struct call calls[FETCH_PARALLEL];
    char *cursors[FETCH_PARALLEL], *issue_ids[FETCH_PARALLEL];
    struct fetched results[FETCH_PARALLEL];
    size_t n;
    int64_t waits, waited_ms; /* for budget, slept out */
};

struct fetch {
    struct integration *in;
    struct cache *cache;
    struct budget *budget;
    struct http *http;
    struct doc *doc;
    struct record record;
    struct request requests[FETCH_PARALLEL];
    struct http_res answers[FETCH_PARALLEL];
    struct batch batches[2];
    int current; /* the batch started last */
    bool bulk;
    bool running;
    pthread_t thread;
    atomic_bool stop;
};

static void
batch_forget(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(TAKE(b->cursors[i]));
        free(TAKE(b->issue_ids[i]));
    }
    b->n = 0;
}

/* True when the thread has ended. */
static bool
join_within(struct fetch *f, int64_t ms)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* a clock that is set back must not make this long */
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    if (pthread_clockjoin_np(f->thread, NULL, CLOCK_MONOTONIC, &t) == ETIMEDOUT)
        return false;
    f->running = false;
    return true;
}

void
fetch_destroy(struct fetch *f)
{
    if (f == NULL)
        return;
    atomic_store(&f->stop, true);
    if (f->running && !join_within(f, LEAVE_AFTER_MS)) {
        (void)pthread_detach(f->thread);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(f->batches); i++) {
        batch_forget(&f->batches[i]);
        for (size_t j = 0; j < FETCH_PARALLEL; j++)
            page_fini(&f->batches[i].results[j].page);
    }
    for (size_t i = 0; i < FETCH_PARALLEL; i++) {
        request_fini(&f->requests[i]);
        http_res_fini(&f->answers[i]);
    }
    record_fini(&f->record);
    doc_destroy(f->doc);
    http_destroy(f->http);
    budget_destroy(f->budget);
    cache_destroy(f->cache);
    integration_destroy(f->in);
    free(f);
}

enum rc
fetch_create(const struct conf *conf, struct integration **in, bool bulk, struct fetch **out, struct err *err)
{
    struct http_options o = { .connect_timeout_ms = (int)conf_int(conf, "vendor-connect-ms"),
                              .timeout_ms = (int)conf_int(conf, "vendor-timeout-ms"),
                              .max_body = (size_t)conf_int(conf, "max-page-mb") << 20 };
    AUTO(fetch) f = calloc(1, sizeof *f);
    enum rc rc;

    if (f == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a fetching thread");
    f->bulk = bulk;
    record_init(&f->record, NULL);
    for (size_t i = 0; i < FETCH_PARALLEL; i++) {
        request_init(&f->requests[i]);
        page_init(&f->batches[0].results[i].page);
        page_init(&f->batches[1].results[i].page);
    }
    if ((rc = cache_create(conf_str(conf, "redis-url"), CACHE_TIMEOUT_MS, &f->cache, err)) != RC_OK ||
        (rc = budget_create(f->cache, (*in)->id, &f->budget, err)) != RC_OK ||
        (rc = http_create(&o, &f->http, err)) != RC_OK || (rc = doc_create(&f->doc, err)) != RC_OK)
        return rc;
    f->in = TAKE(*in);
    *out = TAKE(f);
    return RC_OK;
}

const struct integration *
fetch_integration(const struct fetch *f)
{
    return f->in;
}

/* ---- in the thread ---- */

/* Sleeps in small steps; false when asked to stop. */
static bool
rest(struct fetch *f, int64_t ms)
{
    int64_t until = clock_mono() + ms * 1000, left;

    while (!atomic_load(&f->stop) && (left = until - clock_mono()) > 0) {
        int64_t us = left < STOP_POLL_US ? left : STOP_POLL_US;

        (void)nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
    }
    return !atomic_load(&f->stop);
}

static const struct budget_class *
class_of(const struct fetch *f, const struct batch *b)
{
    return &f->in->classes[f->in->connector->endpoints[b->calls[0].kind].budget];
}

/* Up to `want` tokens, sleeping out a short wait. 0: none; *wait_ms tells when to come again. */
static int
take_budget(struct fetch *f, struct batch *b, int want, int64_t *wait_ms)
{
    const struct budget_class *c = class_of(f, b);
    int granted = 0;

    *wait_ms = 0;
    for (;;) {
        if (c->limit == 0)
            return want;
        if (budget_take(f->budget, c, want, f->bulk, &granted, wait_ms, NULL) != RC_OK)
            *wait_ms = FETCH_WAIT_MS + 1;
        else if (granted > 0)
            return granted;
        if (*wait_ms > FETCH_WAIT_MS || !rest(f, *wait_ms))
            return 0;
        b->waits++;
        b->waited_ms += *wait_ms;
    }
}

static int64_t
header_number(const struct http_res *res, const char *name)
{
    char text[32], *end;
    long long v;

    if (name == NULL || !http_res_header(res, name, text, sizeof text))
        return -1;
    v = strtoll(text, &end, 10);
    return end == text || *end != '\0' || v < 0 ? -1 : v;
}

static void
learn(struct fetch *f, const struct batch *b, const struct http_res *res)
{
    const struct budget_class *c = class_of(f, b);
    int64_t wait_ms = -1;

    if (res->status == 429 && (wait_ms = http_res_retry_after_ms(res, clock_now())) < 0)
        wait_ms = 0;
    if (c->limit > 0)
        budget_learn(f->budget, c, header_number(res, f->in->connector->remaining_header), wait_ms);
}

static enum rc
read_answer(struct fetch *f, const struct call *c, const struct http_res *res, struct fetched *out)
{
    const struct connector *k = f->in->connector;
    const struct endpoint *e = &k->endpoints[c->kind];
    struct doc_value root;
    enum rc rc;

    out->status = res->status;
    if (res->status < 200 || res->status > 299)
        return connector_error(k, c, res, f->doc, &out->err);
    page_reset(&out->page, e->stream);
    f->record.unknown = &out->page.unknown;
    if ((rc = doc_parse(f->doc, res->body.data, res->body.len, &root, &out->err)) == RC_OK)
        rc = k->read(c, root, &f->record, &out->page, &out->err);
    if (rc != RC_OK)
        return err_wrap(&out->err, "%s: %d", e->label, res->status);
    rows_finish(&out->page.rows);
    return RC_OK;
}

/* Worth another try at once: nothing that a second identical question could not mend. */
static bool
is_transient(const struct fetched *r)
{
    return r->rc == RC_UNAVAILABLE || r->rc == RC_TIMEOUT ||
           (r->rc == RC_PROTOCOL && r->status >= 200 && r->status <= 299);
}

/* One call's answer, or why there is none. */
static void
take_answer(struct fetch *f, const struct batch *b, struct fetched *r, const struct call *c,
            const struct http_res *res, enum rc rc, const struct err *err)
{
    r->requests++;
    r->bytes += res->bytes_in;
    r->status = 0;
    r->rc = rc;
    r->err = *err;
    if (rc != RC_OK) {
        (void)err_wrap(&r->err, "%s", f->in->connector->endpoints[c->kind].label);
        return;
    }
    learn(f, b, res);
    r->rc = read_answer(f, c, res, r);
}

static void
without_budget(struct fetch *f, struct batch *b, const size_t *todo, size_t n, int64_t wait_ms)
{
    for (size_t i = 0; i < n; i++) {
        struct fetched *r = &b->results[todo[i]];

        r->wait_ms = wait_ms > 0 ? wait_ms : 1;
        r->rc = err_set(&r->err, RC_LIMIT, "%s: no budget for %lld ms",
                        f->in->connector->endpoints[b->calls[0].kind].label, (long long)r->wait_ms);
    }
}

/* Performs those of the batch that `todo` names, as fast as the budget lets it. False: it ran out for a
 * longer time. */
static bool
perform(struct fetch *f, struct batch *b, const size_t *todo, size_t n)
{
    struct http_req reqs[FETCH_PARALLEL];
    enum rc rcs[FETCH_PARALLEL];

    while (n > 0) {
        struct err errs[FETCH_PARALLEL] = { 0 };
        int64_t wait_ms;
        size_t granted = (size_t)take_budget(f, b, (int)n, &wait_ms);

        assert(granted <= n);
        if (granted == 0) {
            without_budget(f, b, todo, n, wait_ms);
            return false;
        }
        for (size_t i = 0; i < granted; i++)
            reqs[i] = f->requests[todo[i]].http;
        http_perform_many(f->http, reqs, granted, FETCH_PARALLEL, f->answers, rcs, errs);
        for (size_t i = 0; i < granted; i++)
            take_answer(f, b, &b->results[todo[i]], &b->calls[todo[i]], &f->answers[i], rcs[i], &errs[i]);
        todo += granted;
        n -= granted;
    }
    return true;
}

static size_t
select_those(const struct batch *b, bool (*wanted)(const struct fetched *r),
             size_t todo[static FETCH_PARALLEL])
{
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++)
        if (wanted(&b->results[i]))
            todo[n++] = i;
    return n;
}

static bool
is_refused(const struct fetched *r)
{
    return r->status == 429;
}

/* After a 429 the budget knows how long it takes: what is short is waited for, the rest is the job's to
 * decide. */
static void
sit_out_refusals(struct fetch *f, struct batch *b)
{
    size_t todo[FETCH_PARALLEL], n;

    for (int i = 0; i < REFUSALS_MAX && (n = select_those(b, is_refused, todo)) > 0; i++)
        if (!perform(f, b, todo, n))
            return;
    for (size_t i = 0; i < b->n; i++)
        if (is_refused(&b->results[i]))
            b->results[i].wait_ms = FETCH_WAIT_MS;
}

static void *
run_batch(void *arg)
{
    struct fetch *f = arg;
    struct batch *b = &f->batches[f->current];
    size_t todo[FETCH_PARALLEL], n = 0;

    for (size_t i = 0; i < b->n; i++) {
        struct fetched *r = &b->results[i];

        r->rc = f->in->connector->build(f->in, &b->calls[i], &f->requests[i], &r->err);
        if (r->rc == RC_OK)
            todo[n++] = i;
    }
    for (int round = 0; n > 0; round++) {
        if (!perform(f, b, todo, n))
            break;
        sit_out_refusals(f, b);
        n = select_those(b, is_transient, todo);
        if (round == ROUNDS - 1 || n == 0 || !rest(f, pause_ms[round]))
            break;
    }
    return NULL;
}

/* ---- in the job's thread ---- */

static char *
copy(const char *s, bool *ok)
{
    char *c = s == NULL ? NULL : strdup(s);

    if (s != NULL && c == NULL)
        *ok = false;
    return c;
}

enum rc
fetch_start(struct fetch *f, const struct call *calls, size_t n, struct err *err)
{
    struct batch *b = &f->batches[!f->current];
    bool ok = true;

    assert(!f->running && n > 0 && n <= FETCH_PARALLEL);
    batch_forget(b);
    b->n = n;
    b->waits = b->waited_ms = 0;
    for (size_t i = 0; i < n; i++) {
        struct fetched *r = &b->results[i];

        b->calls[i] = calls[i];
        b->calls[i].cursor = b->cursors[i] = copy(calls[i].cursor, &ok);
        b->calls[i].issue_id = b->issue_ids[i] = copy(calls[i].issue_id, &ok);
        r->rc = RC_OK;
        r->status = 0;
        r->wait_ms = r->requests = r->bytes = 0;
        err_clear(&r->err);
    }
    f->current = !f->current;
    if (!ok || pthread_create(&f->thread, NULL, run_batch, f) != 0)
        return err_set(err, RC_INTERNAL, "no memory for a fetching thread");
    f->running = true;
    return RC_OK;
}

bool
fetch_finish(struct fetch *f, struct job_ctx *ctx, struct fetched **results, enum outcome *why)
{
    struct batch *b = &f->batches[f->current];
    struct counts c = { 0 };

    assert(f->running);
    while (!join_within(f, STOP_POLL_MS))
        if (ctx_stop(ctx, why))
            return false;
    for (size_t i = 0; i < b->n; i++) {
        c.requests += b->results[i].requests;
        c.bytes += b->results[i].bytes;
    }
    if (b->waits > 0) {
        ctx_note(ctx, COUNTER_budget_waits, "slept", b->waits);
        ctx_note(ctx, COUNTER_budget_wait_ms, "slept", b->waited_ms);
    }
    ctx->touched |= c.requests > 0;
    ctx_count(ctx, &c);
    *results = b->results;
    return true;
}
