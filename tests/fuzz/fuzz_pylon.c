/* fuzz_pylon - any answer is read into rows or refused with a reason; a row's cells can be gone through and
 * end where it ends; an error body of any shape becomes one line. The first byte chooses what was asked. */
#include "tests/fuzz/fuzz.h"
#include "worker/connectors/connector.h"
#include <stdlib.h>
#include <string.h>

#define PAD 64

static void
check_rows(const struct rows *rows)
{
    const struct table *t = &record_tables[rows->stream];

    for (size_t i = 0; i < rows->n; i++) {
        const char *begin = rows->bytes.data + rows->row[i].at, *at = begin;
        size_t len = 0;

        MUST(rows->row[i].at + rows->row[i].len <= rows->bytes.len && rows_id(rows, i)[0] != '\0');
        MUST(strlen(rows_id(rows, i)) <= RECORD_KEY_MAX);
        for (int c = 0; c < t->ncolumns; c++) {
            const char *p = rows_text(rows, i, c, &len);

            if (p != NULL && t->columns[c].type != TYPE_INT && t->columns[c].type != TYPE_TIME &&
                t->columns[c].type != TYPE_BOOL && t->columns[c].type != TYPE_TEXTS)
                MUST(memchr(p, '\0', len) == NULL);
            at = p != NULL ? p + len : at + 4;
        }
        MUST((size_t)(at - begin) == rows->row[i].len);
        if (i > 0)
            MUST(strcmp(rows_id(rows, i - 1), rows_id(rows, i)) != 0);
    }
    MUST((int64_t)rows->n + rows->rejected + rows->doubled == rows->fetched);
}

static void
read_as_error(const struct connector *k, const struct call *c, const char *body, size_t len, struct doc *doc)
{
    struct http_res res = { .status = 500 };
    struct err err = { 0 };

    buf_init(&res.body, 1 << 18);
    buf_init(&res.headers, 1 << 10);
    buf_put(&res.body, body, len);
    MUST(buf_reserve(&res.body, PAD) != NULL);
    MUST(connector_error(k, c, &res, doc, &err) == RC_UNAVAILABLE && strchr(err.text, '\n') == NULL);
    http_res_fini(&res);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct connector *k = connector_find("pylon");
    struct call c = { .issue_id = "issue" };
    AUTO_FREE char *text = NULL;
    AUTO(doc) doc = NULL;
    struct doc_value root;
    struct record rec;
    struct page page;
    struct err err = { 0 };
    enum rc rc;

    if (len < 1 || len > 1 << 16)
        return 0;
    c.kind = (enum call_kind)(data[0] % CALL_COUNT);
    MUST((text = calloc(1, len + PAD)) != NULL && doc_create(&doc, NULL) == RC_OK);
    memcpy(text, data + 1, len - 1);
    page_init(&page);
    page_reset(&page, k->endpoints[c.kind].stream);
    record_init(&rec, &page.unknown);
    if ((rc = doc_parse(doc, text, len - 1, &root, &err)) == RC_OK)
        rc = k->read(&c, root, &rec, &page, &err);
    if (rc == RC_OK) {
        rows_finish(&page.rows);
        check_rows(&page.rows);
    } else {
        MUST(rc == RC_PROTOCOL && err.text[0] != '\0');
    }
    read_as_error(k, &c, text, len - 1, doc);
    record_fini(&rec);
    page_fini(&page);
    return 0;
}
