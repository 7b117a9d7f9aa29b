/* api/cli/commands/queues.c - the state of the whole: queues, workers, what is missing. */
#include "api/cli/client.h"
#include "api/cli/drain.h"
#include "api/cli/show.h"
#include "api/cli/table.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct show_column queue_columns[] = {
    { "QUEUE", "queue", SHOW_TEXT, 0 },           { "INTEGRATION", "integration", SHOW_TEXT, 0 },
    { "WAITING", "depth", SHOW_NUMBER, 0 },       { "IN REDIS", "redis", SHOW_NUMBER, 0 },
    { "OLDEST", "oldest_s", SHOW_SPAN, 0 },       { "RUNNING", "running", SHOW_NUMBER, 0 },
    { "SCHEDULED", "scheduled", SHOW_NUMBER, 0 }, { "STATE", "state", SHOW_STATE, 0 },
};

/* What holds it back comes before what its integration is. */
static void
set_state(json_t *row)
{
    if (json_at(row, "paused") != NULL)
        (void)json_object_set_new(row, "state", json_string("paused"));
}

/* Each queue's own row, then those of its integrations. */
static json_t *
flatten(const json_t *queues)
{
    json_t *rows = json_array(), *queue, *part;
    size_t i, k;

    json_array_foreach((json_t *)queues, i, queue)
    {
        set_state(queue);
        (void)json_array_append(rows, queue);
        json_array_foreach(json_object_get(queue, "integrations"), k, part)
        {
            set_state(part);
            (void)json_object_set_new(part, "queue", json_string("  "));
            if (json_at(part, "integration") == NULL)
                (void)json_object_set_new(part, "integration", json_string("(none)"));
            (void)json_array_append(rows, part);
        }
    }
    return rows;
}

static enum ending
queues(struct cli *c)
{
    json_auto_t *answer = NULL;
    json_auto_t *rows = NULL;
    enum ending end = client_call(c, "GET", "/api/v1/queues", NULL, &answer);

    if (end != END_OK)
        return end;
    if (c->json) {
        show_json(answer);
        return END_OK;
    }
    rows = flatten(json_object_get(answer, "items"));
    show_items(c, rows, queue_columns, COUNT_OF(queue_columns));
    if (strcmp(json_text_at(answer, "redis"), "up") != 0)
        (void)fprintf(stderr, "Redis does not answer: workers take jobs from Postgres meanwhile.\n");
    return END_OK;
}

static const struct cli_option worker_options[] = {
    { "state", "STATE", "active, draining, stopped or dead; the first two if left out" },
    SHOW_LIST_OPTIONS,
    { .name = NULL },
};

static enum ending
workers(struct cli *c)
{
    static const struct show_column columns[] = {
        { "ID", "id", SHOW_TEXT, 0 },
        { "HOST", "host", SHOW_TEXT, 30 },
        { "PID", "pid", SHOW_TEXT, 0 },
        { "STATE", "state", SHOW_STATE, 0 },
        { "ALIVE", "alive", SHOW_TEXT, 0 },
        { "RUNNING", "running", SHOW_NUMBER, 0 },
        { "SLOTS", "slots", SHOW_NUMBER, 0 },
        { "DONE", "done", SHOW_NUMBER, 0 },
        { "FAILED", "failed", SHOW_NUMBER, 0 },
        { "VERSION", "version", SHOW_TEXT, 0 },
        { "STARTED", "started_at", SHOW_WHEN, 0 },
        { "LAST BEAT", "beat_at", SHOW_WHEN, 0 },
    };
    struct buf path = path_begin("/api/v1/workers");
    enum ending end;

    path_query(&path, "state", cli_option(c, "state"));
    end = show_list(c, &path, columns, COUNT_OF(columns), "No such worker: deskmill-worker starts one.");
    buf_fini(&path);
    return end;
}

static const struct cli_option drain_options[] = { DRAIN_OPTIONS, { .name = NULL } };

static enum ending
drain_worker(struct cli *c)
{
    const char *id = cli_word(c, 0);
    json_auto_t *asked = NULL;
    json_auto_t *last = NULL;
    struct buf path;
    char what[64];
    int64_t seconds;
    enum ending end = drain_timeout(c, &seconds);

    if (end != END_OK)
        return end;
    if (id[0] == '\0' || strlen(id) > 18 || id[strspn(id, "0123456789")] != '\0')
        return cli_usage("ID: %s is not a worker's number; `deskmill workers` shows them", id);
    (void)snprintf(what, sizeof what, "worker %s", id);
    path = path_begin("/api/v1/workers");
    path_segment(&path, id);
    buf_puts(&path, "/drain");
    if ((end = client_call(c, "POST", path.data, NULL, &asked)) == END_OK) {
        path.data[path.len - strlen("/drain")] = '\0';
        end = drain_wait(c, path.data, what, "it goes on draining", seconds, &last);
    }
    buf_fini(&path);
    if (end == END_OK && c->json)
        show_json(last);
    else if (end == END_OK)
        (void)printf("%s has %s; what it had not finished goes on elsewhere\n", what,
                     strcmp(json_text_at(last, "state"), "dead") == 0 ? "died" : "ended");
    return end;
}

static void
show_status(struct cli *c, const json_t *ready, const json_t *sync)
{
    const char *name;
    const json_t *v;

    (void)printf("%-12s %s\n", "service", json_text_at(ready, "status"));
    json_object_foreach(json_object_get(ready, "checks"), name, v)
    {
        bool ok = strcmp(json_string_value(v), "ok") == 0;

        (void)printf("%-12s %s%s%s\n", name, c->colors ? style_begin(ok ? STYLE_GOOD : STYLE_BAD) : "",
                     json_string_value(v), c->colors ? STYLE_END : "");
    }
    (void)printf("%-12s %" PRId64 "\n%-12s %" PRId64 "\n", "waiting", json_int_at(sync, "queued_events"),
                 "running", json_int_at(sync, "background_tasks"));
}

static enum ending
status(struct cli *c)
{
    json_auto_t *ready = NULL;
    json_auto_t *sync = NULL;
    struct err err = { 0 };
    int code = client_ask(c, "GET", "/readyz", NULL, &ready, &err);
    enum ending end;

    if (code != 200 && (code != 503 || json_at(ready, "checks") == NULL))
        return client_explain(c, code, ready, &err);
    if ((end = client_call(c, "GET", "/api/sync/status", NULL, &sync)) != END_OK)
        return end;
    if (c->json) {
        json_auto_t *both = json_pack("{s:O, s:O}", "ready", ready, "sync", sync);

        show_json(both);
    } else {
        show_status(c, ready, sync);
    }
    return code == 200 ? END_OK : END_FAILED;
}

const struct command command_queues = {
    .name = "queues",
    .words = "",
    .summary = "Show what waits and runs",
    .run = queues,
};
const struct command command_workers = {
    .name = "workers",
    .words = "",
    .options = worker_options,
    .summary = "List worker processes",
    .run = workers,
};
const struct command command_worker_drain = {
    .name = "worker drain",
    .words = "ID",
    .options = drain_options,
    .summary = "Let a worker end as SIGTERM would, and wait for it",
    .run = drain_worker,
    .more =
        "It takes no more jobs; those it runs stop at their next page, keep their place and go on elsewhere, and\n"
        "no attempt is charged. Whoever started it may start it again.",
};
const struct command command_status = {
    .name = "status",
    .words = "",
    .summary = "Show whether everything works; exit status 1 if not",
    .run = status,
};
