/* common/cache.h
 * cache - one blocking connection to Redis. With cachea.c (the same on a loop) the one user of hiredis.
 *
 * Reconnects by itself on the next call after a failure. Scripts go by hash, and by text when the server does
 * not know the hash. rediss:// is RC_INVALID with the reason: Debian 12's hiredis (0.14) has no TLS. URL:
 * redis://[user:password@]host[:port][/db].
 *
 * Threads: one thread at a time.
 * Errors:  RC_UNAVAILABLE no connection (or LOADING, READONLY, MASTERDOWN); RC_TIMEOUT; RC_LIMIT out of
 * memory (OOM); RC_DENIED (NOAUTH, NOPERM, WRONGPASS); RC_PROTOCOL other error replies.
 */
#ifndef DESKMILL_CACHE_H
#define DESKMILL_CACHE_H

#include "common/auto.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lua scripts: common/lua/<name>.lua, listed in common/lua/scripts.def as SCRIPT(name). */
enum script_id {
#define SCRIPT(name) SCRIPT_##name,
#include "common/lua/scripts.def"
#undef SCRIPT
    SCRIPT_COUNT
};

struct reply; /* what Redis answered */
void reply_destroy(struct reply *r);
AUTO_DEFINE(reply)
bool reply_nil(const struct reply *r);        /* also for r == NULL */
int64_t reply_int(const struct reply *r);     /* of an integer, or of a string of digits; else 0 */
const char *reply_str(const struct reply *r); /* "" if not a string; binary-safe length below */
size_t reply_len(const struct reply *r);      /* bytes of a string, elements of an array, else 0 */
const struct reply *reply_at(const struct reply *r,
                             size_t i); /* an array's element, borrowed; NULL past the end */

struct cache;
void cache_destroy(struct cache *c);
AUTO_DEFINE(cache)
/* Does not connect yet. timeout_ms covers connecting and each command. */
enum rc cache_create(const char *url, int timeout_ms, struct cache **out, struct err *err);

/* Words of a command, NULL-terminated: cache_run(c, &r, err, "LLEN", key, NULL). `res` may be NULL. */
enum rc cache_run(struct cache *c, struct reply **res, struct err *err, ...) __attribute__((sentinel));
enum rc cache_runv(struct cache *c, size_t argc, const char *const argv[], struct reply **res,
                   struct err *err);
/* `argv` are KEYS (nkeys of them), then ARGV. */
enum rc cache_script(struct cache *c, enum script_id id, size_t nkeys, size_t argc, const char *const argv[],
                     struct reply **res, struct err *err);
/* The same command several times over in one round trip: n commands of argc[i] words each, words one after
 * another. Results are not kept; the first error is. */
enum rc cache_pipeline(struct cache *c, size_t n, const size_t argc[], const char *const words[],
                       struct err *err);

/* Checks that the server's maxmemory-policy is noeviction (INFO memory). RC_INVALID names the policy found
 * and how to set the right one. */
enum rc cache_check_policy(struct cache *c, struct err *err);

/* Bytes in use as maxmemory counts them, and maxmemory (0 = no limit), both by INFO memory. */
enum rc cache_memory(struct cache *c, int64_t *used, int64_t *max, struct err *err);

/* shared with cachea: host, port and so on out of a URL */
struct cache_url {
    char host[256], user[128], password[256];
    int port, db;
    bool tls;
};
enum rc cache_url_parse(const char *url, struct cache_url *out, struct err *err);

#endif
