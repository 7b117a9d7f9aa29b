#include "api/probe.h"
#include "common/http.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 1000, ANSWER_MS = 4000, ANSWER_BYTES = 64 << 10 };

/* An address that stands for all of the host's is asked at its loopback. */
static void
make_url(const struct conf *conf, char *out, size_t size)
{
    const char *listen = conf_str(conf, "listen"), *host = listen;

    if (strcmp(listen, "0.0.0.0") == 0)
        host = "127.0.0.1";
    else if (strcmp(listen, "::") == 0)
        host = "::1";
    (void)snprintf(out, size,
                   strchr(host, ':') != NULL ? "http://[%s]:%" PRId64 "/readyz"
                                             : "http://%s:%" PRId64 "/readyz",
                   host, conf_int(conf, "port"));
}

static enum rc
ask(const char *url, struct http_res *res, struct err *err)
{
    const struct http_options options = { .connect_timeout_ms = CONNECT_MS,
                                          .timeout_ms = ANSWER_MS,
                                          .max_body = ANSWER_BYTES };
    const struct http_req req = { .method = "GET", .url = url };
    AUTO(http) http = NULL;
    enum rc rc = http_create(&options, &http, err);

    return rc == RC_OK ? http_perform(http, &req, res, err) : rc;
}

int
probe_report(const struct conf *conf)
{
    struct http_res res = { 0 };
    struct err err = { 0 };
    bool working = false;
    char url[512];

    make_url(conf, url, sizeof url);
    if (ask(url, &res, &err) != RC_OK) {
        (void)printf("not working: %s\n", err.text);
    } else {
        const char *body = res.body.len > 0 ? res.body.data : "";

        working = res.status == 200;
        (void)printf("%s: %.*s\n", working ? "working" : "not working", (int)strcspn(body, "\r\n"), body);
    }
    http_res_fini(&res);
    return working ? EXIT_SUCCESS : EXIT_FAILURE;
}
