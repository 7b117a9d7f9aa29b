#include "common/utf8.h"
#include <stdbool.h>

static bool
within(unsigned char c, unsigned char low, unsigned char high)
{
    return c >= low && c <= high;
}

/* Unicode 15, table 3-7: only the second byte has a range of its own. */
size_t
utf8_step(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    unsigned char low = 0x80, high = 0xbf;
    size_t len;

    if (n == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (within(p[0], 0xc2, 0xdf))
        len = 2;
    else if (within(p[0], 0xe0, 0xef))
        len = 3;
    else if (within(p[0], 0xf0, 0xf4))
        len = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0; /* overlong */
    else if (p[0] == 0xed)
        high = 0x9f; /* surrogates */
    else if (p[0] == 0xf0)
        low = 0x90; /* overlong */
    else if (p[0] == 0xf4)
        high = 0x8f; /* past U+10FFFF */
    if (n < len || !within(p[1], low, high))
        return 0;
    for (size_t i = 2; i < len; i++)
        if (!within(p[i], 0x80, 0xbf))
            return 0;
    return len;
}
