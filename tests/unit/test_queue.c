/* tests/unit/test_queue.c - the lists in Redis: turns, weights, priorities, wake-ups, and what survives what.
 */
#include "common/queue.h"
#include "tests/unit/tables.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cache *cache;

static int
fresh(void **state)
{
    const char *url = getenv("TEST_REDIS_URL");
    char own[512];

    (void)state;
    if (url == NULL)
        return 0;
    (void)snprintf(own, sizeof own, "%.*s/9", (int)(strcspn(url + 8, "/") + 8),
                   url); /* a database that only this program uses */
    if (cache == NULL && cache_create(own, 2000, &cache, NULL) != RC_OK)
        return -1;
    return cache_run(cache, NULL, NULL, "FLUSHDB", NULL) == RC_OK ? 0 : -1;
}

#define REDIS_OR_SKIP()                   \
    do {                                  \
        if (cache == NULL)                \
            skip();                       \
        assert_int_equal(fresh(NULL), 0); \
    } while (0)

static bool incomplete; /* the last claim said that the lists may lack something */

/* A claim as the worker makes it, but waited for. */
static size_t
claim(int64_t worker, int want, int64_t *ids)
{
    AUTO(reply) r = NULL;
    char w[24], n[24];
    size_t got;

    (void)snprintf(w, sizeof w, "%lld", (long long)worker);
    (void)snprintf(n, sizeof n, "%d", want);
    assert_int_equal(cache_script(cache, SCRIPT_queue_claim, 0, 2, (const char *[]){ w, n }, &r, NULL),
                     RC_OK);
    got = reply_len(r);
    incomplete = got > 0 && reply_int(reply_at(r, got - 1)) == 0;
    got -= incomplete;
    for (size_t i = 0; i < got; i++)
        ids[i] = reply_int(reply_at(r, i));
    return got;
}

static void
push(int64_t id, int64_t integration, enum queue_name queue, int priority, bool front)
{
    struct queue_item item = {
        .job_id = id, .integration_id = integration, .queue = queue, .priority = priority, .front = front
    };

    assert_int_equal(queue_push(cache, &item, 1, NULL), RC_OK);
}

static int64_t
tokens(void)
{
    AUTO(reply) r = NULL;

    assert_int_equal(cache_run(cache, &r, NULL, "LLEN", "dm:wake", NULL), RC_OK);
    return reply_int(r);
}

static void
ids_come_back_in_order(void **state)
{
    int64_t ids[10];

    (void)state;
    REDIS_OR_SKIP();
    for (int64_t id = 1; id <= 5; id++)
        push(id, 1, QUEUE_DEFAULT, 1, false);
    assert_int_equal(claim(1, 3, ids), 3);
    assert_true(ids[0] == 1 && ids[1] == 2 && ids[2] == 3);
    assert_int_equal(claim(1, 10, ids), 2);
    assert_true(ids[0] == 4 && ids[1] == 5);
    assert_int_equal(claim(1, 10, ids), 0);
}

static void
priorities_rank_within_an_integration(void **state)
{
    int64_t ids[10];

    (void)state;
    REDIS_OR_SKIP();
    push(1, 1, QUEUE_DEFAULT, 2, false);
    push(2, 1, QUEUE_DEFAULT, 1, false);
    push(3, 1, QUEUE_DEFAULT, 0, false);
    push(4, 1, QUEUE_DEFAULT, 1, true);
    assert_int_equal(claim(1, 10, ids), 4);
    assert_true(ids[0] == 3 && ids[1] == 4 && ids[2] == 2 && ids[3] == 1);
}

static void
a_large_tenant_delays_another_by_one_turn(void **state)
{
    struct queue_item many[2000];
    int64_t ids[3];

    (void)state;
    REDIS_OR_SKIP();
    for (size_t i = 0; i < 2000; i++)
        many[i] = (struct queue_item){
            .job_id = (int64_t)i + 1, .integration_id = 1, .queue = QUEUE_BULK, .priority = 1
        };
    assert_int_equal(queue_push(cache, many, 2000, NULL), RC_OK);
    push(9999, 2, QUEUE_BULK, 1, false);
    assert_int_equal(claim(1, 2, ids), 2);
    assert_true(ids[0] == 9999 || ids[1] == 9999);
}

static void
queues_share_by_weight_and_none_starves(void **state)
{
    enum { EACH = 200, TAKEN = 100 };
    int64_t ids[TAKEN];
    int count[QUEUE_COUNT] = { 0 };

    (void)state;
    REDIS_OR_SKIP();
    for (int q = 0; q < QUEUE_COUNT; q++)
        for (int64_t i = 0; i < EACH; i++)
            push(q * 1000 + i, 1, (enum queue_name)q, 1, false);
    assert_int_equal(claim(1, TAKEN, ids), TAKEN);
    for (int i = 0; i < TAKEN; i++)
        count[ids[i] / 1000]++;
    assert_int_equal(count[QUEUE_LIVE], 60);
    assert_int_equal(count[QUEUE_DEFAULT], 30);
    assert_int_equal(count[QUEUE_BULK], 10);
}

static void
an_empty_queues_turn_is_not_lost(void **state)
{
    int64_t ids[20];

    (void)state;
    REDIS_OR_SKIP();
    for (int64_t i = 1; i <= 20; i++)
        push(i, 1, QUEUE_BULK, 1, false);
    assert_int_equal(claim(1, 20, ids), 20);
}

static void
what_was_taken_is_on_the_workers_own_list(void **state)
{
    AUTO_FREE int64_t *taken = NULL;
    int64_t ids[10];
    size_t n = 0;

    (void)state;
    REDIS_OR_SKIP();
    push(1, 1, QUEUE_LIVE, 1, false);
    push(2, 1, QUEUE_LIVE, 1, false);
    assert_int_equal(claim(7, 10, ids), 2);
    assert_int_equal(queue_taken(cache, 7, &taken, &n, NULL), RC_OK);
    assert_int_equal(n, 2);
    assert_true(taken[0] == 1 && taken[1] == 2);
    assert_int_equal(queue_forget(cache, 7, NULL), RC_OK);
    free(taken);
    taken = NULL;
    assert_int_equal(queue_taken(cache, 7, &taken, &n, NULL), RC_OK);
    assert_int_equal(n, 0);
}

static void
one_push_leaves_one_token_and_an_empty_queue_none(void **state)
{
    int64_t ids[10];

    (void)state;
    REDIS_OR_SKIP();
    push(1, 1, QUEUE_LIVE, 1, false);
    assert_int_equal(tokens(), 1);
    push(2, 2, QUEUE_LIVE, 1, false);
    assert_int_equal(tokens(), 2);
    assert_int_equal(claim(1, 10, ids), 2);
    assert_int_equal(tokens(), 0);
}

static void
a_claim_that_leaves_work_passes_the_wake_up_on(void **state)
{
    int64_t ids[10];

    (void)state;
    REDIS_OR_SKIP();
    push(1, 1, QUEUE_LIVE, 1, false);
    push(2, 1, QUEUE_LIVE, 1, false);
    assert_int_equal(cache_run(cache, NULL, NULL, "DEL", "dm:wake", NULL), RC_OK);
    assert_int_equal(claim(1, 1, ids), 1);
    assert_int_equal(tokens(), 1);
}

static void
lengths_sum_the_priorities(void **state)
{
    struct queue_item of[2] = { { .integration_id = 1, .queue = QUEUE_LIVE },
                                { .integration_id = 2, .queue = QUEUE_BULK } };
    int64_t lens[2];

    (void)state;
    REDIS_OR_SKIP();
    push(1, 1, QUEUE_LIVE, 0, false);
    push(2, 1, QUEUE_LIVE, 2, false);
    push(3, 1, QUEUE_BULK, 1, false);
    assert_int_equal(queue_lengths(cache, of, 2, lens, NULL), RC_OK);
    assert_int_equal(lens[0], 2);
    assert_int_equal(lens[1], 0);
}

static void
a_reset_drops_the_lists_and_sets_the_generation(void **state)
{
    int64_t ids[10], generation;
    char run_id[64];

    (void)state;
    REDIS_OR_SKIP();
    assert_int_equal(queue_generation(cache, &generation, run_id, NULL), RC_OK);
    assert_int_equal(generation, -1);
    assert_int_equal(strlen(run_id), 40);
    push(1, 1, QUEUE_LIVE, 1, false);
    assert_int_equal(queue_reset(cache, 42, NULL), RC_OK);
    assert_int_equal(queue_generation(cache, &generation, run_id, NULL), RC_OK);
    assert_int_equal(generation, 42);
    assert_int_equal(claim(1, 10, ids), 0);
}

static void
a_claim_tells_that_the_generation_is_missing(void **state)
{
    int64_t ids[10];

    (void)state;
    REDIS_OR_SKIP();
    push(1, 1, QUEUE_LIVE, 1, false);
    push(2, 1, QUEUE_LIVE, 1, false);
    assert_int_equal(claim(1, 1, ids), 1);
    assert_true(ids[0] == 1 && incomplete);
    assert_int_equal(cache_run(cache, NULL, NULL, "SET", "dm:gen", "7", NULL), RC_OK);
    assert_int_equal(claim(1, 10, ids), 1);
    assert_true(ids[0] == 2 && !incomplete);
    assert_int_equal(queue_reset(cache, 8, NULL), RC_OK);
    assert_int_equal(claim(1, 10, ids), 0);
    assert_true(!incomplete);
}

/* The lists that are there stay of use, nobody takes them for whole, and a worker is sent to the rows. */
static void
a_push_without_memory_drops_the_generation_and_wakes_a_worker(void **state)
{
    const struct queue_item refused = {
        .job_id = 2, .integration_id = 1, .queue = QUEUE_LIVE, .priority = 1
    };
    int64_t ids[10] = { 0 };
    enum rc rc;

    (void)state;
    REDIS_OR_SKIP();
    assert_int_equal(queue_reset(cache, 7, NULL), RC_OK);
    push(1, 1, QUEUE_LIVE, 1, false);
    assert_int_equal(cache_run(cache, NULL, NULL, "DEL", "dm:wake", NULL), RC_OK);
    assert_int_equal(cache_run(cache, NULL, NULL, "CONFIG", "SET", "maxmemory", "1", NULL), RC_OK);
    rc = queue_push(cache, &refused, 1, NULL);
    assert_int_equal(tokens(), 1);
    assert_int_equal(claim(1, 10, ids), 1); /* still there, and not refused */
    assert_int_equal(cache_run(cache, NULL, NULL, "CONFIG", "SET", "maxmemory", "0", NULL), RC_OK);
    assert_int_equal(rc, RC_LIMIT);
    assert_true(ids[0] == 1 && incomplete);
}

static void
names_are_found(void **state)
{
    (void)state;
    assert_int_equal(queue_by_name("bulk"), QUEUE_BULK);
    assert_int_equal(queue_by_name("nope"), -1);
}

static void
a_whole_queue_is_dropped_and_no_other(void **state)
{
    int64_t ids[10];

    (void)state;
    REDIS_OR_SKIP();
    for (int64_t integration = 0; integration < 1200; integration++) /* more than one slice */
        push(integration + 1, integration, QUEUE_BULK, (int)(integration % 3), false);
    push(5000, 1, QUEUE_DEFAULT, 1, false);
    assert_int_equal(queue_drop_all(cache, QUEUE_BULK, NULL), RC_OK);
    assert_int_equal(claim(1, 10, ids), 1);
    assert_int_equal(ids[0], 5000);
    push(6000, 7, QUEUE_BULK, 1, false); /* and it can be filled again */
    assert_int_equal(claim(1, 10, ids), 1);
    assert_int_equal(ids[0], 6000);
    assert_int_equal(queue_drop_all(cache, QUEUE_LIVE, NULL), RC_OK);
}

static void
depths_are_those_of_the_next_in_turn(void **state)
{
    struct queue_depth depths[4];
    int64_t ring = 0;
    size_t n = 9;

    (void)state;
    REDIS_OR_SKIP();
    assert_int_equal(queue_depths(cache, QUEUE_BULK, 4, depths, &n, &ring, NULL), RC_OK);
    assert_true(n == 0 && ring == 0);
    for (int64_t integration = 1; integration <= 6; integration++)
        for (int64_t id = 0; id < integration; id++)
            push(100 * integration + id, integration, QUEUE_BULK, (int)(id % 3), false);
    assert_int_equal(queue_depths(cache, QUEUE_BULK, 4, depths, &n, &ring, NULL), RC_OK);
    assert_true(n == 4 && ring == 6);
    for (size_t i = 0; i < n; i++)
        assert_true(depths[i].integration_id == (int64_t)i + 1 && depths[i].ids == (int64_t)i + 1);
}

int
main(void)
{
    int failed;

    if (fresh(NULL) != 0)
        return 1;
    TEST_ONE(ids_come_back_in_order);
    TEST_ONE(priorities_rank_within_an_integration);
    TEST_ONE(a_large_tenant_delays_another_by_one_turn);
    TEST_ONE(queues_share_by_weight_and_none_starves);
    TEST_ONE(an_empty_queues_turn_is_not_lost);
    TEST_ONE(what_was_taken_is_on_the_workers_own_list);
    TEST_ONE(one_push_leaves_one_token_and_an_empty_queue_none);
    TEST_ONE(a_claim_that_leaves_work_passes_the_wake_up_on);
    TEST_ONE(lengths_sum_the_priorities);
    TEST_ONE(a_reset_drops_the_lists_and_sets_the_generation);
    TEST_ONE(a_whole_queue_is_dropped_and_no_other);
    TEST_ONE(depths_are_those_of_the_next_in_turn);
    TEST_ONE(a_claim_tells_that_the_generation_is_missing);
    TEST_ONE(a_push_without_memory_drops_the_generation_and_wakes_a_worker);
    TEST_ONE(names_are_found);
    failed = TESTS_RUN("queue");
    cache_destroy(cache);
    return failed;
}
