#include "worker/batches.h"
#include <assert.h>
#include <stdlib.h>

void
batches_fini(struct batches *b)
{
    free(b->v);
    *b = (struct batches){ 0 };
}

bool
batches_open(struct batches *b, int64_t number, int jobs)
{
    assert(b->n == 0 || b->v[b->n - 1].number < number);
    if (b->n == b->cap) {
        size_t cap = b->cap == 0 ? 16 : 2 * b->cap;
        struct batch *grown = realloc(b->v, cap * sizeof *grown);

        if (grown == NULL)
            return false;
        b->v = grown;
        b->cap = cap;
    }
    b->v[b->n++] = (struct batch){ .number = number, .left = jobs };
    return true;
}

int64_t
batches_oldest(const struct batches *b)
{
    return b->n > 0 ? b->v[0].number : INT64_MAX;
}

static int
compare(const void *a, const void *b)
{
    const struct batch *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

static struct batch *
find(const struct batches *b, int64_t number)
{
    const struct batch key = { .number = number };

    return b->n == 0 ? NULL : bsearch(&key, b->v, b->n, sizeof *b->v, compare);
}

void
batches_drop(struct batches *b, int64_t number)
{
    struct batch *it = find(b, number);

    if (it != NULL)
        it->left--;
}

void
batches_settle(struct batches *b, int64_t number)
{
    struct batch *it = find(b, number);

    if (it != NULL)
        it->settling++;
}

static bool
is_over(const struct batch *it)
{
    return it->left <= it->settling;
}

size_t
batches_over(const struct batches *b, int64_t *over)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++)
        if (is_over(&b->v[i]))
            over[n++] = b->v[i].number;
    return n;
}

void
batches_settled(struct batches *b, bool arrived)
{
    size_t kept = 0;

    for (size_t i = 0; i < b->n; i++) {
        struct batch *it = &b->v[i];

        if (arrived && is_over(it))
            continue;
        if (arrived)
            it->left -= it->settling;
        it->settling = 0;
        b->v[kept++] = *it;
    }
    b->n = kept;
}
