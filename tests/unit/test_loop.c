#include "common/clock.h"
#include "common/loop.h"
#include "tests/unit/tables.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the callbacks of a test need; the loop stops when `left` callbacks have come, or fails after 5 s. */
struct stage {
    struct loop *loop;
    struct loop_timer *timer, *other;
    struct loop_io *io;
    struct loop_signal *signal;
    struct loop_child *child;
    int left, fired, fd;
    int64_t at;
    bool readable, writable;
    pid_t pids[4];
    int statuses[4];
};

static void
too_late(void *arg)
{
    (void)arg;
    fail_msg("nothing came within 5 s");
}

static struct stage
stage_open(int left)
{
    struct stage s = { .left = left };

    assert_int_equal(loop_create(&s.loop, NULL), RC_OK);
    return s;
}

static void
stage_run(struct stage *s)
{
    struct loop_timer *guard = loop_timer_create(s->loop, too_late, NULL);

    loop_timer_after(guard, 5000);
    loop_run(s->loop);
    loop_timer_destroy(guard);
}

static void
fired(struct stage *s)
{
    s->fired++;
    if (--s->left == 0)
        loop_stop(s->loop);
}

static void
on_timer(void *arg)
{
    struct stage *s = arg;

    s->at = clock_mono();
    fired(s);
}

static void
a_timer_fires_once_and_not_early(void **state)
{
    struct stage s = stage_open(1);
    int64_t start = clock_mono();

    (void)state;
    s.timer = loop_timer_create(s.loop, on_timer, &s);
    assert_false(loop_timer_active(s.timer));
    loop_timer_after(s.timer, 30);
    assert_true(loop_timer_active(s.timer));
    stage_run(&s);
    assert_true(s.at - start >= 29000);
    assert_false(loop_timer_active(s.timer));
    loop_timer_destroy(s.timer);
    loop_destroy(s.loop);
}

static void
a_timer_repeats_until_it_is_stopped(void **state)
{
    struct stage s = stage_open(3);

    (void)state;
    s.timer = loop_timer_create(s.loop, on_timer, &s);
    loop_timer_every(s.timer, 5);
    stage_run(&s);
    assert_int_equal(s.fired, 3);
    assert_true(loop_timer_active(s.timer));
    loop_timer_stop(s.timer);
    s.left = 1;
    s.other = loop_timer_create(s.loop, on_timer, &s);
    loop_timer_after(s.other, 40);
    stage_run(&s);
    assert_int_equal(s.fired, 4);
    loop_timer_destroy(s.timer);
    loop_timer_destroy(s.other);
    loop_destroy(s.loop);
}

static void
on_timer_destroys_itself(void *arg)
{
    struct stage *s = arg;

    loop_timer_destroy(s->timer);
    s->timer = NULL;
    fired(s);
}

static void
a_timer_may_destroy_itself(void **state)
{
    struct stage s = stage_open(1);

    (void)state;
    s.timer = loop_timer_create(s.loop, on_timer_destroys_itself, &s);
    loop_timer_every(s.timer, 1);
    stage_run(&s);
    assert_int_equal(s.fired, 1);
    loop_destroy(s.loop);
}

static void
on_slow_timer(void *arg)
{
    struct stage *s = arg;
    int64_t until = clock_mono() + 50000;

    while (clock_mono() < until)
        ;
    s->at = clock_mono();
    loop_timer_after(s->other, 30);
    loop_timer_after(s->timer, 0);
    s->fired += 100;
    fired(s);
    loop_timer_stop(s->timer);
}

static void
a_timer_counts_from_when_it_is_set(void **state)
{
    struct stage s = stage_open(2);
    int64_t set;

    (void)state;
    s.timer = loop_timer_create(s.loop, on_slow_timer, &s);
    s.other = loop_timer_create(s.loop, on_timer, &s);
    loop_timer_after(s.timer, 0);
    set = clock_mono();
    stage_run(&s);
    assert_int_equal(s.fired, 102);
    assert_true(s.at - set >= 79000); /* 50 of the slow one and 30 after it */
    loop_timer_destroy(s.timer);
    loop_timer_destroy(s.other);
    loop_destroy(s.loop);
}

static void
on_io(void *arg, bool readable, bool writable)
{
    struct stage *s = arg;
    char c;

    s->readable = readable;
    s->writable = writable;
    if (readable)
        assert_int_equal(read(s->fd, &c, 1), 1);
    loop_io_want(s->io, true, false);
    fired(s);
}

static void
a_descriptor_is_watched_as_wanted(void **state)
{
    struct stage s = stage_open(1);
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    s.fd = fds[0];
    s.io = loop_io_create(s.loop, fds[1], on_io, &s);
    loop_io_want(s.io, false, true);
    stage_run(&s);
    assert_true(s.writable && !s.readable);
    loop_io_destroy(s.io);
    s.io = loop_io_create(s.loop, fds[0], on_io, &s);
    loop_io_want(s.io, true, false);
    assert_int_equal(write(fds[1], "x", 1), 1);
    s.left = 1;
    stage_run(&s);
    assert_true(s.readable && !s.writable);
    loop_io_want(s.io, false, false); /* nothing wanted: nothing comes */
    assert_int_equal(write(fds[1], "y", 1), 1);
    s.timer = loop_timer_create(s.loop, on_timer, &s);
    loop_timer_after(s.timer, 20);
    s.left = 1;
    s.readable = false;
    stage_run(&s);
    assert_false(s.readable);
    loop_timer_destroy(s.timer);
    loop_io_destroy(s.io);
    close(fds[0]);
    close(fds[1]);
    loop_destroy(s.loop);
}

static void
on_io_destroys_itself(void *arg, bool readable, bool writable)
{
    struct stage *s = arg;

    (void)readable, (void)writable;
    loop_io_destroy(s->io);
    s->io = NULL;
    fired(s);
}

static void
a_descriptor_may_be_dropped_in_its_callback(void **state)
{
    struct stage s = stage_open(1);
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    s.io = loop_io_create(s.loop, fds[1], on_io_destroys_itself, &s);
    loop_io_want(s.io, false, true);
    stage_run(&s);
    close(fds[0]);
    close(fds[1]);
    loop_destroy(s.loop);
}

static void
on_signal(void *arg)
{
    fired(arg);
}

static void
a_signal_reaches_the_loop(void **state)
{
    struct stage s = stage_open(1);

    (void)state;
    s.signal = loop_signal_create(s.loop, SIGUSR1, on_signal, &s);
    assert_int_equal(raise(SIGUSR1), 0);
    stage_run(&s);
    assert_int_equal(s.fired, 1);
    loop_signal_destroy(s.signal);
    loop_destroy(s.loop);
}

static void
on_child(void *arg, pid_t pid, int status)
{
    struct stage *s = arg;

    s->pids[s->fired] = pid;
    s->statuses[s->fired] = status;
    fired(s);
}

static pid_t
spawn(int code)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(code);
    assert_true(pid > 0);
    return pid;
}

static void
every_child_that_ends_is_told_once(void **state)
{
    struct stage s = stage_open(3);
    pid_t early = spawn(7);
    siginfo_t info;
    int seen = 0;

    (void)state;
    assert_int_equal(waitid(P_PID, (id_t)early, &info, WEXITED | WNOWAIT),
                     0); /* ended before anyone watches */
    s.child = loop_child_create(s.loop, on_child, &s);
    (void)spawn(8);
    (void)spawn(9);
    stage_run(&s);
    for (int i = 0; i < 3; i++) {
        assert_true(WIFEXITED(s.statuses[i]));
        seen |= 1 << WEXITSTATUS(s.statuses[i]);
        assert_true(s.pids[i] != early || WEXITSTATUS(s.statuses[i]) == 7);
    }
    assert_int_equal(seen, 1 << 7 | 1 << 8 | 1 << 9);
    loop_child_destroy(s.child);
    loop_destroy(s.loop);
}

static void
on_child_destroys_itself(void *arg, pid_t pid, int status)
{
    struct stage *s = arg;

    (void)pid, (void)status;
    loop_child_destroy(s->child);
    s->child = NULL;
    fired(s);
}

static void
the_child_watcher_may_destroy_itself(void **state)
{
    struct stage s = stage_open(1);
    siginfo_t info;

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(waitid(P_PID, (id_t)spawn(0), &info, WEXITED | WNOWAIT), 0);
    s.child = loop_child_create(s.loop, on_child_destroys_itself, &s);
    stage_run(&s);
    assert_int_equal(s.fired, 1);
    assert_true(waitpid(-1, NULL, 0) > 0); /* the other one was left for whoever asks */
    loop_destroy(s.loop);
}

static void
a_forked_child_destroys_its_copy_and_the_parents_goes_on(void **state)
{
    struct stage s = stage_open(2);
    int fds[2];
    pid_t pid;
    int status;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    s.fd = fds[0];
    s.signal = loop_signal_create(s.loop, SIGUSR1, on_signal, &s);
    s.io = loop_io_create(s.loop, fds[0], on_io, &s);
    loop_io_want(s.io, true, false);
    s.timer = loop_timer_create(s.loop, on_timer, &s);
    loop_timer_after(s.timer, 1);
    s.left = 1;
    stage_run(&s); /* so that the kernel knows the descriptor */
    if ((pid = fork()) == 0) {
        loop_signal_destroy(s.signal);
        loop_io_destroy(s.io);
        loop_timer_destroy(s.timer);
        loop_destroy(s.loop);
        raise(SIGUSR1); /* the default action: ends the child, and tells the parent's loop nothing */
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    assert_int_equal(write(fds[1], "x", 1), 1);
    s.left = 1;
    s.fired = 0;
    stage_run(&s);
    assert_int_equal(s.fired, 1);
    assert_true(s.readable);
    loop_signal_destroy(s.signal);
    loop_io_destroy(s.io);
    loop_timer_destroy(s.timer);
    close(fds[0]);
    close(fds[1]);
    loop_destroy(s.loop);
}

static void
stopping_before_running_ends_the_run_at_once(void **state)
{
    struct stage s = stage_open(1);

    (void)state;
    loop_stop(s.loop);
    loop_run(s.loop); /* hangs if the stop is lost */
    loop_destroy(s.loop);
}

int
main(void)
{
    TEST_ONE(a_timer_fires_once_and_not_early);
    TEST_ONE(a_timer_repeats_until_it_is_stopped);
    TEST_ONE(a_timer_may_destroy_itself);
    TEST_ONE(a_timer_counts_from_when_it_is_set);
    TEST_ONE(a_descriptor_is_watched_as_wanted);
    TEST_ONE(a_descriptor_may_be_dropped_in_its_callback);
    TEST_ONE(a_signal_reaches_the_loop);
    TEST_ONE(every_child_that_ends_is_told_once);
    TEST_ONE(the_child_watcher_may_destroy_itself);
    TEST_ONE(a_forked_child_destroys_its_copy_and_the_parents_goes_on);
    TEST_ONE(stopping_before_running_ends_the_run_at_once);
    return TESTS_RUN("loop");
}
