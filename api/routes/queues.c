/* api/routes/queues.c - what waits and runs. Depths are Postgres's rows, which are the truth; `redis` is how
 * many ids its lists hold at this moment: fewer for those that workers just took, more where stale ids wait
 * to be dropped. */
#include "api/handlers.h"
#include "api/pause.h"
#include "common/clock.h"
#include "common/queue.h"
#include <string.h>

struct totals {
    int64_t queued, running, scheduled, redis, oldest;
};

/* How many ids Redis holds for each row; false when it does not answer. */
static bool
redis_lengths(struct request *rq, const struct dbres *res, int64_t *lens)
{
    size_t n = (size_t)dbres_rows(res);
    AUTO_FREE struct queue_item *of = calloc(n + 1, sizeof *of);

    if (of == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        of[i].queue = (enum queue_name)queue_by_name(dbres_text(res, (int)i, 0));
        of[i].integration_id = dbres_i64(res, (int)i, 1);
    }
    if (n == 0)
        return cache_run(rq->cache, NULL, NULL, "PING", NULL) == RC_OK;
    return queue_lengths(rq->cache, of, n, lens, NULL) == RC_OK;
}

static json_t *
integer_or_null(bool known, int64_t v)
{
    return known ? json_integer(v) : json_null();
}

static void
add(struct totals *sum, const struct totals *t)
{
    sum->queued += t->queued;
    sum->running += t->running;
    sum->scheduled += t->scheduled;
    sum->redis += t->redis;
    if (t->oldest != DB_NO_TIME && (sum->oldest == DB_NO_TIME || t->oldest < sum->oldest))
        sum->oldest = t->oldest;
}

/* The figures of one queue, or of one integration in it. */
static json_t *
figures(const struct totals *t, bool redis, int64_t now)
{
    bool waits = t->oldest != DB_NO_TIME;
    char text[CLOCK_TEXT];
    json_t *j = json_object();

    (void)json_object_set_new(j, "depth", json_integer(t->queued));
    (void)json_object_set_new(j, "redis", integer_or_null(redis, t->redis));
    (void)json_object_set_new(j, "oldest_at",
                              waits ? json_string(clock_format(t->oldest, text)) : json_null());
    (void)json_object_set_new(j, "oldest_s",
                              waits ? json_integer((now > t->oldest ? now - t->oldest : 0) / CLOCK_SECOND)
                                    : json_null());
    (void)json_object_set_new(j, "running", json_integer(t->running));
    (void)json_object_set_new(j, "scheduled", json_integer(t->scheduled));
    return j;
}

static json_t *
one_integration(const struct dbres *res, int row, const struct totals *t, const struct dbres *pauses,
                bool redis, int64_t now)
{
    json_t *j = figures(t, redis, now);
    const char *name = dbres_text(res, row, 2), *state = dbres_text(res, row, 3);

    (void)json_object_set_new(j, "integration_id", integer_or_null(name[0] != '\0', dbres_i64(res, row, 1)));
    (void)json_object_set_new(j, "integration", name[0] != '\0' ? json_string(name) : json_null());
    (void)json_object_set_new(j, "state", state[0] != '\0' ? json_string(state) : json_null());
    (void)json_object_set_new(
        j, "paused",
        name[0] != '\0' ? pause_json(pauses, dbres_text(res, row, 0), dbres_i64(res, row, 1)) : json_null());
    return j;
}

static json_t *
one_queue(const struct dbres *res, const char *queue, const int64_t *lens, const struct dbres *pauses,
          bool redis)
{
    struct totals sum = { .oldest = DB_NO_TIME };
    json_t *parts = json_array(), *j;
    int64_t now = clock_now();

    for (int i = 0; i < dbres_rows(res); i++) {
        const struct totals t = { .queued = dbres_i64(res, i, 4),
                                  .running = dbres_i64(res, i, 5),
                                  .scheduled = dbres_i64(res, i, 6),
                                  .redis = lens[i],
                                  .oldest = dbres_time(res, i, 7) };

        if (strcmp(dbres_text(res, i, 0), queue) != 0)
            continue;
        add(&sum, &t);
        (void)json_array_append_new(parts, one_integration(res, i, &t, pauses, redis, now));
    }
    j = figures(&sum, redis, now);
    (void)json_object_set_new(j, "queue", json_string(queue));
    (void)json_object_set_new(j, "paused", pause_json(pauses, queue, 0));
    (void)json_object_set_new(j, "integrations", parts);
    return j;
}

enum rc
route_queues(struct request *rq, struct answer *an, struct err *err)
{
    AUTO(dbres) res = NULL;
    AUTO(dbres) pauses = NULL;
    AUTO_FREE int64_t *lens = NULL;
    json_t *items;
    bool redis;
    enum rc rc;

    if ((rc = db_run(rq->db, SQL_api_queues, DB_NO_ARGS, &res, err)) != RC_OK ||
        (rc = db_run(rq->db, SQL_pause_list, DB_NO_ARGS, &pauses, err)) != RC_OK)
        return rc;
    if ((lens = calloc((size_t)dbres_rows(res) + 1, sizeof *lens)) == NULL || (items = json_array()) == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    redis = redis_lengths(rq, res, lens);
    for (int q = 0; q < QUEUE_COUNT; q++)
        (void)json_array_append_new(items, one_queue(res, queue_names[q], lens, pauses, redis));
    return answer_json(
        an, 200, json_pack("{s:o, s:n, s:s}", "items", items, "next", "redis", redis ? "up" : "down"), err);
}
