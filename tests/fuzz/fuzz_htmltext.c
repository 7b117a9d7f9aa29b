/* fuzz_htmltext - any bytes do no harm; UTF-8 becomes lines of UTF-8 that are trimmed, not empty and free of
 * double spaces, and reading plain text again changes nothing. */
#include "common/htmltext.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"
#include <stdbool.h>
#include <string.h>

static void
check_lines(const char *s, size_t n)
{
    if (n == 0)
        return;
    MUST(s[0] != ' ' && s[0] != '\n' && s[n - 1] != ' ' && s[n - 1] != '\n');
    for (size_t i = 0; i < n; i++) {
        bool gap = s[i] == ' ' || s[i] == '\n';

        MUST(s[i] == '\n' || (unsigned char)s[i] >= 0x20);
        MUST(!gap || (s[i + 1] != ' ' && s[i + 1] != '\n'));
    }
}

static bool
is_utf8(const char *s, size_t n)
{
    size_t step;

    for (; n > 0; s += step, n -= step)
        if ((step = utf8_step(s, n)) == 0)
            return false;
    return true;
}

/* One line without markup: the short road takes it. */
static bool
is_plain_line(const char *s, size_t n)
{
    return n > 0 && memchr(s, '<', n) == NULL && memchr(s, '&', n) == NULL && memchr(s, '\n', n) == NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf once, twice;

    buf_init(&once, 1 << 22);
    buf_init(&twice, 1 << 22);
    htmltext((const char *)data, len, &once);
    if (!once.failed && is_utf8((const char *)data, len)) {
        MUST(is_utf8(once.data, once.len));
        check_lines(once.data, once.len);
        if (is_plain_line(once.data, once.len)) {
            htmltext(once.data, once.len, &twice);
            MUST(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
        }
    }
    buf_fini(&once);
    buf_fini(&twice);
    return 0;
}
