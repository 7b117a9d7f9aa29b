#include "common/budget.h"
#include "common/clock.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WINDOW_MS    INT64_C(61000) /* the vendor's minute, and a second for a call to reach it */
#define MAX_TOKENS   1000000        /* as the scripts have it */
#define MAX_SHUT_MS  INT64_C(86400000)
#define MAX_CLASSES  16
#define LOCAL_SHARE  4 /* without Redis: this part of the limit */
#define MAX_LOCAL_MS 60000

/* What this process knows of a class by itself: enough to pace alone, and to see when the shared state needs
 * no news. */
struct share {
    char name[32];
    int64_t limit;      /* as last heard */
    int64_t strikes;    /* as last heard, or counted while alone */
    int64_t next_at;    /* monotonic: when to allow a call while alone */
    int64_t shut_until; /* monotonic: a 429 that came in while alone */
};

struct budget {
    struct cache *cache; /* borrowed */
    int64_t integration_id, window_ms;
    struct share shares[MAX_CLASSES];
    size_t count;
};

void
budget_destroy(struct budget *b)
{
    free(b);
}

enum rc
budget_create(struct cache *c, int64_t integration_id, struct budget **out, struct err *err)
{
    struct budget *b = calloc(1, sizeof *b);

    if (b == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a budget");
    b->cache = c;
    b->integration_id = integration_id;
    b->window_ms = WINDOW_MS;
    *out = b;
    return RC_OK;
}

void
budget_set_window_ms(struct budget *b, int64_t ms)
{
    assert(ms > 0);
    b->window_ms = ms;
}

/* NULL: more classes than any vendor has. */
static struct share *
share_of(struct budget *b, const struct budget_class *c)
{
    struct share *s;

    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->shares[i].name, c->name) == 0)
            return &b->shares[i];
    if (b->count == MAX_CLASSES || strlen(c->name) >= sizeof s->name)
        return NULL;
    s = &b->shares[b->count++];
    memcpy(s->name, c->name, strlen(c->name) + 1);
    s->limit = c->limit;
    return s;
}

static bool
class_is_sane(const struct budget_class *c)
{
    return c->name[0] != '\0' && strpbrk(c->name, "{}: \r\n") == NULL && c->limit >= 0 &&
           c->limit <= MAX_TOKENS && c->limit_max >= 0 && c->limit_max <= MAX_TOKENS;
}

/* The words that both scripts begin with. One hash tag, so that a cluster keeps both keys together. */
struct words {
    char hash[96], list[96], window[24], limit[24], limit_max[24];
};

static void
words_init(struct words *w, const struct budget *b, const struct budget_class *c)
{
    (void)snprintf(w->hash, sizeof w->hash, "dm:b:{%" PRId64 ":%s}", b->integration_id, c->name);
    (void)snprintf(w->list, sizeof w->list, "dm:bl:{%" PRId64 ":%s}", b->integration_id, c->name);
    (void)snprintf(w->window, sizeof w->window, "%" PRId64, b->window_ms);
    (void)snprintf(w->limit, sizeof w->limit, "%d", c->limit);
    (void)snprintf(w->limit_max, sizeof w->limit_max, "%d", c->limit_max);
}

static int64_t
local_pace_us(const struct budget *b, const struct share *s)
{
    return s->limit > 0 ? b->window_ms * 1000 * LOCAL_SHARE / s->limit : 0;
}

static void
take_alone(const struct budget *b, struct share *s, int want, int *granted, int64_t *wait_ms)
{
    int64_t now = clock_mono();
    int64_t open_at = s->next_at > s->shut_until ? s->next_at : s->shut_until;

    if (open_at > now) {
        *granted = 0;
        *wait_ms = (open_at - now + 999) / 1000;
        return;
    }
    *granted = s->limit > 0 ? 1 : want;
    *wait_ms = 0;
    s->next_at = now + local_pace_us(b, s);
}

/* Redis is away, in one of the ways that pass. */
static bool
is_away(enum rc rc)
{
    return rc == RC_UNAVAILABLE || rc == RC_TIMEOUT || rc == RC_LIMIT;
}

enum rc
budget_take(struct budget *b, const struct budget_class *c, int want, bool bulk, int *granted,
            int64_t *wait_ms, struct err *err)
{
    AUTO(reply) r = NULL;
    struct share *s;
    struct words w;
    char wanted[24];
    enum rc rc;

    if (!class_is_sane(c) || want < 1 || (s = share_of(b, c)) == NULL)
        return err_set(err, RC_INVALID, "budget: class \"%s\" or %d tokens of it make no sense", c->name,
                       want);
    words_init(&w, b, c);
    (void)snprintf(wanted, sizeof wanted, "%d", want < MAX_TOKENS ? want : MAX_TOKENS);
    rc = cache_script(
        b->cache, SCRIPT_budget_take, 2, 7,
        (const char *[]){ w.hash, w.list, w.window, w.limit, w.limit_max, wanted, bulk ? "1" : "0" }, &r,
        err);
    if (is_away(rc)) {
        err_clear(err);
        take_alone(b, s, want, granted, wait_ms);
        return RC_OK;
    }
    if (rc != RC_OK)
        return err_wrap(err, "taking from the budget of %s", c->name);
    if (reply_len(r) != 4)
        return err_set(err, RC_PROTOCOL, "taking from the budget of %s: no sensible reply", c->name);
    *granted = (int)reply_int(reply_at(r, 0));
    *wait_ms = reply_int(reply_at(r, 1));
    s->limit = reply_int(reply_at(r, 2));
    s->strikes = reply_int(reply_at(r, 3));
    if (*granted > 0) /* should Redis go away now, this call counts */
        s->next_at = clock_mono() + local_pace_us(b, s);
    return RC_OK;
}

static void
learn_alone(struct share *s, int64_t retry_after_ms)
{
    int64_t shut_ms = retry_after_ms, until;

    if (retry_after_ms < 0) {
        s->strikes = 0;
        return;
    }
    if (s->shut_until <= clock_mono())
        s->strikes++;
    if (shut_ms == 0)
        shut_ms = s->strikes > 6 ? MAX_LOCAL_MS : INT64_C(1000) << (s->strikes > 0 ? s->strikes - 1 : 0);
    if (shut_ms > MAX_LOCAL_MS && retry_after_ms == 0)
        shut_ms = MAX_LOCAL_MS;
    until = clock_mono() + shut_ms * 1000;
    if (until > s->shut_until)
        s->shut_until = until;
}

void
budget_learn(struct budget *b, const struct budget_class *c, int64_t remaining, int64_t retry_after_ms)
{
    AUTO(reply) r = NULL;
    struct share *s;
    struct words w;
    char left[24], retry[24];

    if (!class_is_sane(c) || (s = share_of(b, c)) == NULL)
        return;
    remaining = remaining < -1 ? -1 : remaining > MAX_TOKENS ? MAX_TOKENS : remaining;
    retry_after_ms = retry_after_ms < -1 ? -1 : retry_after_ms > MAX_SHUT_MS ? MAX_SHUT_MS : retry_after_ms;
    if (retry_after_ms < 0 && s->strikes == 0 &&
        (s->limit == 0 || remaining < s->limit || s->limit >= c->limit_max))
        return; /* no news: most answers cost no round trip */
    words_init(&w, b, c);
    (void)snprintf(left, sizeof left, "%" PRId64, remaining);
    (void)snprintf(retry, sizeof retry, "%" PRId64, retry_after_ms);
    if (cache_script(b->cache, SCRIPT_budget_learn, 1, 6,
                     (const char *[]){ w.hash, w.window, w.limit, w.limit_max, left, retry }, &r,
                     NULL) == RC_OK &&
        reply_len(r) == 2) {
        s->limit = reply_int(reply_at(r, 0));
        s->strikes = reply_int(reply_at(r, 1));
        return;
    }
    learn_alone(s, retry_after_ms);
}
