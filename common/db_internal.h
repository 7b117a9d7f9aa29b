/* common/db_internal.h
 * db_internal - what db.c and dba.c share: arguments in libpq's shape, how a session is opened, what an error
 * means. Only they, dbval.c and db_internal.c include it.
 */
#ifndef DESKMILL_DB_INTERNAL_H
#define DESKMILL_DB_INTERNAL_H

#include "common/buf.h"
#include "common/db.h"
#include <libpq-fe.h>
#include <sys/types.h>

struct dbres {
    PGresult *pg;
};
/* Takes *pg, also when there is no memory for the result. */
struct dbres *dbres_wrap(PGresult **pg);

/* The arguments of one call. All zero is empty; the memory is kept from call to call. */
#define DB_PARAMS_MAX 64
struct db_params {
    int n;
    const char *values[DB_PARAMS_MAX];
    int lengths[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];
    struct buf bytes; /* what `values` point into */
};
void db_params_fini(struct db_params *p);
/* RC_LIMIT: larger than PostgreSQL takes. */
enum rc db_params_set(struct db_params *p, const struct db_arg *args, size_t n, struct err *err);

/* How to open a session; a copy of the caller's url and options with the defaults filled in. */
struct db_conf {
    char *url, *app_name;
    int connect_timeout_ms, statement_timeout_ms, lock_timeout_ms,
        idle_tx_timeout_ms; /* the last three: 0 = none */
    bool relaxed_commit, by_index, one_plan;
};
enum rc db_conf_init(struct db_conf *c, const char *url, const struct db_options *o, struct err *err);
void db_conf_fini(struct db_conf *c);

/* Starts connecting without waiting (resolving a host name does wait). NULL only without memory. */
PGconn *db_conn_start(const struct db_conf *c);
/* Why connecting failed. */
enum rc db_conn_error(const PGconn *pg, struct err *err);
/* Text that sets the session up: one SELECT, so that it is one round trip and may go through a pipeline. */
void db_conf_session_sql(const struct db_conf *c, struct buf *out);
/* Closes. In a forked child (its pid is not `owner`) without a word to the server: the session is the
 * parent's. */
void db_conn_finish(PGconn *pg, pid_t owner);

/* The last failure, for db_sqlstate() and db_constraint(). */
struct db_diag {
    char sqlstate[6], constraint[64];
};
/* Maps a failed result (NULL: the connection's own error) to a code and a sentence without row values. */
enum rc db_result_error(const PGconn *pg, const PGresult *res, const char *what, struct db_diag *diag,
                        struct err *err);
/* The statement did not run because its prepared plan no longer fits the schema. */
bool db_result_stale_plan(const PGresult *res);
bool db_result_ok(const PGresult *res);

/* What this session knows about a statement. STALE: prepared, but must be deallocated and prepared again. */
enum db_prepared { DB_UNPREPARED, DB_PREPARED, DB_STALE };

#endif
