/* worker/connectors/map.h
 * map - mapping tables: a vendor's key -> a column, or a small function for what is not that simple.
 *
 * A record is gone through once; each of its keys is looked up in the table. A key that is not in the table
 * is counted as unknown, so a table also lists what is known and deliberately left out (MAP_IGNORE).
 */
#ifndef DESKMILL_WORKER_CONNECTORS_MAP_H
#define DESKMILL_WORKER_CONNECTORS_MAP_H

#include "worker/connectors/connector.h"

struct map {
    const char *key;  /* of the record */
    const char *path; /* below it, "id" or "a.b"; NULL = the value itself */
    int col;
    void (*put)(struct record *r, struct doc_value v); /* instead of path and col */
    bool ignore;
};
#define MAP(key_, col_)              \
    {                                \
        .key = (key_), .col = (col_) \
    }
#define MAP_PATH(key_, p_, col_)                   \
    {                                              \
        .key = (key_), .path = (p_), .col = (col_) \
    }
#define MAP_CALL(key_, fn_)         \
    {                               \
        .key = (key_), .put = (fn_) \
    }
#define MAP_IGNORE(key_)              \
    {                                 \
        .key = (key_), .ignore = true \
    }

/* A table, and an index of it that map_prepare() makes. */
#define MAP_SLOTS 256 /* a power of two, well above the rows of any table */
struct map_table {
    const struct map *rows;
    size_t n;
    unsigned char slots[MAP_SLOTS]; /* 1 + row, 0 = free */
};
#define MAP_TABLE(rows_)                      \
    {                                         \
        .rows = (rows_), .n = COUNT_OF(rows_) \
    }
void map_prepare(struct map_table *t);

/* Fills `r` from one record; `r` has been reset. */
void map_record(const struct map_table *t, struct record *r, struct doc_value v);

#endif
