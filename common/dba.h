/* common/dba.h
 * dba - one connection to PostgreSQL on a loop: nothing waits. Same statements, arguments, results and errors
 * as db.
 *
 * Calls are sent in order in pipeline mode, each with its own sync: each is its own transaction, and one that
 * fails does not touch the next. A connection that leaves a call unanswered for longer than connecting and a
 * statement may take is dropped. Resolving a host name waits; the rest of connecting does not. No COPY. While
 * disconnected, calls fail at once with RC_UNAVAILABLE (from the loop, not from within dba_run). It
 * reconnects by itself, with backoff.
 *
 * Threads:   the loop's.
 * Callbacks: exactly once per dba_run(), never from within it, also on disconnect and destroy
 * (RC_UNAVAILABLE). `res` and `err` are borrowed. One that is called with RC_UNAVAILABLE must not simply call
 * again: it would do so for ever.
 */
#ifndef DESKMILL_DBA_H
#define DESKMILL_DBA_H

#include "common/db.h"
#include "common/loop.h"

typedef void (*dba_cb)(void *arg, enum rc rc, const struct dbres *res, const struct err *err);
/* up: connected, session set up, nothing sent yet: calls made here go first. Down: every call in flight has
 * had its callback; comes also after each attempt to connect that failed, with the reason. Not called by
 * dba_destroy(). */
typedef void (*dba_state_cb)(void *arg, bool up, const struct err *err);

struct dba;
void dba_destroy(struct dba *d);
AUTO_DEFINE(dba)
/* Starts connecting. `url` and options are copied. */
enum rc dba_create(struct loop *l, const char *url, const struct db_options *o, dba_state_cb state, void *arg,
                   struct dba **out, struct err *err);

/* Arguments are encoded before it returns. cb may be NULL: fire and forget. */
void dba_run(struct dba *d, enum sql_id id, const struct db_arg *args, size_t n, dba_cb cb, void *arg);
bool dba_is_up(const struct dba *d);
size_t dba_in_flight(const struct dba *d);

#endif
