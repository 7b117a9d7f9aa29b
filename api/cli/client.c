#include "api/cli/client.h"
#include "api/cli/when.h"
#include "common/atfile.h"
#include "common/auto.h"
#include "common/http.h"
#include "common/json.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 3000, TIMEOUT_MS = 30000, ANSWER_MAX = 64 << 20, PATH_MAX_BYTES = 16384 };

struct client {
    struct http *http;
    struct http_res res;
    char url[512];
    char key[512]; /* "Authorization: Bearer ..." */
};

void
client_destroy(struct client *c)
{
    if (c == NULL)
        return;
    http_destroy(c->http);
    http_res_fini(&c->res);
    explicit_bzero(c->key, sizeof c->key);
    free(c);
}
AUTO_DEFINE(client)

static const char *
setting(const struct cli *c, const char *option, const char *variable, const char *def)
{
    const char *given = cli_option(c, option), *env = getenv(variable);

    if (given != NULL)
        return given;
    return env != NULL && env[0] != '\0' ? env : def;
}

static enum rc
client_create(const struct cli *c, struct client **out, struct err *err)
{
    static const struct http_options options = { .connect_timeout_ms = CONNECT_MS,
                                                 .timeout_ms = TIMEOUT_MS,
                                                 .max_body = ANSWER_MAX };
    const char *url = setting(c, "api-url", "DESKMILL_API_URL", "http://127.0.0.1:8080");
    const char *given = setting(c, "api-key", "DESKMILL_API_KEY", NULL);
    AUTO_FREE char *key = NULL;
    AUTO(client) made = calloc(1, sizeof *made);
    struct http_url checked;
    size_t n = strlen(url);

    if (made == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    if (http_url_parse(url, &checked, err) != RC_OK)
        return err_wrap(err, "--api-url (DESKMILL_API_URL)");
    if (n >= sizeof made->url)
        return err_set(err, RC_INVALID, "--api-url (DESKMILL_API_URL): is too long");
    if (given == NULL)
        return err_set(err, RC_DENIED, "no key for the api: set DESKMILL_API_KEY, or give --api-key");
    if (atfile_read(given, &key, err) != RC_OK)
        return err_wrap(err, "--api-key (DESKMILL_API_KEY)");
    if (strlen(key) > sizeof made->key - 32 || strpbrk(key, "\r\n") != NULL)
        return err_set(err, RC_INVALID, "--api-key (DESKMILL_API_KEY): is too long or holds a line break");
    while (n > 0 && url[n - 1] == '/')
        n--;
    (void)snprintf(made->url, sizeof made->url, "%.*s", (int)n, url);
    (void)snprintf(made->key, sizeof made->key, "Authorization: Bearer %s", key);
    if (http_create(&options, &made->http, err) != RC_OK)
        return err->rc;
    *out = TAKE(made);
    return RC_OK;
}

static enum rc
perform(struct cli *c, const char *method, const char *path, const json_t *body, struct err *err)
{
    AUTO_FREE char *text = body != NULL ? json_text(body) : NULL;
    struct client *k = c->client;
    struct http_req req = { .method = method,
                            .headers = { k->key, "Accept: application/json",
                                         text != NULL ? "Content-Type: application/json" : NULL },
                            .body = text,
                            .body_len = text != NULL ? strlen(text) : 0 };
    struct buf url;
    enum rc rc;

    assert(k != NULL);
    buf_init(&url, PATH_MAX_BYTES + sizeof k->url);
    buf_printf(&url, "%s%s", k->url, path);
    req.url = url.data;
    rc = url.failed ? err_set(err, RC_INVALID, "the options are too long for an address")
                    : http_perform(k->http, &req, &k->res, err);
    buf_fini(&url);
    return rc;
}

int
client_ask(struct cli *c, const char *method, const char *path, const json_t *body, json_t **out,
           struct err *err)
{
    json_auto_t *answer = NULL;

    if ((c->client == NULL && client_create(c, &c->client, err) != RC_OK) ||
        perform(c, method, path, body, err) != RC_OK)
        return 0;
    if (c->client->res.body.len > 0)
        answer = json_loadb(c->client->res.body.data, c->client->res.body.len, 0, NULL);
    if (answer == NULL && c->client->res.body.len > 0) {
        (void)err_set(err, RC_PROTOCOL, "%s does not answer JSON (status %d): is it a Deskmill api?",
                      c->client->url, c->client->res.status);
        return 0;
    }
    *out = TAKE(answer);
    return c->client->res.status;
}

static enum ending
explain_problem(int status, const json_t *answer)
{
    static const struct {
        int from, to;
        enum ending ending;
        const char *next;
    } meanings[] = {
        { 401, 401, END_DENIED, "; set DESKMILL_API_KEY, or give --api-key" },
        { 403, 403, END_DENIED, "" },
        { 404, 404, END_NOT_FOUND, "" },
        { 409, 409, END_FAILED, "" },
        { 400, 499, END_USAGE, "" },
        { 503, 503, END_FAILED, "; `deskmill status` shows what is missing" },
        { 0, 999, END_FAILED, "" },
    };
    const char *detail = json_string_value(json_object_get(answer, "detail"));
    size_t i = 0;

    while (status < meanings[i].from || status > meanings[i].to)
        i++;
    if (detail != NULL)
        (void)fprintf(stderr, "deskmill: %s%s\n", detail, meanings[i].next);
    else
        (void)fprintf(stderr, "deskmill: the api answered with status %d%s\n", status, meanings[i].next);
    return meanings[i].ending;
}

enum ending
client_explain(struct cli *c, int status, const json_t *answer, const struct err *err)
{
    if (status != 0) {
        if (c->json && answer != NULL)
            (void)json_dumpf(answer, stdout, JSON_COMPACT), (void)putchar('\n');
        return explain_problem(status, answer);
    }
    if (err->rc != RC_UNAVAILABLE && err->rc != RC_TIMEOUT)
        return cli_fail(err);
    (void)fprintf(
        stderr,
        "deskmill: the api at %s cannot be reached: %s; is deskmill-api running? (--api-url, DESKMILL_API_URL)\n",
        c->client->url, err->text);
    return END_UNREACHABLE;
}

enum ending
client_call(struct cli *c, const char *method, const char *path, const json_t *body, json_t **out)
{
    json_auto_t *answer = NULL;
    struct err err = { 0 };
    int status = client_ask(c, method, path, body, &answer, &err);

    if (status < 200 || status > 299)
        return client_explain(c, status, answer, &err);
    if (out != NULL)
        *out = TAKE(answer);
    return END_OK;
}

struct buf
path_begin(const char *text)
{
    struct buf b;

    buf_init(&b, PATH_MAX_BYTES);
    buf_puts(&b, text);
    return b;
}

void
path_segment(struct buf *b, const char *text)
{
    buf_putc(b, '/');
    http_escape(b, text);
}

void
path_query(struct buf *b, const char *name, const char *value)
{
    if (value == NULL)
        return;
    buf_putc(b, b->data != NULL && strchr(b->data, '?') != NULL ? '&' : '?');
    buf_printf(b, "%s=", name);
    http_escape(b, value);
}

enum ending
path_since(struct buf *b, const struct cli *c)
{
    const char *text = cli_option(c, "since");
    char since[WHEN_TEXT];
    struct err err = { 0 };

    if (text == NULL)
        return END_OK;
    if (since_parse(text, c->now, since, &err) != RC_OK)
        return cli_usage("--since: %s", err.text);
    path_query(b, "since", since);
    return END_OK;
}
