#include "api/router.h"
#include "common/auto.h"
#include <stdio.h>
#include <string.h>

#define ROUTE(method, path, role, handler, takes, summary) \
    enum rc route_##handler(struct request *rq, struct answer *an, struct err *err);
#include "api/routes.def"
#undef ROUTE

const struct route routes[] = {
#define ROUTE(method, path, role, handler, takes, summary) \
    { #method, (path), (role), route_##handler, (takes), (summary) },
#include "api/routes.def"
#undef ROUTE
    { .method = NULL },
};

static int
hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool
router_decode(const char *s, size_t n, bool plus, char *out, size_t size)
{
    size_t o = 0;

    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)s[i];

        if (o + 1 >= size)
            return false;
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            if (n - i < 3 || hex(s[i + 1]) < 0 || hex(s[i + 2]) < 0)
                return false;
            c = hex(s[i + 1]) * 16 + hex(s[i + 2]);
            i += 2;
        }
        if (c == '\0')
            return false;
        out[o++] = (char)c;
    }
    out[o] = '\0';
    return true;
}

/* Whether `path` has the shape of `pattern`; the places of its parameters go to `out`, still encoded. */
static bool
shape(const char *pattern, const char *path, struct route_match *out, const char *at[], size_t len[])
{
    size_t n = 0;

    for (;;) {
        size_t want = strcspn(pattern, "/"), have = strcspn(path, "/");

        if (want > 1 && pattern[0] == '{') {
            if (have == 0 || n == ROUTE_PARAMS_MAX)
                return false;
            (void)snprintf(out->params[n].name, sizeof out->params[n].name, "%.*s", (int)(want - 2),
                           pattern + 1);
            at[n] = path;
            len[n++] = have;
        } else if (want != have || memcmp(pattern, path, want) != 0) {
            return false;
        }
        pattern += want;
        path += have;
        if (*pattern == '\0' || *path == '\0')
            break;
        pattern++;
        path++;
    }
    out->n = n;
    return *pattern == *path;
}

static void
allow(struct route_match *out, const char *method)
{
    size_t n = strlen(out->allow);

    if (strstr(out->allow, method) == NULL)
        (void)snprintf(out->allow + n, sizeof out->allow - n, "%s%s%s", n > 0 ? ", " : "", method,
                       strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

enum rc
router_match(const struct route *table, const char *method, const char *path, struct route_match *out,
             struct err *err)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    const char *at[ROUTE_PARAMS_MAX] = { NULL };
    size_t len[ROUTE_PARAMS_MAX] = { 0 };

    *out = (struct route_match){ 0 };
    for (const struct route *r = table; r->method != NULL; r++) {
        if (!shape(r->path, path, out, at, len))
            continue;
        allow(out, r->method);
        if (strcmp(r->method, wanted) != 0)
            continue;
        for (size_t i = 0; i < out->n; i++)
            if (!router_decode(at[i], len[i], false, out->params[i].value, sizeof out->params[i].value))
                return err_set(err, RC_INVALID, "%s: is too long or not percent-encoded as it should be",
                               out->params[i].name);
        out->route = r;
        return RC_OK;
    }
    return RC_OK;
}

bool
route_takes(const struct route *r, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = r->takes; *p != '\0';) {
        size_t word = strcspn(p, " ");

        if (word == n && memcmp(p, name, n) == 0)
            return true;
        p += word + (p[word] == ' ');
    }
    return false;
}

bool
route_has_body(const struct route *r)
{
    return strcmp(r->method, "POST") == 0 || strcmp(r->method, "PATCH") == 0;
}
