/* api/main.c - starts one api process; what it does is in server.c and dispatch.c. */
#include "api/probe.h"
#include "api/server.h"
#include "common/log.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static enum rc
write_port_file(const char *path, int port, struct err *err)
{
    FILE *f;

    if (path[0] == '\0')
        return RC_OK;
    if ((f = fopen(path, "we")) == NULL || fprintf(f, "%d\n", port) < 0 || fclose(f) != 0)
        return err_set(err, RC_INVALID, "port-file: %s cannot be written", path);
    return RC_OK;
}

/* Blocks the signals that end us; server threads inherit that, so only wait_for_end() sees them. */
static void
block_signals(sigset_t *ending)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(ending);
    (void)sigaddset(ending, SIGTERM);
    (void)sigaddset(ending, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, ending, NULL);
}

static enum rc
serve(struct app *app, const struct conf *conf, const sigset_t *ending, struct err *err)
{
    AUTO(server) server = NULL;
    int got = 0, left;
    enum rc rc;

    if ((rc = server_create(app, &server, err)) != RC_OK ||
        (rc = write_port_file(conf_str(conf, "port-file"), server_port(server), err)) != RC_OK)
        return rc;
    log_info("api.ready", KV_STR("listen", conf_str(conf, "listen")), KV_INT("port", server_port(server)),
             KV_INT("threads", conf_int(conf, "threads")));
    (void)sigwait(ending, &got);
    log_info("api.stopping", KV_STR("signal", strsignal(got)));
    left = server_drain(server, conf_int(conf, "drain-ms"));
    log_info("api.stopped", KV_INT("unanswered", left));
    return RC_OK;
}

int
main(int argc, char **argv)
{
    struct err err = { 0 };
    AUTO(conf) conf = NULL;
    AUTO(app) app = NULL;
    sigset_t ending;

    if (conf_load("deskmill-api", app_about, app_options, argc, argv, NULL, &conf, &err) != RC_OK)
        return conf_fail("deskmill-api", "options", &err);
    if (conf_bool(conf, "health"))
        return probe_report(conf);
    conf_open_log(conf, "api");
    block_signals(&ending);
    if (app_create(conf, &app, &err) != RC_OK)
        return conf_fail("deskmill-api", "options", &err);
    if (app_check(app, &err) != RC_OK || serve(app, conf, &ending, &err) != RC_OK)
        return conf_fail("deskmill-api", "start", &err);
    return EXIT_SUCCESS;
}
