/* api/cli/commands/orgs.c - organizations. */
#include "api/cli/client.h"
#include "api/cli/show.h"
#include <stdio.h>

static const struct cli_option add_options[] = {
    { "name", "NAME", "full name; the slug if left out" },
    { "timezone", "ZONE", "IANA zone of its figures; America/New_York if left out" },
    { .name = NULL },
};

static enum ending
add(struct cli *c)
{
    json_auto_t *body = json_pack("{s:s, s:s*, s:s*}", "slug", cli_word(c, 0), "name", cli_option(c, "name"),
                                  "timezone", cli_option(c, "timezone"));
    json_auto_t *answer = NULL;
    enum ending end;

    if (body == NULL)
        return cli_usage("NAME: is not UTF-8");
    if ((end = client_call(c, "POST", "/api/v1/organizations", body, &answer)) != END_OK)
        return end;
    if (c->json)
        show_json(answer);
    else
        (void)printf(
            "organization %s added; next: `deskmill integration add %s/NAME --vendor pylon --token -`\n",
            json_text_at(answer, "slug"), json_text_at(answer, "slug"));
    return END_OK;
}

static const struct cli_option list_options[] = {
    SHOW_LIST_OPTIONS,
    { .name = NULL },
};

static enum ending
list(struct cli *c)
{
    static const struct show_column columns[] = {
        { "ID", "id", SHOW_NUMBER, 0 },          { "SLUG", "slug", SHOW_TEXT, 0 },
        { "NAME", "name", SHOW_TEXT, 40 },       { "TIMEZONE", "timezone", SHOW_TEXT, 0 },
        { "ADDED", "created_at", SHOW_WHEN, 0 },
    };
    struct buf path = path_begin("/api/v1/organizations");
    enum ending end;

    end = show_list(c, &path, columns, COUNT_OF(columns),
                    "There is no organization yet: `deskmill org add SLUG` adds one.");
    buf_fini(&path);
    return end;
}

const struct command command_org_add = {
    .name = "org add",
    .words = "SLUG",
    .options = add_options,
    .summary = "Add an organization",
    .run = add,
};
const struct command command_org_list = {
    .name = "org list",
    .words = "",
    .options = list_options,
    .summary = "List organizations",
    .run = list,
};
