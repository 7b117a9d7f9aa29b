#include "scheduler/promote.h"
#include "common/log.h"
#include <stdlib.h>

enum { BATCH = 1000 };

enum rc
promote_batch(struct db *db, struct push *push, size_t *n, struct err *err)
{
    AUTO(dbres) res = NULL;
    enum rc rc = db_run(db, SQL_job_promote, DB_ARGS(db_i64(BATCH)), &res, err);

    if (rc != RC_OK)
        return rc;
    *n = (size_t)dbres_rows(res);
    if (*n == 0)
        return RC_OK;
    log_info("job.promoted", KV_INT("count", (int64_t)*n));
    return push_rows(push, res, false, err);
}

enum rc
promote_orphans(struct db *db, struct push *push, struct err *err)
{
    AUTO(dbres) orphans = NULL;
    AUTO(dbres) woken = NULL;
    AUTO_FREE int64_t *ids = NULL;
    size_t n;
    enum rc rc = db_run(db, SQL_job_orphan_parents, DB_NO_ARGS, &orphans, err);

    if (rc != RC_OK || (n = (size_t)dbres_rows(orphans)) == 0)
        return rc;
    if ((ids = calloc(n, sizeof *ids)) == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (size_t i = 0; i < n; i++)
        ids[i] = dbres_i64(orphans, (int)i, 0);
    rc = db_run(db, SQL_job_unblock, DB_ARGS(db_texts(NULL, 0), db_i64s(ids, n)), &woken, err);
    if (rc != RC_OK || dbres_rows(woken) == 0)
        return rc;
    log_warn("job.parents_woken", KV_INT("count", dbres_rows(woken)));
    return push_rows(push, woken, false, err);
}
