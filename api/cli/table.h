/* api/cli/table.h
 * table - rows of text in aligned columns, for people.
 *
 * Widths are columns on a screen, not bytes: accents, wide characters and emoji line up. Control characters
 * (a server's text could hold terminal commands) and bytes that are not UTF-8 become '?'. Needs a UTF-8
 * LC_CTYPE, see table_use_utf8().
 *
 * Ownership: the table copies what it is given.
 */
#ifndef DESKMILL_CLI_TABLE_H
#define DESKMILL_CLI_TABLE_H

#include "common/auto.h"
#include <stdbool.h>
#include <stdio.h>

enum table_style { STYLE_PLAIN, STYLE_GOOD, STYLE_BUSY, STYLE_BAD, STYLE_DIM };

struct table_column {
    const char *header;
    bool right; /* numbers */
    int max;    /* columns on a screen after which a cell is cut with an ellipsis; 0 = never */
};

struct table;
void table_destroy(struct table *t);
AUTO_DEFINE(table)
/* NULL without memory; the other functions then do nothing. */
struct table *table_create(const struct table_column *columns, size_t n);

/* Cells go in one by one, row after row. */
void table_cell(struct table *t, const char *text, enum table_style style);
void table_print(const struct table *t, FILE *f, bool colors);

/* The process's locale where that is UTF-8, else C.UTF-8. */
void table_use_utf8(void);
/* How many columns `s` takes. */
size_t text_width(const char *s);
/* How many bytes of `s` fit into so many columns. An escape sequence that begins a style, or ends it, takes
 * none. */
size_t text_fit(const char *s, size_t columns);
/* `s` as it may go to a terminal. Returns `out`. */
const char *text_clean(const char *s, char *out, size_t size);
/* The escape that begins a style; "" for STYLE_PLAIN. STYLE_END ends any. */
const char *style_begin(enum table_style style);
#define STYLE_END "\033[0m"

#endif
