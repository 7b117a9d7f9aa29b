#include "common/clock.h"
#include "common/pulse.h"
#include "tests/unit/tables.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static int
make_folder(void **state)
{
    static char folder[] = "/tmp/deskmill-pulse-XXXXXX";

    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/health", folder);
    return 0;
}

static int
remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    *strrchr(path, '/') = '\0';
    return rmdir(path);
}

static void
write_file(const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void
before_the_first_beat_nothing_is_known(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(pulse_check(path, &err), RC_NOT_FOUND);
    assert_int_equal(pulse_check("", &err), RC_INVALID);
    assert_non_null(strstr(err.text, "DESKMILL_HEALTH_FILE"));
    assert_int_equal(pulse_report(path), 1);
}

static void
a_beat_is_good_for_its_time(void **state)
{
    struct err err = { 0 };

    (void)state;
    pulse_beat(path, 60000);
    assert_int_equal(pulse_check(path, &err), RC_OK);
    assert_int_equal(pulse_report(path), 0);
}

static void
a_beat_that_ran_out_says_for_how_long(void **state)
{
    struct err err = { 0 };

    (void)state;
    pulse_beat(path, -90 * 1000);
    assert_int_equal(pulse_check(path, &err), RC_TIMEOUT);
    assert_string_equal(err.text, "the next sign of life is 90 s overdue");
    assert_int_equal(pulse_report(path), 1);
}

static void
the_next_beat_replaces_it(void **state)
{
    (void)state;
    pulse_beat(path, -1000);
    pulse_beat(path, 60000);
    assert_int_equal(pulse_check(path, NULL), RC_OK);
    pulse_beat(path, -1000);
    assert_int_equal(pulse_check(path, NULL), RC_TIMEOUT);
}

static void
without_a_file_or_a_folder_a_beat_does_nothing(void **state)
{
    (void)state;
    pulse_beat("", 1000);
    pulse_beat("/nonexistent/folder/health", 1000);
}

static struct odd_case {
    const char *name;
    const char *text;
} odd[] = {
    { "an empty file", "" },
    { "a word", "alive\n" },
    { "a moment cut short", "00000000000000" },
    { "a moment without its end", "9000000000000000000" },
    { "a sign before it", "-000000000000000001\n" },
};

static void
check_odd(void **state)
{
    const struct odd_case *c = *state;

    write_file(c->text);
    assert_int_equal(pulse_check(path, NULL), RC_INVALID);
}

int
main(void)
{
    TEST_ONE(before_the_first_beat_nothing_is_known);
    TEST_ONE(a_beat_is_good_for_its_time);
    TEST_ONE(a_beat_that_ran_out_says_for_how_long);
    TEST_ONE(the_next_beat_replaces_it);
    TEST_ONE(without_a_file_or_a_folder_a_beat_does_nothing);
    TEST_TABLE(odd, check_odd);
    return _cmocka_run_group_tests("pulse", tests_, tests_count_, make_folder, remove_folder);
}
