/* fuzz_htmltext - any bytes become lines that are trimmed, not empty and free of double spaces, and reading
 * plain text again changes nothing. */
#include "common/htmltext.h"
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf once, twice;

    buf_init(&once, 1 << 22);
    buf_init(&twice, 1 << 22);
    htmltext((const char *)data, len, &once);
    check_lines(once.data, once.len);
    if (!once.failed && once.len > 0 && memchr(once.data, '<', once.len) == NULL &&
        memchr(once.data, '&', once.len) == NULL && memchr(once.data, '\n', once.len) == NULL) {
        htmltext(once.data, once.len, &twice);
        MUST(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    }
    buf_fini(&once);
    buf_fini(&twice);
    return 0;
}
