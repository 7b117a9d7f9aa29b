/* vendor - the vendors there are, and what their files share. */
#include "vendor.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "pylon.h"

static const struct vendor *const vendors[] = {
    &vendor_pylon,
};

const struct vendor *
vendor_find(const char *name)
{
    for (size_t i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++)
        if (strcmp(vendors[i]->name, name) == 0)
            return vendors[i];
    return NULL;
}

void
reply_fini(struct reply *r)
{
    buf_fini(&r->body);
    buf_fini(&r->tail);
}

void
reply_header(struct reply *r, const char *name, const char *fmt, ...)
{
    va_list ap;

    assert(r->nheaders < HEADERS_MAX);
    r->headers[r->nheaders].name = name;
    va_start(ap, fmt);
    (void)vsnprintf(r->headers[r->nheaders].value, sizeof(r->headers[0].value), fmt, ap);
    va_end(ap);
    r->nheaders++;
}

bool
path_match(const char *pattern, const char *path, char *arg, size_t size)
{
    const char *hole = strstr(pattern, "{}");
    size_t before, n;

    if (hole == NULL)
        return strcmp(pattern, path) == 0;
    before = (size_t)(hole - pattern);
    if (strncmp(pattern, path, before) != 0)
        return false;
    n = strcspn(path + before, "/");
    if (n == 0 || n >= size || strcmp(path + before + n, hole + 2) != 0)
        return false;
    memcpy(arg, path + before, n);
    arg[n] = '\0';
    return true;
}

const char *
call_query(const struct call *c, const char *name)
{
    return MHD_lookup_connection_value(c->conn, MHD_GET_ARGUMENT_KIND, name);
}

const char *
call_header(const struct call *c, const char *name)
{
    return MHD_lookup_connection_value(c->conn, MHD_HEADER_KIND, name);
}
