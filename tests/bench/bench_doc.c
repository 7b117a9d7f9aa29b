/* bench_doc - parsing a page of 999 issues and reading every issue's fields, as a connector does.
 *
 * cmake --preset release && cmake --build --preset release --target bench_doc &&
 * build/release/tests/bench/bench_doc
 */
#include "common/clock.h"
#include "common/doc.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ISSUES 999
#define ROUNDS 101
#define PAD    64

static void
put_issue(struct buf *b, int i)
{
    buf_printf(
        b,
        "{\"id\":\"3f0c6d1e-5b7a-4a53-9c51-%012d\",\"number\":%d,\"title\":\"Export stuck at %d%%\",\"link\":"
        "\"https://app.example.com/issues?issueNumber=%d\",\"body_html\":\"",
        i, 4000 + i, i % 100, i);
    for (int k = 0; k < 19; k++)
        buf_printf(
            b,
            "<p>It stops after line %d; the log says \\\"timeout\\\" and \\u00fcber <b>%d<\\/b> rows.<\\/p>\\n",
            k * i, k);
    buf_printf(
        b,
        "\",\"state\":\"waiting_on_you\",\"account\":{\"id\":\"aa11bb22-0000-4000-8000-%012d\",\"external_ids\":null},"
        "\"assignee\":{\"id\":\"0b7f2c9d-0000-4000-8000-%012d\",\"email\":\"kim@vendor.example\"},\"requester\":{"
        "\"id\":\"c0ffee00-0000-4000-8000-000000000002\",\"email\":\"ops@client.example\"},\"team\":null,\"tags\":[\"a\","
        "\"export\",\"billing\"],\"custom_fields\":{\"priority\":{\"value\":\"high\"},\"area\":{\"value\":\"\",\"values\":["
        "\"export\",\"billing\"]},\"chat_widget.os\":{\"slug\":\"chat_widget.os\",\"value\":\"Linux\"}},",
        i % 50, i % 20);
    buf_printf(
        b,
        "\"first_response_time\":\"2026-09-01T10:04:11Z\",\"resolution_time\":null,\"first_resolution_time\":null,"
        "\"latest_message_time\":\"2026-09-01T10:30:02.118Z\",\"created_at\":\"2026-09-01T09:58:00Z\",\"updated_at\":"
        "\"2026-09-01T10:30:02.4Z\",\"customer_portal_visible\":false,\"source\":\"email\",\"type\":\"ticket\","
        "\"is_issue_group\":false,\"first_response_seconds\":371,\"business_hours_first_response_seconds\":371,"
        "\"number_of_touches\":%d,\"author_unverified\":false,\"time_in_status_seconds\":{\"new\":371,\"waiting_on_you\":"
        "1551},\"business_hours_time_in_status_seconds\":{\"new\":371,\"waiting_on_you\":1551}}",
        i % 9);
}

static void
put_page(struct buf *b)
{
    buf_puts(b, "{\"data\":[");
    for (int i = 0; i < ISSUES; i++) {
        if (i > 0)
            buf_putc(b, ',');
        put_issue(b, i);
    }
    buf_puts(b, "],\"pagination\":{\"cursor\":\"b3BhcXVl\",\"has_next_page\":true},\"request_id\":\"r\"}");
    memset(buf_reserve(b, PAD), 0, PAD);
}

/* What a connector's mapping reads; the sum keeps the compiler from leaving it out. */
static size_t
read_issue(struct doc_value issue)
{
    static const char *const paths[] = {
        "id",
        "number",
        "title",
        "link",
        "body_html",
        "state",
        "account.id",
        "assignee.id",
        "assignee.email",
        "requester.id",
        "requester.email",
        "team.id",
        "tags",
        "custom_fields",
        "first_response_time",
        "resolution_time",
        "first_resolution_time",
        "latest_message_time",
        "created_at",
        "updated_at",
        "customer_portal_visible",
        "source",
        "type",
        "is_issue_group",
        "first_response_seconds",
        "business_hours_first_response_seconds",
        "resolution_seconds",
        "snoozed_until_time",
        "number_of_touches",
        "time_in_status_seconds",
        "business_hours_time_in_status_seconds",
    };
    size_t sum = 0, len = 0;
    int64_t n;
    bool yes;

    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct doc_value v = doc_path(issue, paths[i]);

        if (v.type == DOC_STRING && doc_string(v, &len) != NULL)
            sum += len;
        else if (doc_int(v, &n))
            sum += (size_t)n;
        else if (doc_bool(v, &yes))
            sum += yes;
        else
            for (struct doc_iter it = doc_iter(v); doc_next(&it);)
                sum += it.key_len + doc_len(it.value);
    }
    return sum;
}

static size_t
read_page(struct doc_value root)
{
    size_t sum = 0;

    for (struct doc_iter it = doc_iter(doc_get(root, "data")); doc_next(&it);)
        sum += read_issue(it.value);
    return sum;
}

static int
by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static void
report(const char *what, int64_t *us, size_t len)
{
    int64_t median;

    qsort(us, ROUNDS, sizeof *us, by_size);
    median = us[ROUNDS / 2];
    printf("%-24s median %6" PRId64 " us  %7.0f MB/s  %9.0f issues/s\n", what, median,
           (double)len / (double)median, ISSUES * 1e6 / (double)median);
}

int
main(void)
{
    static int64_t parsing[ROUNDS], both[ROUNDS], all[ROUNDS];
    AUTO(doc) d = NULL;
    struct err err = { 0 };
    struct doc_value root;
    struct buf page, out;
    size_t sum = 0;

    buf_init(&page, 64 << 20);
    buf_init(&out, 64 << 20);
    put_page(&page);
    if (page.failed || doc_create(&d, &err) != RC_OK)
        return EXIT_FAILURE;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t t0 = clock_mono();

        if (doc_parse(d, page.data, page.len, &root, &err) != RC_OK) {
            fprintf(stderr, "%s\n", err.text);
            return EXIT_FAILURE;
        }
        parsing[i] = clock_mono() - t0;
        sum += read_page(root);
        both[i] = clock_mono() - t0;
        buf_reset(&out);
        doc_write(doc_get(root, "data"), &out);
        all[i] = clock_mono() - t0;
    }
    printf("a page of %zu bytes, %d issues, %d rounds (%zu)\n", page.len, ISSUES, ROUNDS, sum);
    report("parse", parsing, page.len);
    report("parse and read", both, page.len);
    report("parse, read and write", all, page.len);
    buf_fini(&page);
    buf_fini(&out);
    return EXIT_SUCCESS;
}
