#include "worker/jobs/idset.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2 * IDSET_MAX };

void
idset_fini(struct idset *s)
{
    for (size_t i = 0; i < s->n; i++)
        free((char *)(uintptr_t)s->ids[i]);
    free(s->ids);
    free(s->slots);
    *s = (struct idset){ 0 };
}

static size_t
slot_of(const char *id, size_t len)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)id[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 32) % SLOTS;
}

void
idset_add(struct idset *s, const char *id, size_t len)
{
    size_t at;
    char *copy;

    if (s->ids == NULL)
        s->ids = calloc(IDSET_MAX, sizeof *s->ids);
    if (s->slots == NULL)
        s->slots = calloc(SLOTS, sizeof *s->slots);
    if (s->ids == NULL || s->slots == NULL || len == 0)
        return;
    for (at = slot_of(id, len); s->slots[at] != 0; at = (at + 1) % SLOTS) {
        const char *have = s->ids[s->slots[at] - 1];

        if (strlen(have) == len && memcmp(have, id, len) == 0)
            return;
    }
    if (s->n == IDSET_MAX || (copy = strndup(id, len)) == NULL)
        return;
    s->ids[s->n++] = copy;
    s->slots[at] = s->n;
}

size_t
idset_len(const struct idset *s)
{
    return s->n;
}

struct db_arg
idset_arg(const struct idset *s)
{
    return db_texts(s->ids, s->n);
}
