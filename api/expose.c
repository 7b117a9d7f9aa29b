#include "api/expose.h"
#include <inttypes.h>

void
expose_family(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
put_label(struct buf *b, char before, const char *label, const char *value)
{
    buf_putc(b, before);
    buf_puts(b, label);
    buf_puts(b, "=\"");
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            buf_putc(b, '\\');
        if (*p == '\n')
            buf_puts(b, "\\n");
        else
            buf_putc(b, *p);
    }
    buf_putc(b, '"');
}

void
expose_sample(struct buf *b, const char *name, const char *const labels[2], const char *const values[2],
              int64_t value, int64_t unit)
{
    char before = '{';

    buf_puts(b, name);
    for (int i = 0; i < 2; i++) {
        if (labels[i][0] == '\0')
            continue;
        put_label(b, before, labels[i], values[i]);
        before = ',';
    }
    if (before == ',')
        buf_putc(b, '}');
    if (unit == 1)
        buf_printf(b, " %" PRId64 "\n", value);
    else
        buf_printf(b, " %.3f\n", (double)value / (double)unit);
}

void
expose_by(struct buf *b, const char *name, const char *label, const char *value, int64_t v)
{
    expose_sample(b, name, (const char *[]){ label, "" }, (const char *[]){ value, "" }, v, 1);
}

void
expose(struct buf *b, const char *name, int64_t v)
{
    expose_by(b, name, "", "", v);
}

void
expose_gauge(struct buf *b, const char *name, const char *help, int64_t v)
{
    expose_family(b, name, "gauge", help);
    expose(b, name, v);
}
