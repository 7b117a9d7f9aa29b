/* tests/unit/test_batches.c - a batch is over with the last of its jobs, and not before. */
#include "tests/unit/tables.h"
#include "worker/batches.h"

static void
over_are(const struct batches *b, const int64_t *want, size_t n)
{
    int64_t over[8];

    assert_int_equal(batches_over(b, over), n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(over[i], want[i]);
}

static void
a_batch_is_over_when_all_of_it_is_on_its_way(void **state)
{
    struct batches b = { 0 };

    (void)state;
    assert_int_equal(batches_oldest(&b), INT64_MAX);
    assert_true(batches_open(&b, 3, 2) && batches_open(&b, 4, 1));
    assert_int_equal(batches_oldest(&b), 3);
    batches_settle(&b, 3);
    batches_settle(&b, 4);
    over_are(&b, (int64_t[]){ 4 }, 1);
    batches_settled(&b, true);
    over_are(&b, NULL, 0);
    batches_settle(&b, 3);
    over_are(&b, (int64_t[]){ 3 }, 1);
    batches_settled(&b, true);
    assert_int_equal(b.n, 0);
    batches_fini(&b);
}

static void
what_did_not_arrive_is_sent_again(void **state)
{
    struct batches b = { 0 };

    (void)state;
    assert_true(batches_open(&b, 1, 1));
    batches_settle(&b, 1);
    batches_settled(&b, false);
    over_are(&b, NULL, 0);
    batches_settle(&b, 1);
    over_are(&b, (int64_t[]){ 1 }, 1);
    batches_settled(&b, true);
    assert_int_equal(b.n, 0);
    batches_fini(&b);
}

static void
jobs_that_need_no_writing_back_count(void **state)
{
    struct batches b = { 0 };

    (void)state;
    assert_true(batches_open(&b, 1, 2));
    batches_drop(&b, 1);
    batches_drop(&b, 7); /* nobody's */
    batches_settle(&b, 1);
    over_are(&b, (int64_t[]){ 1 }, 1);
    batches_settled(&b, true);
    assert_true(batches_open(&b, 2, 1));
    batches_drop(&b, 2);
    assert_true(batches_open(&b, 3, 0));  /* nothing of it could be had */
    over_are(&b, (int64_t[]){ 2, 3 }, 2); /* with the next that goes */
    batches_fini(&b);
}

int
main(void)
{
    TEST_ONE(a_batch_is_over_when_all_of_it_is_on_its_way);
    TEST_ONE(what_did_not_arrive_is_sent_again);
    TEST_ONE(jobs_that_need_no_writing_back_count);
    return TESTS_RUN("batches");
}
