/* common/mask.h
 * mask - what must never be shown: which names mean a secret, and the password inside a URL.
 */
#ifndef DESKMILL_MASK_H
#define DESKMILL_MASK_H

#include <stdbool.h>
#include <stddef.h>

/* token, password, authorization, secret, credential(s) or key: as the whole name or as its end after '_' or
 * '-', in any case. */
bool mask_is_secret(const char *name);

/* Copies `s` into `out` (terminated, cut to size) with "***" for each password: in
 * scheme://user:password@host and in password=... up to the next '&', blank or quote. `s` may be any text
 * with URLs in it. Returns `out`. */
const char *mask_urls(const char *s, char *out, size_t size);

#endif
