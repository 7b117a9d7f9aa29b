/* calls - when which endpoint was called. */
#include "calls.h"

#include <stdlib.h>

void
calls_fini(struct call_log *l)
{
    free(l->calls);
    *l = (struct call_log){ 0 };
}

void
calls_add(struct call_log *l, int64_t at, size_t endpoint, int status)
{
    if (l->n == l->cap) {
        l->cap = l->cap > 0 ? 2 * l->cap : 1024;
        l->calls = realloc(l->calls, l->cap * sizeof(*l->calls));
        if (l->calls == NULL)
            abort();
    }
    l->calls[l->n++] =
        (struct logged_call){ .at = at, .endpoint = (uint16_t)endpoint, .status = (uint16_t)status };
}
