#include "common/clock.h"
#include "tests/unit/tables.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOON INT64_C(1769860800) /* 2026-01-31T12:00:00Z */

static struct good_case {
    const char *name; /* the text itself */
    int64_t seconds, us;
} good[] = {
    { "1970-01-01T00:00:00Z", 0, 0 },
    { "2026-01-31T12:00:00Z", NOON, 0 },
    { "2026-01-31T12:00:00z", NOON, 0 },
    { "2026-01-31t12:00:00Z", NOON, 0 },
    { "2026-01-31 12:00:00+00", NOON, 0 },
    { "2026-01-31T14:00:00+02:00", NOON, 0 },
    { "2026-01-31T14:00:00+0200", NOON, 0 },
    { "2026-01-31T14:00:00+02", NOON, 0 },
    { "2026-01-31T06:30:00-05:30", NOON, 0 },
    { "2026-02-01T11:59:00+23:59", NOON, 0 },
    { "2026-01-31T12:00:00.5Z", NOON, 500000 },
    { "2026-01-31T12:00:00.123456Z", NOON, 123456 },
    { "2026-01-31T12:00:00.123456999+00:00", NOON, 123456 },
    { "2026-01-31T12:00:00.000000999999999999Z", NOON, 0 },
    { "2026-01-31T11:59:60Z", NOON, 0 },
    { "2026-01-31", NOON - 43200, 0 },
    { "2024-02-29T00:00:00Z", 1709164800, 0 },
    { "2000-02-29", 951782400, 0 },
    { "1969-12-31T23:59:59.75Z", -1, 750000 },
    { "0001-01-01T00:00:00Z", -62135596800, 0 },
    { "9999-12-31T23:59:59Z", 253402300799, 0 },
};

static void
check_good(void **state)
{
    const struct good_case *c = *state;
    struct err err = { 0 };
    int64_t t = 0;

    if (clock_parse(c->name, strlen(c->name), &t, &err) != RC_OK)
        fail_msg("%s", err.text);
    assert_int_equal(t, c->seconds * CLOCK_SECOND + c->us);
}

static struct bad_case {
    const char *name; /* the text itself */
    const char *why;
} bad[] = {
    { "", "empty" },
    { "today", "4 digits for the year" },
    { "26-01-31", "4 digits for the year" },
    { "0000-01-01", "year 0 is not within 1 to 9999" },
    { "2026/01/31", "expected '-' after the year" },
    { "2026-13-01", "month 13 is not within 1 to 12" },
    { "2026-1-31", "2 digits for the month" },
    { "2026-02-29", "day 29 is not within 1 to 28" },
    { "1900-02-29", "day 29 is not within 1 to 28" },
    { "2026-04-31", "day 31 is not within 1 to 30" },
    { "2026-01-31T", "2 digits for the hour" },
    { "2026-01-31x12:00:00Z", "after the date" },
    { "2026-01-31T24:00:00Z", "hour 24 is not within 0 to 23" },
    { "2026-01-31T12:60:00Z", "minute 60 is not within 0 to 59" },
    { "2026-01-31T12:00Z", "expected ':' after the minute" },
    { "2026-01-31T12:00:61Z", "second 61 is not within 0 to 60" },
    { "2026-01-31T12:00:00", "the zone is missing" },
    { "2026-01-31T12:00:00.", "digits after the '.'" },
    { "2026-01-31T12:00:00.Z", "digits after the '.'" },
    { "2026-01-31T12:00:00 UTC", "expected Z or an offset" },
    { "2026-01-31T12:00:00+", "2 digits for the offset's hour" },
    { "2026-01-31T12:00:00+24:00", "offset's hour 24" },
    { "2026-01-31T12:00:00+02:60", "offset's minute 60" },
    { "2026-01-31T12:00:00+02:", "2 digits for the offset's minute" },
    { "2026-01-31T12:00:00+020", "2 digits for the offset's minute" },
    { "2026-01-31T12:00:00ZZ", "more after the end" },
    { "2026-01-31T12:00:00+02:00:00", "more after the end" },
    { "2026-01-31 ", "2 digits for the hour" },
    { " 2026-01-31", "4 digits for the year" },
    { "0001-01-01T00:00:00+01:00", "outside the years" },
    { "9999-12-31T23:59:59-01:00", "outside the years" },
};

static void
check_bad(void **state)
{
    const struct bad_case *c = *state;
    struct err err = { 0 };
    int64_t t = 77;

    assert_int_equal(clock_parse(c->name, strlen(c->name), &t, &err), RC_INVALID);
    assert_int_equal(t, 77);
    if (strstr(err.text, c->why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, c->why);
}

static struct format_case {
    const char *name; /* the text itself */
    int64_t t;
} formats[] = {
    { "1970-01-01T00:00:00Z", 0 },
    { "2026-01-31T12:00:00Z", NOON *CLOCK_SECOND },
    { "2026-01-31T12:00:00.5Z", NOON *CLOCK_SECOND + 500000 },
    { "2026-01-31T12:00:00.000001Z", NOON *CLOCK_SECOND + 1 },
    { "2026-01-31T12:00:00.01002Z", NOON *CLOCK_SECOND + 10020 },
    { "1969-12-31T23:59:59.999999Z", -1 },
    { "0001-01-01T00:00:00Z", INT64_C(-62135596800) * CLOCK_SECOND },
    { "-290308-12-21T19:59:05.224192Z", INT64_MIN },
    { "294247-01-10T04:00:54.775807Z", INT64_MAX },
};

static void
check_format(void **state)
{
    const struct format_case *c = *state;
    char text[CLOCK_TEXT];

    assert_string_equal(clock_format(c->t, text), c->name);
}

/* The C library counts days its own way; 800 years hold every kind of leap year. */
static void
dates_agree_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t days = -150000; days < 150000; days += 7) {
        time_t t = (time_t)(days * 86400);
        struct tm tm;
        int year, month, day;

        assert_non_null(gmtime_r(&t, &tm));
        clock_date(days, &year, &month, &day);
        assert_int_equal(year, tm.tm_year + 1900);
        assert_int_equal(month, tm.tm_mon + 1);
        assert_int_equal(day, tm.tm_mday);
        assert_int_equal(clock_days(year, month, day), days);
        assert_true(day <= clock_month_days(year, month));
        assert_int_equal(clock_days(year, month, clock_month_days(year, month) + 1),
                         clock_days(month == 12 ? year + 1 : year, month % 12 + 1, 1));
    }
}

static void
a_length_is_enough_without_a_terminator(void **state)
{
    int64_t t;

    (void)state;
    assert_int_equal(clock_parse("2026-01-31T12:00:00Zjunk", 20, &t, NULL), RC_OK);
    assert_int_equal(t, NOON * CLOCK_SECOND);
    assert_int_equal(clock_parse("2026-01-31T12:00:00Z", 19, &t, NULL), RC_INVALID);
}

/* The offset is read once: main() sets it before anything reads the clock. */
static void
the_offset_moves_now_and_not_mono(void **state)
{
    struct timespec ts;
    int64_t now, mono;

    (void)state;
    now = clock_now();
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &ts), 0);
    assert_true(now - (ts.tv_sec + 86400) * CLOCK_SECOND < 5 * CLOCK_SECOND);
    assert_true(now - (ts.tv_sec + 86400) * CLOCK_SECOND > -5 * CLOCK_SECOND);
    mono = clock_mono();
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
    assert_true(ts.tv_sec * CLOCK_SECOND - mono < 5 * CLOCK_SECOND);
    assert_true(clock_mono() >= mono);
    assert_int_equal(setenv("DESKMILL_CLOCK_OFFSET_S", "0", 1), 0);
    assert_true(clock_now() >= now); /* read once: a later change moves nothing */
}

int
main(void)
{
    if (setenv("DESKMILL_CLOCK_OFFSET_S", "86400", 1) != 0)
        return 1;
    TEST_TABLE(good, check_good);
    TEST_TABLE(bad, check_bad);
    TEST_TABLE(formats, check_format);
    TEST_ONE(dates_agree_with_the_c_library);
    TEST_ONE(a_length_is_enough_without_a_terminator);
    TEST_ONE(the_offset_moves_now_and_not_mono);
    return TESTS_RUN("clock");
}
