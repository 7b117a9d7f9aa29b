#include "common/db_internal.h"
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS   5000
#define STATEMENT_TIMEOUT_MS 30000
#define LOCK_TIMEOUT_MS      10000
#define IDLE_TX_TIMEOUT_MS   60000

static void
no_notice(void *arg, const PGresult *res)
{
    (void)arg, (void)res; /* libpq would print it on standard error, which belongs to the log */
}

static int
timeout_or(int ms, int fallback)
{
    return ms < 0 ? 0 : ms == 0 ? fallback : ms;
}

/* libpq's complaint may quote the URL: it is passed on only where there can be no password in it. */
static enum rc
bad_url(const char *url, const char *why, struct err *err)
{
    if (why == NULL || strchr(url, '@') != NULL || strcasestr(url, "password") != NULL)
        why = "expected postgresql://user:password@host:port/database?sslmode=...";
    return err_set(err, RC_INVALID, "database URL: %s", why);
}

enum rc
db_conf_init(struct db_conf *c, const char *url, const struct db_options *o, struct err *err)
{
    char *why = NULL;
    PQconninfoOption *parsed;
    enum rc rc = RC_OK;

    assert(url != NULL && o != NULL && o->app_name != NULL);
    *c = (struct db_conf){
        .connect_timeout_ms = o->connect_timeout_ms > 0 ? o->connect_timeout_ms : CONNECT_TIMEOUT_MS,
        .statement_timeout_ms = timeout_or(o->statement_timeout_ms, STATEMENT_TIMEOUT_MS),
        .lock_timeout_ms = timeout_or(o->lock_timeout_ms, LOCK_TIMEOUT_MS),
        .idle_tx_timeout_ms = timeout_or(o->idle_tx_timeout_ms, IDLE_TX_TIMEOUT_MS),
        .relaxed_commit = o->relaxed_commit,
        .by_index = o->by_index,
        .one_plan = o->one_plan,
    };
    /* libpq takes a text without "=" and "://" for a database's name, which is never what a URL was meant to
     * be */
    if (strchr(url, '=') == NULL && strstr(url, "://") == NULL)
        return bad_url(url, "neither a URL nor key=value pairs", err);
    if ((parsed = PQconninfoParse(url, &why)) == NULL)
        rc = bad_url(url, why, err);
    PQconninfoFree(parsed);
    PQfreemem(why);
    if (rc != RC_OK)
        return rc;
    c->url = strdup(url);
    c->app_name = strdup(o->app_name);
    if (c->url == NULL || c->app_name == NULL) {
        db_conf_fini(c);
        return err_set(err, RC_INTERNAL, "no memory for a database connection");
    }
    return RC_OK;
}

void
db_conf_fini(struct db_conf *c)
{
    free(c->url);
    free(c->app_name);
    *c = (struct db_conf){ 0 };
}

PGconn *
db_conn_start(const struct db_conf *c)
{
    /* Later rows win over earlier ones: the URL may change what stands before it, not what comes after.
     * GSSAPI encryption is for who asks for it: looking for a ticket costs each process a megabyte. */
    const char *const keys[] = {
        "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
        "gssencmode", "dbname",          "application_name",    "client_encoding",  NULL
    };
    const char *const values[] = {
        "1", "5", "3", "3", "15000", "disable", c->url, c->app_name, "UTF8", NULL
    };
    PGconn *pg = PQconnectStartParams(keys, values, 1);

    if (pg != NULL) {
        PQsetNoticeReceiver(pg, no_notice, NULL);
        PQsetErrorVerbosity(pg,
                            PQERRORS_VERBOSE); /* libpq tells a SQLSTATE of connecting only within the text */
    }
    return pg;
}

/* What reads or sorts whole tables or indexes is out of the question, whatever the statistics suggest. JIT
 * would otherwise be set off by the price that PostgreSQL puts on what is forbidden. */
#define BY_INDEX                                                                                   \
    ", set_config('enable_seqscan', 'off', false), set_config('enable_bitmapscan', 'off', false)," \
    " set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false),"  \
    " set_config('jit', 'off', false)"
#define ONE_PLAN ", set_config('plan_cache_mode', 'force_generic_plan', false)"

void
db_conf_session_sql(const struct db_conf *c, struct buf *out)
{
    buf_printf(
        out,
        "SELECT set_config('search_path', 'deskmill, public', false), set_config('TimeZone', 'UTC', false),"
        " set_config('DateStyle', 'ISO', false), set_config('bytea_output', 'hex', false),"
        " set_config('client_min_messages', 'warning', false),"
        " set_config('statement_timeout', '%d', false), set_config('lock_timeout', '%d', false),"
        " set_config('idle_in_transaction_session_timeout', '%d', false)%s%s%s",
        c->statement_timeout_ms, c->lock_timeout_ms, c->idle_tx_timeout_ms,
        c->relaxed_commit ? ", set_config('synchronous_commit', 'off', false)" : "",
        c->by_index ? BY_INDEX : "", c->one_plan ? ONE_PLAN : "");
}

void
db_conn_finish(PGconn *pg, pid_t owner)
{
    if (pg == NULL)
        return;
    if (owner != getpid() && PQsocket(pg) >= 0)
        (void)close(PQsocket(pg)); /* so that libpq's good-bye goes nowhere */
    PQfinish(pg);
}

static const struct {
    const char *prefix; /* of a SQLSTATE; the first match counts */
    enum rc rc;
} meanings[] = {
    { "DM404", RC_NOT_FOUND },   { "DM409", RC_CONFLICT },
    { "DM422", RC_INVALID },     { "08", RC_UNAVAILABLE },    /* connection */
    { "57P", RC_UNAVAILABLE },                                /* shutting down, crashed, starting */
    { "57014", RC_TIMEOUT },                                  /* statement_timeout, or cancelled by someone */
    { "55P03", RC_TIMEOUT },                                  /* lock_timeout */
    { "40001", RC_UNAVAILABLE }, { "40P01", RC_UNAVAILABLE }, /* serialization, deadlock */
    { "25P03", RC_UNAVAILABLE },                              /* idle in a transaction: the session is gone */
    { "25006", RC_UNAVAILABLE }, /* read only: a standby, so a failover is going on */
    { "26000", RC_UNAVAILABLE }, /* prepared statement gone: it is prepared again */
    { "53", RC_UNAVAILABLE },    /* too many connections, disk full, out of memory */
    { "23505", RC_CONFLICT },    { "23P01", RC_CONFLICT }, /* unique, exclusion */
    { "22", RC_INVALID },        { "23", RC_INVALID },
    { "28", RC_DENIED },         { "42501", RC_DENIED },
};

static enum rc
meaning(const char *sqlstate)
{
    for (size_t i = 0; i < COUNT_OF(meanings); i++)
        if (strncmp(sqlstate, meanings[i].prefix, strlen(meanings[i].prefix)) == 0)
            return meanings[i].rc;
    return RC_INTERNAL;
}

/* "... FATAL:  28P01: password authentication failed ...": where the five characters begin, or NULL. */
static const char *
find_sqlstate(const char *s)
{
    while ((s = strstr(s, ":  ")) != NULL) {
        size_t n = 0;

        s += 3;
        while (n < 5 && (isdigit((unsigned char)s[n]) || isupper((unsigned char)s[n])))
            n++;
        if (n == 5 && s[5] == ':')
            return s;
    }
    return NULL;
}

/* libpq's text without its last line break and the place in the server's source. */
static int
message_length(const char *s)
{
    const char *end = strstr(s, "\nLOCATION:");
    size_t n = end != NULL ? (size_t)(end - s) : strlen(s);

    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    return (int)n;
}

enum rc
db_conn_error(const PGconn *pg, struct err *err)
{
    const char *text = PQerrorMessage(pg);
    const char *state = find_sqlstate(text);
    enum rc rc = RC_UNAVAILABLE;

    if (state != NULL)
        rc = meaning(state);
    else if (PQconnectionNeedsPassword(pg))
        rc = RC_DENIED;
    return err_set(err, rc, "connecting to PostgreSQL: %.*s", message_length(text), text);
}

static void
keep_field(char *to, size_t size, const PGresult *res, int field)
{
    const char *s = res == NULL ? NULL : PQresultErrorField(res, field);

    (void)snprintf(to, size, "%s", s == NULL ? "" : s);
}

enum rc
db_result_error(const PGconn *pg, const PGresult *res, const char *what, struct db_diag *diag,
                struct err *err)
{
    const char *primary = res == NULL ? NULL : PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *text;

    keep_field(diag->sqlstate, sizeof diag->sqlstate, res, PG_DIAG_SQLSTATE);
    keep_field(diag->constraint, sizeof diag->constraint, res, PG_DIAG_CONSTRAINT_NAME);
    if (primary != NULL && diag->sqlstate[0] != '\0') /* the DETAIL holds values of rows: it stays out */
        return err_set(err, meaning(diag->sqlstate), "%s: %s (SQLSTATE %s)", what, primary, diag->sqlstate);
    text = res == NULL ? PQerrorMessage(pg) : PQresultErrorMessage(res);
    if (PQstatus(pg) == CONNECTION_BAD)
        return err_set(err, RC_UNAVAILABLE, "%s: connection lost: %.*s", what, message_length(text), text);
    return err_set(err, RC_INTERNAL, "%s: %.*s", what, message_length(text), text);
}

bool
db_result_stale_plan(const PGresult *res)
{
    /* 0A000 is "not supported" in general; only the function that raised it tells this case in every language
     */
    const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

    return function != NULL && strcmp(function, "RevalidateCachedQuery") == 0;
}

bool
db_result_ok(const PGresult *res)
{
    ExecStatusType s = PQresultStatus(res);

    return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK || s == PGRES_EMPTY_QUERY;
}
