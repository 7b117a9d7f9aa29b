#include "api/app.h"
#include "common/clock.h"
#include "common/migrate.h"
#include <assert.h>
#include <pthread.h>
#include <string.h>

enum { API_KEY_MIN = 16, CONNECT_MS = 2000, STATEMENT_MS = 10000, LOCK_MS = 5000, REDIS_MS = 1000 };

const char app_about[] =
    "Deskmill's HTTP api: shows and steers the queue, the integrations and the schedules.";

const struct conf_option app_options[] = {
    { "database-url", "DATABASE_URL", CONF_URL, NULL, 0, 0, "postgresql|postgres",
      "PostgreSQL, where everything that matters is kept" },
    { "redis-url", "REDIS_URL", CONF_URL, NULL, 0, 0, "redis|rediss",
      "Redis, where ids of queued jobs are pushed to; it may be away for a while" },
    { "api-key", "DESKMILL_API_KEY", CONF_SECRET, NULL, 0, 0, NULL,
      "the key that callers must show, at least 16 characters; `openssl rand -hex 24` makes one" },
    { "key", "DESKMILL_KEY", CONF_SECRET, NULL, 0, 0, NULL,
      "the key that vendors' credentials are sealed under: 64 hex digits" },
    { "listen", "DESKMILL_API_LISTEN", CONF_STRING, "127.0.0.1", 0, 0, NULL,
      "address to listen on, IPv4 or IPv6" },
    { "port", "DESKMILL_API_PORT", CONF_INT, "8080", 0, 65535, NULL,
      "port to listen on; 0 takes a free one" },
    { "port-file", NULL, CONF_STRING, "", 0, 0, NULL, "file to write the port into once it listens" },
    { "threads", "DESKMILL_API_THREADS", CONF_INT, "4", 1, 64, NULL,
      "requests answered at once; each has a connection to PostgreSQL and one to Redis" },
    { "max-connections", "DESKMILL_API_MAX_CONNECTIONS", CONF_INT, "512", 4, 60000, NULL,
      "open client connections, after which new ones wait" },
    { "idle-timeout-s", "DESKMILL_API_IDLE_TIMEOUT_S", CONF_INT, "30", 1, 3600, NULL,
      "seconds without a byte after which a client is disconnected" },
    { "drain-ms", "DESKMILL_API_DRAIN_MS", CONF_INT, "10000", 0, 600000, NULL,
      "milliseconds that running requests get to finish after SIGTERM" },
    { "lease-ms", "DESKMILL_LEASE_MS", CONF_INT, "10000", 1000, 600000, NULL,
      "milliseconds since its last beat after which a worker does not count as alive; the scheduler's lease" },
    { "stuck-s", "DESKMILL_STUCK_S", CONF_INT, "60", 5, 86400, NULL,
      "seconds without a claim after which /metrics calls a queue stuck, where work waits and slots are free" },
    { "allow-http-hosts", "DESKMILL_ALLOW_HTTP_HOSTS", CONF_STRING, "", 0, 0, NULL,
      "hosts, separated by commas, whose integrations may use http:// (loopback always may)" },
    { "health", NULL, CONF_BOOL, "false", 0, 0, NULL,
      "ask /readyz of the api that runs here on this port, and exit: 0 it is ready, 1 it is not" },
    { .name = NULL },
};

/* Free sessions, under a lock. */
struct pool {
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct session *free;
};

static void
session_destroy(struct session *s)
{
    if (s == NULL)
        return;
    cache_destroy(s->cache);
    db_destroy(s->db);
    free(s);
}

static void
pool_destroy(struct pool *p)
{
    struct session *s;

    if (p == NULL)
        return;
    while ((s = p->free) != NULL) {
        p->free = s->next;
        session_destroy(s);
    }
    (void)pthread_cond_destroy(&p->given);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

void
app_destroy(struct app *a)
{
    if (a == NULL)
        return;
    pool_destroy(a->pool);
    explicit_bzero(&a->key, sizeof a->key);
    free(a);
}

static enum rc
pool_grow(struct pool *p, const struct conf *conf, struct err *err)
{
    const struct db_options o = { .app_name = "deskmill-api",
                                  .connect_timeout_ms = CONNECT_MS,
                                  .statement_timeout_ms = STATEMENT_MS,
                                  .lock_timeout_ms = LOCK_MS,
                                  .by_index = true };
    struct session *s = calloc(1, sizeof *s);
    enum rc rc;

    if (s == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    if ((rc = db_create(conf_str(conf, "database-url"), &o, &s->db, err)) != RC_OK ||
        (rc = cache_create(conf_str(conf, "redis-url"), REDIS_MS, &s->cache, err)) != RC_OK) {
        session_destroy(s);
        return rc;
    }
    s->next = p->free;
    p->free = s;
    return RC_OK;
}

static enum rc
pool_create(const struct conf *conf, struct pool **out, struct err *err)
{
    struct pool *p = calloc(1, sizeof *p);
    enum rc rc = RC_OK;

    if (p == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->given, NULL);
    for (int64_t i = 0; i < conf_int(conf, "threads") && rc == RC_OK; i++)
        rc = pool_grow(p, conf, err);
    if (rc != RC_OK) {
        pool_destroy(p);
        return rc;
    }
    *out = p;
    return RC_OK;
}

enum rc
app_create(const struct conf *conf, struct app **out, struct err *err)
{
    AUTO(app) a = calloc(1, sizeof *a);

    if (a == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    a->conf = conf;
    a->started = clock_now();
    if (strlen(conf_str(conf, "api-key")) < API_KEY_MIN)
        return err_set(
            err, RC_INVALID,
            "api-key (DESKMILL_API_KEY): is shorter than %d characters; make one with `openssl rand -hex 24`",
            API_KEY_MIN);
    if (seal_key_load(conf_str(conf, "key"), &a->key, err) != RC_OK)
        return err_wrap(err, "key (DESKMILL_KEY)");
    if (pool_create(conf, &a->pool, err) != RC_OK)
        return err->rc;
    *out = TAKE(a);
    return RC_OK;
}

enum rc
app_check(struct app *a, struct err *err)
{
    struct session *s = app_take(a);
    enum rc rc = migrate_check(s->db, NULL, err);

    app_give(a, &s);
    return rc;
}

struct session *
app_take(struct app *a)
{
    struct pool *p = a->pool;
    struct session *s;

    (void)pthread_mutex_lock(&p->lock);
    while (p->free == NULL)
        (void)pthread_cond_wait(&p->given, &p->lock);
    s = p->free;
    p->free = TAKE(s->next);
    (void)pthread_mutex_unlock(&p->lock);
    return s;
}

void
app_give(struct app *a, struct session **s)
{
    struct pool *p = a->pool;

    assert(*s != NULL);
    (void)pthread_mutex_lock(&p->lock);
    (*s)->next = p->free;
    p->free = TAKE(*s);
    (void)pthread_cond_signal(&p->given);
    (void)pthread_mutex_unlock(&p->lock);
}
