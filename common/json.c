#include "common/json.h"
#include "common/buf.h"
#include "common/clock.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

static const char *
type_name(const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

enum rc
json_parse_object(const char *text, size_t len, json_t **out, struct err *err)
{
    json_error_t je;
    json_auto_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    char *quote;

    if (j == NULL) {
        /* " near '...'" quotes the input, which may be a password */
        if ((quote = strstr(je.text, " near '")) != NULL)
            *quote = '\0';
        return err_set(err, RC_INVALID, "line %d, column %d: %s", je.line, je.column, je.text);
    }
    if (!json_is_object(j))
        return err_set(err, RC_INVALID, "line 1, column 1: expected an object, not %s", type_name(j));
    *out = json_incref(j);
    return RC_OK;
}

char *
json_text(const json_t *j)
{
    return json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
}

static enum rc
get(const json_t *obj, const char *name, json_t **out, struct err *err)
{
    json_t *j = json_object_get(obj, name);

    if (j == NULL || json_is_null(j))
        return err_set(err, RC_NOT_FOUND, "%s: is required", name);
    *out = j;
    return RC_OK;
}

static enum rc
wrong_type(const json_t *j, const char *name, const char *expected, struct err *err)
{
    return err_set(err, RC_INVALID, "%s: expected %s, not %s", name, expected, type_name(j));
}

enum rc
json_get_string(const json_t *obj, const char *name, size_t min, size_t max, const char **out,
                struct err *err)
{
    json_t *j;
    enum rc rc;
    size_t len;

    assert(min <= max);
    if ((rc = get(obj, name, &j, err)) != RC_OK)
        return rc;
    if (!json_is_string(j))
        return wrong_type(j, name, "a string", err);
    len = json_string_length(j);
    if (len < min && len == 0)
        return err_set(err, RC_INVALID, "%s: must not be empty", name);
    if (len < min || len > max)
        return err_set(err, RC_INVALID, "%s: expected %zu to %zu bytes, not %zu", name, min, max, len);
    *out = json_string_value(j);
    return RC_OK;
}

enum rc
json_get_int(const json_t *obj, const char *name, int64_t min, int64_t max, int64_t *out, struct err *err)
{
    json_int_t n;
    json_t *j;
    enum rc rc;

    assert(min <= max);
    if ((rc = get(obj, name, &j, err)) != RC_OK)
        return rc;
    if (!json_is_integer(j))
        return wrong_type(j, name, "an integer", err);
    n = json_integer_value(j);
    if (n < min || n > max)
        return err_set(err, RC_INVALID, "%s: %" JSON_INTEGER_FORMAT " is not within %" PRId64 " to %" PRId64,
                       name, n, min, max);
    *out = n;
    return RC_OK;
}

enum rc
json_get_bool(const json_t *obj, const char *name, bool *out, struct err *err)
{
    json_t *j;
    enum rc rc;

    if ((rc = get(obj, name, &j, err)) != RC_OK)
        return rc;
    if (!json_is_boolean(j))
        return wrong_type(j, name, "true or false", err);
    *out = json_is_true(j);
    return RC_OK;
}

enum rc
json_get_time(const json_t *obj, const char *name, int64_t *out, struct err *err)
{
    json_t *j;
    enum rc rc;

    if ((rc = get(obj, name, &j, err)) != RC_OK)
        return rc;
    if (!json_is_string(j))
        return wrong_type(j, name, "a time like \"2026-01-31T08:00:00Z\"", err);
    if ((rc = clock_parse(json_string_value(j), json_string_length(j), out, err)) != RC_OK)
        (void)err_wrap(err, "%s", name);
    return rc;
}

static bool
listed(const char *key, const char *const allowed[])
{
    for (; *allowed != NULL; allowed++)
        if (strcmp(key, *allowed) == 0)
            return true;
    return false;
}

enum rc
json_only_keys(const json_t *obj, const char *const allowed[], struct err *err)
{
    json_t *o = (json_t *)(uintptr_t)obj; /* jansson's iterators take no const, and change nothing */

    for (void *i = json_object_iter(o); i != NULL; i = json_object_iter_next(o, i)) {
        const char *key = json_object_iter_key(i);
        struct buf list;

        if (listed(key, allowed))
            continue;
        buf_init(&list, 400);
        for (size_t n = 0; allowed[n] != NULL; n++)
            buf_printf(&list, "%s%s", n == 0 ? "" : ", ", allowed[n]);
        (void)err_set(err, RC_INVALID, "%.64s: is not known here; expected %s", key,
                      list.len > 0 ? list.data : "no fields");
        buf_fini(&list);
        return RC_INVALID;
    }
    return RC_OK;
}
