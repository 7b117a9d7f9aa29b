#include "common/dba.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/db_internal.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One call, from dba_run() until its callback. In the pipeline it is [a preparation,] a statement and a sync.
 */
struct call {
    struct call *next;
    enum sql_id id;
    bool prepares; /* its statement's preparation was sent with it, and has not been answered yet */
    bool internal; /* ours: the session's set-up, or a DEALLOCATE */
    dba_cb cb;
    void *arg;
    PGresult *res; /* the first success, kept until the sync says that it is committed */
    enum rc rc;
    struct err err;
};

struct call_list {
    struct call *head, **tail;
    size_t n;
};

enum dba_state { DBA_DOWN, DBA_CONNECTING, DBA_SETTING_UP, DBA_UP };

struct dba {
    struct loop *loop;
    struct db_conf conf;
    dba_state_cb state_cb;
    void *state_arg;
    enum dba_state state;
    PGconn *pg;
    pid_t owner;
    struct loop_io *io;
    struct loop_timer *reconnect, *watchdog, *soon;
    int failures;                /* connection attempts since the last that worked */
    struct call_list sent, lost; /* lost: sent before the connection broke, being failed now */
    struct call_list refused;    /* made while down, to be failed from the loop */
    enum db_prepared prepared[SQL_COUNT];
    struct db_params params;
    bool broken; /* a send failed: found out within dba_run(), dealt with from the loop */
    bool destroying;
    bool *gone; /* set when a callback destroys us */
};

static void lose(struct dba *d, const struct err *why);

static void
list_init(struct call_list *l)
{
    *l = (struct call_list){ .tail = &l->head };
}

static void
list_add(struct call_list *l, struct call *c)
{
    *l->tail = c;
    l->tail = &c->next;
    l->n++;
}

static struct call *
list_pop(struct call_list *l)
{
    struct call *c = l->head;

    if (c == NULL)
        return NULL;
    if ((l->head = c->next) == NULL)
        l->tail = &l->head;
    c->next = NULL;
    l->n--;
    return c;
}

static void
call_free(struct call *c)
{
    PQclear(c->res);
    free(c);
}

/* The callback, exactly once; false when it destroyed the dba. Takes the call. */
static bool
finish_call(struct dba *d, struct call *c)
{
    struct dbres res = { .pg = c->res };
    bool gone = false, *outer = d->gone;

    d->gone = &gone;
    if (c->cb != NULL)
        c->cb(c->arg, c->rc, c->rc == RC_OK ? &res : NULL, &c->err);
    call_free(c);
    if (gone) {
        if (outer != NULL)
            *outer = true;
        return false;
    }
    d->gone = outer;
    return true;
}

/* Fails what `l` holds now and what callbacks add meanwhile. False when the dba is gone. */
static bool
fail_all(struct dba *d, struct call_list *l, const struct err *why)
{
    struct call *c;

    while ((c = list_pop(l)) != NULL) {
        if (c->rc == RC_OK) { /* else it had failed already, with a better reason */
            c->rc = RC_UNAVAILABLE;
            c->err = *why;
            c->err.rc = RC_UNAVAILABLE;
        }
        if (!finish_call(d, c))
            return false;
    }
    return true;
}

/* Tells the owner; false when that destroyed us. */
static bool
tell(struct dba *d, bool up, const struct err *why)
{
    bool gone = false, *outer = d->gone;

    if (d->state_cb == NULL)
        return true;
    d->gone = &gone;
    d->state_cb(d->state_arg, up, why);
    if (gone) {
        if (outer != NULL)
            *outer = true;
        return false;
    }
    d->gone = outer;
    return true;
}

bool
dba_is_up(const struct dba *d)
{
    return d->state == DBA_UP;
}

size_t
dba_in_flight(const struct dba *d)
{
    return d->sent.n + d->lost.n + d->refused.n;
}

/* Unanswered for longer than connecting and any statement may take: the server is gone, whatever TCP thinks.
 */
static void
arm_watchdog(struct dba *d)
{
    if (d->sent.head == NULL || d->conf.statement_timeout_ms == 0)
        loop_timer_stop(d->watchdog);
    else
        loop_timer_after(d->watchdog, d->conf.connect_timeout_ms + d->conf.statement_timeout_ms);
}

static void
on_watchdog(void *arg)
{
    struct dba *d = arg;
    struct err why = { 0 };

    if (d->state == DBA_CONNECTING || d->state == DBA_SETTING_UP)
        err_set(&why, RC_UNAVAILABLE, "connecting to PostgreSQL: no answer in time");
    else
        err_set(&why, RC_UNAVAILABLE, "PostgreSQL does not answer: connection dropped");
    lose(d, &why);
}

static void
close_connection(struct dba *d)
{
    loop_io_destroy(TAKE(d->io)); /* before libpq closes the descriptor */
    db_conn_finish(TAKE(d->pg), d->owner);
    memset(d->prepared, 0, sizeof d->prepared);
    loop_timer_stop(d->watchdog);
    d->broken = false;
}

/* Every way down ends here: closes, answers what was in flight, tells, and tries again after a while. */
static void
lose(struct dba *d, const struct err *why)
{
    struct call *c;

    close_connection(d);
    d->failures = d->state == DBA_UP ? 1 : d->failures + 1;
    d->state = DBA_DOWN; /* before the callbacks: what they call is refused */
    loop_timer_after(d->reconnect, backoff_jitter_ms(&backoff_connect, d->failures));
    while ((c = list_pop(&d->sent)) != NULL)
        list_add(&d->lost, c);
    if (fail_all(d, &d->lost, why))
        (void)tell(d, false, why);
}

static void
lose_connection(struct dba *d)
{
    struct err why = { 0 };
    struct db_diag diag;

    db_result_error(d->pg, NULL, "PostgreSQL", &diag, &why);
    lose(d, &why);
}

/* Sends what libpq still holds; the rest when the socket takes it. False when the connection is lost. */
static bool
flush(struct dba *d)
{
    int left = PQflush(d->pg);

    if (left >= 0)
        loop_io_want(d->io, true, left > 0);
    return left >= 0;
}

static void
on_soon(void *arg)
{
    struct dba *d = arg;
    struct err why = { 0 };

    err_set(&why, RC_UNAVAILABLE, "not connected to PostgreSQL");
    if (!fail_all(d, &d->refused, &why))
        return;
    if (d->broken)
        lose_connection(d);
}

static struct call *
call_create(enum sql_id id, dba_cb cb, void *arg)
{
    struct call *c = calloc(1, sizeof *c);

    if (c == NULL)
        abort(); /* the promise of one callback per call cannot be kept without it */
    c->id = id;
    c->cb = cb;
    c->arg = arg;
    return c;
}

static void
sent(struct dba *d, struct call *c, bool ok)
{
    bool first = d->sent.head == NULL;

    list_add(&d->sent, c);
    if (!ok || PQpipelineSync(d->pg) == 0 || !flush(d)) {
        d->broken = true;
        loop_timer_after(d->soon, 0);
    } else if (first) {
        arm_watchdog(d);
    }
}

/* Text of ours, without a callback. */
static void
send_internal(struct dba *d, const char *sql)
{
    struct call *c = call_create(SQL_db_ping, NULL, NULL);

    c->internal = true;
    sent(d, c, PQsendQueryParams(d->pg, sql, 0, NULL, NULL, NULL, NULL, 0) != 0);
}

static bool
send_statement(struct dba *d, struct call *c)
{
    const struct sql_stmt *s = &sql_stmts[c->id];
    const struct db_params *p = &d->params;

    if (!s->prepared)
        return PQsendQueryParams(d->pg, s->text, 0, NULL, NULL, NULL, NULL, 0) != 0;
    if (d->prepared[c->id] != DB_PREPARED) {
        if (PQsendPrepare(d->pg, s->name, s->text, 0, NULL) == 0)
            return false;
        c->prepares = true;
        d->prepared[c->id] = DB_PREPARED; /* those behind us in the pipeline may count on it */
    }
    return PQsendQueryPrepared(d->pg, s->name, p->n, p->values, p->lengths, p->formats, 0) != 0;
}

static void
refuse(struct dba *d, struct call *c)
{
    list_add(&d->refused, c);
    if (!d->destroying)
        loop_timer_after(d->soon, 0);
}

void
dba_run(struct dba *d, enum sql_id id, const struct db_arg *args, size_t n, dba_cb cb, void *arg)
{
    struct call *c = call_create(id, cb, arg);
    char deallocate[96];

    assert(n == (size_t)sql_stmts[id].nparams);
    assert(strncmp(sql_stmts[id].text, "COPY", 4) != 0);
    if (d->state != DBA_UP || d->broken) {
        refuse(d, c);
        return;
    }
    if ((c->rc = db_params_set(&d->params, args, n, &c->err)) != RC_OK) {
        refuse(d, c);
        return;
    }
    if (d->prepared[id] == DB_STALE) {
        (void)snprintf(deallocate, sizeof deallocate, "DEALLOCATE %s", sql_stmts[id].name);
        send_internal(d, deallocate); /* in a transaction of its own: if it fails nothing else does */
        d->prepared[id] = DB_UNPREPARED;
    }
    sent(d, c, send_statement(d, c));
}

/* ---- answers ---- */

static void
note_stale(struct dba *d, struct call *c, const PGresult *res, const struct db_diag *diag)
{
    if (c->internal || (!db_result_stale_plan(res) && strcmp(diag->sqlstate, "26000") != 0))
        return;
    if (d->prepared[c->id] == DB_PREPARED)
        d->prepared[c->id] = DB_STALE;
    c->rc = err_set(&c->err, RC_UNAVAILABLE, "%s: its prepared plan was out of date", sql_stmts[c->id].name);
}

/* One result of the call at the head: its preparation's or its statement's. Takes res. */
static void
take_result(struct dba *d, struct call *c, PGresult *res)
{
    bool preparation = c->prepares;
    struct db_diag diag;

    c->prepares = false;
    if (!db_result_ok(res)) {
        if (preparation)
            d->prepared[c->id] = DB_UNPREPARED;
        if (c->rc == RC_OK) { /* what is skipped behind the first failure is no news */
            c->rc =
                db_result_error(d->pg, res, c->internal ? "session" : sql_stmts[c->id].name, &diag, &c->err);
            if (!preparation)
                note_stale(d, c, res, &diag);
        }
    } else if (!preparation && c->res == NULL) {
        c->res = TAKE(res);
    }
    PQclear(res);
}

/* The head has its sync: it is settled. False when the dba is gone or the connection with it. */
static bool
settle_head(struct dba *d)
{
    struct call *c = list_pop(&d->sent);

    arm_watchdog(d);
    if (d->state != DBA_SETTING_UP)
        return finish_call(d, c);
    if (c->rc != RC_OK) {
        struct err why = c->err;

        call_free(c);
        lose(d, &why);
        return false;
    }
    call_free(c);
    d->failures = 0;
    d->state = DBA_UP;
    return tell(d, true, NULL);
}

static void
read_answers(struct dba *d)
{
    PGconn *pg = d->pg;
    int nothing = 0;

    while (d->sent.head != NULL && !PQisBusy(pg)) {
        PGresult *res = PQgetResult(pg);

        if (res == NULL) { /* the end of one command's results; twice in a row there is no command left */
            if (PQstatus(pg) == CONNECTION_BAD || ++nothing > 2)
                break;
            continue;
        }
        nothing = 0;
        if (PQresultStatus(res) != PGRES_PIPELINE_SYNC) {
            take_result(d, d->sent.head, res);
            continue;
        }
        PQclear(res);
        if (!settle_head(d) || d->pg != pg) /* a callback destroyed us, or the connection is another */
            return;
    }
    if (PQstatus(pg) == CONNECTION_BAD || nothing > 2)
        lose_connection(d);
}

static void
on_socket(void *arg, bool readable, bool writable)
{
    struct dba *d = arg;
    PGnotify *n;

    if (d->broken || (writable && !flush(d))) {
        lose_connection(d);
        return;
    }
    if (readable)
        (void)PQconsumeInput(
            d->pg); /* at the stream's end the server's last words are still there to be read */
    while ((n = PQnotifies(d->pg)) != NULL)
        PQfreemem(n); /* nobody listens here */
    read_answers(d);
}

/* ---- connecting ---- */

static void
set_session_up(struct dba *d)
{
    struct buf sql;

    PQsetErrorVerbosity(d->pg, PQERRORS_DEFAULT);
    d->state = DBA_SETTING_UP;
    loop_io_destroy(d->io);
    d->io = loop_io_create(d->loop, PQsocket(d->pg), on_socket, d);
    loop_io_want(d->io, true, false);
    buf_init(&sql, 4096);
    db_conf_session_sql(&d->conf, &sql);
    assert(!sql.failed);
    if (PQsetnonblocking(d->pg, 1) != 0 || PQenterPipelineMode(d->pg) == 0)
        d->broken = true;
    else
        send_internal(d, sql.data);
    buf_fini(&sql);
    loop_timer_after(d->watchdog, d->conf.connect_timeout_ms);
    if (d->broken)
        loop_timer_after(d->soon, 0);
}

static void
on_connecting(void *arg, bool readable, bool writable)
{
    struct dba *d = arg;
    PostgresPollingStatusType want = PQconnectPoll(d->pg);
    struct err why = { 0 };

    (void)readable, (void)writable;
    if (want == PGRES_POLLING_OK) {
        set_session_up(d);
        return;
    }
    /* libpq may have gone on to another address: the socket is new, perhaps under the old number */
    loop_io_destroy(TAKE(d->io));
    if (want == PGRES_POLLING_FAILED) {
        db_conn_error(d->pg, &why);
        lose(d, &why);
        return;
    }
    d->io = loop_io_create(d->loop, PQsocket(d->pg), on_connecting, d);
    loop_io_want(d->io, want == PGRES_POLLING_READING, want == PGRES_POLLING_WRITING);
}

static void
start_connecting(void *arg)
{
    struct dba *d = arg;
    struct err why = { 0 };

    assert(d->state == DBA_DOWN && d->pg == NULL);
    d->state = DBA_CONNECTING;
    d->owner = getpid();
    d->pg = db_conn_start(&d->conf);
    if (d->pg == NULL || PQstatus(d->pg) == CONNECTION_BAD) {
        if (d->pg == NULL)
            err_set(&why, RC_INTERNAL, "no memory for a database connection");
        else
            db_conn_error(d->pg, &why);
        lose(d, &why);
        return;
    }
    d->io = loop_io_create(d->loop, PQsocket(d->pg), on_connecting, d);
    loop_io_want(d->io, false, true); /* what libpq asks to begin with */
    loop_timer_after(d->watchdog, d->conf.connect_timeout_ms);
}

enum rc
dba_create(struct loop *l, const char *url, const struct db_options *o, dba_state_cb state, void *arg,
           struct dba **out, struct err *err)
{
    struct dba *d = calloc(1, sizeof *d);
    enum rc rc;

    if (d == NULL)
        return err_set(err, RC_INTERNAL, "no memory for a database connection");
    if ((rc = db_conf_init(&d->conf, url, o, err)) != RC_OK) {
        free(d);
        return rc;
    }
    d->loop = l;
    d->state_cb = state;
    d->state_arg = arg;
    list_init(&d->sent);
    list_init(&d->lost);
    list_init(&d->refused);
    d->reconnect = loop_timer_create(l, start_connecting, d);
    d->watchdog = loop_timer_create(l, on_watchdog, d);
    d->soon = loop_timer_create(l, on_soon, d);
    loop_timer_after(d->reconnect, 0); /* so that no callback comes before the caller has its handle */
    *out = d;
    return RC_OK;
}

void
dba_destroy(struct dba *d)
{
    struct err why = { 0 };

    if (d == NULL)
        return;
    assert(!d->destroying); /* from within a callback that destroying called */
    d->destroying = true;
    if (d->gone != NULL)
        *d->gone = true;
    d->gone = NULL;
    close_connection(d);
    d->state = DBA_DOWN; /* the owner knows: no state callback */
    err_set(&why, RC_UNAVAILABLE, "the database connection is being closed");
    (void)fail_all(d, &d->lost, &why);
    (void)fail_all(d, &d->sent, &why);
    (void)fail_all(d, &d->refused, &why);
    loop_timer_destroy(d->reconnect);
    loop_timer_destroy(d->watchdog);
    loop_timer_destroy(d->soon);
    db_params_fini(&d->params);
    db_conf_fini(&d->conf);
    free(d);
}
