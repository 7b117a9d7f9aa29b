/* world - the records of the help desk. */
#include "world.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

const struct status statuses[] = {
    { "new", "New", "new", true, false },
    { "waiting_on_you", "Waiting on us", "waiting_on_you", true, false },
    { "waiting_on_customer", "Waiting on customer", "waiting_on_customer", true, false },
    { "on_hold", "On hold", "on_hold", true, false },
    { "with_engineering", "With engineering", "on_hold", false, false },
    { "next_release", "Next release", "on_hold", false, true },
    { "closed", "Closed", "closed", true, false },
    { "closed_duplicate", "Closed as duplicate", "closed", false, false },
    { "closed_silent", "Closed without answer", "closed", false, true },
};
const size_t nstatuses = sizeof(statuses) / sizeof(statuses[0]);

const char *
status_category(const char *slug)
{
    for (size_t i = 0; i < nstatuses; i++)
        if (strcmp(statuses[i].slug, slug) == 0)
            return statuses[i].category;
    return NULL;
}

struct blob *
blob_make(const struct buf *b)
{
    struct blob *blob = must_alloc(sizeof(*blob) + b->len);

    atomic_init(&blob->refs, 1);
    blob->len = b->len;
    if (b->len > 0)
        memcpy(blob->data, b->p, b->len);
    return blob;
}

struct blob *
blob_ref(struct blob *blob)
{
    atomic_fetch_add(&blob->refs, 1);
    return blob;
}

void
blob_unref(struct blob *blob)
{
    if (blob != NULL && atomic_fetch_sub(&blob->refs, 1) == 1)
        free(blob);
}

void
world_uuid(uint64_t seed, char out[ID_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    struct rng r = { seed };
    uint64_t bits[2] = { rng_next(&r), rng_next(&r) };
    int at = 0;

    for (int i = 0; i < 32; i++) {
        unsigned nibble = (unsigned)(bits[i / 16] >> (4 * (i % 16))) & 15u;

        if (i == 8 || i == 12 || i == 16 || i == 20)
            out[at++] = '-';
        if (i == 12)
            nibble = 4;
        if (i == 16)
            nibble = 8u | (nibble & 3u);
        out[at++] = hex[nibble];
    }
    out[at] = '\0';
}

void
issue_touch(struct issue *is)
{
    blob_unref(is->render);
    is->render = NULL;
}

void
issue_slug(char out[SLUG_SIZE], const char *text)
{
    (void)snprintf(out, SLUG_SIZE, "%s", text);
}

void
issue_free(struct issue *is)
{
    if (is == NULL)
        return;
    for (unsigned i = 0; i < is->nmsgs; i++)
        json_decref(is->msgs[i].extra);
    free(is->msgs);
    json_decref(is->extra);
    json_decref(is->cf);
    blob_unref(is->render);
    free(is);
}

void
world_fini(struct world *w)
{
    for (size_t i = 0; i < w->nissues; i++)
        issue_free(w->order[i]);
    free(w->order);
    free(w->by_id);
    free(w->by_number);
    free(w->accounts);
    free(w->users);
    free(w->contacts);
    *w = (struct world){ 0 };
}

static int
compare(int64_t created_a, const char *id_a, int64_t created_b, const char *id_b)
{
    if (created_a != created_b)
        return created_a > created_b ? -1 : 1;
    return strcmp(id_a, id_b);
}

static int
by_order(const void *a, const void *b)
{
    const struct issue *x = *(struct issue *const *)a, *y = *(struct issue *const *)b;

    return compare(x->created, x->id, y->created, y->id);
}

size_t
world_after(const struct world *w, int64_t created, const char *id)
{
    size_t lo = 0, hi = w->nissues;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (compare(w->order[mid]->created, w->order[mid]->id, created, id) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static size_t
bucket_of(const struct world *w, const char *id)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *id != '\0'; id++)
        h = (h ^ (unsigned char)tolower((unsigned char)*id)) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ (h >> 32)) & (w->buckets - 1);
}

static void
hash_put(struct world *w, struct issue *is)
{
    size_t i = bucket_of(w, is->id);

    while (w->by_id[i] != NULL)
        i = (i + 1) & (w->buckets - 1);
    w->by_id[i] = is;
}

/* Makes the table over again; used when it fills up and after a deletion, which are rare. */
static void
rehash(struct world *w)
{
    size_t want = 64;

    while (want < 2 * (w->nissues + 1))
        want *= 2;
    if (want < w->buckets)
        want = w->buckets;
    free(w->by_id);
    w->by_id = must_alloc(want * sizeof(struct issue *));
    w->buckets = want;
    for (size_t i = 0; i < w->nissues; i++)
        hash_put(w, w->order[i]);
}

static void
hash_drop(struct world *w, const struct issue *is)
{
    size_t i = bucket_of(w, is->id), mask = w->buckets - 1;
    struct issue *moved;

    while (w->by_id[i] != is)
        i = (i + 1) & mask;
    w->by_id[i] = NULL;
    for (i = (i + 1) & mask; (moved = w->by_id[i]) != NULL; i = (i + 1) & mask) {
        w->by_id[i] = NULL; /* those behind the gap may belong before it */
        hash_put(w, moved);
    }
}

static void
grow(struct issue ***list, size_t *cap, size_t need)
{
    size_t n = *cap > 0 ? *cap : 64;
    struct issue **p;

    if (need <= *cap)
        return;
    while (n < need)
        n *= 2;
    p = must_alloc(n * sizeof(struct issue *));
    if (*cap > 0)
        memcpy(p, *list, *cap * sizeof(struct issue *));
    free(*list);
    *list = p;
    *cap = n;
}

void
world_index(struct world *w)
{
    if (w->nissues > 0)
        qsort(w->order, w->nissues, sizeof(struct issue *), by_order);
    grow(&w->by_number, &w->numbers_cap, w->nissues + 1);
    for (size_t i = 0; i < w->nissues; i++)
        w->by_number[w->order[i]->number - FIRST_NUMBER] = w->order[i];
    w->nnumbers = w->nissues;
    rehash(w);
}

void
world_file(struct world *w, struct issue *is)
{
    size_t at = world_after(w, is->created, is->id);

    grow(&w->order, &w->order_cap, w->nissues + 1);
    memmove(w->order + at + 1, w->order + at, (w->nissues - at) * sizeof(struct issue *));
    w->order[at] = is;
    w->nissues++;
}

void
world_unfile(struct world *w, struct issue *is)
{
    size_t at = world_after(w, is->created, is->id) - 1;

    assert(w->order[at] == is);
    w->nissues--;
    memmove(w->order + at, w->order + at + 1, (w->nissues - at) * sizeof(struct issue *));
}

void
world_add(struct world *w, struct issue *is)
{
    grow(&w->by_number, &w->numbers_cap, w->nnumbers + 1);
    is->number = FIRST_NUMBER + (int64_t)w->nnumbers;
    w->by_number[w->nnumbers++] = is;
    if (w->buckets < 2 * (w->nissues + 1))
        rehash(w);
    world_file(w, is);
    hash_put(w, is);
}

void
world_remove(struct world *w, struct issue *is)
{
    hash_drop(w, is);
    world_unfile(w, is);
    w->by_number[is->number - FIRST_NUMBER] = NULL;
    issue_free(is);
}

static struct issue *
find_number(const struct world *w, const char *ref)
{
    char *end;
    unsigned long long n = strtoull(ref, &end, 10);

    if (*end != '\0' || n < FIRST_NUMBER || n - FIRST_NUMBER >= w->nnumbers)
        return NULL;
    return w->by_number[n - FIRST_NUMBER];
}

struct issue *
world_find(const struct world *w, const char *ref)
{
    size_t i;

    if (strlen(ref) != ID_SIZE - 1)
        return isdigit((unsigned char)ref[0]) ? find_number(w, ref) : NULL;
    for (i = bucket_of(w, ref); w->by_id[i] != NULL; i = (i + 1) & (w->buckets - 1))
        if (strcasecmp(w->by_id[i]->id, ref) == 0)
            return w->by_id[i];
    return NULL;
}

/* Every record that is found by id here begins with its id. */
static int
find_id(const void *list, int n, size_t size, const char *id)
{
    const char *p = list;

    for (int i = 0; i < n; i++, p += size)
        if (strcasecmp(p, id) == 0)
            return i;
    return NOBODY;
}

int
world_account(const struct world *w, const char *id)
{
    return find_id(w->accounts, w->naccounts, sizeof(struct account), id);
}

int
world_user(const struct world *w, const char *id)
{
    return find_id(w->users, w->nusers, sizeof(struct user), id);
}

int
world_contact(const struct world *w, const char *id)
{
    return find_id(w->contacts, w->ncontacts, sizeof(struct contact), id);
}

int
world_team(const struct world *w, const char *id)
{
    return find_id(w->teams, TEAMS, sizeof(struct team), id);
}
