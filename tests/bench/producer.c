/* tests/bench/producer.c - enqueues noop jobs as the api does (row first, then the push) and says what it
 * did:
 * {"n": jobs, "us": microseconds}. DATABASE_URL and REDIS_URL say where.
 *
 * Stamped jobs carry the moment when they were due, and their handler logs how long after it they started
 * (worker/jobs/noop.c). */
#include "common/auto.h"
#include "common/clock.h"
#include "common/job.h"
#include "common/json.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH_MAX = 5000 };

struct producer {
    struct db *db;
    struct cache *cache;
    json_t *args;        /* of a job that is not stamped; NULL = none */
    int64_t first, many; /* integrations, which take turns; first 0 = none */
    int64_t every;       /* each n-th job is stamped; 0 = none is */
    int64_t count;       /* jobs so far */
    int queue;           /* where they go instead of noop's own queue; -1 = there */
};

static void
die(const struct err *err)
{
    (void)fprintf(stderr, "bench-producer: %s\n", err->text);
    exit(1);
}

/* ---- enqueueing ---- */

static json_t *
args_of(struct producer *p, int64_t due)
{
    json_t *args;

    if (p->every == 0 || p->count % p->every != 0)
        return json_incref(p->args);
    args = p->args != NULL ? json_copy(p->args) : json_object();
    if (json_object_set_new(args, "stamp", json_true()) != 0 ||
        json_object_set_new(args, "since_us", json_integer(due)) != 0)
        die(&(struct err){ .text = "no memory" });
    return args;
}

/* Kinds have their queue; these jobs are put into another before anyone sees them. */
static enum rc
change_queue(struct producer *p, struct job_enqueued *out, int64_t n, struct err *err)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql,
                   "UPDATE deskmill.jobs SET queue = '%s' WHERE id BETWEEN %" PRId64 " AND %" PRId64,
                   queue_names[p->queue], out[0].job_id, out[n - 1].job_id);
    for (int64_t i = 0; i < n; i++)
        out[i].item.queue = (enum queue_name)p->queue;
    return db_exec_text(p->db, sql, NULL, err);
}

static enum rc
insert(struct producer *p, const struct job_spec *specs, struct job_enqueued *out, int64_t n, struct err *err)
{
    enum rc rc;

    if (p->queue < 0)
        return job_enqueue(p->db, specs, (size_t)n, out, err);
    if ((rc = db_begin(p->db, err)) != RC_OK ||
        (rc = job_enqueue(p->db, specs, (size_t)n, out, err)) != RC_OK ||
        (rc = change_queue(p, out, n, err)) != RC_OK)
        return rc;
    return db_commit(p->db, err);
}

/* One call for n jobs that were due at `due` and every `step` microseconds (since 1970) from then on. */
static void
enqueue(struct producer *p, int64_t n, int64_t due, double step)
{
    static struct job_spec specs[BATCH_MAX];
    static struct job_enqueued out[BATCH_MAX];
    struct err err = { 0 };

    for (int64_t i = 0; i < n; i++, p->count++)
        specs[i] = (struct job_spec){ .kind = "noop",
                                      .args = args_of(p, due + (int64_t)((double)i * step)),
                                      .integration_id = p->first == 0 ? 0 : p->first + p->count % p->many,
                                      .origin = "bench" };
    if (insert(p, specs, out, n, &err) != RC_OK || job_push(p->cache, out, (size_t)n, &err) != RC_OK)
        die(&err);
    for (int64_t i = 0; i < n; i++)
        json_decref((json_t *)specs[i].args);
}

static int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void
sleep_until(int64_t mono_us)
{
    struct timespec t = { .tv_sec = mono_us / 1000000, .tv_nsec = mono_us % 1000000 * 1000 };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
        continue;
}

/* ---- the modes ---- */

static void
run_bulk(struct producer *p, int64_t n, int64_t batch, int64_t unused)
{
    (void)unused;
    while (p->count < n)
        enqueue(p, least(batch, n - p->count), clock_now(), 0);
}

static void
run_for(struct producer *p, int64_t ms, int64_t batch, int64_t unused)
{
    int64_t end = clock_mono() + ms * 1000;

    (void)unused;
    while (clock_mono() < end)
        enqueue(p, batch, clock_now(), 0);
}

/* Open loop: what is due goes with the next call, up to `batch` jobs of it, and a late one counts from when
 * it was due. */
static void
run_rate(struct producer *p, int64_t n, int64_t per_s, int64_t batch)
{
    double step = 1e6 / (double)per_s;
    int64_t start = clock_mono(), since_1970 = clock_now() - start;

    while (p->count < n) {
        int64_t due = start + (int64_t)((double)p->count * step), now;

        sleep_until(due);
        now = clock_mono();
        enqueue(p, least(least((int64_t)((double)(now - due) / step) + 1, batch), n - p->count),
                due + since_1970, step);
    }
}

/* One at a time, with pauses of gap to twice the gap, evenly spread. */
static void
run_gaps(struct producer *p, int64_t n, int64_t gap_ms, int64_t unused)
{
    (void)unused;
    while (p->count < n) {
        sleep_until(clock_mono() + (int64_t)((double)gap_ms * 1000 * (1 + drand48())));
        enqueue(p, 1, clock_now(), 0);
    }
}

static const struct mode {
    const char *name, *words, *help;
    int numbers; /* how many it takes */
    void (*run)(struct producer *p, int64_t a, int64_t b, int64_t c);
} modes[] = {
    { "bulk", "N BATCH", "N jobs, BATCH a transaction, as fast as they go", 2, run_bulk },
    { "for", "MS BATCH", "the same for MS milliseconds", 2, run_for },
    { "rate", "N PER_S BATCH", "N jobs at an even rate, open loop, what is due together in one call", 3,
      run_rate },
    { "gaps", "N GAP_MS", "N jobs one by one, with pauses of one to two gaps", 2, run_gaps },
};

/* ---- the command line ---- */

static _Noreturn void
usage(void)
{
    (void)fprintf(stderr, "usage: bench-producer [OPTIONS] MODE (DATABASE_URL and REDIS_URL set)\n");
    for (size_t i = 0; i < COUNT_OF(modes); i++)
        (void)fprintf(stderr, "  %-5s %-14s %s\n", modes[i].name, modes[i].words, modes[i].help);
    (void)fprintf(stderr, "options: --integrations FIRST,COUNT   their jobs take turns\n"
                          "         --queue live|default|bulk    where they go\n"
                          "         --stamp EVERY                each n-th says when it started\n"
                          "         --sleep-ms MS                jobs take this long\n"
                          "         --bytes N                    size of the arguments, as JSON\n");
    exit(2);
}

static void
set_arg(struct producer *p, const char *name, json_t *value)
{
    if (p->args == NULL)
        p->args = json_object();
    if (json_object_set_new(p->args, name, value) != 0)
        die(&(struct err){ .text = "no memory" });
}

/* Fills the arguments up to `bytes`. */
static void
pad_args(struct producer *p, int64_t bytes)
{
    char text[8192] = "";
    int64_t n = bytes - (int64_t)strlen("{\"pad\":\"\"}");

    if (n <= 0)
        return;
    if (n >= (int64_t)sizeof text)
        usage();
    memset(text, 'x', (size_t)n);
    set_arg(p, "pad", json_string(text));
}

static void
read_options(struct producer *p, int argc, char **argv)
{
    static const struct option options[] = {
        { "integrations", required_argument, NULL, 'i' }, { "stamp", required_argument, NULL, 's' },
        { "sleep-ms", required_argument, NULL, 'z' },     { "bytes", required_argument, NULL, 'b' },
        { "queue", required_argument, NULL, 'q' },        { 0 }
    };
    int o;

    while ((o = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        int64_t n = o == '?' ? 0 : strtoll(optarg, NULL, 10);

        switch (o) {
        case 'i':
            p->first = n;
            p->many = strchr(optarg, ',') != NULL ? strtoll(strchr(optarg, ',') + 1, NULL, 10) : 1;
            break;
        case 's':
            p->every = n;
            break;
        case 'z':
            set_arg(p, "sleep_ms", json_integer(n));
            break;
        case 'b':
            pad_args(p, n);
            break;
        case 'q':
            if ((p->queue = queue_by_name(optarg)) < 0)
                usage();
            break;
        default:
            usage();
        }
    }
    if (p->first < 0 || (p->first > 0 && p->many < 1) || p->every < 0)
        usage();
}

static const struct mode *
read_mode(int argc, char **argv, int64_t numbers[static 3])
{
    for (size_t i = 0; argc > 0 && i < COUNT_OF(modes); i++) {
        const struct mode *m = &modes[i];

        if (strcmp(argv[0], m->name) != 0)
            continue;
        if (argc - 1 != m->numbers)
            usage();
        for (int k = 0; k < m->numbers; k++)
            if ((numbers[k] = strtoll(argv[k + 1], NULL, 10)) <= 0)
                usage();
        if (m->run != run_gaps && numbers[m->numbers - 1] > BATCH_MAX)
            usage();
        return m;
    }
    usage();
}

int
main(int argc, char **argv)
{
    const char *database = getenv("DATABASE_URL"), *redis = getenv("REDIS_URL");
    int64_t numbers[3] = { 0 }, start;
    struct producer p = { .queue = -1 };
    struct err err = { 0 };
    const struct mode *m;

    read_options(&p, argc, argv);
    m = read_mode(argc - optind, argv + optind, numbers);
    if (database == NULL || redis == NULL)
        usage();
    if (db_create(database, &(struct db_options){ .app_name = "bench-producer", .by_index = true }, &p.db,
                  &err) != RC_OK ||
        db_connect(p.db, &err) != RC_OK || cache_create(redis, 60000, &p.cache, &err) != RC_OK)
        die(&err);
    start = clock_mono();
    m->run(&p, numbers[0], numbers[1], numbers[2]);
    (void)printf("{\"n\": %" PRId64 ", \"us\": %" PRId64 "}\n", p.count, clock_mono() - start);
    json_decref(p.args);
    db_destroy(p.db);
    cache_destroy(p.cache);
    return 0;
}
