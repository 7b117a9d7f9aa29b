#include "api/dispatch.h"
#include "api/auth.h"
#include "common/log.h"
#include <string.h>

/* Decodes `s` behind what rq->query_text holds already, of which *used bytes are taken. */
static const char *
decode(struct request *rq, size_t *used, const char *s)
{
    char *out = rq->query_text + *used;

    if (!router_decode(s, strlen(s), true, out, sizeof rq->query_text - *used))
        return NULL;
    *used += strlen(out) + 1;
    return out;
}

static enum rc
unknown_parameter(const struct route *r, const char *name, struct err *err)
{
    if (route_has_body(r) || r->takes[0] == '\0')
        return err_set(err, RC_INVALID, "%s: this address takes no query parameters", name);
    return err_set(err, RC_INVALID, "%s: is no parameter here; known are: %s", name, r->takes);
}

/* Each parameter must be one that the route takes, given once. */
static enum rc
read_query(const struct wire_request *w, struct request *rq, struct err *err)
{
    const struct route *r = rq->match.route;
    size_t used = 0;

    for (size_t i = 0; i < w->query_n; i++) {
        const char *raw = w->query[i].value != NULL ? w->query[i].value : "";
        const char *name = decode(rq, &used, w->query[i].name), *value;

        if (name == NULL || route_has_body(r) || !route_takes(r, name))
            return unknown_parameter(r, w->query[i].name, err);
        if (request_query(rq, name) != NULL)
            return err_set(err, RC_INVALID, "%s: is given twice", name);
        if (rq->query_n == REQUEST_QUERY_MAX || (value = decode(rq, &used, raw)) == NULL)
            return err_set(err, RC_INVALID, "%s: is too long or not percent-encoded as it should be", name);
        if (value[0] == '\0')
            return err_set(err, RC_INVALID, "%s: is empty; leave it out instead", name);
        rq->query[rq->query_n++] = (struct request_param){ .name = name, .value = value };
    }
    return RC_OK;
}

static enum rc
read_body(const struct wire_request *w, struct request *rq, struct err *err)
{
    const struct route *r = rq->match.route;
    const char *key;
    json_t *value;

    if (w->too_large)
        return err_set(err, RC_LIMIT, "the body is larger than %zu bytes", w->body_max);
    if (!route_has_body(r) || w->body_len == 0) {
        rq->body = json_object();
        return rq->body != NULL ? RC_OK : err_set(err, RC_INTERNAL, "no memory");
    }
    if (json_parse_object(w->body, w->body_len, &rq->body, err) != RC_OK)
        return field_wrap("body", err);
    json_object_foreach(rq->body, key, value)
    {
        if (route_takes(r, key))
            continue;
        if (r->takes[0] == '\0')
            return err_set(err, RC_INVALID, "%s: this address takes no body", key);
        return err_set(err, RC_INVALID, "%s: is no field here; known are: %s", key, r->takes);
    }
    return RC_OK;
}

/* Whether the caller may use this route; the problem document if not. */
static bool
authorize(struct app *a, const struct wire_request *w, struct request *rq, struct answer *an)
{
    struct err err = { 0 };

    if (rq->match.route->role == PUBLIC)
        return true;
    if (auth_check(a, w->authorization, w->api_key, &rq->role, &err) != RC_OK) {
        answer_problem_as(an, 401, "A key is needed", &err);
        an->challenge = true;
        return false;
    }
    if (rq->role < rq->match.route->role) {
        (void)err_set(&err, RC_DENIED, "this key's role does not allow it");
        answer_problem(an, &err);
        return false;
    }
    return true;
}

/* What a person calls an error that is ours and not the caller's goes to the log as well. */
static void
answer_error(struct answer *an, const struct route *r, const struct err *err)
{
    answer_problem(an, err);
    if (an->status >= 500)
        log_warn("http.failed", KV_STR("method", r->method), KV_STR("route", r->path), KV_ERR(err));
}

static void
run(struct app *a, const struct wire_request *w, struct request *rq, struct answer *an)
{
    struct session *s = NULL;
    struct err err = { 0 };

    if (read_query(w, rq, &err) == RC_OK && read_body(w, rq, &err) == RC_OK) {
        s = app_take(a);
        rq->db = s->db;
        rq->cache = s->cache;
        if (rq->match.route->fn(rq, an, &err) == RC_OK)
            err_clear(&err);
        db_rollback(s->db); /* a handler that went wrong may have left one open */
        app_give(a, &s);
    }
    if (err.rc != RC_OK)
        answer_error(an, rq->match.route, &err);
    json_decref(rq->body);
}

void
dispatch(struct app *a, const struct wire_request *w, struct answer *an, const struct route **route)
{
    struct request rq = { .app = a, .role = PUBLIC };
    struct err err = { 0 };

    *route = NULL;
    if (router_match(routes, w->method, w->path, &rq.match, &err) != RC_OK) {
        answer_problem(an, &err);
        return;
    }
    *route = rq.match.route;
    if (rq.match.route != NULL) {
        if (authorize(a, w, &rq, an))
            run(a, w, &rq, an);
        return;
    }
    if (rq.match.allow[0] != '\0') {
        (void)err_set(&err, RC_INVALID, "%s is not among %s", w->method, rq.match.allow);
        answer_problem_as(an, 405, "Not with this method", &err);
        memcpy(an->allow, rq.match.allow, sizeof an->allow);
        return;
    }
    (void)err_set(&err, RC_NOT_FOUND, "nothing lives at this address; the api is under /api/v1");
    answer_problem(an, &err);
}
