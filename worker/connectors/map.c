#include "worker/connectors/map.h"
#include <assert.h>
#include <string.h>

static unsigned
slot_of(const char *key, size_t len)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)key[i]) * 16777619u;
    return (h ^ h >> 16) & (MAP_SLOTS - 1);
}

static const struct map *
map_find(const struct map_table *t, const char *key, size_t len)
{
    for (unsigned at = slot_of(key, len); t->slots[at] != 0; at = (at + 1) & (MAP_SLOTS - 1)) {
        const struct map *m = &t->rows[t->slots[at] - 1];

        if (strlen(m->key) == len && memcmp(m->key, key, len) == 0)
            return m;
    }
    return NULL;
}

void
map_prepare(struct map_table *t)
{
    assert(t->n < MAP_SLOTS / 2);
    for (size_t i = 0; i < t->n; i++) {
        unsigned at = slot_of(t->rows[i].key, strlen(t->rows[i].key));

        assert(map_find(t, t->rows[i].key, strlen(t->rows[i].key)) == NULL); /* one row for each key */
        while (t->slots[at] != 0)
            at = (at + 1) & (MAP_SLOTS - 1);
        t->slots[at] = (unsigned char)(i + 1);
    }
}

void
map_record(const struct map_table *t, struct record *r, struct doc_value v)
{
    for (struct doc_iter it = doc_iter(v); it.object && doc_next(&it);) {
        const struct map *m = map_find(t, it.key, it.key_len);

        if (m == NULL)
            tally_add(r->unknown, it.key, it.key_len, NULL, 1);
        else if (m->put != NULL)
            m->put(r, it.value);
        else if (!m->ignore)
            record_set(r, m->col, m->path != NULL ? doc_path(it.value, m->path) : it.value, m->key);
    }
}
