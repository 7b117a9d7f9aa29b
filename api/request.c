#include "api/request.h"
#include "common/clock.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 1000 };

const char *
request_path(const struct request *rq, const char *name)
{
    for (size_t i = 0; i < rq->match.n; i++)
        if (strcmp(rq->match.params[i].name, name) == 0)
            return rq->match.params[i].value;
    assert(false); /* the route's path has no such parameter: a bug */
    return "";
}

/* Digits only: no sign, no space. */
static bool
parse_int(const char *s, int64_t *out)
{
    char *end;
    long long v;

    if (s[0] < '0' || s[0] > '9')
        return false;
    errno = 0;
    v = strtoll(s, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = v;
    return true;
}

enum rc
request_id(const struct request *rq, const char *name, int64_t *out, struct err *err)
{
    const char *text = request_path(rq, name);

    if (!parse_int(text, out))
        return err_set(err, RC_NOT_FOUND, "%s: %s is not a number", name, text);
    return RC_OK;
}

const char *
request_query(const struct request *rq, const char *name)
{
    assert(route_takes(rq->match.route, name));
    for (size_t i = 0; i < rq->query_n; i++)
        if (strcmp(rq->query[i].name, name) == 0)
            return rq->query[i].value;
    return NULL;
}

enum rc
request_query_int(const struct request *rq, const char *name, int64_t min, int64_t max, int64_t *out,
                  struct err *err)
{
    const char *text = request_query(rq, name);
    int64_t v;

    if (text == NULL)
        return RC_OK;
    if (!parse_int(text, &v) || v < min || v > max) {
        if (max == INT64_MAX)
            return err_set(err, RC_INVALID, "%s: %s is not a number of at least %" PRId64, name, text, min);
        return err_set(err, RC_INVALID, "%s: %s is not within %" PRId64 " to %" PRId64, name, text, min, max);
    }
    *out = v;
    return RC_OK;
}

enum rc
request_query_bool(const struct request *rq, const char *name, bool *out, struct err *err)
{
    const char *text = request_query(rq, name);

    if (text == NULL)
        return RC_OK;
    if (!is_choice("true|false", text))
        return err_set(err, RC_INVALID, "%s: %s is neither true nor false", name, text);
    *out = strcmp(text, "true") == 0;
    return RC_OK;
}

enum rc
request_query_time(const struct request *rq, const char *name, int64_t *out, struct err *err)
{
    const char *text = request_query(rq, name);

    if (text != NULL && clock_parse(text, strlen(text), out, err) != RC_OK)
        return field_wrap(name, err);
    return RC_OK;
}

enum rc
request_query_choice(const struct request *rq, const char *name, const char *choices, const char **out,
                     struct err *err)
{
    const char *text = request_query(rq, name);

    if (text != NULL && !is_choice(choices, text))
        return err_set(err, RC_INVALID, "%s: %s is none of %s", name, text, choices);
    *out = text;
    return RC_OK;
}

enum rc
request_page(const struct request *rq, int64_t start, struct page *out, struct err *err)
{
    struct page p = { .limit = LIMIT_DEFAULT, .cursor = start };
    enum rc rc;

    if ((rc = request_query_int(rq, "limit", 1, LIMIT_MAX, &p.limit, err)) != RC_OK)
        return rc;
    if (request_query_int(rq, "cursor", 0, INT64_MAX, &p.cursor, NULL) != RC_OK)
        return err_set(err, RC_INVALID, "cursor: is not one that `next` gave");
    *out = p;
    return RC_OK;
}

bool
body_has(const struct request *rq, const char *name)
{
    const json_t *v = json_object_get(rq->body, name);

    assert(route_takes(rq->match.route, name));
    return v != NULL && !json_is_null(v);
}

/* To a caller a required field that is missing is bad input, not something that was not found. */
static enum rc
required(enum rc rc, struct err *err)
{
    if (rc == RC_NOT_FOUND) {
        rc = RC_INVALID;
        if (err != NULL)
            err->rc = rc;
    }
    return rc;
}

enum rc
body_string(const struct request *rq, const char *name, size_t min, size_t max, const char **out,
            struct err *err)
{
    assert(route_takes(rq->match.route, name));
    return required(json_get_string(rq->body, name, min, max, out, err), err);
}

enum rc
body_string_or(const struct request *rq, const char *name, size_t min, size_t max, const char *def,
               const char **out, struct err *err)
{
    *out = def;
    return body_has(rq, name) ? json_get_string(rq->body, name, min, max, out, err) : RC_OK;
}

enum rc
body_choice_or(const struct request *rq, const char *name, const char *choices, const char *def,
               const char **out, struct err *err)
{
    const char *v;
    enum rc rc;

    if ((rc = body_string_or(rq, name, 1, 100, def, &v, err)) != RC_OK)
        return rc;
    if (v != NULL && !is_choice(choices, v))
        return err_set(err, RC_INVALID, "%s: %s is none of %s", name, v, choices);
    *out = v;
    return RC_OK;
}

enum rc
body_bool_or(const struct request *rq, const char *name, bool def, bool *out, struct err *err)
{
    *out = def;
    return body_has(rq, name) ? json_get_bool(rq->body, name, out, err) : RC_OK;
}

enum rc
body_int_or(const struct request *rq, const char *name, int64_t min, int64_t max, int64_t def, int64_t *out,
            struct err *err)
{
    *out = def;
    return body_has(rq, name) ? json_get_int(rq->body, name, min, max, out, err) : RC_OK;
}

enum rc
body_time_or(const struct request *rq, const char *name, int64_t def, int64_t *out, struct err *err)
{
    *out = def;
    return body_has(rq, name) ? json_get_time(rq->body, name, out, err) : RC_OK;
}

enum rc
body_object_or_null(const struct request *rq, const char *name, json_t **out, struct err *err)
{
    json_t *v = json_object_get(rq->body, name);

    if (body_has(rq, name) && !json_is_object(v))
        return err_set(err, RC_INVALID, "%s: expected an object", name);
    *out = body_has(rq, name) ? v : NULL;
    return RC_OK;
}

enum rc
body_slug(const struct request *rq, const char *name, const char **out, struct err *err)
{
    static const char fit[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    enum rc rc = body_string(rq, name, 1, 63, out, err);

    if (rc == RC_OK && ((*out)[0] == '-' || (*out)[strspn(*out, fit)] != '\0'))
        rc = err_set(err, RC_INVALID, "%s: may hold lower-case letters, digits and dashes, like acme-eu",
                     name);
    return rc;
}

bool
is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);

    for (const char *p = choices; *p != '\0';) {
        size_t word = strcspn(p, "|");

        if (word == n && memcmp(p, value, n) == 0)
            return true;
        p += word + (p[word] == '|');
    }
    return false;
}

enum rc
field_wrap(const char *name, struct err *err)
{
    return err_wrap(err, "%s", name);
}
