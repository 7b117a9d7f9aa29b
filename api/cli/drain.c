#include "api/cli/drain.h"
#include "api/cli/client.h"
#include "api/cli/show.h"
#include "common/clock.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 250, TIMEOUT_MAX_S = 7 * 86400 };

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

enum ending
drain_timeout(const struct cli *c, int64_t *seconds)
{
    const char *text = cli_option(c, "timeout");
    size_t n = text != NULL ? strspn(text, "0123456789") : 0;

    *seconds = 0;
    if (text == NULL)
        return END_OK;
    if (n == 0 || n > 9 || text[n] != '\0' || (*seconds = strtoll(text, NULL, 10)) < 1 ||
        *seconds > TIMEOUT_MAX_S)
        return cli_usage("--timeout: %s is not a number of seconds from 1 to %d", text, TIMEOUT_MAX_S);
    return END_OK;
}

static bool
is_drained(const json_t *answer)
{
    const char *state = json_text_at(answer, "state");

    return json_is_true(json_object_get(answer, "drained")) || strcmp(state, "stopped") == 0 ||
           strcmp(state, "dead") == 0;
}

static void
say_running(const struct cli *c, int64_t running, int64_t *said)
{
    if (!c->json && running != *said && running > 0)
        (void)fprintf(stderr, "%" PRId64 " %s\n", running,
                      running == 1 ? "job still runs" : "jobs still run");
    *said = running;
}

static enum ending
wait_for_it(struct cli *c, const char *path, const char *what, const char *stays, int64_t seconds,
            json_t **last)
{
    int64_t end = clock_mono() + seconds * CLOCK_SECOND, said = -1;

    for (;;) {
        json_auto_t *answer = NULL;
        enum ending got = client_call(c, "GET", path, NULL, &answer);

        if (got != END_OK)
            return got;
        if (is_drained(answer)) {
            *last = TAKE(answer);
            return END_OK;
        }
        if (interrupted) {
            (void)fprintf(stderr, "Not waited for any longer: %s\n", stays);
            return END_INTERRUPTED;
        }
        if (seconds > 0 && clock_mono() >= end) {
            (void)fprintf(stderr,
                          "deskmill: --timeout: %s is not drained after %" PRId64 " s: %" PRId64
                          " of its jobs still run; %s\n",
                          what, seconds, json_int_at(answer, "running"), stays);
            return END_FAILED;
        }
        say_running(c, json_int_at(answer, "running"), &said);
        (void)nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
    }
}

enum ending
drain_wait(struct cli *c, const char *path, const char *what, const char *stays, int64_t seconds,
           json_t **last)
{
    const struct sigaction on = { .sa_handler = on_interrupt }; /* no SA_RESTART: naps end */
    struct sigaction before;
    enum ending end;

    interrupted = 0;
    (void)sigaction(SIGINT, &on, &before);
    end = wait_for_it(c, path, what, stays, seconds, last);
    (void)sigaction(SIGINT, &before, NULL);
    return end;
}
