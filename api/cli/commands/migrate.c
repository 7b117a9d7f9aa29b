/* api/cli/commands/migrate.c - the one command that goes to Postgres itself: without a schema there is no
 * api. Safe to run twice, and from many hosts at once. */
#include "common/migrate.h"
#include "api/cli/cli.h"
#include "api/cli/show.h"
#include "common/atfile.h"
#include "common/auto.h"
#include "common/db.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct report {
    bool json;
    json_t *applied;
};

static void
on_applied(void *arg, int version, const char *name, int64_t ms)
{
    struct report *r = arg;

    (void)json_array_append_new(r->applied, json_string(name));
    if (!r->json)
        (void)printf("applied %s (%" PRId64 " ms)\n", name, ms);
    (void)version;
}

static enum ending
status(const struct cli *c, struct db *d)
{
    struct err err = { 0 };
    int pending = -1;
    enum rc rc = migrate_check(d, &pending, &err);

    if (c->json) {
        json_auto_t *j = json_pack("{s:b, s:o}", "current", rc == RC_OK, "pending",
                                   pending >= 0 ? json_integer(pending) : json_null());

        show_json(j);
    }
    if (rc != RC_OK)
        return cli_fail(&err);
    if (!c->json)
        (void)printf("the schema is current\n");
    return END_OK;
}

static enum ending
apply(const struct cli *c, struct db *d)
{
    json_auto_t *applied = json_array();
    struct report report = { .json = c->json, .applied = applied };
    struct err err = { 0 };
    enum rc rc = migrate_run(d, cli_option(c, "dir"), on_applied, &report, &err);

    if (c->json) {
        json_auto_t *j = json_pack("{s:O}", "applied", applied);

        show_json(j);
    } else if (rc == RC_OK && json_array_size(applied) == 0) {
        (void)printf("nothing to do: the schema is current\n");
    }
    return rc == RC_OK ? END_OK : cli_fail(&err);
}

static enum ending
run(struct cli *c)
{
    const char *env = getenv("DATABASE_URL"), *given = cli_option(c, "database-url");
    AUTO_FREE char *url = NULL;
    AUTO(db) d = NULL;
    struct err err = { 0 };

    if (given == NULL)
        given = env;
    if (given == NULL || given[0] == '\0')
        return cli_usage("DATABASE_URL: is not set; it looks like postgresql://user@host:5432/deskmill");
    if (atfile_read(given, &url, &err) != RC_OK) {
        (void)err_wrap(&err, "--database-url (DATABASE_URL)");
        return cli_fail(&err);
    }
    if (db_create(url, &(struct db_options){ .app_name = "deskmill-migrate" }, &d, &err) != RC_OK ||
        db_connect(d, &err) != RC_OK)
        return cli_fail(&err);
    return cli_flag(c, "status") ? status(c, d) : apply(c, d);
}

static const struct cli_option options[] = {
    { "status", NULL, "only say whether the schema is current; exit status 1 if not" },
    { "database-url", "URL", "where PostgreSQL is, or @ and a file that says it; better in DATABASE_URL" },
    { "dir", "DIR", "read the files from there instead of from the program" },
    { .name = NULL },
};
const struct command command_migrate = {
    .name = "migrate",
    .words = "",
    .options = options,
    .summary = "Bring the database schema up to date",
    .run = run,
    .more = "Goes to Postgres directly (DATABASE_URL); every other command asks the api.",
};
