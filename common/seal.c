#include "common/seal.h"
#include "common/auto.h"
#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1, /* raised when the algorithm changes; old values stay readable */
    NONCE_BYTES = crypto_secretbox_NONCEBYTES,
    HEAD_BYTES = 1 + NONCE_BYTES,
    EXTRA_BYTES = HEAD_BYTES + crypto_secretbox_MACBYTES,
};
_Static_assert(sizeof(struct seal_key) == crypto_secretbox_KEYBYTES, "the key fits the box");

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
start(void)
{
    if (sodium_init() < 0)
        abort(); /* no source of randomness: nothing may be sealed on this machine */
}

static void
ready(void)
{
    (void)pthread_once(&once, start);
}

static const char blanks[] = " \t\r\n\v\f";

enum rc
seal_key_load(const char *text, struct seal_key *out, struct err *err)
{
    struct seal_key k;
    size_t len, got = 0;
    int rc;

    assert(text != NULL && out != NULL);
    ready();
    text += strspn(text, blanks);
    len = strlen(text);
    while (len > 0 && strchr(blanks, text[len - 1]) != NULL)
        len--;
    rc = sodium_hex2bin(k.bytes, sizeof k.bytes, text, len, NULL, &got, NULL);
    if (len == 2 * sizeof k.bytes && rc == 0 && got == sizeof k.bytes) {
        *out = k;
        sodium_memzero(&k, sizeof k);
        return RC_OK;
    }
    sodium_memzero(&k, sizeof k);
    return err_set(err, RC_INVALID, "the key must be 64 hex digits; `openssl rand -hex 32` makes one");
}

enum rc
seal_close(const struct seal_key *k, const void *plain, size_t len, unsigned char **out, size_t *out_len,
           struct err *err)
{
    AUTO_FREE unsigned char *box = NULL;

    ready();
    if (len > crypto_secretbox_MESSAGEBYTES_MAX - HEAD_BYTES || (box = malloc(EXTRA_BYTES + len)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory to seal %zu bytes", len);
    box[0] = VERSION;
    randombytes_buf(box + 1, NONCE_BYTES);
    if (crypto_secretbox_easy(box + HEAD_BYTES, plain, len, box + 1, k->bytes) != 0)
        return err_set(err, RC_INTERNAL, "sealing failed");
    *out_len = EXTRA_BYTES + len;
    *out = TAKE(box);
    return RC_OK;
}

enum rc
seal_open(const struct seal_key *k, const unsigned char *box, size_t len, char **out, size_t *out_len,
          struct err *err)
{
    AUTO_FREE char *plain = NULL;

    ready();
    if (len < EXTRA_BYTES)
        return err_set(err, RC_DENIED, "the sealed value is cut short: %zu bytes, at least %d expected", len,
                       (int)EXTRA_BYTES);
    if (box[0] != VERSION)
        return err_set(err, RC_DENIED, "the sealed value has version %d, this program knows %d", box[0],
                       (int)VERSION);
    if ((plain = malloc(len - EXTRA_BYTES + 1)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory to open %zu bytes", len);
    if (crypto_secretbox_open_easy((unsigned char *)plain, box + HEAD_BYTES, len - HEAD_BYTES, box + 1,
                                   k->bytes) != 0)
        return err_set(err, RC_DENIED, "the sealed value was changed, or sealed under another key");
    plain[len - EXTRA_BYTES] = '\0';
    *out_len = len - EXTRA_BYTES;
    *out = TAKE(plain);
    return RC_OK;
}

void
seal_free(char *plain, size_t len)
{
    if (plain != NULL)
        sodium_memzero(plain, len);
    free(plain);
}

/* Hashing first makes the comparison as long for any two strings, also when their lengths differ. */
bool
seal_equal(const char *a, const char *b)
{
    unsigned char ha[crypto_generichash_BYTES], hb[crypto_generichash_BYTES];

    ready();
    (void)crypto_generichash(ha, sizeof ha, (const unsigned char *)a, strlen(a), NULL, 0);
    (void)crypto_generichash(hb, sizeof hb, (const unsigned char *)b, strlen(b), NULL, 0);
    return sodium_memcmp(ha, hb, sizeof ha) == 0;
}
