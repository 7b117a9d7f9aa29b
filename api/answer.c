#include "api/answer.h"
#include "common/json.h"
#include <inttypes.h>
#include <string.h>

enum { BODY_MAX = 64 << 20, FIELD_MAX = 64 };

void
answer_init(struct answer *a)
{
    *a = (struct answer){ .status = 200, .type = "application/json" };
    buf_init(&a->body, BODY_MAX);
}

void
answer_fini(struct answer *a)
{
    buf_fini(&a->body);
}

static enum rc
body_done(struct answer *a, int status, struct err *err)
{
    if (a->body.failed)
        return err_set(err, RC_LIMIT, "the answer is too large; ask for less at once");
    a->status = status;
    return RC_OK;
}

enum rc
answer_json(struct answer *a, int status, json_t *j, struct err *err)
{
    json_auto_t *owned = j;
    AUTO_FREE char *text = owned != NULL ? json_text(owned) : NULL;

    if (text == NULL)
        return err_set(err, RC_INTERNAL, "no memory for the answer");
    buf_puts(&a->body, text);
    buf_putc(&a->body, '\n');
    return body_done(a, status, err);
}

enum rc
answer_row(struct answer *a, int status, const struct dbres *res, int col, struct err *err)
{
    buf_put(&a->body, dbres_text(res, 0, col), dbres_len(res, 0, col));
    buf_putc(&a->body, '\n');
    return body_done(a, status, err);
}

enum rc
answer_list(struct answer *a, const struct dbres *res, int64_t limit, struct err *err)
{
    int rows = dbres_rows(res), shown = rows > limit ? (int)limit : rows;

    buf_puts(&a->body, "{\"items\":[");
    for (int i = 0; i < shown; i++) {
        if (i > 0)
            buf_putc(&a->body, ',');
        buf_put(&a->body, dbres_text(res, i, 1), dbres_len(res, i, 1));
    }
    buf_puts(&a->body, "],\"next\":");
    if (rows > shown)
        buf_printf(&a->body, "\"%s\"", dbres_text(res, shown - 1, 0));
    else
        buf_puts(&a->body, "null");
    buf_puts(&a->body, "}\n");
    return body_done(a, 200, err);
}

static const struct {
    int status;
    const char *title;
} problems[] = {
    [RC_OK] = { 500, "Something is wrong here" },
    [RC_INVALID] = { 400, "Something in the request is not right" },
    [RC_NOT_FOUND] = { 404, "There is no such thing" },
    [RC_CONFLICT] = { 409, "Its present state does not allow that" },
    [RC_UNAVAILABLE] = { 503, "A part of the service is not available" },
    [RC_TIMEOUT] = { 503, "It took too long" },
    [RC_DENIED] = { 403, "Not allowed" },
    [RC_LIMIT] = { 413, "Too large" },
    [RC_PROTOCOL] = { 502, "A part of the service answered nonsense" },
    [RC_INTERNAL] = { 500, "Something is wrong here" },
};

/* The name before the first colon, if a sentence begins with one. */
static size_t
field_of(const struct err *err)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t n = strspn(err->text, name);

    if (err->rc != RC_INVALID && err->rc != RC_NOT_FOUND && err->rc != RC_CONFLICT)
        return 0;
    return n < FIELD_MAX && strncmp(err->text + n, ": ", 2) == 0 ? n : 0;
}

void
answer_problem_as(struct answer *a, int status, const char *title, const struct err *err)
{
    size_t field = field_of(err);
    struct buf *b = &a->body;

    buf_reset(b);
    buf_printf(b, "{\"type\":\"urn:deskmill:problem:%s\",\"title\":", rc_name(err->rc));
    buf_put_json_string(b, title, strlen(title));
    buf_printf(b, ",\"status\":%d,\"detail\":", status);
    buf_put_json_string(b, err->text, strlen(err->text));
    if (field > 0) {
        buf_puts(b, ",\"field\":");
        buf_put_json_string(b, err->text, field);
    }
    buf_puts(b, "}\n");
    a->status = status;
    a->type = "application/problem+json";
    if (status == 503)
        a->retry_after_s = 1;
}

void
answer_problem(struct answer *a, const struct err *err)
{
    answer_problem_as(a, problems[err->rc].status, problems[err->rc].title, err);
}
