#include "common/db.h"
#include "common/clock.h"
#include "common/db_internal.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LISTENS_MAX 8
#define COPY_CHUNK  ((size_t)256 << 10) /* libpq holds a whole message in memory */

struct db {
    struct db_conf conf;
    PGconn *pg; /* NULL while disconnected */
    pid_t owner;
    bool in_tx; /* stays true when the connection is lost inside one, until commit or rollback is called */
    bool copying;
    enum db_prepared prepared[SQL_COUNT];
    enum sql_id listens[LISTENS_MAX];
    size_t nlistens;
    struct db_params params;
    struct db_diag diag;
};

enum rc
db_create(const char *url, const struct db_options *o, struct db **out, struct err *err)
{
    AUTO(db) d = calloc(1, sizeof *d);
    enum rc rc;

    if (d == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a database connection");
    if ((rc = db_conf_init(&d->conf, url, o, err)) != RC_OK)
        return rc;
    *out = TAKE(d);
    return RC_OK;
}

/* Closes the session; an open transaction stays noted, as lost. */
static void
drop(struct db *d)
{
    db_conn_finish(TAKE(d->pg), d->owner);
    d->copying = false;
    memset(d->prepared, 0, sizeof d->prepared);
}

void
db_destroy(struct db *d)
{
    if (d == NULL)
        return;
    drop(d);
    db_conf_fini(&d->conf);
    db_params_fini(&d->params);
    free(d);
}

void
db_disconnect(struct db *d)
{
    drop(d);
    d->in_tx = false;
}

const char *
db_sqlstate(const struct db *d)
{
    return d->diag.sqlstate;
}

const char *
db_constraint(const struct db *d)
{
    return d->diag.constraint;
}

/* Waits until the socket is ready for one of `events`; false when the deadline (clock_mono) has passed. */
static bool
wait_socket(const PGconn *pg, short events, int64_t deadline)
{
    struct pollfd p = { .fd = PQsocket(pg), .events = events };

    for (;;) {
        int64_t left = (deadline - clock_mono() + 999) / 1000;
        int n;

        if (left <= 0)
            return false;
        n = poll(&p, 1, (int)left);
        if (n > 0 || (n < 0 && errno != EINTR))
            return true; /* an error of poll's shows itself in the next use of the socket */
    }
}

static enum rc
connect_by(PGconn *pg, int64_t deadline, struct err *err)
{
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;

    if (PQstatus(pg) == CONNECTION_BAD)
        return db_conn_error(pg, err);
    while (want != PGRES_POLLING_OK) {
        if (!wait_socket(pg, want == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
            return err_set(err, RC_UNAVAILABLE, "connecting to PostgreSQL: no answer in time");
        if ((want = PQconnectPoll(pg)) == PGRES_POLLING_FAILED)
            return db_conn_error(pg, err);
    }
    PQsetErrorVerbosity(pg, PQERRORS_DEFAULT);
    return RC_OK;
}

/* The session's settings and what it listens to, in one text and so in one round trip. */
static enum rc
set_session_up(struct db *d, int64_t deadline, struct err *err)
{
    PGresult *res;
    enum rc rc = RC_OK;
    struct buf sql;

    buf_init(&sql, 4096);
    db_conf_session_sql(&d->conf, &sql);
    for (size_t i = 0; i < d->nlistens; i++)
        buf_printf(&sql, "; %s", sql_stmts[d->listens[i]].text);
    if (sql.failed)
        rc = err_set(err, RC_INTERNAL, "the session's settings are too long");
    else if (PQsendQuery(d->pg, sql.data) == 0)
        rc = db_result_error(d->pg, NULL, "setting the session up", &d->diag, err);
    while (rc == RC_OK && PQisBusy(d->pg)) {
        if (!wait_socket(d->pg, POLLIN, deadline))
            rc = err_set(err, RC_UNAVAILABLE, "setting the session up: no answer in time");
        else if (PQconsumeInput(d->pg) == 0)
            rc = db_result_error(d->pg, NULL, "setting the session up", &d->diag, err);
    }
    while (rc == RC_OK && (res = PQgetResult(d->pg)) != NULL) {
        if (!db_result_ok(res))
            rc = db_result_error(d->pg, res, "setting the session up", &d->diag, err);
        PQclear(res);
    }
    buf_fini(&sql);
    return rc;
}

enum rc
db_connect(struct db *d, struct err *err)
{
    int64_t deadline = clock_mono() + (int64_t)d->conf.connect_timeout_ms * 1000;
    enum rc rc;

    if (d->pg != NULL && PQstatus(d->pg) == CONNECTION_OK)
        return RC_OK;
    drop(d);
    d->owner = getpid();
    if ((d->pg = db_conn_start(&d->conf)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a database connection");
    if ((rc = connect_by(d->pg, deadline, err)) != RC_OK || (rc = set_session_up(d, deadline, err)) != RC_OK)
        drop(d);
    return rc;
}

/* Whether the server has closed the connection while it was idle: then whatever we send was certainly not
 * run. */
static bool
found_dead(const struct db *d)
{
    struct pollfd p = { .fd = PQsocket(d->pg), .events = POLLIN };

    /* a message and the end of the stream may come in two reads */
    while (PQstatus(d->pg) == CONNECTION_OK && poll(&p, 1, 0) > 0)
        if (PQconsumeInput(d->pg) == 0)
            return true;
    return PQstatus(d->pg) != CONNECTION_OK;
}

/* Before anything is sent: a live connection, or the reason why there is none. */
static enum rc
ready(struct db *d, struct err *err)
{
    assert(!d->copying);
    d->diag = (struct db_diag){ 0 };
    if (d->pg != NULL && !found_dead(d))
        return RC_OK;
    drop(d);
    if (d->in_tx)
        return err_set(err, RC_UNAVAILABLE, "connection lost: the transaction is gone");
    return db_connect(d, err);
}

/* After a statement: what the server thinks of transactions. A dead connection leaves the old belief. */
static void
note_tx(struct db *d)
{
    PGTransactionStatusType s = PQtransactionStatus(d->pg);

    if (s == PQTRANS_UNKNOWN)
        drop(d);
    else
        d->in_tx = s == PQTRANS_INTRANS || s == PQTRANS_INERROR;
}

/* Judges what came back and gives it to *out (which may be NULL). Takes *res. */
static enum rc
settle(struct db *d, const char *what, PGresult **res, struct dbres **out, struct err *err)
{
    enum rc rc = RC_OK;
    struct dbres *r;

    switch (PQresultStatus(*res)) {
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        rc = err_set(err, RC_INTERNAL, "%s: a COPY must go through db_copy_begin()", what);
        drop(d); /* nothing else leaves that mode without knowing which it was */
        break;
    default:
        if (!db_result_ok(*res))
            rc = db_result_error(d->pg, *res, what, &d->diag, err);
    }
    if (d->pg != NULL)
        note_tx(d);
    if (rc != RC_OK || out == NULL) {
        PQclear(TAKE(*res));
        return rc;
    }
    if ((r = dbres_wrap(res)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a result");
    *out = r;
    return RC_OK;
}

/* One failed preparation or one stale plan means: the statement did not run. */
enum attempt { RAN, DID_NOT_RUN };

static void
deallocate(struct db *d, enum sql_id id)
{
    char sql[96];

    (void)snprintf(sql, sizeof sql, "DEALLOCATE %s", sql_stmts[id].name);
    PQclear(PQexec(d->pg, sql)); /* if it fails, so does preparing, which is reported */
    d->prepared[id] = DB_UNPREPARED;
}

static enum rc
prepare(struct db *d, enum sql_id id, struct err *err)
{
    const struct sql_stmt *s = &sql_stmts[id];
    PGresult *res;
    enum rc rc;

    if (d->prepared[id] == DB_STALE)
        deallocate(d, id);
    if (!s->prepared || d->prepared[id] == DB_PREPARED)
        return RC_OK;
    res = PQprepare(d->pg, s->name, s->text, 0, NULL);
    if ((rc = settle(d, s->name, &res, NULL, err)) == RC_OK)
        d->prepared[id] = DB_PREPARED;
    return rc;
}

/* A plan that the schema has outgrown, or that someone discarded: prepared anew at the next use. */
static bool
note_stale(struct db *d, enum sql_id id, const PGresult *res)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (db_result_stale_plan(res))
        d->prepared[id] = DB_STALE;
    else if (state != NULL && strcmp(state, "26000") == 0)
        d->prepared[id] = DB_UNPREPARED;
    else
        return false;
    return true;
}

static enum rc
run_once(struct db *d, enum sql_id id, struct dbres **out, enum attempt *attempt, struct err *err)
{
    const struct sql_stmt *s = &sql_stmts[id];
    const struct db_params *p = &d->params;
    PGresult *res;
    bool stale;
    enum rc rc;

    *attempt = DID_NOT_RUN;
    if ((rc = ready(d, err)) != RC_OK || (rc = prepare(d, id, err)) != RC_OK)
        return rc;
    if (s->prepared)
        res = PQexecPrepared(d->pg, s->name, p->n, p->values, p->lengths, p->formats, 0);
    else
        res = PQexec(d->pg, s->text);
    stale = s->prepared && note_stale(d, id, res);
    *attempt = stale ? DID_NOT_RUN : RAN;
    rc = settle(d, s->name, &res, out, err);
    return stale ? err_set(err, RC_UNAVAILABLE, "%s: its prepared plan was out of date", s->name) : rc;
}

enum rc
db_run(struct db *d, enum sql_id id, const struct db_arg *args, size_t n, struct dbres **res, struct err *err)
{
    enum attempt attempt;
    enum rc rc;

    assert(n == (size_t)sql_stmts[id].nparams);
    if ((rc = db_params_set(&d->params, args, n, err)) != RC_OK)
        return rc;
    rc = run_once(d, id, res, &attempt, err);
    /* Once more, if the connection went away while preparing or the plan was stale, and no transaction is
     * lost by it. */
    if (rc == RC_UNAVAILABLE && attempt == DID_NOT_RUN && !d->in_tx &&
        (d->prepared[id] != DB_PREPARED && sql_stmts[id].prepared))
        rc = run_once(d, id, res, &attempt, err);
    return rc;
}

/* Where in the text the server found the mistake, for whoever wrote it. */
static void
add_line(const char *sql, const PGresult *res, struct err *err)
{
    const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
    long left = position == NULL ? 0 : strtol(position, NULL, 10); /* in characters, from 1 */
    int line = 1;

    if (left <= 0 || err == NULL)
        return;
    for (; *sql != '\0' && left > 1; sql++) {
        if (((unsigned char)*sql & 0xc0) != 0x80) /* not inside a UTF-8 character */
            left--;
        if (*sql == '\n')
            line++;
    }
    err_wrap(err, "line %d", line);
}

enum rc
db_exec_text(struct db *d, const char *sql, struct dbres **out, struct err *err)
{
    PGresult *res;
    enum rc rc;

    if ((rc = ready(d, err)) != RC_OK)
        return rc;
    res = PQexec(d->pg, sql);
    if (!db_result_ok(res) && PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION) != NULL) {
        rc = db_result_error(d->pg, res, "SQL", &d->diag, err);
        add_line(sql, res, err);
        note_tx(d);
        PQclear(res);
        return rc;
    }
    return settle(d, "SQL", &res, out, err);
}

enum rc
db_begin(struct db *d, struct err *err)
{
    assert(!d->in_tx);
    return db_run(d, SQL_begin, DB_NO_ARGS, NULL, err);
}

enum rc
db_commit(struct db *d, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc;

    assert(d->in_tx);
    rc = db_run(d, SQL_commit, DB_NO_ARGS, &res, err);
    if (d->pg == NULL)
        d->in_tx = false; /* whatever became of it, there is nothing left to roll back */
    if (rc == RC_OK && strcmp(PQcmdStatus(res->pg), "COMMIT") != 0)
        return err_set(err, RC_INTERNAL, "commit: a statement had failed, so it was rolled back");
    return rc;
}

static void
abandon_copy(struct db *d)
{
    PGresult *res;

    (void)PQputCopyEnd(d->pg, "abandoned by the client");
    while (PQstatus(d->pg) == CONNECTION_OK && (res = PQgetResult(d->pg)) != NULL)
        PQclear(res);
    d->copying = false;
}

void
db_rollback(struct db *d)
{
    struct db_diag diag = d->diag; /* the reason for rolling back outlives it */

    if (d->copying)
        abandon_copy(d);
    if (d->in_tx && d->pg != NULL) {
        PGresult *res = PQexec(d->pg, sql_stmts[SQL_rollback].text);

        if (settle(d, "rollback", &res, NULL, NULL) != RC_OK)
            drop(d); /* the server rolls back by itself */
    }
    d->in_tx = false;
    d->diag = diag;
}

/* ---- pipelines ---- */

/* Sends what is queued, reading meanwhile: a server that cannot write its answers stops reading our
 * questions. */
static bool
flush(struct db *d)
{
    int left;

    while ((left = PQflush(d->pg)) > 0) {
        struct pollfd p = { .fd = PQsocket(d->pg), .events = POLLIN | POLLOUT };

        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return false;
        if ((p.revents & (POLLIN | POLLHUP | POLLERR)) != 0 && PQconsumeInput(d->pg) == 0)
            return false;
    }
    return left == 0;
}

static bool
send_call(struct db *d, const struct db_call *c)
{
    const struct sql_stmt *s = &sql_stmts[c->id];
    const struct db_params *p = &d->params;

    if (!s->prepared)
        return PQsendQueryParams(d->pg, s->text, 0, NULL, NULL, NULL, NULL, 0) != 0;
    return PQsendQueryPrepared(d->pg, s->name, p->n, p->values, p->lengths, p->formats, 0) != 0;
}

/* `prepares[i]`: call i is the first to need its statement, which is prepared just before it. */
static enum rc
send_calls(struct db *d, const struct db_call *calls, size_t n, bool prepares[], struct err *err)
{
    enum rc rc;

    for (size_t i = 0; i < n; i++) {
        const struct sql_stmt *s = &sql_stmts[calls[i].id];

        assert(calls[i].n == (size_t)s->nparams);
        assert(strncmp(s->text, "COPY", 4) != 0); /* the server would wait for data for ever */
        prepares[i] = s->prepared && d->prepared[calls[i].id] != DB_PREPARED;
        if ((rc = db_params_set(&d->params, calls[i].args, calls[i].n, err)) != RC_OK)
            return rc;
        if (prepares[i]) {
            if (PQsendPrepare(d->pg, s->name, s->text, 0, NULL) == 0)
                return db_result_error(d->pg, NULL, s->name, &d->diag, err);
            d->prepared[calls[i].id] = DB_PREPARED; /* taken back when the answer is no */
        }
        if (!send_call(d, &calls[i]))
            return db_result_error(d->pg, NULL, s->name, &d->diag, err);
    }
    if (PQpipelineSync(d->pg) == 0 || !flush(d))
        return db_result_error(d->pg, NULL, "pipeline", &d->diag, err);
    return RC_OK;
}

/* The answer to one queued command and the NULL behind it. */
static PGresult *
next_answer(struct db *d)
{
    PGresult *res = PQgetResult(d->pg), *more;

    while (res != NULL && PQresultStatus(res) != PGRES_PIPELINE_SYNC && PQstatus(d->pg) == CONNECTION_OK &&
           (more = PQgetResult(d->pg)) != NULL)
        PQclear(more);
    return res;
}

/* Keeps the first failure; what the server skipped after it is no news. */
static enum rc
judge(struct db *d, const char *what, const PGresult *res, enum rc so_far, struct err *err)
{
    if (so_far != RC_OK || db_result_ok(res))
        return so_far;
    return db_result_error(d->pg, res, what, &d->diag, err);
}

static enum rc
read_answers(struct db *d, const struct db_call *calls, size_t n, const bool prepares[], struct dbres **got,
             struct err *err)
{
    enum rc rc = RC_OK;
    PGresult *res;

    for (size_t i = 0; i < n && PQstatus(d->pg) == CONNECTION_OK; i++) {
        const char *name = sql_stmts[calls[i].id].name;

        if (prepares[i]) {
            res = next_answer(d);
            rc = judge(d, name, res, rc, err);
            if (!db_result_ok(res))
                d->prepared[calls[i].id] = DB_UNPREPARED;
            PQclear(res);
        }
        res = next_answer(d);
        if (rc == RC_OK && !db_result_ok(res) && note_stale(d, calls[i].id, res))
            rc = err_set(err, RC_UNAVAILABLE, "%s: its prepared plan was out of date", name);
        rc = judge(d, name, res, rc, err);
        if (rc == RC_OK && (got[i] = dbres_wrap(&res)) == NULL)
            rc = err_set(err, RC_INTERNAL, "no memory for a result");
        PQclear(res);
    }
    /* The sync's own answer: outside a transaction this is where the commit happened or failed. */
    while (PQstatus(d->pg) == CONNECTION_OK && (res = PQgetResult(d->pg)) != NULL) {
        bool sync = PQresultStatus(res) == PGRES_PIPELINE_SYNC;

        if (!sync)
            rc = judge(d, "pipeline", res, rc, err);
        PQclear(res);
        if (sync)
            return rc;
    }
    return rc != RC_OK ? rc : db_result_error(d->pg, NULL, "pipeline", &d->diag, err);
}

static enum rc
run_pipeline(struct db *d, const struct db_call *calls, size_t n, bool prepares[], struct dbres **got,
             struct err *err)
{
    enum rc rc;

    if (PQsetnonblocking(d->pg, 1) != 0 || PQenterPipelineMode(d->pg) == 0)
        return db_result_error(d->pg, NULL, "pipeline", &d->diag, err);
    if ((rc = send_calls(d, calls, n, prepares, err)) != RC_OK)
        drop(d); /* without its sync nothing of it is committed */
    else
        rc = read_answers(d, calls, n, prepares, got, err);
    if (d->pg != NULL && (PQexitPipelineMode(d->pg) == 0 || PQsetnonblocking(d->pg, 0) != 0))
        drop(d);
    if (d->pg != NULL)
        note_tx(d);
    return rc;
}

enum rc
db_pipeline(struct db *d, const struct db_call *calls, size_t n, struct dbres **res, struct err *err)
{
    AUTO_FREE bool *prepares = calloc(n + 1, sizeof *prepares);
    AUTO_FREE struct dbres **got = calloc(n + 1, sizeof(void *));
    enum rc rc;

    if (prepares == NULL || got == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a pipeline of %zu statements", n);
    if ((rc = ready(d, err)) != RC_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (d->prepared[calls[i].id] == DB_STALE)
            deallocate(d, calls[i].id);
    rc = run_pipeline(d, calls, n, prepares, got, err);
    for (size_t i = 0; i < n; i++) {
        if (rc == RC_OK && res != NULL)
            res[i] = got[i];
        else
            dbres_destroy(got[i]);
    }
    return rc;
}

/* ---- COPY ---- */

enum rc
db_copy_begin(struct db *d, enum sql_id id, struct err *err)
{
    PGresult *res;
    enum rc rc;

    assert(!sql_stmts[id].prepared);
    if ((rc = ready(d, err)) != RC_OK)
        return rc;
    res = PQexec(d->pg, sql_stmts[id].text);
    if (PQresultStatus(res) != PGRES_COPY_IN) {
        if ((rc = settle(d, sql_stmts[id].name, &res, NULL, err)) == RC_OK)
            rc = err_set(err, RC_INTERNAL, "%s: not a COPY ... FROM STDIN", sql_stmts[id].name);
        return rc;
    }
    PQclear(res);
    d->copying = true;
    return RC_OK;
}

enum rc
db_copy_put(struct db *d, const void *data, size_t len, struct err *err)
{
    const char *p = data;

    assert(d->copying);
    while (len > 0) {
        size_t n = len < COPY_CHUNK ? len : COPY_CHUNK;

        if (PQputCopyData(d->pg, p, (int)n) != 1)
            return db_result_error(d->pg, NULL, "copy", &d->diag, err);
        p += n;
        len -= n;
    }
    return RC_OK;
}

enum rc
db_copy_end(struct db *d, int64_t *rows, struct err *err)
{
    AUTO(dbres) done = NULL;
    PGresult *res, *more;
    enum rc rc;

    assert(d->copying);
    d->copying = false;
    (void)PQputCopyEnd(d->pg, NULL); /* if it fails, the result says so, and perhaps why */
    res = PQgetResult(d->pg);
    while (res != NULL && PQstatus(d->pg) == CONNECTION_OK && (more = PQgetResult(d->pg)) != NULL)
        PQclear(more);
    if ((rc = settle(d, "copy", &res, &done, err)) != RC_OK)
        return rc;
    if (rows != NULL)
        *rows = dbres_affected(done);
    return RC_OK;
}

/* ---- LISTEN ---- */

enum rc
db_listen(struct db *d, enum sql_id id, struct err *err)
{
    bool connected = d->pg != NULL;
    enum rc rc;

    assert(!sql_stmts[id].prepared && d->nlistens < LISTENS_MAX);
    d->listens[d->nlistens++] = id; /* noted first: a connection made from now on listens by itself */
    rc = connected ? db_run(d, id, DB_NO_ARGS, NULL, err) : db_connect(d, err);
    if (rc != RC_OK)
        d->nlistens--;
    return rc;
}

static bool
drain_notifications(struct db *d)
{
    bool any = false;
    PGnotify *n;

    while ((n = PQnotifies(d->pg)) != NULL) {
        any = true;
        PQfreemem(n);
    }
    return any;
}

/* Polls once. *woken: something other than the server's bytes ended the wait. */
static void
poll_both(struct db *d, int extra_fd, int64_t left_us, bool *woken)
{
    struct pollfd p[2] = { { .fd = PQsocket(d->pg), .events = POLLIN },
                           { .fd = extra_fd, .events = POLLIN } };
    int n = poll(p, 2, left_us < 0 ? -1 : (int)((left_us + 999) / 1000)); /* a negative fd is passed over */

    *woken = n <= 0 || p[1].revents != 0;
}

enum rc
db_wait(struct db *d, int extra_fd, int timeout_ms, bool *notified, struct err *err)
{
    int64_t deadline = clock_mono() + (int64_t)timeout_ms * 1000;
    bool woken = false;

    assert(!d->in_tx && !d->copying);
    for (;;) {
        PGconn *before = d->pg;
        int64_t left;
        enum rc rc;

        if ((rc = ready(d, err)) != RC_OK) /* reads what has come, too */
            return rc;
        /* what was sent while we were away is lost, so coming back counts as having heard something */
        if (drain_notifications(d) || before == NULL || d->pg != before) {
            *notified = true;
            return RC_OK;
        }
        left = deadline - clock_mono();
        if (woken || (timeout_ms >= 0 && left <= 0)) {
            *notified = false;
            return RC_OK;
        }
        poll_both(d, extra_fd, timeout_ms < 0 ? -1 : left, &woken);
    }
}
