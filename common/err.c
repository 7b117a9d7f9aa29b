#include "common/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Whatever a server or a person put into the sentence, it stays one line. */
static void
one_line(char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
}

void
err_set_(struct err *e, enum rc rc, const char *fmt, ...)
{
    va_list ap;

    if (e == NULL)
        return;
    e->rc = rc;
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    one_line(e->text);
}

enum rc
err_wrap(struct err *e, const char *fmt, ...)
{
    char inner[sizeof e->text];
    va_list ap;
    size_t n;

    if (e == NULL)
        return RC_INTERNAL;
    memcpy(inner, e->text, sizeof inner);
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    n = strlen(e->text);
    (void)snprintf(e->text + n, sizeof e->text - n, ": %s", inner);
    one_line(e->text);
    return e->rc;
}

void
err_clear(struct err *e)
{
    if (e != NULL)
        *e = (struct err){ 0 };
}

const char *
rc_name(enum rc rc)
{
    static const char *const names[] = {
        [RC_OK] = "ok",
        [RC_INVALID] = "invalid",
        [RC_NOT_FOUND] = "not_found",
        [RC_CONFLICT] = "conflict",
        [RC_UNAVAILABLE] = "unavailable",
        [RC_TIMEOUT] = "timeout",
        [RC_DENIED] = "denied",
        [RC_LIMIT] = "limit",
        [RC_PROTOCOL] = "protocol",
        [RC_INTERNAL] = "internal",
    };

    return names[rc];
}
