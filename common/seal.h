/* common/seal.h
 * seal - vendor credentials at rest: XSalsa20-Poly1305 under a key that is not in the database. The one user
 * of libsodium.
 *
 * A sealed value is version byte | nonce | box; opening one that was changed or sealed under another key
 * fails.
 */
#ifndef DESKMILL_SEAL_H
#define DESKMILL_SEAL_H

#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>

struct seal_key {
    unsigned char bytes[32];
};

/* From 64 hex digits. RC_INVALID says how to make them (`openssl rand -hex 32`). */
enum rc seal_key_load(const char *text, struct seal_key *out, struct err *err);

/* *out is the caller's to free(). */
enum rc seal_close(const struct seal_key *k, const void *plain, size_t len, unsigned char **out,
                   size_t *out_len, struct err *err);
/* The plain text is terminated with a 0 for convenience; free it with seal_free(), which wipes it. RC_DENIED:
 * changed, or another key. */
enum rc seal_open(const struct seal_key *k, const unsigned char *box, size_t len, char **out, size_t *out_len,
                  struct err *err);
void seal_free(char *plain, size_t len);

/* Constant-time comparison of two strings (keys, signatures). */
bool seal_equal(const char *a, const char *b);

#endif
