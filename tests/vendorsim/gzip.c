/* gzip - compresses answers, and remembers the long ones. */
#include "gzip.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "world.h"

enum {
    SLOTS = 1024,
    WORTH_KEEPING = 16 * 1024,
    TAIL_MAX = 65535, /* of one stored block */
};
#define KEPT_MAX ((size_t)96 * 1024 * 1024)

struct slot {
    uint64_t hash;
    size_t raw_len;
    struct blob *deflated; /* ends on a byte border, without the final block */
};

struct gzip_cache {
    pthread_mutex_t lock;
    struct slot slots[SLOTS]; /* a ring: the oldest goes first */
    size_t next;
    size_t kept;
};

struct gzip_cache *
gzip_cache_create(void)
{
    struct gzip_cache *c = must_alloc(sizeof(*c));

    (void)pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void
drop(struct gzip_cache *c, struct slot *s)
{
    if (s->deflated == NULL)
        return;
    c->kept -= s->deflated->len;
    blob_unref(s->deflated);
    *s = (struct slot){ 0 };
}

void
gzip_cache_destroy(struct gzip_cache *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        drop(c, &c->slots[i]);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

static uint64_t
hash_bytes(const char *p, size_t n)
{
    uint64_t h = UINT64_C(0x9e3779b97f4a7c15) ^ n, word;

    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    word = 0;
    if (n > 0)
        memcpy(&word, p, n);
    h = (h ^ word) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ (h >> 29);
}

static struct blob *
recall(struct gzip_cache *c, uint64_t hash, size_t raw_len)
{
    struct blob *found = NULL;

    (void)pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < SLOTS && found == NULL; i++)
        if (c->slots[i].deflated != NULL && c->slots[i].hash == hash && c->slots[i].raw_len == raw_len)
            found = blob_ref(c->slots[i].deflated);
    (void)pthread_mutex_unlock(&c->lock);
    return found;
}

static void
remember(struct gzip_cache *c, uint64_t hash, size_t raw_len, struct blob *deflated)
{
    if (deflated->len > KEPT_MAX / 4)
        return;
    (void)pthread_mutex_lock(&c->lock);
    drop(c, &c->slots[c->next]);
    c->slots[c->next] = (struct slot){ hash, raw_len, blob_ref(deflated) };
    c->kept += deflated->len;
    c->next = (c->next + 1) % SLOTS;
    for (size_t i = c->next; c->kept > KEPT_MAX; i = (i + 1) % SLOTS)
        drop(c, &c->slots[i]);
    (void)pthread_mutex_unlock(&c->lock);
}

static struct blob *
squeeze(const struct buf *body)
{
    z_stream z = { 0 };
    struct buf out = { 0 };
    struct blob *blob;
    int rc = deflateInit2(&z, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);

    assert(rc == Z_OK);
    buf_room(&out, deflateBound(&z, body->len) + 16);
    z.next_in = (unsigned char *)body->p;
    z.avail_in = (unsigned)body->len;
    z.next_out = (unsigned char *)out.p;
    z.avail_out = (unsigned)out.cap;
    rc = deflate(&z, Z_SYNC_FLUSH);
    assert(rc == Z_OK && z.avail_in == 0 && z.avail_out > 0);
    (void)rc;
    out.len = out.cap - z.avail_out;
    (void)deflateEnd(&z);
    blob = blob_make(&out);
    buf_fini(&out);
    return blob;
}

static void
add_le(struct buf *b, uint32_t v, int bytes)
{
    for (; bytes > 0; bytes--, v >>= 8)
        buf_char(b, (char)(v & 0xff));
}

void
gzip_join(struct gzip_cache *c, const struct buf *body, const struct buf *tail, struct buf *out)
{
    static const unsigned char head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255 };
    bool keep = body->len >= WORTH_KEEPING;
    uint64_t hash = keep ? hash_bytes(body->p, body->len) : 0;
    struct blob *deflated = keep ? recall(c, hash, body->len) : NULL;
    uint32_t crc = (uint32_t)crc32_z(0, (const unsigned char *)body->p, body->len);

    assert(tail->len <= TAIL_MAX);
    if (deflated == NULL) {
        deflated = squeeze(body);
        if (keep)
            remember(c, hash, body->len, deflated);
    }
    buf_room(out, deflated->len + tail->len + 32);
    buf_add(out, head, sizeof(head));
    buf_add(out, deflated->data, deflated->len);
    buf_char(out, 1); /* the final block, stored */
    add_le(out, (uint32_t)tail->len, 2);
    add_le(out, ~(uint32_t)tail->len & 0xffff, 2);
    buf_add(out, tail->p, tail->len);
    if (tail->len > 0)
        crc = (uint32_t)crc32_z(crc, (const unsigned char *)tail->p, tail->len);
    add_le(out, crc, 4);
    add_le(out, (uint32_t)(body->len + tail->len), 4);
    blob_unref(deflated);
}
