/* common/cache_internal.h
 * cache_internal - what cache.c and cachea.c share: the scripts' texts, replies and what an error reply
 * means.
 */
#ifndef DESKMILL_CACHE_INTERNAL_H
#define DESKMILL_CACHE_INTERNAL_H

#include "common/cache.h"
#include <hiredis/hiredis.h>

/* A struct reply is a redisReply under another name, so that an element of one needs no object of its own. */
static inline const struct reply *
reply_of(const redisReply *r)
{
    return (const struct reply *)(const void *)r;
}

/* The text of common/lua/<name>.lua. */
const char *cache_script_text(enum script_id id);

/* RC_OK unless `r` is an error reply. `what` is the command's name: no arguments, they may be secrets. */
enum rc cache_reply_error(const redisReply *r, const char *what, struct err *err);
bool cache_reply_noscript(const redisReply *r);

/* AUTH (where the URL has a password) and SELECT, as words. */
struct cache_hello {
    size_t n; /* commands */
    size_t argc[2];
    const char *words[2][3];
    char db[16];
};
void cache_hello_init(struct cache_hello *h, const struct cache_url *u);

/* EVALSHA <sha> or EVAL <text>, the number of keys, the keys, the arguments. argv_out has room for argc + 3.
 */
void cache_script_argv(bool by_sha, const char *sha_or_text, const char *nkeys, size_t argc,
                       const char *const argv[], const char **argv_out);

#endif
