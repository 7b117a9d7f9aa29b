/* faults - failures that a test has ordered. */
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

static const struct {
    const char *name;
    int status; /* unless the order names one */
} modes[] = {
    [FAULT_STATUS] = { "status", 503 },
    [FAULT_RESET] = { "reset", 0 },
    [FAULT_HANG] = { "hang", 0 },
    [FAULT_TRUNCATE] = { "truncate", 200 },
    [FAULT_GARBAGE] = { "garbage", 200 },
    [FAULT_WRONG_SHAPE] = { "wrong_shape", 200 },
    [FAULT_EMPTY] = { "empty", 200 },
    [FAULT_HTML] = { "html", 502 },
    [FAULT_REPEAT_CURSOR] = { "repeat_cursor", 200 },
};

void
faults_clear(struct faults *f)
{
    while (f->first != NULL) {
        struct fault *gone = f->first;

        f->first = gone->next;
        free(gone);
    }
    f->clears++;
}

static bool
parse_mode(const char *name, struct fault *fault)
{
    for (size_t i = 0; name != NULL && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(modes[i].name, name) == 0) {
            fault->mode = (enum fault_mode)i;
            fault->status = modes[i].status;
            return true;
        }
    }
    return false;
}

static int64_t
number_or(const json_t *order, const char *key, int64_t fallback)
{
    const json_t *v = json_object_get(order, key);

    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

bool
faults_order(struct faults *f, const json_t *order, const char **why)
{
    struct fault fault = { .next = NULL };
    const char *endpoint = json_string_value(json_object_get(order, "endpoint"));
    const char *mode = json_string_value(json_object_get(order, "mode"));
    struct fault **end = &f->first;

    if (!parse_mode(mode != NULL ? mode : "status", &fault)) {
        *why = "mode: unknown";
        return false;
    }
    (void)snprintf(fault.endpoint, sizeof(fault.endpoint), "%s", endpoint != NULL ? endpoint : "*");
    fault.status = (int)number_or(order, "status", fault.status);
    fault.retry_after = number_or(order, "retry_after", -1);
    fault.x_header = json_is_true(json_object_get(order, "x_header"));
    fault.after = number_or(order, "after", 0);
    fault.count = number_or(order, "count", 1);
    if (fault.mode != FAULT_RESET && fault.mode != FAULT_HANG && (fault.status < 200 || fault.status > 599)) {
        *why = "status: out of range";
        return false;
    }
    if (fault.after < 0 || fault.count < 1) {
        *why = "after and count: must not be below 0 and 1";
        return false;
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = must_alloc(sizeof(fault));
    **end = fault;
    return true;
}

static bool
concerns(const struct fault *fault, const char *endpoint, bool has_cursor)
{
    if (fault->mode == FAULT_REPEAT_CURSOR && !has_cursor)
        return false;
    return strcmp(fault->endpoint, "*") == 0 || strcmp(fault->endpoint, endpoint) == 0;
}

bool
faults_take(struct faults *f, const char *endpoint, bool has_cursor, struct fault *out)
{
    for (struct fault **p = &f->first; *p != NULL; p = &(*p)->next) {
        struct fault *fault = *p;

        if (fault->after > 0 || !concerns(fault, endpoint, has_cursor))
            continue;
        *out = *fault;
        if (--fault->count == 0) {
            *p = fault->next;
            free(fault);
        }
        return true;
    }
    for (struct fault *fault = f->first; fault != NULL; fault = fault->next)
        if (fault->after > 0 && concerns(fault, endpoint, true))
            fault->after--;
    return false;
}
