/* api/cli/commands/pulls.c - bring issues, and watch them come. */
#include "api/cli/client.h"
#include "api/cli/follow.h"
#include "api/cli/show.h"
#include <inttypes.h>
#include <stdio.h>

/* Enqueues through `path`; then says so, or watches. */
static enum ending
start(struct cli *c, const char *path, const json_t *body)
{
    json_auto_t *answer = NULL;
    enum ending end = client_call(c, "POST", path, body, &answer);
    int64_t job = json_int_at(answer, "job");

    if (end != END_OK)
        return end;
    if (c->json && !cli_flag(c, "follow"))
        show_json(answer);
    else if (!c->json)
        (void)printf("job %" PRId64 " %s of %s %s\n", job, json_text_at(answer, "kind"),
                     json_text_at(answer, "integration"),
                     json_is_true(json_object_get(answer, "created")) ? "is queued" : "was waiting already");
    (void)fflush(stdout);
    return cli_flag(c, "follow") ? follow_pull(c, job) : END_OK;
}

/* The first word, or the only integration there is. */
static enum ending
which(struct cli *c, char out[static 256])
{
    json_auto_t *answer = NULL;
    const json_t *items;
    enum ending end;

    if (cli_word(c, 0) != NULL) {
        (void)snprintf(out, 256, "%s", cli_word(c, 0));
        return END_OK;
    }
    if ((end = client_call(c, "GET", "/api/v1/integrations?limit=2", NULL, &answer)) != END_OK)
        return end;
    items = json_object_get(answer, "items");
    if (json_array_size(items) != 1)
        return cli_usage("INTEGRATION: say which one; `deskmill integration list` shows them");
    (void)snprintf(out, 256, "%s", json_text_at(json_array_get(items, 0), "integration"));
    return END_OK;
}

static const struct cli_option pull_options[] = {
    { "follow", NULL, "watch it until it is done" },
    { "full", NULL, "read everything again, not only what changed" },
    { .name = NULL },
};

static enum ending
pull(struct cli *c)
{
    json_auto_t *body = NULL;
    char integration[256];
    enum ending end = which(c, integration);

    if (end != END_OK)
        return end;
    if ((body = json_pack("{s:s, s:b}", "integration", integration, "full", cli_flag(c, "full"))) == NULL)
        return cli_usage("INTEGRATION: is not UTF-8");
    return start(c, "/api/v1/pulls", body);
}

static const struct cli_option backfill_options[] = {
    { "from", "TIME", "a date (its midnight UTC) or RFC 3339; the earliest issue if left out" },
    { "to", "TIME", "the same, not included; now if left out" },
    { "follow", NULL, "watch it until it is done" },
    { .name = NULL },
};

static enum ending
backfill(struct cli *c)
{
    json_auto_t *body = json_pack("{s:s, s:s*, s:s*}", "integration", cli_word(c, 0), "from",
                                  cli_option(c, "from"), "to", cli_option(c, "to"));

    return body != NULL ? start(c, "/api/v1/backfills", body) : cli_usage("INTEGRATION: is not UTF-8");
}

const struct command command_pull = {
    .name = "pull",
    .words = "[INTEGRATION]",
    .options = pull_options,
    .summary = "Bring what changed since the last pull",
    .run = pull,
    .more =
        "INTEGRATION is organization/name, the name alone where it is clear, or an id; left out where there is only one.",
};
const struct command command_backfill = {
    .name = "backfill",
    .words = "INTEGRATION",
    .options = backfill_options,
    .summary = "Bring a span of history, in chunks",
    .run = backfill,
};
