#include "scheduler/due.h"
#include <assert.h>
#include <string.h>

enum due_misfire
due_misfire_by_name(const char *name)
{
    if (strcmp(name, "run_all") == 0)
        return DUE_RUN_ALL;
    return strcmp(name, "skip") == 0 ? DUE_SKIP : DUE_RUN_ONCE;
}

static int64_t
next_after(const struct due_schedule *s, int64_t t)
{
    int64_t next;

    return cron_next(s->cron, s->zone, t, &next) ? next : DUE_NONE;
}

/* The tick after `t` if it is not after `until`. */
static bool
step(const struct due_schedule *s, int64_t t, int64_t until, int64_t *out)
{
    int64_t next = next_after(s, t);

    if (next == DUE_NONE || next > until)
        return false;
    *out = next;
    return true;
}

/* The newest tick within [first, until], where `first` is one. Looks back from `until` in growing strides, so
 * that a year of missed minutes costs no more than an hour of them. */
static int64_t
newest_until(const struct due_schedule *s, int64_t first, int64_t until)
{
    int64_t at = first;

    if (!step(s, first, until, &at))
        return first;
    for (int64_t back = CLOCK_HOUR; until - back > at; back *= 2) {
        int64_t found;

        if (step(s, until - back, until, &found)) {
            at = found;
            break;
        }
    }
    while (step(s, at, until, &at))
        ;
    return at;
}

/* Notes that [first, until] passes unused. */
static void
pass_over(const struct due_schedule *s, int64_t first, int64_t until, struct due *out)
{
    if (first > until)
        return;
    out->passed_from = first;
    out->passed_to = newest_until(s, first, until);
}

/* One tick for all that were missed: the newest, unless the policy is SKIP and it is late too. */
static void
decide_newest(const struct due_schedule *s, int64_t now, struct due_tick *ticks, struct due *out)
{
    int64_t newest = newest_until(s, s->next_tick, now);

    out->next = next_after(s, newest);
    if (s->misfire == DUE_SKIP && now - newest > DUE_ON_TIME) {
        pass_over(s, s->next_tick, newest, out);
        return;
    }
    pass_over(s, s->next_tick, newest - 1, out);
    ticks[out->n++] = (struct due_tick){ .at = newest, .run = !s->busy };
}

static void
decide_all(const struct due_schedule *s, int64_t now, struct due_tick *ticks, size_t max, struct due *out)
{
    int64_t window = s->window < DUE_ON_TIME ? DUE_ON_TIME : s->window > DUE_WINDOW ? DUE_WINDOW : s->window;
    int64_t oldest = now - window, at = s->next_tick;

    if (at < oldest) {
        pass_over(s, at, oldest - 1, out);
        at = next_after(s, oldest - 1);
    }
    while (at != DUE_NONE && at <= now && out->n < max) {
        bool busy = s->busy || (s->no_overlap && out->n > 0);

        ticks[out->n++] = (struct due_tick){ .at = at, .run = !busy };
        at = next_after(s, at);
    }
    out->next = at;
}

void
due_decide(const struct due_schedule *s, int64_t now, struct due_tick *ticks, size_t max, struct due *out)
{
    assert(max > 0);
    *out = (struct due){ .next = s->next_tick, .passed_from = DUE_NONE, .passed_to = DUE_NONE };
    if (s->next_tick == DUE_NONE || (!s->active && s->next_tick <= now))
        out->next = next_after(s, now);
    else if (s->next_tick > now)
        return;
    else if (s->misfire == DUE_RUN_ALL)
        decide_all(s, now, ticks, max, out);
    else
        decide_newest(s, now, ticks, out);
}
