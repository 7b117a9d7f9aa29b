/* common/loop.h
 * loop - timers, descriptors, signals and children on one thread. The one user of libev.
 *
 * Ownership: watchers are created stopped and destroyed by their owner, before the loop. Destroying a watcher
 * within its own callback is fine. Callbacks must not wait for anything. After fork() the child must not run
 * the parent's loop; destroying it and its watchers there is safe, leaves the parent's alone and gives the
 * signals their default actions back. One loop at a time may watch a signal.
 */
#ifndef DESKMILL_LOOP_H
#define DESKMILL_LOOP_H

#include "common/auto.h"
#include "common/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
void loop_destroy(struct loop *l);
AUTO_DEFINE(loop)
enum rc loop_create(struct loop **out, struct err *err);
void loop_run(struct loop *l); /* until loop_stop() */
void loop_stop(struct loop *l);

struct loop_timer;
struct loop_timer *loop_timer_create(struct loop *l, void (*cb)(void *arg), void *arg);
void loop_timer_destroy(struct loop_timer *t);
void loop_timer_after(struct loop_timer *t,
                      int64_t ms); /* once; starts it anew if it ran; 0 = next turn of the loop */
void loop_timer_every(struct loop_timer *t, int64_t ms);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_active(const struct loop_timer *t);

struct loop_io;
struct loop_io *loop_io_create(struct loop *l, int fd, void (*cb)(void *arg, bool readable, bool writable),
                               void *arg);
void loop_io_destroy(struct loop_io *io); /* does not close fd */
void loop_io_want(struct loop_io *io, bool read, bool write);

struct loop_signal;
struct loop_signal *loop_signal_create(struct loop *l, int signum, void (*cb)(void *arg),
                                       void *arg); /* started */
void loop_signal_destroy(struct loop_signal *s);

/* Called with the wait status when any child of this process ends. One per loop. */
struct loop_child;
struct loop_child *loop_child_create(struct loop *l, void (*cb)(void *arg, pid_t pid, int status),
                                     void *arg); /* started */
void loop_child_destroy(struct loop_child *c);

#endif
