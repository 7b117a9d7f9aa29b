/* api/cli/commands/log.c - attempts that touched a vendor. */
#include "api/cli/client.h"
#include "api/cli/show.h"

static const struct cli_option options[] = {
    { "integration", "NAME", "of this help desk" },
    { "job", "ID", "of this job" },
    { "outcome", "WORD",
      "running, done, retry, snoozed, drained, dead, cancelled, crashed, timeout or lost" },
    { "since", "TIME", "begun since then: RFC 3339, a date, or an age like 2h" },
    SHOW_LIST_OPTIONS,
    { .name = NULL },
};

static enum ending
run(struct cli *c)
{
    static const struct show_column columns[] = {
        { "BEGAN", "started_at", SHOW_WHEN, 0 }, { "JOB", "job", SHOW_TEXT, 0 },
        { "KIND", "kind", SHOW_TEXT, 0 },        { "INTEGRATION", "integration", SHOW_TEXT, 0 },
        { "OUTCOME", "outcome", SHOW_STATE, 0 }, { "CALLS", "requests", SHOW_NUMBER, 0 },
        { "PAGES", "pages", SHOW_NUMBER, 0 },    { "FETCHED", "fetched", SHOW_NUMBER, 0 },
        { "NEW", "inserted", SHOW_NUMBER, 0 },   { "CHANGED", "updated", SHOW_NUMBER, 0 },
        { "SAME", "unchanged", SHOW_NUMBER, 0 }, { "ERROR", "error", SHOW_TEXT, 60 },
    };
    static const char *const plain[] = { "integration", "job", "outcome" };
    struct buf path = path_begin("/api/v1/sync-log");
    enum ending end;

    for (size_t i = 0; i < COUNT_OF(plain); i++)
        path_query(&path, plain[i], cli_option(c, plain[i]));
    if ((end = path_since(&path, c)) == END_OK)
        end = show_list(c, &path, columns, COUNT_OF(columns), "No attempt like that.");
    buf_fini(&path);
    return end;
}

const struct command command_log = {
    .name = "log",
    .words = "",
    .options = options,
    .summary = "List attempts that touched a vendor, newest first",
    .run = run,
};
