/* api/cli/commands/jobs.c - jobs. */
#include "api/cli/client.h"
#include "api/cli/follow.h"
#include "api/cli/show.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option list_options[] = {
    { "state", "STATE", "scheduled, queued, running, done, dead or cancelled" },
    { "kind", "KIND", "issue_pull, message_pull, ..." },
    { "queue", "QUEUE", "live, default or bulk" },
    { "integration", "NAME", "of this help desk" },
    { "parent", "ID", "children of this job" },
    { "since", "TIME", "made since then: RFC 3339, a date, or an age like 2h" },
    SHOW_LIST_OPTIONS,
    { .name = NULL },
};

static enum ending
list(struct cli *c)
{
    static const struct show_column columns[] = {
        { "ID", "id", SHOW_TEXT, 0 },           { "KIND", "kind", SHOW_TEXT, 0 },
        { "STATE", "state", SHOW_STATE, 0 },    { "INTEGRATION", "integration", SHOW_TEXT, 0 },
        { "TRIES", "attempt", SHOW_NUMBER, 0 }, { "MADE", "created_at", SHOW_WHEN, 0 },
        { "ENDED", "ended_at", SHOW_WHEN, 0 },  { "FETCHED", "progress.fetched", SHOW_NUMBER, 0 },
        { "ERROR", "error", SHOW_TEXT, 60 },    { "WAITING FOR", "waiting_for", SHOW_TEXT, 60 },
    };
    static const char *const plain[] = { "state", "kind", "queue", "integration", "parent" };
    struct buf path = path_begin("/api/v1/jobs");
    enum ending end;

    for (size_t i = 0; i < COUNT_OF(plain); i++)
        path_query(&path, plain[i], cli_option(c, plain[i]));
    if ((end = path_since(&path, c)) == END_OK)
        end = show_list(c, &path, columns, COUNT_OF(columns), "There is no such job.");
    buf_fini(&path);
    return end;
}

/* The id that the first word is; false after saying that it is none. */
static bool
job_id(const struct cli *c, int64_t *out)
{
    const char *word = cli_word(c, 0);

    if (word[0] == '\0' || strlen(word) > 18 || word[strspn(word, "0123456789")] != '\0') {
        (void)cli_usage("ID: %s is not a job's number; `deskmill jobs` shows them", word);
        return false;
    }
    *out = strtoll(word, NULL, 10);
    return true;
}

static void
show_human(struct cli *c, const json_t *job)
{
    static const struct show_column fields[] = {
        { "job", "id", SHOW_TEXT, 0 },
        { "kind", "kind", SHOW_TEXT, 0 },
        { "state", "state", SHOW_STATE, 0 },
        { "error", "error", SHOW_TEXT, 0 },
        { "waiting for", "waiting_for", SHOW_TEXT, 0 },
        { "integration", "integration", SHOW_TEXT, 0 },
        { "queue", "queue", SHOW_TEXT, 0 },
        { "arguments", "args", SHOW_JSON, 0 },
        { "asked for by", "origin", SHOW_TEXT, 0 },
        { "parent", "parent", SHOW_TEXT, 0 },
        { "schedule", "schedule", SHOW_TEXT, 0 },
        { "tick", "tick", SHOW_WHEN, 0 },
        { "failures", "attempt", SHOW_TEXT, 0 },
        { "at most", "max_attempts", SHOW_TEXT, 0 },
        { "made", "created_at", SHOW_WHEN, 0 },
        { "not before", "run_at", SHOW_WHEN, 0 },
        { "started", "started_at", SHOW_WHEN, 0 },
        { "last progress", "progress_at", SHOW_WHEN, 0 },
        { "ended", "ended_at", SHOW_WHEN, 0 },
        { "worker", "worker", SHOW_TEXT, 0 },
        { "progress", "progress", SHOW_JSON, 0 },
        { "checkpoint", "checkpoint", SHOW_JSON, 0 },
        { "children", "children.total", SHOW_TEXT, 0 },
        { "  done", "children.done", SHOW_TEXT, 0 },
        { "  running", "children.running", SHOW_TEXT, 0 },
        { "  queued", "children.queued", SHOW_TEXT, 0 },
        { "  scheduled", "children.scheduled", SHOW_TEXT, 0 },
        { "  dead", "children.dead", SHOW_TEXT, 0 },
        { "  cancelled", "children.cancelled", SHOW_TEXT, 0 },
        { "  in all", "children.progress", SHOW_JSON, 0 },
    };
    static const struct show_column attempts[] = {
        { "RUN", "epoch", SHOW_TEXT, 0 },         { "OUTCOME", "outcome", SHOW_STATE, 0 },
        { "BEGAN", "started_at", SHOW_WHEN, 0 },  { "PAGES", "pages", SHOW_NUMBER, 0 },
        { "FETCHED", "fetched", SHOW_NUMBER, 0 }, { "NEW", "inserted", SHOW_NUMBER, 0 },
        { "CHANGED", "updated", SHOW_NUMBER, 0 }, { "SAME", "unchanged", SHOW_NUMBER, 0 },
        { "WORKER", "worker", SHOW_TEXT, 0 },     { "ERROR", "error", SHOW_TEXT, 60 },
    };

    show_fields(c, job, fields, COUNT_OF(fields));
    if (json_array_size(json_object_get(job, "attempts")) > 0) {
        (void)putchar('\n');
        show_items(c, json_object_get(job, "attempts"), attempts, COUNT_OF(attempts));
    }
}

static enum ending
call(struct cli *c, const char *method, int64_t id, const char *tail, const json_t *body, json_t **out)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/api/v1/jobs/%" PRId64 "%s", id, tail);
    return client_call(c, method, path, body, out);
}

static const struct cli_option show_options[] = {
    { "follow", NULL, "watch it until it has ended" },
    { .name = NULL },
};

static enum ending
show(struct cli *c)
{
    json_auto_t *job = NULL;
    int64_t id;
    enum ending end;

    if (!job_id(c, &id))
        return END_USAGE;
    end = cli_flag(c, "follow") ? follow_job(c, id, &job) : call(c, "GET", id, "", NULL, &job);
    if (job == NULL)
        return end;
    if (c->json)
        show_json(job);
    else if (!cli_flag(c, "follow"))
        show_human(c, job);
    return end;
}

static const struct cli_option retry_options[] = {
    { "children", NULL, "everything dead below it too; the job waits for them again" },
    { "cancelled", NULL, "with --children: what was cancelled there as well" },
    { .name = NULL },
};

static enum ending
retry(struct cli *c)
{
    bool children = cli_flag(c, "children"), cancelled = cli_flag(c, "cancelled");
    json_auto_t *body = json_pack("{s:b, s:b}", "children", children, "cancelled", cancelled);
    json_auto_t *answer = NULL;
    int64_t id;
    enum ending end;

    if (!job_id(c, &id))
        return END_USAGE;
    if (cancelled && !children)
        return cli_usage(
            "--cancelled: says which children are meant, so it needs --children; a cancelled job "
            "itself is retried without");
    if ((end = call(c, "POST", id, "/retry", body, &answer)) != END_OK)
        return end;
    if (c->json)
        show_json(answer);
    else if (strcmp(json_text_at(answer, "state"), "scheduled") == 0)
        (void)printf("%" PRId64 " jobs wait again, job %" PRId64 " for those below it\n",
                     json_int_at(answer, "retried"), id);
    else
        (void)printf("job %" PRId64 " is queued again\n", id);
    return END_OK;
}

static enum ending
cancel(struct cli *c)
{
    json_auto_t *answer = NULL;
    int64_t id;
    enum ending end;

    if (!job_id(c, &id))
        return END_USAGE;
    if ((end = call(c, "POST", id, "/cancel", NULL, &answer)) != END_OK)
        return end;
    if (c->json) {
        show_json(answer);
        return END_OK;
    }
    if (json_int_at(answer, "cancelled") > 1)
        (void)printf("%" PRId64 " jobs are cancelled\n", json_int_at(answer, "cancelled"));
    else if (json_int_at(answer, "cancelled") == 1 && json_int_at(answer, "ending") == 0)
        (void)printf("job %" PRId64 " is cancelled\n", id);
    if (json_int_at(answer, "ending") > 1)
        (void)printf("%" PRId64 " jobs run; they end at their next page\n", json_int_at(answer, "ending"));
    else if (json_int_at(answer, "ending") == 1)
        (void)printf("%s\n", "one job runs; it ends at its next page");
    return END_OK;
}

static const struct cli_option enqueue_options[] = {
    { "args", "JSON", "its arguments, an object" },
    { "integration", "NAME", "the help desk it is for" },
    { "run-at", "TIME", "not before then, RFC 3339" },
    { "follow", NULL, "watch it until it has ended" },
    { .name = NULL },
};

static enum ending
enqueue(struct cli *c)
{
    const char *text = cli_option(c, "args");
    json_auto_t *args = text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_auto_t *body = NULL;
    json_auto_t *answer = NULL;
    json_auto_t *last = NULL;
    enum ending end;

    if (text != NULL && !json_is_object(args))
        return cli_usage("--args: is not a JSON object like '{\"sleep_ms\": 100}'");
    body = json_pack("{s:s, s:O*, s:s*, s:s*}", "kind", cli_word(c, 0), "args", args, "integration",
                     cli_option(c, "integration"), "run_at", cli_option(c, "run-at"));
    if (body == NULL)
        return cli_usage("KIND: is not UTF-8");
    if ((end = client_call(c, "POST", "/api/v1/jobs", body, &answer)) != END_OK)
        return end;
    if (c->json && !cli_flag(c, "follow"))
        show_json(answer);
    else if (!c->json)
        (void)printf("job %" PRId64 " %s\n", json_int_at(answer, "job"),
                     json_is_true(json_object_get(answer, "created")) ? "is enqueued"
                                                                      : "was waiting already");
    if (!cli_flag(c, "follow"))
        return END_OK;
    (void)fflush(stdout);
    end = follow_job(c, json_int_at(answer, "job"), &last);
    if (c->json && last != NULL)
        show_json(last);
    return end;
}

const struct command command_jobs = {
    .name = "jobs",
    .words = "",
    .options = list_options,
    .summary = "List jobs, newest first",
    .run = list,
};
const struct command command_job_show = {
    .name = "job show",
    .words = "ID",
    .options = show_options,
    .summary = "Show a job, its attempts and children",
    .run = show,
};
const struct command command_job_retry = {
    .name = "job retry",
    .words = "ID",
    .options = retry_options,
    .summary = "Let a dead or cancelled job try again",
    .more =
        "With --children this is how a backfill with dead chunks goes on: they try again from where each of them stopped,\n"
        "with fresh attempts, and the backfill waits for them.",
    .run = retry,
};
const struct command command_job_cancel = {
    .name = "job cancel",
    .words = "ID",
    .summary = "End a job and its children",
    .run = cancel,
};
const struct command command_enqueue = {
    .name = "enqueue",
    .words = "KIND",
    .options = enqueue_options,
    .summary = "Enqueue a job of any kind",
    .run = enqueue,
};
