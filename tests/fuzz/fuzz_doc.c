/* fuzz_doc - any bytes parse or are refused with a reason; what parses can be walked, and what is written
 * parses again to the same text. */
#include "common/doc.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

#define PAD 64

static size_t
walk(struct doc_value v)
{
    size_t n = 1, steps = 0, len;
    int64_t i;
    double x;
    bool yes;

    (void)doc_int(v, &i);
    (void)doc_double(v, &x);
    (void)doc_bool(v, &yes);
    MUST((doc_string(v, &len) != NULL) == (v.type == DOC_STRING));
    for (struct doc_iter it = doc_iter(v); doc_next(&it); steps++) {
        if (it.object && memchr(it.key, '\0', it.key_len) == NULL)
            MUST(doc_get(v, it.key).doc != NULL);
        n += walk(it.value);
    }
    MUST(steps == doc_len(v));
    return n;
}

static enum rc
parse(struct doc *d, const char *text, size_t len, struct buf *written)
{
    AUTO_FREE char *padded = malloc(len + PAD);
    struct doc_value root;
    struct err err = { 0 };
    enum rc rc;

    MUST(padded != NULL);
    memcpy(padded, text, len);
    memset(padded + len, '"', PAD);
    if ((rc = doc_parse(d, padded, len, &root, &err)) == RC_OK) {
        (void)walk(root);
        doc_write(root, written);
    } else {
        MUST(rc == RC_PROTOCOL && err.text[0] != '\0');
    }
    return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO(doc) d = NULL;
    struct buf once, twice;

    if (len > 1 << 16)
        return 0;
    MUST(doc_create(&d, NULL) == RC_OK);
    buf_init(&once, 1 << 22);
    buf_init(&twice, 1 << 22);
    /* NUL characters are the one thing that is written as something else */
    if (parse(d, (const char *)data, len, &once) == RC_OK && !once.failed) {
        MUST(parse(d, once.data, once.len, &twice) == RC_OK);
        MUST(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    }
    buf_fini(&once);
    buf_fini(&twice);
    return 0;
}
