#include "api/cli/table.h"
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { CELL_MAX = 1000, GAP = 2 };

struct cell {
    char *text;
    size_t width;
    enum table_style style;
};

struct table {
    const struct table_column *columns;
    size_t n;
    struct cell *cells;
    size_t used, cap;
};

void
table_use_utf8(void)
{
    if (setlocale(LC_CTYPE, "") == NULL || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        (void)setlocale(LC_CTYPE, "C.UTF-8");
}

void
table_destroy(struct table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->used; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t);
}

struct table *
table_create(const struct table_column *columns, size_t n)
{
    struct table *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->columns = columns;
    t->n = n;
    return t;
}

/* One character: its bytes, its width on a screen (-1: not to be shown as it is). */
static size_t
next_char(const char *s, int *width)
{
    mbstate_t state = { 0 };
    wchar_t w;
    size_t n = mbrtowc(&w, s, strlen(s), &state);

    if (n == 0 || n > (size_t)MB_CUR_MAX) { /* also (size_t)-1 and -2 */
        *width = -1;
        return 1;
    }
    *width = wcwidth(w);
    return n;
}

const char *
text_clean(const char *s, char *out, size_t size)
{
    size_t o = 0;

    while (*s != '\0') {
        int width;
        size_t n = next_char(s, &width);

        if (o + n + 1 > size)
            break;
        if (width < 0)
            out[o++] = '?';
        else
            memcpy(out + o, s, n), o += n;
        s += n;
    }
    out[o] = '\0';
    return out;
}

size_t
text_width(const char *s)
{
    size_t columns = 0;

    while (*s != '\0') {
        int width;

        s += next_char(s, &width);
        columns += width < 0 ? 1 : (size_t)width;
    }
    return columns;
}

size_t
text_fit(const char *s, size_t columns)
{
    size_t at = 0, used = 0;

    while (s[at] != '\0') {
        int width = 0;
        size_t n;

        if (s[at] == '\033') {
            n = strcspn(s + at, "m");
            at += n + (s[at + n] == 'm');
            continue;
        }
        n = next_char(s + at, &width);
        if (used + (width < 0 ? 1 : (size_t)width) > columns)
            break;
        used += width < 0 ? 1 : (size_t)width;
        at += n;
    }
    return at;
}

/* Cuts `s` to `max` columns, the last of them an ellipsis. */
static void
cut(char *s, size_t max, size_t size)
{
    static const char ellipsis[] = "…";
    size_t columns = 0, o = 0;

    if (text_width(s) <= max)
        return;
    while (s[o] != '\0') {
        int width;
        size_t n = next_char(s + o, &width);

        if (columns + (size_t)width > max - 1)
            break;
        columns += (size_t)width;
        o += n;
    }
    if (o + sizeof ellipsis <= size)
        memcpy(s + o, ellipsis, sizeof ellipsis);
}

void
table_cell(struct table *t, const char *text, enum table_style style)
{
    char clean[CELL_MAX];
    struct cell *grown;
    int max;

    if (t == NULL)
        return;
    if (t->used == t->cap) {
        size_t cap = t->cap > 0 ? t->cap * 2 : 64;

        if ((grown = realloc(t->cells, cap * sizeof *grown)) == NULL)
            return;
        t->cells = grown;
        t->cap = cap;
    }
    max = t->columns[t->used % t->n].max;
    (void)text_clean(text, clean, sizeof clean);
    if (max > 0)
        cut(clean, (size_t)max, sizeof clean);
    t->cells[t->used] = (struct cell){ .text = strdup(clean), .width = text_width(clean), .style = style };
    if (t->cells[t->used].text != NULL)
        t->used++;
}

const char *
style_begin(enum table_style style)
{
    static const char *const escapes[] = {
        [STYLE_PLAIN] = "",       [STYLE_GOOD] = "\033[32m", [STYLE_BUSY] = "\033[36m",
        [STYLE_BAD] = "\033[31m", [STYLE_DIM] = "\033[2m",
    };

    return escapes[style];
}

static size_t
column_width(const struct table *t, size_t column)
{
    size_t width = text_width(t->columns[column].header);

    for (size_t i = column; i < t->used; i += t->n)
        if (t->cells[i].width > width)
            width = t->cells[i].width;
    return width;
}

/* One line in the making: spaces are owed until something follows them, so that no line ends with any. */
struct line {
    FILE *f;
    bool colors;
    int owed;
};

static void
put_cell(struct line *l, const struct table_column *c, const char *text, size_t width, size_t wanted,
         enum table_style style)
{
    int pad = (int)(wanted - width);

    if (c->right)
        l->owed += pad;
    if (text[0] != '\0') {
        bool styled = l->colors && style != STYLE_PLAIN;

        (void)fprintf(l->f, "%*s%s%s%s", l->owed, "", styled ? style_begin(style) : "", text,
                      styled ? STYLE_END : "");
        l->owed = 0;
    }
    l->owed += (c->right ? 0 : pad) + GAP;
}

void
table_print(const struct table *t, FILE *f, bool colors)
{
    AUTO_FREE size_t *widths = t != NULL ? calloc(t->n, sizeof *widths) : NULL;
    struct line l = { .f = f, .colors = colors };

    if (widths == NULL)
        return;
    for (size_t i = 0; i < t->n; i++)
        widths[i] = column_width(t, i);
    for (size_t i = 0; i < t->n; i++)
        put_cell(&l, &t->columns[i], t->columns[i].header, text_width(t->columns[i].header), widths[i],
                 STYLE_DIM);
    (void)fputc('\n', f);
    for (size_t row = 0; row + t->n <= t->used; row += t->n) {
        l.owed = 0;
        for (size_t i = 0; i < t->n; i++)
            put_cell(&l, &t->columns[i], t->cells[row + i].text, t->cells[row + i].width, widths[i],
                     t->cells[row + i].style);
        (void)fputc('\n', f);
    }
}
