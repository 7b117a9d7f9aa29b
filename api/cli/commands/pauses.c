/* api/cli/commands/pauses.c - queues held back, let go, and run dry. */
#include "api/cli/client.h"
#include "api/cli/drain.h"
#include "api/cli/show.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 256 };

/* user@host, for others to read. */
static const char *
who(char out[static NAME_MAX_BYTES])
{
    const char *user = getenv("USER");
    char host[64] = "";

    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(out, NAME_MAX_BYTES, "%.30s@%.60s", user != NULL && user[0] != '\0' ? user : "cli", host);
    return out;
}

static struct buf
queue_path(const struct cli *c, const char *tail)
{
    struct buf path = path_begin("/api/v1/queues");

    path_segment(&path, cli_word(c, 0));
    buf_puts(&path, tail);
    return path;
}

/* POSTs to the queue that the first word names. */
static enum ending
change(struct cli *c, const char *tail, const json_t *body, json_t **out)
{
    struct buf path = queue_path(c, tail);
    enum ending end =
        body != NULL ? client_call(c, "POST", path.data, body, out) : cli_usage("an option is not UTF-8");

    buf_fini(&path);
    return end;
}

/* "bulk", or "bulk of acme/pylon". */
static const char *
name_of(const json_t *answer, char out[static NAME_MAX_BYTES])
{
    const char *integration = json_text_at(answer, "integration");

    (void)snprintf(out, NAME_MAX_BYTES, "%s%s%s", json_text_at(answer, "queue"),
                   integration[0] != '\0' ? " of " : "", integration);
    return out;
}

static enum ending
do_pause(struct cli *c, json_t **out)
{
    char by[NAME_MAX_BYTES];
    json_auto_t *body = json_pack("{s:s*, s:s*, s:s}", "integration", cli_option(c, "integration"), "reason",
                                  cli_option(c, "reason"), "by", who(by));

    return change(c, "/pause", body, out);
}

static const struct cli_option pause_options[] = {
    { "integration", "NAME", "only of this help desk" },
    { "reason", "TEXT", "why, for others to read" },
    { .name = NULL },
};

static enum ending
pause_it(struct cli *c)
{
    json_auto_t *answer = NULL;
    char name[NAME_MAX_BYTES];
    enum ending end = do_pause(c, &answer);

    if (end != END_OK)
        return end;
    if (c->json)
        show_json(answer);
    else
        (void)printf("%s is paused: no job of it starts until `deskmill queue resume %s`\n",
                     name_of(answer, name), cli_word(c, 0));
    return END_OK;
}

static const struct cli_option resume_options[] = {
    { "integration", "NAME", "the pause of this help desk; that of the whole queue if left out" },
    { .name = NULL },
};

static enum ending
resume_it(struct cli *c)
{
    json_auto_t *body = json_pack("{s:s*}", "integration", cli_option(c, "integration"));
    json_auto_t *answer = NULL;
    char name[NAME_MAX_BYTES];
    enum ending end = change(c, "/resume", body, &answer);

    if (end != END_OK)
        return end;
    if (c->json)
        show_json(answer);
    else if (json_at(answer, "paused") != NULL)
        (void)printf("%s stays paused with the whole queue: `deskmill queue resume %s`\n",
                     name_of(answer, name), cli_word(c, 0));
    else
        (void)printf("%s is active\n", name_of(answer, name));
    return END_OK;
}

static const struct cli_option drain_options[] = {
    { "integration", "NAME", "only of this help desk" },
    { "reason", "TEXT", "why, for others to read" },
    DRAIN_OPTIONS,
    { .name = NULL },
};

static enum ending
drain(struct cli *c)
{
    json_auto_t *paused = NULL;
    json_auto_t *last = NULL;
    char name[NAME_MAX_BYTES];
    struct buf path;
    int64_t seconds;
    enum ending end;

    if ((end = drain_timeout(c, &seconds)) != END_OK || (end = do_pause(c, &paused)) != END_OK)
        return end;
    path = queue_path(c, "");
    path_query(&path, "integration", cli_option(c, "integration"));
    end = drain_wait(c, path.data, name_of(paused, name), "it stays paused", seconds, &last);
    buf_fini(&path);
    if (end != END_OK)
        return end;
    if (c->json)
        show_json(last);
    else
        (void)printf(
            "%s is drained: nothing of it runs, and nothing starts until `deskmill queue resume %s`\n", name,
            cli_word(c, 0));
    return END_OK;
}

const struct command command_queue_pause = {
    .name = "queue pause",
    .words = "QUEUE",
    .options = pause_options,
    .summary = "Start no job of a queue",
    .run = pause_it,
    .more =
        "QUEUE is live, default or bulk. What runs goes on, what is enqueued waits, other queues and help desks\n"
        "are not touched.",
};
const struct command command_queue_resume = {
    .name = "queue resume",
    .words = "QUEUE",
    .options = resume_options,
    .summary = "Let its jobs start again",
    .run = resume_it,
};
const struct command command_queue_drain = {
    .name = "queue drain",
    .words = "QUEUE",
    .options = drain_options,
    .summary = "Pause a queue and wait until nothing of it runs",
    .run = drain,
};
