/* api/cli/show.h
 * show - the api's JSON for people: lists as tables, single things as lines of name and value.
 */
#ifndef DESKMILL_CLI_SHOW_H
#define DESKMILL_CLI_SHOW_H

#include "api/cli/cli.h"
#include "common/auto.h" /* COUNT_OF */
#include "common/buf.h"
#include <stdio.h>

enum show_kind {
    SHOW_TEXT,
    SHOW_RIGHT, /* text, at the column's right: an id, or a number that is text already */
    SHOW_NUMBER,
    SHOW_STATE, /* a word with a colour */
    SHOW_WHEN,  /* a moment, with its age */
    SHOW_SPAN,  /* whole seconds */
    SHOW_JSON,  /* compact; nothing for {} */
};

struct show_column {
    const char *header;
    const char *key; /* "progress.pages" goes into objects */
    enum show_kind kind;
    int max; /* columns on a screen; 0 = no limit */
};

/* GETs the page of `path` that these options of the command ask for, and prints {"items": [...]} as a table,
 * or as it is with --json. `none` is said where there are no items. */
#define SHOW_LIST_OPTIONS                                     \
    { "limit", "N", "how many at most, 1 to 1000" },          \
    {                                                         \
        "cursor", "CURSOR", "go on where the last list ended" \
    }
enum ending show_list(struct cli *c, struct buf *path, const struct show_column *columns, size_t n,
                      const char *none);
/* The same for an answer that is there already. */
void show_items(struct cli *c, const json_t *items, const struct show_column *columns, size_t n);
/* The first `max` of them, to `f`. */
void show_items_to(struct cli *c, FILE *f, const json_t *items, size_t max, const struct show_column *columns,
                   size_t n);
/* "name  value" lines; fields that are null are left out. */
void show_fields(struct cli *c, const json_t *object, const struct show_column *fields, size_t n);
/* Compact JSON and a newline, on standard output. */
void show_json(const json_t *j);

/* The value at "a.b", NULL if there is none or it is null. */
const json_t *json_at(const json_t *j, const char *path);
const char *json_text_at(const json_t *j, const char *path); /* "" if there is none */
int64_t json_int_at(const json_t *j, const char *path);      /* 0 if there is none */

#endif
