/* limiter - how many calls of one endpoint are accepted in any stretch of time. */
#include "limiter.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "simtime.h"

static void
ring_expire(struct ring *r, int64_t before)
{
    while (r->len > 0 && r->at[r->head] <= before) {
        r->head = (r->head + 1) % r->cap;
        r->len--;
    }
}

static void
ring_push(struct ring *r, int64_t at)
{
    if (r->len == r->cap) {
        size_t cap = r->cap > 0 ? 2 * r->cap : 64;
        int64_t *p = must_alloc(cap * sizeof(*p));

        for (size_t i = 0; i < r->len; i++)
            p[i] = r->at[(r->head + i) % r->cap];
        free(r->at);
        r->at = p;
        r->head = 0;
        r->cap = cap;
    }
    r->at[(r->head + r->len++) % r->cap] = at;
    if (r->len > r->most)
        r->most = r->len;
}

void
limiter_fini(struct limiter *l)
{
    free(l->window.at);
    free(l->minute.at);
    *l = (struct limiter){ 0 };
}

void
limiter_set(struct limiter *l, int64_t allowed, int64_t window_us)
{
    l->allowed = allowed;
    l->window_us = window_us;
}

int64_t
limiter_wait(struct limiter *l, int64_t now)
{
    struct ring *r = &l->window;

    ring_expire(r, now - l->window_us);
    if (l->allowed <= 0 || r->len < (size_t)l->allowed)
        return 0;
    /* after a change of limits there may be more in the window than are allowed: enough of them must leave */
    return r->at[(r->head + r->len - (size_t)l->allowed) % r->cap] + l->window_us - now;
}

void
limiter_count(struct limiter *l, int64_t now)
{
    ring_expire(&l->window, now - l->window_us);
    ring_push(&l->window, now);
    ring_expire(&l->minute, now - MINUTE_US);
    ring_push(&l->minute, now);
}

int64_t
limiter_left(const struct limiter *l)
{
    if (l->allowed <= 0)
        return -1;
    return l->allowed > (int64_t)l->window.len ? l->allowed - (int64_t)l->window.len : 0;
}
