#include "api/cli/show.h"
#include "api/cli/client.h"
#include "api/cli/table.h"
#include "api/cli/when.h"
#include "common/clock.h"
#include "common/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 1000, COLUMNS_MAX = 16 };

const json_t *
json_at(const json_t *j, const char *path)
{
    char key[64];

    while (j != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");

        (void)snprintf(key, sizeof key, "%.*s", (int)n, path);
        j = json_object_get(j, key);
        path += n + (path[n] == '.');
    }
    return json_is_null(j) ? NULL : j;
}

const char *
json_text_at(const json_t *j, const char *path)
{
    const char *s = json_string_value(json_at(j, path));

    return s != NULL ? s : "";
}

int64_t
json_int_at(const json_t *j, const char *path)
{
    return json_integer_value(json_at(j, path));
}

void
show_json(const json_t *j)
{
    (void)json_dumpf(j, stdout, JSON_COMPACT);
    (void)putchar('\n');
}

/* Any value in its plainest form. */
static const char *
plain(const json_t *v, char out[static TEXT_MAX])
{
    AUTO_FREE char *text = NULL;

    if (json_is_string(v))
        (void)snprintf(out, TEXT_MAX, "%s", json_string_value(v));
    else if (json_is_boolean(v))
        (void)snprintf(out, TEXT_MAX, "%s", json_is_true(v) ? "yes" : "no");
    else if ((text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY)) != NULL)
        (void)snprintf(out, TEXT_MAX, "%s", text);
    return out;
}

static const char *
moment(const struct cli *c, const char *text, char out[static TEXT_MAX])
{
    int64_t t;

    if (clock_parse(text, strlen(text), &t, NULL) != RC_OK)
        (void)snprintf(out, TEXT_MAX, "%s", text);
    else
        (void)when_text(t, c->now, out);
    return out;
}

/* "" where there is nothing to show. */
static const char *
value_text(const struct cli *c, const json_t *item, const struct show_column *col, char out[static TEXT_MAX])
{
    const json_t *v = json_at(item, col->key);

    out[0] = '\0';
    if (v == NULL)
        return out;
    if (col->kind == SHOW_WHEN && json_is_string(v))
        return moment(c, json_string_value(v), out);
    if (col->kind == SHOW_NUMBER && json_is_integer(v))
        return number_text(json_integer_value(v), out);
    if (col->kind == SHOW_SPAN && json_is_integer(v))
        return span_text(json_integer_value(v) * CLOCK_SECOND, out);
    if (col->kind == SHOW_JSON && json_is_object(v) && json_object_size(v) == 0)
        return out;
    return plain(v, out);
}

static enum table_style
style_of(enum show_kind kind, const char *text)
{
    static const struct {
        const char *word;
        enum table_style style;
    } styles[] = {
        { "running", STYLE_BUSY },  { "queued", STYLE_BUSY },   { "scheduled", STYLE_DIM },
        { "done", STYLE_GOOD },     { "active", STYLE_GOOD },   { "dead", STYLE_BAD },
        { "refused", STYLE_BAD },   { "retry", STYLE_BAD },     { "crashed", STYLE_BAD },
        { "timeout", STYLE_BAD },   { "lost", STYLE_BAD },      { "paused", STYLE_BAD },
        { "ok", STYLE_GOOD },       { "cancelled", STYLE_DIM }, { "stopped", STYLE_DIM },
        { "snoozed", STYLE_DIM },   { "drained", STYLE_DIM },   { "silent", STYLE_BAD },
        { "draining", STYLE_BUSY },
    };

    for (size_t i = 0; kind == SHOW_STATE && i < COUNT_OF(styles); i++)
        if (strcmp(styles[i].word, text) == 0)
            return styles[i].style;
    return STYLE_PLAIN;
}

static bool
is_right(enum show_kind kind)
{
    return kind == SHOW_NUMBER || kind == SHOW_SPAN || kind == SHOW_RIGHT;
}

void
show_items(struct cli *c, const json_t *items, const struct show_column *columns, size_t n)
{
    show_items_to(c, stdout, items, json_array_size(items), columns, n);
}

void
show_items_to(struct cli *c, FILE *f, const json_t *items, size_t max, const struct show_column *columns,
              size_t n)
{
    struct table_column shape[COLUMNS_MAX];
    AUTO(table) t = NULL;
    const json_t *item;
    size_t row;

    for (size_t i = 0; i < n; i++)
        shape[i] = (struct table_column){ .header = columns[i].header,
                                          .right = is_right(columns[i].kind),
                                          .max = columns[i].max };
    t = table_create(shape, n);
    json_array_foreach((json_t *)items, row, item)
    {
        if (row == max)
            break;
        for (size_t i = 0; i < n; i++) {
            char text[TEXT_MAX];

            (void)value_text(c, item, &columns[i], text);
            table_cell(t, text, style_of(columns[i].kind, text));
        }
    }
    table_print(t, f, c->colors);
}

enum ending
show_list(struct cli *c, struct buf *path, const struct show_column *columns, size_t n, const char *none)
{
    json_auto_t *answer = NULL;
    const json_t *items, *next;
    enum ending end;

    path_query(path, "limit", cli_option(c, "limit"));
    path_query(path, "cursor", cli_option(c, "cursor"));
    if ((end = client_call(c, "GET", path->data, NULL, &answer)) != END_OK)
        return end;
    if (c->json) {
        show_json(answer);
        return END_OK;
    }
    items = json_object_get(answer, "items");
    next = json_at(answer, "next");
    if (json_array_size(items) == 0)
        (void)fprintf(stderr, "%s\n", none);
    else
        show_items(c, items, columns, n);
    (void)fflush(stdout);
    if (next != NULL)
        (void)fprintf(stderr, "There is more: add --cursor %s\n", json_string_value(next));
    return END_OK;
}

void
show_fields(struct cli *c, const json_t *object, const struct show_column *fields, size_t n)
{
    int width = 0;

    for (size_t i = 0; i < n; i++)
        if ((int)strlen(fields[i].header) > width)
            width = (int)strlen(fields[i].header);
    for (size_t i = 0; i < n; i++) {
        char text[TEXT_MAX], clean[TEXT_MAX];
        enum table_style style;

        if (value_text(c, object, &fields[i], text)[0] == '\0')
            continue;
        style = c->colors ? style_of(fields[i].kind, text) : STYLE_PLAIN;
        (void)printf("%-*s  %s%s%s\n", width, fields[i].header, style_begin(style),
                     text_clean(text, clean, sizeof clean), style != STYLE_PLAIN ? STYLE_END : "");
    }
}
