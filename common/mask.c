#include "common/mask.h"
#include "common/auto.h"
#include <assert.h>
#include <string.h>
#include <strings.h>

bool
mask_is_secret(const char *name)
{
    static const char *const words[] = { "token",  "password",   "authorization", "key",
                                         "secret", "credential", "credentials" };
    size_t len = strlen(name);

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        size_t n = strlen(words[i]);

        if (len < n || strcasecmp(name + len - n, words[i]) != 0)
            continue;
        if (len == n || name[len - n - 1] == '_' || name[len - n - 1] == '-')
            return true;
    }
    return false;
}

/* The password that begins at or after `s`: its first byte, and its length in *len. NULL if there is none. */
static const char *
find_password(const char *s, size_t *len)
{
    for (; *s != '\0'; s++) {
        if (strncmp(s, "://", 3) == 0) {
            const char *authority = s + 3;
            size_t n = strcspn(authority, "/ \t\r\n\"'<>");
            const char *at = memrchr(authority, '@', n);
            const char *colon = at == NULL ? NULL : memchr(authority, ':', (size_t)(at - authority));

            if (colon != NULL && colon + 1 < at) {
                *len = (size_t)(at - colon) - 1;
                return colon + 1;
            }
        } else if (strncasecmp(s, "password=", 9) == 0) {
            if ((*len = strcspn(s + 9, "& \t\r\n\"'")) > 0)
                return s + 9;
        }
    }
    return NULL;
}

static size_t
append(char *out, size_t size, size_t n, const char *s, size_t len)
{
    if (len > size - 1 - n)
        len = size - 1 - n;
    memcpy(out + n, s, len);
    out[n + len] = '\0';
    return n + len;
}

const char *
mask_urls(const char *s, char *out, size_t size)
{
    const char *password;
    size_t len = 0, n = 0;

    assert(size > 0);
    while ((password = find_password(s, &len)) != NULL) {
        n = append(out, size, n, s, (size_t)(password - s));
        n = append(out, size, n, "***", 3);
        s = password + len;
    }
    (void)append(out, size, n, s, strlen(s));
    return out;
}
