/* door - the control door under /_sim/.
 *
 * A verb is a row in `verbs`. Errors are {"error": "..."} with 400 or 404, so that they are never mistaken
 * for the vendor's.
 */
#include "door.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edit.h"
#include "server.h"

/* -- answers -- */

static void
refuse(struct reply *r, int status, const char *fmt, const char *what)
{
    struct buf text = { 0 };

    buf_printf(&text, "%s%s", fmt, what);
    r->status = status;
    r->body.len = 0;
    buf_str(&r->body, "{\"error\":");
    buf_jstr(&r->body, buf_cstr(&text), ESC_PLAIN);
    buf_str(&r->body, "}\n");
    buf_fini(&text);
}

static void
done(struct reply *r)
{
    buf_str(&r->body, "{\"ok\":true}\n");
}

static bool
has_body(const struct call *c, struct reply *r)
{
    if (json_is_object(c->body))
        return true;
    refuse(r, 400, "body: ", "expected a JSON object");
    return false;
}

/* -- stats -- */

static void
put_counts(struct buf *b, const struct sim *s, const char *name,
           uint64_t (*count)(const struct sim *, size_t))
{
    buf_printf(b, "\"%s\":{", name);
    for (size_t i = 0; i < s->vendor->nendpoints; i++)
        buf_printf(b, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", s->vendor->endpoints[i].name, count(s, i));
    buf_str(b, "},");
}

static uint64_t
count_calls(const struct sim *s, size_t i)
{
    return s->stats.calls[i];
}

static uint64_t
count_answers(const struct sim *s, size_t i)
{
    return s->stats.answers[i];
}

static uint64_t
count_minute(const struct sim *s, size_t i)
{
    return s->limiters[i].minute.most;
}

static uint64_t
count_window(const struct sim *s, size_t i)
{
    return s->limiters[i].window.most;
}

static void
get_stats(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    struct sim *s = c->sim;
    struct buf *b = &r->body;
    bool first = true;

    (void)arg;
    (void)stream;
    server_settle(s);
    buf_char(b, '{');
    put_counts(b, s, "calls", count_calls);
    put_counts(b, s, "answers", count_answers);
    put_counts(b, s, "max_in_60s", count_minute);
    put_counts(b, s, "max_in_window", count_window);
    buf_str(b, "\"rejected\":{");
    for (int i = 0; i < (int)(sizeof(s->stats.rejected) / sizeof(s->stats.rejected[0])); i++) {
        if (s->stats.rejected[i] == 0 && i != 429)
            continue;
        buf_printf(b, "%s\"%d\":%" PRIu64, first ? "" : ",", i, s->stats.rejected[i]);
        first = false;
    }
    buf_printf(
        b, "},\"pages_served\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"held\":%" PRIu64 ",\"hanging\":%" PRIu64,
        s->stats.pages_served, s->stats.failed, s->stats.held, s->stats.hanging);
    buf_printf(
        b, ",\"unknown_path\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"bytes_raw\":%" PRIu64 ",\"edits\":%" PRIu64,
        s->stats.unknown_path, s->stats.bytes, s->stats.bytes_raw, s->churn.edits);
    buf_printf(b, ",\"issues\":%zu,\"now\":", s->world.nissues);
    simtime_put(b, simclock_now(&s->clock));
    buf_str(b, "}\n");
}

static void
get_calls(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    const struct call_log *l = &c->sim->call_log;
    const char *since = call_query(c, "since");
    size_t i = since != NULL ? (size_t)strtoull(since, NULL, 10) : 0;

    (void)arg;
    (void)stream;
    buf_printf(&r->body, "{\"n\":%zu,\"calls\":[", l->n);
    for (size_t first = i; i < l->n; i++)
        buf_printf(&r->body, "%s[%" PRId64 ",\"%s\",%u]", i > first ? ",\n" : "", l->calls[i].at,
                   c->sim->vendor->endpoints[l->calls[i].endpoint].name, (unsigned)l->calls[i].status);
    buf_str(&r->body, "]}\n");
}

/* -- holding and failing -- */

/* The endpoint that the body names; "*" only where it may be. Refuses and returns -1 when there is none. */
static int
body_endpoint(struct call *c, const char *key, struct reply *r)
{
    const char *name = json_string_value(json_object_get(c->body, key));
    int i = name != NULL ? sim_endpoint(c->sim, name) : -1;

    if (i < 0)
        refuse(r, 400, "no such endpoint: ", name != NULL ? name : "(none given)");
    return i;
}

static void
post_hold(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    int64_t page = json_integer_value(json_object_get(c->body, "page"));
    bool absolute = json_is_true(json_object_get(c->body, "absolute"));
    uint64_t before;
    int i;

    (void)arg;
    (void)stream;
    if (!has_body(c, r) || (i = body_endpoint(c, "endpoint", r)) < 0)
        return;
    before = c->sim->stats.answers[i];
    if (json_object_get(c->body, "page") == NULL)
        page = 1;
    if (page < 1 || (absolute && (uint64_t)page <= before)) {
        refuse(r, 400, "page: ", page < 1 ? "must be 1 or more" : "has been answered already");
        return;
    }
    holds_add(&c->sim->holds, c->sim->vendor->endpoints[i].name, (uint64_t)page + (absolute ? 0 : before));
    done(r);
}

static void
post_release(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    (void)arg;
    (void)stream;
    holds_clear(&c->sim->holds);
    (void)pthread_cond_broadcast(&c->sim->wake);
    buf_printf(&r->body, "{\"ok\":true,\"released\":%" PRIu64 "}\n", c->sim->stats.held);
}

static void
post_fail(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    const char *name = json_string_value(json_object_get(c->body, "endpoint")), *why = "";

    (void)arg;
    (void)stream;
    if (!has_body(c, r))
        return;
    if (json_is_true(json_object_get(c->body, "clear"))) {
        faults_clear(&c->sim->faults);
        (void)pthread_cond_broadcast(&c->sim->wake);
        done(r);
        return;
    }
    if ((name == NULL || strcmp(name, "*") != 0) && body_endpoint(c, "endpoint", r) < 0)
        return;
    if (faults_order(&c->sim->faults, c->body, &why))
        done(r);
    else
        refuse(r, 400, why, "");
}

/* -- clock, limits, churn -- */

static void
post_clock(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    const json_t *set = json_object_get(c->body, "set"), *advance = json_object_get(c->body, "advance_s");
    const json_t *freeze = json_object_get(c->body, "freeze");
    int64_t us = simclock_now(&c->sim->clock);

    (void)arg;
    (void)stream;
    if (!has_body(c, r))
        return;
    if (set != NULL && (!json_is_string(set) || !simtime_parse(json_string_value(set), &us))) {
        refuse(r, 400, "set: ", "expected an RFC 3339 time with a zone");
        return;
    }
    us += (int64_t)(json_number_value(advance) * (double)USEC);
    if (freeze != NULL)
        simclock_freeze(&c->sim->clock, json_is_true(freeze));
    if (set != NULL || advance != NULL) /* after freezing, so that it stands exactly there */
        simclock_set(&c->sim->clock, us);
    buf_str(&r->body, "{\"ok\":true,\"now\":");
    simtime_put(&r->body, simclock_now(&c->sim->clock));
    buf_str(&r->body, "}\n");
}

static void
post_limits(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    const char *profile = json_string_value(json_object_get(c->body, "profile"));
    const json_t *allowed = json_object_get(c->body, "per_min"),
                 *window = json_object_get(c->body, "window_s");
    struct limiter *l;
    int i;

    (void)arg;
    (void)stream;
    if (!has_body(c, r))
        return;
    if (profile != NULL && !sim_set_profile(c->sim, profile)) {
        refuse(r, 400, "no such profile: ", profile);
        return;
    }
    if (json_object_get(c->body, "group") != NULL) {
        if ((i = body_endpoint(c, "group", r)) < 0)
            return;
        l = &c->sim->limiters[i];
        if ((allowed != NULL && (!json_is_integer(allowed) || json_integer_value(allowed) < 0)) ||
            (window != NULL && json_number_value(window) <= 0)) {
            refuse(r, 400, "per_min, window_s: ", "must be numbers, not below 0");
            return;
        }
        limiter_set(l, allowed != NULL ? json_integer_value(allowed) : l->allowed,
                    window != NULL ? (int64_t)(json_number_value(window) * (double)USEC) : l->window_us);
    }
    done(r);
}

static void
post_churn(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    const json_t *until = json_object_get(c->body, "until_pages"), *seed = json_object_get(c->body, "seed");

    (void)arg;
    (void)stream;
    if (!has_body(c, r))
        return;
    c->sim->churn.per_page = json_integer_value(json_object_get(c->body, "per_page"));
    c->sim->churn.pages_left = until != NULL ? json_integer_value(until) : INT64_MAX;
    if (seed != NULL)
        c->sim->churn.rng.s = (uint64_t)json_integer_value(seed);
    done(r);
}

/* -- issues -- */

static struct issue *
issue_of(struct call *c, const char *arg, struct reply *r)
{
    struct issue *is = world_find(&c->sim->world, arg);

    if (is == NULL)
        refuse(r, 404, "no such issue: ", arg);
    return is;
}

static void
put_issue(struct call *c, struct issue *is, struct reply *r)
{
    const struct blob *blob = c->sim->vendor->issue(&c->sim->world, is);

    buf_add(&r->body, blob->data, blob->len);
    buf_char(&r->body, '\n');
}

static void
patch_issue(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    struct issue *is = issue_of(c, arg, r);
    struct buf why = { 0 };

    (void)stream;
    if (is == NULL)
        return;
    if (edit_patch(&c->sim->world, is, c->body, simclock_now(&c->sim->clock), &why))
        put_issue(c, is, r);
    else
        refuse(r, 400, buf_cstr(&why), "");
    buf_fini(&why);
}

static void
post_issue(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    struct buf why = { 0 };
    struct issue *is = edit_create(&c->sim->world, c->body, simclock_now(&c->sim->clock), &why);

    (void)arg;
    (void)stream;
    if (is != NULL)
        put_issue(c, is, r);
    else
        refuse(r, 400, buf_cstr(&why), "");
    buf_fini(&why);
}

static void
delete_issue(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    struct issue *is = issue_of(c, arg, r);

    (void)stream;
    if (is == NULL)
        return;
    world_remove(&c->sim->world, is);
    done(r);
}

static void
post_message(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    struct issue *is = issue_of(c, arg, r);
    struct buf why = { 0 };
    const struct msg *m;

    (void)stream;
    if (is == NULL)
        return;
    m = edit_add_message(&c->sim->world, is, c->body, simclock_now(&c->sim->clock), &why);
    if (m != NULL) {
        c->sim->vendor->put_message(&r->body, &c->sim->world, is, m);
        buf_char(&r->body, '\n');
    } else {
        refuse(r, 400, buf_cstr(&why), "");
    }
    buf_fini(&why);
}

/* -- the truth -- */

void
door_stream_destroy(struct door_stream *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++)
        blob_unref(s->parts[i]);
    free(s->parts);
    free(s);
}

static void
stream_add(struct door_stream *s, struct blob *taken)
{
    struct blob **grown;

    if (s->n == s->cap) {
        s->cap = s->cap > 0 ? 2 * s->cap : 256;
        grown = realloc(s->parts, s->cap * sizeof(struct blob *));
        if (grown == NULL)
            abort();
        s->parts = grown;
    }
    s->parts[s->n++] = taken;
    s->bytes += taken->len;
}

/* What has been gathered in b becomes a part; b is empty afterwards. */
static void
stream_flush(struct door_stream *s, struct buf *b)
{
    if (b->len > 0)
        stream_add(s, blob_make(b));
    b->len = 0;
}

enum { PART_BYTES = 256 * 1024 };

static void
truth_issues(const struct sim *s, struct door_stream *out, struct buf *b)
{
    struct buf text = { 0 };
    struct blob *comma;

    stream_flush(out, b);
    buf_str(&text, ",\n");
    comma = blob_make(&text);
    for (size_t i = 0; i < s->world.nissues; i++) {
        if (i > 0)
            stream_add(out, blob_ref(comma));
        stream_add(out, blob_ref(s->vendor->issue(&s->world, s->world.order[i])));
    }
    blob_unref(comma);
    buf_fini(&text);
}

static void
truth_messages(const struct sim *s, struct door_stream *out, struct buf *b)
{
    struct buf one = { 0 };
    bool first = true;

    for (size_t i = 0; i < s->world.nissues; i++) {
        const struct issue *is = s->world.order[i];

        for (unsigned k = 0; k < is->nmsgs; k++) {
            one.len = 0;
            s->vendor->put_message(&one, &s->world, is, &is->msgs[k]);
            buf_printf(b, "%s{\"issue_id\":\"%s\",", first ? "" : ",\n", is->id);
            buf_add(b, one.p + 1, one.len - 1); /* behind its own brace */
            first = false;
        }
        if (b->len > PART_BYTES)
            stream_flush(out, b);
    }
    buf_fini(&one);
}

static void
truth_records(const struct sim *s, struct door_stream *out, struct buf *b, int n,
              void (*put)(struct buf *, const struct world *, int))
{
    for (int i = 0; i < n; i++) {
        if (i > 0)
            buf_str(b, ",\n");
        put(b, &s->world, i);
        if (b->len > PART_BYTES)
            stream_flush(out, b);
    }
}

static void
truth_accounts(const struct sim *s, struct door_stream *out, struct buf *b)
{
    truth_records(s, out, b, s->world.naccounts, s->vendor->put_account);
}

static void
truth_users(const struct sim *s, struct door_stream *out, struct buf *b)
{
    truth_records(s, out, b, s->world.nusers, s->vendor->put_user);
}

static void
truth_contacts(const struct sim *s, struct door_stream *out, struct buf *b)
{
    truth_records(s, out, b, s->world.ncontacts, s->vendor->put_contact);
}

static const struct {
    const char *kind;
    void (*write)(const struct sim *s, struct door_stream *out, struct buf *b);
} truths[] = {
    { "issues", truth_issues },     { "accounts", truth_accounts }, { "users", truth_users },
    { "contacts", truth_contacts }, { "messages", truth_messages },
};

static void
get_truth(struct call *c, const char *arg, struct reply *r, struct door_stream **stream)
{
    const char *kind = call_query(c, "kind");
    struct door_stream *out = must_alloc(sizeof(*out));
    struct buf b = { 0 };
    int written = 0;

    (void)arg;
    for (size_t i = 0; i < sizeof(truths) / sizeof(truths[0]); i++) {
        if (kind != NULL && strcmp(kind, truths[i].kind) != 0)
            continue;
        buf_printf(&b, "%s\"%s\":[\n", written++ == 0 ? "{" : ",\n", truths[i].kind);
        truths[i].write(c->sim, out, &b);
        buf_str(&b, "]");
    }
    buf_str(&b, "}\n");
    stream_flush(out, &b);
    buf_fini(&b);
    if (written > 0) {
        *stream = out;
        return;
    }
    door_stream_destroy(out);
    refuse(r, 400, "no such kind: ", kind);
}

/* -- which verb -- */

static const struct verb {
    const char *method;
    const char *path; /* {} stands for one segment */
    void (*answer)(struct call *c, const char *arg, struct reply *r, struct door_stream **stream);
} verbs[] = {
    { "GET", "stats", get_stats },
    { "GET", "truth", get_truth },
    { "GET", "calls", get_calls },
    { "POST", "hold", post_hold },
    { "POST", "release", post_release },
    { "POST", "fail", post_fail },
    { "POST", "clock", post_clock },
    { "POST", "limits", post_limits },
    { "POST", "churn", post_churn },
    { "POST", "issues", post_issue },
    { "PATCH", "issues/{}", patch_issue },
    { "DELETE", "issues/{}", delete_issue },
    { "POST", "issues/{}/messages", post_message },
};

void
door_answer(struct call *c, const char *method, const char *path, struct reply *r,
            struct door_stream **stream)
{
    char arg[sizeof(c->arg)] = "";

    *stream = NULL;
    r->status = 200;
    r->content_type = "application/json";
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].method, method) != 0 || !path_match(verbs[i].path, path, arg, sizeof(arg)))
            continue;
        if (c->body_broken)
            refuse(r, 400, "body: ", "not JSON");
        else
            verbs[i].answer(c, arg, r, stream);
        return;
    }
    refuse(r, 404, "no such verb: ", path);
}
