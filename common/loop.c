#include "common/loop.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-aliasing" /* ev.h casts between its watcher types */
#include <ev.h>
#pragma GCC diagnostic pop

struct loop {
    struct ev_loop *ev;
    bool stop;
    struct loop_child *child;
};

struct loop_timer {
    ev_timer w;
    struct loop *loop;
    void (*cb)(void *arg);
    void *arg;
};

struct loop_io {
    ev_io w;
    struct loop *loop;
    void (*cb)(void *arg, bool readable, bool writable);
    void *arg;
};

struct loop_signal {
    ev_signal w;
    struct loop *loop;
    void (*cb)(void *arg);
    void *arg;
};

struct loop_child {
    ev_signal w;
    struct loop *loop;
    void (*cb)(void *arg, pid_t pid, int status);
    void *arg;
    bool *gone; /* set when it is destroyed within its own callback */
};

/* A watcher is small and made at start-up or per connection: there is no sensible way on without it. */
static void *
make(size_t n)
{
    void *p = calloc(1, n);

    if (p == NULL)
        abort();
    return p;
}

enum rc
loop_create(struct loop **out, struct err *err)
{
    AUTO(loop) l = calloc(1, sizeof *l);

    /* The environment must not choose the backend, and signals stay as the process has set them. Every loop
     * is one of its own, never libev's default loop: that one is shared within the process and takes SIGCHLD
     * for itself. */
    if (l == NULL || (l->ev = ev_loop_new(EVFLAG_NOENV | EVFLAG_NOSIGMASK | EVFLAG_NOTIMERFD)) == NULL)
        return err_set(err, RC_INTERNAL, "no event loop: %s", strerror(errno));
    *out = TAKE(l);
    return RC_OK;
}

void
loop_destroy(struct loop *l)
{
    if (l == NULL)
        return;
    if (l->ev != NULL)
        ev_loop_destroy(l->ev);
    free(l);
}

void
loop_run(struct loop *l)
{
    ev_ref(l->ev); /* a loop without watchers waits, too: only loop_stop() ends it */
    while (!l->stop)
        ev_run(l->ev, EVRUN_ONCE);
    ev_unref(l->ev);
    l->stop = false;
}

void
loop_stop(struct loop *l)
{
    l->stop = true;
    ev_break(l->ev, EVBREAK_ALL);
}

static void
on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
    struct loop_timer *t = w->data;

    (void)ev, (void)revents;
    t->cb(t->arg); /* may destroy t */
}

struct loop_timer *
loop_timer_create(struct loop *l, void (*cb)(void *arg), void *arg)
{
    struct loop_timer *t = make(sizeof *t);

    t->loop = l;
    t->cb = cb;
    t->arg = arg;
    ev_timer_init(&t->w, on_timer, 0., 0.);
    t->w.data = t;
    return t;
}

void
loop_timer_destroy(struct loop_timer *t)
{
    if (t == NULL)
        return;
    loop_timer_stop(t);
    free(t);
}

static void
timer_start(struct loop_timer *t, int64_t after_ms, int64_t every_ms)
{
    assert(after_ms >= 0);
    ev_timer_stop(t->loop->ev, &t->w);
    ev_now_update(t->loop->ev); /* libev counts from the start of this turn, which may be long ago */
    ev_timer_set(&t->w, (double)after_ms / 1000., (double)every_ms / 1000.);
    ev_timer_start(t->loop->ev, &t->w);
}

void
loop_timer_after(struct loop_timer *t, int64_t ms)
{
    timer_start(t, ms, 0);
}

void
loop_timer_every(struct loop_timer *t, int64_t ms)
{
    assert(ms > 0);
    timer_start(t, ms, ms);
}

void
loop_timer_stop(struct loop_timer *t)
{
    ev_timer_stop(t->loop->ev, &t->w);
}

bool
loop_timer_active(const struct loop_timer *t)
{
    return ev_is_active(&t->w);
}

static void
on_io(struct ev_loop *ev, ev_io *w, int revents)
{
    struct loop_io *io = w->data;

    (void)ev;
    io->cb(io->arg, (revents & EV_READ) != 0, (revents & EV_WRITE) != 0); /* may destroy io */
}

struct loop_io *
loop_io_create(struct loop *l, int fd, void (*cb)(void *arg, bool readable, bool writable), void *arg)
{
    struct loop_io *io = make(sizeof *io);

    assert(fd >= 0);
    io->loop = l;
    io->cb = cb;
    io->arg = arg;
    ev_io_init(&io->w, on_io, fd, 0);
    io->w.data = io;
    return io;
}

void
loop_io_destroy(struct loop_io *io)
{
    if (io == NULL)
        return;
    ev_io_stop(io->loop->ev, &io->w);
    free(io);
}

void
loop_io_want(struct loop_io *io, bool read, bool write)
{
    int events = (read ? EV_READ : 0) | (write ? EV_WRITE : 0);

    if (events == (io->w.events & (EV_READ | EV_WRITE)) && ev_is_active(&io->w) == (events != 0))
        return;
    ev_io_stop(io->loop->ev, &io->w);
    ev_io_modify(&io->w, events);
    if (events != 0)
        ev_io_start(io->loop->ev, &io->w);
}

static void
on_signal(struct ev_loop *ev, ev_signal *w, int revents)
{
    struct loop_signal *s = w->data;

    (void)ev, (void)revents;
    s->cb(s->arg); /* may destroy s */
}

struct loop_signal *
loop_signal_create(struct loop *l, int signum, void (*cb)(void *arg), void *arg)
{
    struct loop_signal *s = make(sizeof *s);

    assert(signum != SIGCHLD); /* that is loop_child's */
    s->loop = l;
    s->cb = cb;
    s->arg = arg;
    ev_signal_init(&s->w, on_signal, signum);
    s->w.data = s;
    ev_signal_start(l->ev, &s->w);
    return s;
}

void
loop_signal_destroy(struct loop_signal *s)
{
    if (s == NULL)
        return;
    ev_signal_stop(s->loop->ev, &s->w); /* the signal's default action is back */
    free(s);
}

static void
on_child(struct ev_loop *ev, ev_signal *w, int revents)
{
    struct loop_child *c = w->data;
    bool gone = false;
    int status;
    pid_t pid;

    (void)ev, (void)revents;
    c->gone = &gone;
    /* one signal may stand for several children */
    while (!gone && (pid = waitpid(-1, &status, WNOHANG)) > 0)
        c->cb(c->arg, pid, status);
    if (!gone)
        c->gone = NULL;
}

/* A SIGCHLD watcher of ours and not an ev_child, which would need the default loop and one watcher per child.
 */
struct loop_child *
loop_child_create(struct loop *l, void (*cb)(void *arg, pid_t pid, int status), void *arg)
{
    struct loop_child *c = make(sizeof *c);

    assert(l->child == NULL);
    l->child = c;
    c->loop = l;
    c->cb = cb;
    c->arg = arg;
    ev_signal_init(&c->w, on_child, SIGCHLD);
    c->w.data = c;
    ev_signal_start(l->ev, &c->w);
    ev_feed_event(l->ev, &c->w, EV_SIGNAL); /* children that ended before anyone watched */
    return c;
}

void
loop_child_destroy(struct loop_child *c)
{
    if (c == NULL)
        return;
    if (c->gone != NULL)
        *c->gone = true;
    ev_signal_stop(c->loop->ev, &c->w);
    c->loop->child = NULL;
    free(c);
}
