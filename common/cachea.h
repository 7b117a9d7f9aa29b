/* common/cachea.h
 * cachea - one connection to Redis on a loop: nothing waits. Same URL, scripts, replies and errors as cache.
 *
 * Connects and reconnects by itself, with backoff. While disconnected, calls fail from the loop with
 * RC_UNAVAILABLE.
 *
 * Threads:   the loop's.
 * Callbacks: exactly once per call, never from within it, also on disconnect and destroy. The reply is
 * borrowed.
 */
#ifndef DESKMILL_CACHEA_H
#define DESKMILL_CACHEA_H

#include "common/cache.h"
#include "common/loop.h"

typedef void (*cachea_cb)(void *arg, enum rc rc, const struct reply *r, const struct err *err);
typedef void (*cachea_state_cb)(void *arg, bool up, const struct err *err);

struct cachea;
void cachea_destroy(struct cachea *c);
AUTO_DEFINE(cachea)
/* timeout_ms: a command unanswered for so long breaks the connection (0 = none: for a connection that blocks
 * on purpose). */
enum rc cachea_create(struct loop *l, const char *url, int timeout_ms, cachea_state_cb state, void *arg,
                      struct cachea **out, struct err *err);
void cachea_runv(struct cachea *c, size_t argc, const char *const argv[], cachea_cb cb,
                 void *arg); /* cb may be NULL */
void cachea_script(struct cachea *c, enum script_id id, size_t nkeys, size_t argc, const char *const argv[],
                   cachea_cb cb, void *arg);
bool cachea_is_up(const struct cachea *c);

#endif
