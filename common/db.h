/* common/db.h
 * db - one blocking connection to PostgreSQL. With dba.c (the same on a loop) the one user of libpq.
 *
 * Statements are prepared on first use and again after a reconnect. A call on a lost connection reconnects
 * once before it runs, unless a transaction was open: then it is RC_UNAVAILABLE and the transaction is gone.
 * The session: search_path deskmill, time zone UTC, statement_timeout, lock_timeout and
 * idle_in_transaction_session_timeout as in struct db_options, TCP keepalives and user timeout so that a dead
 * peer is noticed within about 15 s, sslmode as in the URL.
 *
 * Ownership: results are the caller's (dbres_destroy, or AUTO(dbres)).
 * Threads:   one thread at a time.
 * Errors:    RC_UNAVAILABLE connection lost, server starting, shutting down, full or a standby, deadlock or
 * serialization failure (a statement whose connection broke while it ran is never run again: whether it took
 * effect is unknown); RC_TIMEOUT statement or lock timeout; RC_CONFLICT unique or exclusion violation, or
 * SQLSTATE DM409 (our own fence: deskmill.own_job()); RC_INVALID data errors (class 22, 23) and DM422;
 * RC_NOT_FOUND DM404; RC_DENIED 28xxx and 42501; RC_INTERNAL the rest.
 */
#ifndef DESKMILL_DB_H
#define DESKMILL_DB_H

#include "common/dbval.h"

struct db_options {
    const char *app_name;     /* application_name: what the reaper and pg_stat_activity see; required */
    int connect_timeout_ms;   /* 0 = 5,000 */
    int statement_timeout_ms; /* 0 = 30,000; -1 = none */
    int lock_timeout_ms;      /* 0 = 10,000; -1 = none */
    int idle_tx_timeout_ms;   /* idle_in_transaction_session_timeout; 0 = 60,000; -1 = none */
    bool relaxed_commit; /* synchronous_commit = off: a commit does not wait for the disk, and may be lost in
                            a crash of the server */
    /* Plans go row by row down an index: no sequential or bitmap scans, hash or merge joins. For sessions all
     * of whose statements have an index. A queue's table is empty one minute and full the next, and no
     * statistics keep up with that. */
    bool by_index;
    /* A statement is planned once, and not anew for the arrays at hand, which can take longer than to run it.
     * For sessions of whose statements each has but one way in, whatever a table holds when they are planned:
     * no joins between a table and the arguments, but `id = ANY (...)`. */
    bool one_plan;
};

struct db;
void db_destroy(struct db *d); /* NULL is fine. In a forked child it closes without a word: the session stays
                                  the parent's */
AUTO_DEFINE(db)

/* Does not connect yet; RC_INVALID for a URL that libpq cannot read. `url` is copied. */
enum rc db_create(const char *url, const struct db_options *o, struct db **out, struct err *err);
/* Connects now, if not connected. */
enum rc db_connect(struct db *d, struct err *err);
void db_disconnect(struct db *d);

/* `res` may be NULL. */
enum rc db_run(struct db *d, enum sql_id id, const struct db_arg *args, size_t n, struct dbres **res,
               struct err *err);
/* Text of the caller's making, for migrations and tests only; may hold several statements, the last one's
 * result is given. */
enum rc db_exec_text(struct db *d, const char *sql, struct dbres **res, struct err *err);

enum rc db_begin(struct db *d, struct err *err);
enum rc db_commit(struct db *d, struct err *err);
void db_rollback(struct db *d); /* safe when none is open; also abandons a COPY that was begun */

/* Several statements in one round trip (libpq's pipeline mode, one sync at the end; so outside an explicit
 * transaction they are one implicit transaction). After the first failure the rest do not run. `res` has n
 * places or is NULL; on failure none is given. No COPY. */
struct db_call {
    enum sql_id id;
    const struct db_arg *args;
    size_t n;
};
enum rc db_pipeline(struct db *d, const struct db_call *calls, size_t n, struct dbres **res, struct err *err);

/* COPY ... FROM STDIN with a SQL_TEXT statement. After a failed put, end() reports why. */
enum rc db_copy_begin(struct db *d, enum sql_id id, struct err *err);
enum rc db_copy_put(struct db *d, const void *data, size_t len, struct err *err);
enum rc db_copy_end(struct db *d, int64_t *rows, struct err *err);

/* SQLSTATE of the last failure, "" if it had none; and the constraint it named, "" if none. Borrowed until
 * the next call. */
const char *db_sqlstate(const struct db *d);
const char *db_constraint(const struct db *d);

/* LISTEN/NOTIFY: waits until a notification comes, `extra_fd` (or -1) is readable, or `timeout_ms` has
 * passed; drains what came. Connects (and listens again) when needed. *notified tells whether any came, or
 * may have been missed while the connection was down. A signal ends the wait early. Channels are SQL_TEXT
 * "LISTEN x" statements given once to db_listen(). */
enum rc db_listen(struct db *d, enum sql_id id, struct err *err);
enum rc db_wait(struct db *d, int extra_fd, int timeout_ms, bool *notified, struct err *err);

#endif
