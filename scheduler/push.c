#include "scheduler/push.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include <inttypes.h>
#include <stdlib.h>

enum {
    REDIS_TIMEOUT_MS = 1000,
    PROBE_TIMEOUT_MS = 250, /* while it is down: more often and less patiently */
    PROBE_SHARE = 5,   /* a server that swallows our questions costs the loop a fifth of its time at most */
    ROOM_PERCENT = 90, /* of its memory in use: a server that was full has room again */
    FULL_RETRY_MS = 30000, /* and if that never comes, what there is room for is tried so often */
};
/* Soon again: workers go the slow way until Redis is seen to be back. */
static const struct backoff probe_backoff = { .base_ms = 100, .cap_ms = 1000 };

struct push {
    struct cache *cache, *probe; /* the probe asks while the server is down */
    bool down, full, missed, policy_seen;
    int failures;
    int64_t retry_at;      /* clock_mono */
    int64_t full_retry_at; /* clock_mono */
};

void
push_destroy(struct push *p)
{
    if (p == NULL)
        return;
    cache_destroy(p->cache);
    cache_destroy(p->probe);
    free(p);
}

enum rc
push_create(const char *redis_url, struct push **out, struct err *err)
{
    AUTO(push) p = calloc(1, sizeof *p);
    struct err why = { 0 };
    enum rc rc;

    if (p == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    if ((rc = cache_create(redis_url, REDIS_TIMEOUT_MS, &p->cache, err)) != RC_OK ||
        (rc = cache_create(redis_url, PROBE_TIMEOUT_MS, &p->probe, err)) != RC_OK)
        return rc;
    rc = cache_check_policy(p->cache, &why);
    if (rc == RC_INVALID)
        return err_set(err, rc, "%s", why.text);
    p->policy_seen = rc == RC_OK;
    if (rc != RC_OK)
        push_failed(p, &why);
    *out = TAKE(p);
    return RC_OK;
}

/* It answers, but takes no more ids. Whoever was refused has dropped the generation, so that workers look
 * into the rows. */
static void
note_full(struct push *p, const struct err *err)
{
    if (!p->full)
        log_warn("redis.full", KV_ERR(err));
    p->full = true;
    p->full_retry_at = clock_mono() + FULL_RETRY_MS * 1000;
}

void
push_failed(struct push *p, const struct err *err)
{
    p->missed = true;
    if (err->rc == RC_LIMIT) {
        note_full(p, err);
        return;
    }
    p->failures++;
    p->retry_at = clock_mono() + backoff_jitter_ms(&probe_backoff, p->failures) * 1000;
    if (!p->down)
        log_warn("redis.down", KV_ERR(err));
    p->down = true;
}

/* A server that came up after we did is not refused any more, but whoever runs it shall know. */
static void
check_policy(struct push *p)
{
    struct err err = { 0 };
    enum rc rc = p->policy_seen ? RC_OK : cache_check_policy(p->cache, &err);

    if (rc == RC_INVALID)
        log_error("redis.policy", KV_ERR(&err));
    p->policy_seen = p->policy_seen || rc == RC_OK || rc == RC_INVALID;
}

/* Whether a server that was full takes ids again. */
static bool
has_room(struct push *p)
{
    struct err err = { 0 };
    int64_t used, max;

    if (!p->full)
        return true;
    if (cache_memory(p->cache, &used, &max, &err) != RC_OK) {
        push_failed(p, &err);
        return false;
    }
    if (max > 0 && used > max / 100 * ROOM_PERCENT && clock_mono() < p->full_retry_at)
        return false;
    p->full = false;
    log_info("redis.room", KV_INT("used", used), KV_INT("max", max));
    return true;
}

bool
push_probe(struct push *p, int64_t *generation, char run_id[static 64])
{
    int64_t began = clock_mono(), took;
    struct err err = { 0 };

    if (p->down && began < p->retry_at)
        return false;
    if (queue_generation(p->down ? p->probe : p->cache, generation, run_id, &err) != RC_OK) {
        push_failed(p, &err);
        took = clock_mono() - began;
        if (p->retry_at < clock_mono() + took * PROBE_SHARE)
            p->retry_at = clock_mono() + took * PROBE_SHARE;
        return false;
    }
    if (p->down) {
        p->down = false;
        p->policy_seen = false; /* it may be another server */
        log_info("redis.up");
    }
    p->failures = 0;
    check_policy(p);
    return has_room(p);
}

bool
push_full(const struct push *p)
{
    return p->full;
}

struct cache *
push_cache(struct push *p)
{
    return p->down ? NULL : p->cache;
}

bool
push_missed(struct push *p)
{
    bool missed = p->missed;

    p->missed = false;
    return missed;
}

void
push_items(struct push *p, const struct queue_item *items, size_t n)
{
    struct err err = { 0 };

    if (n == 0)
        return;
    if (p->down)
        p->missed = true;
    else if (queue_push(p->cache, items, n, &err) != RC_OK)
        push_failed(p, &err);
}

void
push_jobs(struct push *p, const struct job_enqueued *jobs, size_t n)
{
    struct err err = { 0 };

    if (p->down)
        p->missed = true;
    else if (job_push(p->cache, jobs, n, &err) != RC_OK)
        push_failed(p, &err);
}

enum rc
push_rows(struct push *p, const struct dbres *rows, bool front, struct err *err)
{
    AUTO_FREE struct queue_item *items = NULL;
    size_t n;
    enum rc rc = job_read_items(rows, front, &items, &n, err);

    if (rc == RC_OK)
        push_items(p, items, n);
    return rc;
}
