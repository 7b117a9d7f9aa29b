/* api/cli/commands/integrations.c - help desks. */
#include "api/cli/client.h"
#include "api/cli/drain.h"
#include "api/cli/show.h"
#include "common/atfile.h"
#include "common/auto.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { TOKEN_MAX = 4096 };

/* One line of standard input; typed at a terminal it does not show. */
static bool
read_token(char out[static TOKEN_MAX + 2])
{
    struct termios shown, hidden;
    bool typed = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &shown) == 0;
    bool got;

    if (typed) {
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        (void)fprintf(stderr, "Token: ");
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    got = fgets(out, TOKEN_MAX + 2, stdin) != NULL;
    if (typed) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        (void)fputc('\n', stderr);
    }
    if (got)
        out[strcspn(out, "\r\n")] = '\0';
    return got && out[0] != '\0';
}

/* What was given as the token: the option, one line of standard input, or the variable. */
static const char *
token(const struct cli *c, char room[static TOKEN_MAX + 2])
{
    const char *given = cli_option(c, "token");

    if (given == NULL)
        return getenv("DESKMILL_VENDOR_TOKEN");
    if (strcmp(given, "-") != 0)
        return given;
    return read_token(room) ? room : NULL;
}

/* "acme/pylon", or a name and --org. False, after saying why: neither. */
static bool
names(const struct cli *c, char org[static 128], const char **name)
{
    const char *word = cli_word(c, 0), *slash = strchr(word, '/'), *given = cli_option(c, "org");

    *name = slash != NULL ? slash + 1 : word;
    if (slash != NULL)
        (void)snprintf(org, 128, "%.*s", (int)(slash - word), word);
    else if (given != NULL)
        (void)snprintf(org, 128, "%s", given);
    else
        return false;
    return true;
}

static enum ending
add_body(const struct cli *c, const char *secret, json_t **out)
{
    const char *settings = cli_option(c, "settings"), *name;
    json_auto_t *parsed = NULL;
    char org[128];

    if (!names(c, org, &name))
        return cli_usage("ORG/NAME: needs the organization too: acme/pylon, or --org acme");
    if (settings != NULL && (parsed = json_loads(settings, JSON_REJECT_DUPLICATES, NULL)) == NULL)
        return cli_usage("--settings: is not a JSON object like '{\"page_size\": 100}'");
    *out = json_pack("{s:s, s:s, s:s, s:s, s:s*, s:O*, s:s*, s:s*}", "organization", org, "name", name,
                     "vendor", cli_option(c, "vendor") != NULL ? cli_option(c, "vendor") : "pylon", "token",
                     secret, "base_url", cli_option(c, "base-url"), "settings", parsed, "schedule",
                     cli_option(c, "schedule"), "timezone", cli_option(c, "timezone"));
    return *out != NULL ? END_OK : cli_usage("an option is not UTF-8");
}

static enum ending
add(struct cli *c)
{
    char room[TOKEN_MAX + 2] = "";
    const char *given = token(c, room);
    AUTO_FREE char *secret = NULL;
    struct err err = { 0 };
    json_auto_t *body = NULL;
    json_auto_t *answer = NULL;
    enum ending end;

    if (given == NULL || given[0] == '\0')
        return cli_usage(
            "--token: is missing; `--token -` reads it from standard input, or set DESKMILL_VENDOR_TOKEN");
    if (given != room && atfile_read(given, &secret, &err) != RC_OK) {
        (void)err_wrap(&err, "--token (DESKMILL_VENDOR_TOKEN)");
        return cli_fail(&err);
    }
    end = add_body(c, secret != NULL ? secret : given, &body);
    explicit_bzero(room, sizeof room);
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    if (end != END_OK || (end = client_call(c, "POST", "/api/v1/integrations", body, &answer)) != END_OK)
        return end;
    if (c->json)
        show_json(answer);
    else
        (void)printf("integration %s added; next: `deskmill pull %s --follow`\n",
                     json_text_at(answer, "integration"), json_text_at(answer, "integration"));
    return END_OK;
}

static const struct cli_option add_options[] = {
    { "org", "SLUG", "the organization, where ORG/NAME does not say it" },
    { "vendor", "VENDOR", "pylon, which is also the default" },
    { "token", "TOKEN",
      "the vendor's API token; - reads it from standard input, where `ps` does not show it; @FILE from a file" },
    { "base-url", "URL", "where the vendor's API is, if not at its usual address" },
    { "settings", "JSON", "page_size, lookback_s, settle_s, directory_refresh_s, limits" },
    { "schedule", "CRON", "when to pull; every 15 minutes if left out, \"\" for never" },
    { "timezone", "ZONE", "the schedule's IANA zone; the organization's if left out" },
    { .name = NULL },
};

static const struct cli_option list_options[] = {
    { "org", "SLUG", "only of this organization" },
    SHOW_LIST_OPTIONS,
    { .name = NULL },
};

static enum ending
list(struct cli *c)
{
    static const struct show_column columns[] = {
        { "ID", "id", SHOW_NUMBER, 0 },           { "INTEGRATION", "integration", SHOW_TEXT, 0 },
        { "VENDOR", "vendor", SHOW_TEXT, 0 },     { "STATE", "state", SHOW_STATE, 0 },
        { "URL", "base_url", SHOW_TEXT, 40 },     { "ADDED", "created_at", SHOW_WHEN, 0 },
        { "WHY", "state_reason", SHOW_TEXT, 60 },
    };
    struct buf path = path_begin("/api/v1/integrations");
    enum ending end;

    path_query(&path, "organization", cli_option(c, "org"));
    end = show_list(c, &path, columns, COUNT_OF(columns),
                    "There is no integration yet: `deskmill integration add ORG/NAME --token -` adds one.");
    buf_fini(&path);
    return end;
}

static const struct cli_option show_options[] = {
    { "counts", NULL, "also count the rows it holds" },
    { .name = NULL },
};

static void
show_human(struct cli *c, const json_t *integration)
{
    static const struct show_column fields[] = {
        { "integration", "integration", SHOW_TEXT, 0 },
        { "id", "id", SHOW_TEXT, 0 },
        { "vendor", "vendor", SHOW_TEXT, 0 },
        { "url", "base_url", SHOW_TEXT, 0 },
        { "state", "state", SHOW_STATE, 0 },
        { "why", "state_reason", SHOW_TEXT, 0 },
        { "settings", "settings", SHOW_JSON, 0 },
        { "added", "created_at", SHOW_WHEN, 0 },
        { "changed", "updated_at", SHOW_WHEN, 0 },
        { "issues", "counts.issues", SHOW_NUMBER, 0 },
        { "messages", "counts.messages", SHOW_NUMBER, 0 },
        { "accounts", "counts.accounts", SHOW_NUMBER, 0 },
        { "users", "counts.users", SHOW_NUMBER, 0 },
    };
    static const struct show_column streams[] = {
        { "STREAM", "stream", SHOW_TEXT, 0 },
        { "READ UP TO", "watermark", SHOW_WHEN, 0 },
        { "COMPLETE", "completed_at", SHOW_WHEN, 0 },
        { "JOB", "job", SHOW_TEXT, 0 },
    };

    show_fields(c, integration, fields, COUNT_OF(fields));
    if (json_array_size(json_object_get(integration, "streams")) > 0) {
        (void)putchar('\n');
        show_items(c, json_object_get(integration, "streams"), streams, COUNT_OF(streams));
    }
}

/* A call about the integration that the first word names; its answer is the integration. */
static enum ending
call(struct cli *c, const char *method, const char *tail, const json_t *body, json_t **out)
{
    struct buf path = path_begin("/api/v1/integrations");
    enum ending end;

    path_segment(&path, cli_word(c, 0));
    buf_puts(&path, tail);
    end = client_call(c, method, path.data, body, out);
    buf_fini(&path);
    if (end == END_OK && c->json)
        show_json(*out);
    return end;
}

static enum ending
show(struct cli *c)
{
    json_auto_t *answer = NULL;
    enum ending end = call(c, "GET", cli_flag(c, "counts") ? "?counts=true" : "", NULL, &answer);

    if (end == END_OK && !c->json)
        show_human(c, answer);
    return end;
}

static const struct cli_option pause_options[] = {
    { "reason", "TEXT", "why, for others to read" },
    { .name = NULL },
};

static enum ending
pause_it(struct cli *c)
{
    json_auto_t *body = json_pack("{s:s*}", "reason", cli_option(c, "reason"));
    json_auto_t *answer = NULL;
    enum ending end = call(c, "POST", "/pause", body, &answer);

    if (end == END_OK && !c->json)
        (void)printf("integration %s is paused: no job of it starts until `deskmill integration resume %s`\n",
                     json_text_at(answer, "integration"), json_text_at(answer, "integration"));
    return end;
}

static enum ending
resume_it(struct cli *c)
{
    json_auto_t *answer = NULL;
    enum ending end = call(c, "POST", "/resume", NULL, &answer);

    if (end == END_OK && !c->json)
        (void)printf("integration %s is active\n", json_text_at(answer, "integration"));
    return end;
}

static const struct cli_option drain_options[] = {
    { "reason", "TEXT", "why, for others to read" },
    DRAIN_OPTIONS,
    { .name = NULL },
};

static enum ending
drain(struct cli *c)
{
    json_auto_t *body = json_pack("{s:s*}", "reason", cli_option(c, "reason"));
    json_auto_t *paused = NULL;
    json_auto_t *last = NULL;
    struct buf path = path_begin("/api/v1/integrations");
    int64_t seconds;
    enum ending end = drain_timeout(c, &seconds);

    path_segment(&path, cli_word(c, 0));
    buf_puts(&path, "/pause");
    if (end == END_OK)
        end = client_call(c, "POST", path.data, body, &paused);
    buf_fini(&path);
    if (end != END_OK)
        return end;
    path = path_begin("/api/v1/integrations");
    path_segment(&path, cli_word(c, 0));
    buf_puts(&path, "/activity");
    end = drain_wait(c, path.data, json_text_at(paused, "integration"), "it stays paused", seconds, &last);
    buf_fini(&path);
    if (end == END_OK && c->json)
        show_json(last);
    else if (end == END_OK)
        (void)printf(
            "integration %s is drained: nothing of it runs, and nothing starts until `deskmill integration "
            "resume %s`\n",
            json_text_at(paused, "integration"), json_text_at(paused, "integration"));
    return end;
}

const struct command command_integration_add = {
    .name = "integration add",
    .words = "ORG/NAME",
    .options = add_options,
    .summary = "Add a help desk and its schedule",
    .run = add,
};
const struct command command_integration_list = {
    .name = "integration list",
    .words = "",
    .options = list_options,
    .summary = "List help desks",
    .run = list,
};
const struct command command_integration_show = {
    .name = "integration show",
    .words = "INTEGRATION",
    .options = show_options,
    .summary = "Show a help desk and how far it was read",
    .run = show,
};
const struct command command_integration_pause = {
    .name = "integration pause",
    .words = "INTEGRATION",
    .options = pause_options,
    .summary = "Start no job of a help desk",
    .run = pause_it,
};
const struct command command_integration_resume = {
    .name = "integration resume",
    .words = "INTEGRATION",
    .summary = "Let its jobs run again",
    .run = resume_it,
};
const struct command command_integration_drain = {
    .name = "integration drain",
    .words = "INTEGRATION",
    .options = drain_options,
    .summary = "Pause it and wait until nothing of it runs",
    .run = drain,
};
