/* tests/bench/producer.c - enqueues noop jobs as the api does (row first, then the push) and says what it
 * did, for bench_queue.py.
 *
 *   bench-producer bulk N BATCH      N jobs, BATCH a transaction; prints {"n": N, "us": ...}
 *   bench-producer one N             N jobs, a transaction each, as fast as they go
 *   bench-producer rate N PER_S      one job every 1/PER_S s (open loop: a late one does not delay the next);
 * prints "id t" lines, t = microseconds since 1970 when the call began
 *
 * DATABASE_URL and REDIS_URL say where. rate jobs carry args {"stamp": true}: the handler writes down when it
 * started. */
#include "common/auto.h"
#include "common/clock.h"
#include "common/job.h"
#include "common/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH_MAX = 5000 };

struct producer {
    struct db *db;
    struct cache *cache;
    json_t *stamp; /* args of a stamped job */
};

static void
die(const struct err *err)
{
    (void)fprintf(stderr, "bench-producer: %s\n", err->text);
    exit(1);
}

static int64_t
enqueue(struct producer *p, size_t n, bool stamped)
{
    static struct job_spec specs[BATCH_MAX];
    static struct job_enqueued out[BATCH_MAX];
    struct err err = { 0 };

    for (size_t i = 0; i < n; i++)
        specs[i] = (struct job_spec){ .kind = "noop", .args = stamped ? p->stamp : NULL, .origin = "bench" };
    if (job_enqueue(p->db, specs, n, out, &err) != RC_OK || job_push(p->cache, out, n, &err) != RC_OK)
        die(&err);
    return out[0].job_id;
}

static void
sleep_until(int64_t mono_us)
{
    struct timespec t = { .tv_sec = mono_us / 1000000, .tv_nsec = mono_us % 1000000 * 1000 };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
        continue;
}

static void
steadily(struct producer *p, int64_t n, int64_t per_s)
{
    int64_t start = clock_mono();

    for (int64_t i = 0; i < n; i++) {
        int64_t due = start + i * 1000000 / per_s, late, began;

        sleep_until(due);
        late = clock_mono() - due; /* open loop: the wait in our own queue counts too */
        began = clock_now() - late;
        (void)printf("%" PRId64 " %" PRId64 "\n", enqueue(p, 1, true), began);
    }
}

static void
fast(struct producer *p, int64_t n, int64_t batch)
{
    int64_t start = clock_mono();

    for (int64_t done = 0; done < n; done += batch)
        (void)enqueue(p, (size_t)(n - done < batch ? n - done : batch), false);
    (void)printf("{\"n\": %" PRId64 ", \"us\": %" PRId64 "}\n", n, clock_mono() - start);
}

int
main(int argc, char **argv)
{
    const char *database = getenv("DATABASE_URL"), *redis = getenv("REDIS_URL");
    struct producer p = { 0 };
    struct err err = { 0 };
    int64_t n = argc > 2 ? strtoll(argv[2], NULL, 10) : 0, m = argc > 3 ? strtoll(argv[3], NULL, 10) : 1;

    if (database == NULL || redis == NULL || n <= 0 || m <= 0 || m > BATCH_MAX) {
        (void)fprintf(
            stderr,
            "usage: bench-producer bulk N BATCH | one N | rate N PER_S (DATABASE_URL and REDIS_URL set)\n");
        return 2;
    }
    if (db_create(database, &(struct db_options){ .app_name = "bench-producer" }, &p.db, &err) != RC_OK ||
        db_connect(p.db, &err) != RC_OK || cache_create(redis, 5000, &p.cache, &err) != RC_OK)
        die(&err);
    p.stamp = json_pack("{s:b}", "stamp", 1);
    if (strcmp(argv[1], "rate") == 0)
        steadily(&p, n, m);
    else
        fast(&p, n, strcmp(argv[1], "one") == 0 ? 1 : m);
    json_decref(p.stamp);
    db_destroy(p.db);
    cache_destroy(p.cache);
    return 0;
}
