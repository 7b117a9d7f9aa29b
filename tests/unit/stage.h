/* tests/unit/stage.h
 * stage - a loop, a connection on it, and what came back call by call: for the tests of dba and cachea, which
 * promise the same of their callbacks. A test opens its own connection, with stage_on_state() for its state.
 */
#ifndef DESKMILL_TESTS_STAGE_H
#define DESKMILL_TESTS_STAGE_H

#include "common/loop.h"
#include "tests/unit/servers.h"
#include <stdbool.h>
#include <stdlib.h>

enum { CALLS_MAX = 4000 };

struct stage {
    struct loop *loop;
    struct loop_timer *guard;
    union {
        struct dba *dba;
        struct cachea *cache;
    };
    int ups, downs;
    bool stop_when_up, stop_when_down;
    size_t called;        /* callbacks so far */
    size_t stop_at;       /* ends the loop at so many; 0 = never */
    int times[CALLS_MAX]; /* how often each call's callback came */
    enum rc rcs[CALLS_MAX];
    char texts[CALLS_MAX][24];
    size_t order[CALLS_MAX];
    bool in_run;
    enum rc down_rc;
};

/* What a call's callback is given. */
struct ticket {
    struct stage *s;
    size_t i;
};
static struct ticket tickets[CALLS_MAX];

static inline void
stage_too_late(void *arg)
{
    (void)arg;
    fail_msg("nothing came within 10 s");
}

/* Without a connection yet. */
static inline struct stage *
stage_create(void)
{
    struct stage *s = calloc(1, sizeof *s);
    struct err err = { 0 };

    assert_non_null(s);
    OK(loop_create(&s->loop, &err));
    s->guard = loop_timer_create(s->loop, stage_too_late, NULL);
    return s;
}

/* When its connection has been destroyed. */
static inline void
stage_destroy(struct stage *s)
{
    loop_timer_destroy(s->guard);
    loop_destroy(s->loop);
    free(s);
}

static inline void
stage_on_state(void *arg, bool up, const struct err *err)
{
    struct stage *s = arg;

    *(up ? &s->ups : &s->downs) += 1;
    if (!up)
        s->down_rc = err->rc;
    if ((up && s->stop_when_up) || (!up && s->stop_when_down))
        loop_stop(s->loop);
}

/* A callback came: notes all but what it brought. */
static inline void
stage_came(const struct ticket *t, enum rc rc, const struct err *err)
{
    struct stage *s = t->s;

    assert_false(s->in_run);
    assert_int_equal(err->rc, rc);
    s->times[t->i]++;
    s->rcs[t->i] = rc;
    s->order[s->called++] = t->i;
    if (s->called == s->stop_at)
        loop_stop(s->loop);
}

static inline void
stage_run(struct stage *s)
{
    loop_timer_after(s->guard, 10000);
    loop_run(s->loop);
    loop_timer_stop(s->guard);
}

static inline void
stage_run_until(struct stage *s, size_t called)
{
    s->stop_at = called;
    stage_run(s);
    assert_int_equal(s->called, called);
}

#endif
