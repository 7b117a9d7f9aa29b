/* api/cli/commands/top.c - the whole at a glance, drawn anew every few seconds. One call of the api a frame;
 * its cost does not grow with what waits. */
#include "api/cli/client.h"
#include "api/cli/frame.h"
#include "api/cli/screen.h"
#include "api/cli/show.h"
#include "common/clock.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char path[] = "/api/v1/overview?limit=100";

static const struct cli_option top_options[] = {
    { "interval", "SECONDS", "between two looks, 0.2 to 3600; 2 if left out" },
    { "once", NULL, "print one frame and end; so too where standard output is no terminal" },
    { .name = NULL },
};

static enum ending
read_interval(const struct cli *c, int64_t *ms)
{
    const char *text = cli_option(c, "interval");
    char *end = NULL;
    double seconds;

    *ms = 2000;
    if (text == NULL)
        return END_OK;
    seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(seconds) || seconds < 0.2 || seconds > 3600)
        return cli_usage("--interval: %s is not a number of seconds from 0.2 to 3600", text);
    *ms = (int64_t)(seconds * 1000);
    return END_OK;
}

static enum ending
print_once(struct cli *c, json_t *overview, struct rates *rates)
{
    AUTO_FREE char *text = NULL;

    if (c->json) {
        show_json(overview);
        return END_OK;
    }
    if ((text = frame_text(c, overview, rates, NULL, 0)) == NULL)
        return END_FAILED;
    (void)fputs(text, stdout);
    return END_OK;
}

static void
draw(struct cli *c, json_t *overview, const struct rates *rates, const char *trouble)
{
    AUTO_FREE char *text = NULL;
    size_t rows, columns;

    screen_size(&rows, &columns);
    if ((text = frame_text(c, overview, rates, trouble, rows)) != NULL)
        screen_draw(text);
}

/* The next answer takes *overview's place. An api that is away for a moment is no reason to end: what was
 * seen last stays, with a word about it. */
static void
look(struct cli *c, json_t **overview, struct rates *rates, struct err *trouble)
{
    json_auto_t *answer = NULL;
    struct err err = { 0 };
    int status = client_ask(c, "GET", path, NULL, &answer, &err);

    err_clear(trouble);
    if (status == 200) {
        json_decref(*overview);
        *overview = TAKE(answer);
        rates_look(rates, *overview);
    } else if (status == 0) {
        (void)err_set(trouble, RC_UNAVAILABLE, "the api does not answer, this is what it said last: %.300s",
                      err.text);
    } else {
        (void)err_set(trouble, RC_UNAVAILABLE,
                      "the api answers with status %d, this is what it said last: %.300s", status,
                      json_text_at(answer, "detail"));
    }
}

static void
watch(struct cli *c, json_t **overview, struct rates *rates, int64_t interval_ms)
{
    struct err trouble = { 0 };
    int64_t next = clock_mono() + interval_ms * 1000;

    for (;;) {
        char key = '\0';
        enum screen_event event;

        draw(c, *overview, rates, trouble.rc != RC_OK ? trouble.text : NULL);
        event = screen_wait((next - clock_mono()) / 1000, &key);
        if (event == SCREEN_STOP || (event == SCREEN_KEY && (key == 'q' || key == 'Q')))
            return;
        if (event == SCREEN_TIME || (event == SCREEN_KEY && (key == ' ' || key == '\n' || key == 'r'))) {
            look(c, overview, rates, &trouble);
            next = clock_mono() + interval_ms * 1000;
        }
    }
}

static enum ending
top(struct cli *c)
{
    struct rates rates = { .workers_n = 0 };
    json_t *overview = NULL;
    int64_t interval_ms;
    enum ending end;

    if ((end = read_interval(c, &interval_ms)) != END_OK ||
        (end = client_call(c, "GET", path, NULL, &overview)) != END_OK)
        return end;
    rates_look(&rates, overview);
    if (cli_flag(c, "once") || c->json || isatty(STDOUT_FILENO) != 1) {
        end = print_once(c, overview, &rates);
    } else {
        screen_open();
        watch(c, &overview, &rates, interval_ms);
        screen_close();
    }
    json_decref(overview);
    return end;
}

const struct command command_top = {
    .name = "top",
    .words = "",
    .options = top_options,
    .summary = "Watch queues, help desks, jobs and workers",
    .run = top,
    .more =
        "q ends it, space looks again at once. WAITING is counted to 5,000 a queue; beyond that it is what Redis holds (~),\n"
        "or what was counted (+). Rates are between two beats of the workers; IN and OUT are jobs that came to wait in a\n"
        "queue and jobs that were started from it. With --once there is nothing to compare with, and no rate.",
};
