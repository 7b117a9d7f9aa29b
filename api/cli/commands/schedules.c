/* api/cli/commands/schedules.c - cron schedules. */
#include "api/cli/client.h"
#include "api/cli/show.h"
#include <inttypes.h>
#include <stdio.h>

static const struct cli_option list_options[] = {
    { "integration", "NAME", "of this help desk" },
    SHOW_LIST_OPTIONS,
    { .name = NULL },
};

static enum ending
list(struct cli *c)
{
    static const struct show_column columns[] = {
        { "ID", "id", SHOW_TEXT, 0 },
        { "FOR", "integration", SHOW_TEXT, 0 },
        { "KIND", "kind", SHOW_TEXT, 0 },
        { "CRON", "cron", SHOW_TEXT, 40 },
        { "TIMEZONE", "timezone", SHOW_TEXT, 0 },
        { "ON", "enabled", SHOW_TEXT, 0 },
        { "NEXT", "next_tick", SHOW_WHEN, 0 },
        { "LAST", "last_tick", SHOW_WHEN, 0 },
        { "ERROR", "error", SHOW_TEXT, 60 },
    };
    struct buf path = path_begin("/api/v1/schedules");
    enum ending end;

    path_query(&path, "integration", cli_option(c, "integration"));
    end = show_list(c, &path, columns, COUNT_OF(columns), "There is no such schedule.");
    buf_fini(&path);
    return end;
}

#define TIMING_OPTIONS                                                                           \
    { "cron", "CRON", "five fields or @hourly and the like" },                                   \
        { "timezone", "ZONE", "IANA zone the fields are read in" },                              \
        { "misfire", "WHAT", "ticks missed while no scheduler ran: run_once, run_all or skip" }, \
    {                                                                                            \
        "overlap", "WHAT", "while the last job still waits or runs: keep_one or skip"            \
    }

static const struct cli_option add_options[] = {
    TIMING_OPTIONS,
    { "kind", "KIND", "the job to enqueue; issue_pull if left out" },
    { "args", "JSON", "its arguments, an object" },
    { .name = NULL },
};
static const struct cli_option set_options[] = { TIMING_OPTIONS, { .name = NULL } };

/* Sends `body` and shows the schedule that comes back. */
static enum ending
send_body(struct cli *c, const char *method, const char *path, const json_t *body)
{
    json_auto_t *answer = NULL;
    enum ending end = client_call(c, method, path, body, &answer);

    if (end != END_OK)
        return end;
    if (c->json)
        show_json(answer);
    else
        (void)printf("schedule %" PRId64 ": %s%s%s, \"%s\" in %s, %s\n", json_int_at(answer, "id"),
                     json_text_at(answer, "kind"), json_at(answer, "integration") != NULL ? " of " : "",
                     json_text_at(answer, "integration"), json_text_at(answer, "cron"),
                     json_text_at(answer, "timezone"),
                     json_is_true(json_object_get(answer, "enabled")) ? "on" : "off");
    return END_OK;
}

static enum ending
add(struct cli *c)
{
    const char *text = cli_option(c, "args");
    json_auto_t *args = text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_auto_t *body = NULL;

    if (cli_option(c, "cron") == NULL)
        return cli_usage("--cron: is missing, like --cron \"*/15 * * * *\"");
    if (text != NULL && !json_is_object(args))
        return cli_usage("--args: is not a JSON object");
    body = json_pack("{s:s*, s:s, s:s, s:s*, s:s*, s:s*, s:O*}", "integration", cli_word(c, 0), "kind",
                     cli_option(c, "kind") != NULL ? cli_option(c, "kind") : "issue_pull", "cron",
                     cli_option(c, "cron"), "timezone", cli_option(c, "timezone"), "misfire",
                     cli_option(c, "misfire"), "overlap", cli_option(c, "overlap"), "args", args);
    if (body == NULL)
        return cli_usage("an option is not UTF-8");
    return send_body(c, "POST", "/api/v1/schedules", body);
}

static enum ending
patch(struct cli *c, const json_t *body)
{
    struct buf path = path_begin("/api/v1/schedules");
    enum ending end;

    path_segment(&path, cli_word(c, 0));
    end = send_body(c, "PATCH", path.data, body);
    buf_fini(&path);
    return end;
}

static enum ending
set(struct cli *c)
{
    json_auto_t *body = json_pack("{s:s*, s:s*, s:s*, s:s*}", "cron", cli_option(c, "cron"), "timezone",
                                  cli_option(c, "timezone"), "misfire", cli_option(c, "misfire"), "overlap",
                                  cli_option(c, "overlap"));

    if (json_object_size(body) == 0)
        return cli_usage("nothing to change: give --cron, --timezone, --misfire or --overlap");
    return patch(c, body);
}

static enum ending
enable(struct cli *c)
{
    json_auto_t *body = json_pack("{s:b}", "enabled", 1);

    return patch(c, body);
}

static enum ending
disable(struct cli *c)
{
    json_auto_t *body = json_pack("{s:b}", "enabled", 0);

    return patch(c, body);
}

static enum ending
remove_it(struct cli *c)
{
    struct buf path = path_begin("/api/v1/schedules");
    enum ending end;

    path_segment(&path, cli_word(c, 0));
    end = client_call(c, "DELETE", path.data, NULL, NULL);
    buf_fini(&path);
    if (end == END_OK && c->json)
        (void)printf("{}\n");
    else if (end == END_OK)
        (void)printf("schedule %s is removed; jobs it made stay\n", cli_word(c, 0));
    return end;
}

const struct command command_schedules = {
    .name = "schedules",
    .words = "",
    .options = list_options,
    .summary = "List cron schedules",
    .run = list,
};
const struct command command_schedule_add = {
    .name = "schedule add",
    .words = "[INTEGRATION]",
    .options = add_options,
    .summary = "Add a schedule",
    .run = add,
};
const struct command command_schedule_set = {
    .name = "schedule set",
    .words = "ID",
    .options = set_options,
    .summary = "Change a schedule",
    .run = set,
};
const struct command command_schedule_enable = {
    .name = "schedule enable",
    .words = "ID",
    .summary = "Switch a schedule on, and forget its error",
    .run = enable,
};
const struct command command_schedule_disable = {
    .name = "schedule disable",
    .words = "ID",
    .summary = "Switch a schedule off",
    .run = disable,
};
const struct command command_schedule_remove = {
    .name = "schedule remove",
    .words = "ID",
    .summary = "Remove a schedule",
    .run = remove_it,
};
