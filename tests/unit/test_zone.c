#include "common/clock.h"
#include "common/zone.h"
#include "tests/unit/tables.h"
#include <string.h>

static int64_t
at(const char *text)
{
    int64_t t = 0;

    assert_int_equal(clock_parse(text, strlen(text), &t, NULL), RC_OK);
    return t;
}

static const struct zone *
zone(const char *name)
{
    const struct zone *z = NULL;
    struct err err = { 0 };

    if (zone_find(name, &z, &err) != RC_OK)
        fail_msg("%s", err.text);
    return z;
}

static struct find_case {
    const char *name; /* of the zone */
    bool there;
} finds[] = {
    { "UTC", true },
    { "Europe/Berlin", true },
    { "America/Argentina/Buenos_Aires", true },
    { "Etc/GMT+5", true },
    { "", false },
    { "Mars/Olympus", false },
    { "IST", false },
    { "Europe", false },
    { "Europe/", false },
    { "europe/berlin ", false },
    { "/usr/share/zoneinfo/UTC", false },
    { "../zoneinfo/UTC", false },
    { "Europe//Berlin", false },
    { "Fixed/UTC+05:00:00", false },
    { "libc:localtime", false },
    { "localtime", false },
    { "right/Europe/Berlin", false },
    { "posix/Europe/Berlin", false },
    { "tzdata.zi", false },
    { "zone.tab", false },
};

static void
check_find(void **state)
{
    const struct find_case *c = *state;
    const struct zone *z = NULL, *again = NULL;
    struct err err = { 0 };

    if (c->there) {
        assert_int_equal(zone_find(c->name, &z, &err), RC_OK);
        assert_int_equal(zone_find(c->name, &again, &err), RC_OK);
        assert_ptr_equal(z, again);
        return;
    }
    assert_int_equal(zone_find(c->name, &z, &err), RC_INVALID);
    assert_null(z);
    assert_non_null(strstr(err.text, c->name));
    assert_non_null(strstr(err.text, "Europe/Berlin"));
}

static struct local_case {
    const char *name;
    const char *zone, *t;
    struct civil want;
} locals[] = {
    { "UTC is itself", "UTC", "2026-01-31T12:34:56Z", { 2026, 1, 31, 12, 34, 56, 6 } },
    { "winter in Berlin", "Europe/Berlin", "2026-01-31T23:30:00Z", { 2026, 2, 1, 0, 30, 0, 0 } },
    { "summer in Berlin", "Europe/Berlin", "2026-07-01T12:00:00Z", { 2026, 7, 1, 14, 0, 0, 3 } },
    { "the last second before the gap",
      "Europe/Berlin",
      "2026-03-29T00:59:59Z",
      { 2026, 3, 29, 1, 59, 59, 0 } },
    { "the first after it", "Europe/Berlin", "2026-03-29T01:00:00Z", { 2026, 3, 29, 3, 0, 0, 0 } },
    { "before 1970, floored", "UTC", "1969-12-31T23:59:59.999999Z", { 1969, 12, 31, 23, 59, 59, 3 } },
    { "beyond the table of rules", "Europe/Berlin", "2150-07-01T12:00:00Z", { 2150, 7, 1, 14, 0, 0, 3 } },
    { "three quarters of an hour", "Asia/Kathmandu", "2026-01-01T00:00:00Z", { 2026, 1, 1, 5, 45, 0, 4 } },
};

static void
check_local(void **state)
{
    const struct local_case *c = *state;
    struct civil got;

    zone_local(zone(c->zone), at(c->t), &got);
    assert_int_equal(got.year, c->want.year);
    assert_int_equal(got.month, c->want.month);
    assert_int_equal(got.day, c->want.day);
    assert_int_equal(got.hour, c->want.hour);
    assert_int_equal(got.minute, c->want.minute);
    assert_int_equal(got.second, c->want.second);
    assert_int_equal(got.weekday, c->want.weekday);
}

static struct instant_case {
    const char *name;
    const char *zone;
    struct civil c;
    enum zone_kind kind;
    const char *first, *second;
} instants[] = {
    { "an ordinary noon",
      "Europe/Berlin",
      { 2026, 1, 31, 12, 0, 0, 0 },
      ZONE_UNIQUE,
      "2026-01-31T11:00:00Z",
      NULL },
    { "the 32nd is the 1st", "UTC", { 2026, 1, 32, 24, 0, 0, 0 }, ZONE_UNIQUE, "2026-02-02", NULL },
    { "inside the spring gap",
      "Europe/Berlin",
      { 2026, 3, 29, 2, 30, 0, 0 },
      ZONE_SKIPPED,
      "2026-03-29T01:00:00Z",
      NULL },
    { "the gap's first second",
      "Europe/Berlin",
      { 2026, 3, 29, 2, 0, 0, 0 },
      ZONE_SKIPPED,
      "2026-03-29T01:00:00Z",
      NULL },
    { "the gap's end",
      "Europe/Berlin",
      { 2026, 3, 29, 3, 0, 0, 0 },
      ZONE_UNIQUE,
      "2026-03-29T01:00:00Z",
      NULL },
    { "in the autumn overlap",
      "Europe/Berlin",
      { 2026, 10, 25, 2, 30, 0, 0 },
      ZONE_REPEATED,
      "2026-10-25T00:30:00Z",
      "2026-10-25T01:30:00Z" },
    { "half an hour in Lord Howe",
      "Australia/Lord_Howe",
      { 2026, 10, 4, 2, 15, 0, 0 },
      ZONE_SKIPPED,
      "2026-10-03T15:30:00Z",
      NULL },
    { "no midnight in Sao Paulo",
      "America/Sao_Paulo",
      { 2018, 11, 4, 0, 0, 0, 0 },
      ZONE_SKIPPED,
      "2018-11-04T03:00:00Z",
      NULL },
    { "a day that Apia never had",
      "Pacific/Apia",
      { 2011, 12, 30, 12, 0, 0, 0 },
      ZONE_SKIPPED,
      "2011-12-30T10:00:00Z",
      NULL },
    { "farther than microseconds reach", "UTC", { 400000, 1, 1, 0, 0, 0, 0 }, ZONE_UNIQUE, NULL, NULL },
};

static void
check_instant(void **state)
{
    const struct instant_case *c = *state;
    int64_t first = 0, second = 0;

    assert_int_equal(zone_instant(zone(c->zone), &c->c, &first, &second), c->kind);
    assert_int_equal(first, c->first != NULL ? at(c->first) : INT64_MAX);
    assert_int_equal(second, c->second != NULL ? at(c->second) : 0);
    first = 0;
    assert_int_equal(zone_instant(zone(c->zone), &c->c, &first, NULL), c->kind);
    assert_int_equal(first, c->first != NULL ? at(c->first) : INT64_MAX);
}

static struct change_case {
    const char *name;
    const char *zone, *t, *want;
} changes[] = {
    { "UTC never changes", "UTC", "2026-01-01", NULL },
    { "spring in Berlin", "Europe/Berlin", "2026-01-01", "2026-03-29T01:00:00Z" },
    { "a moment before", "Europe/Berlin", "2026-03-29T00:59:59.999999Z", "2026-03-29T01:00:00Z" },
    { "strictly after: autumn is next", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z" },
    { "far in the future", "Europe/Berlin", "2100-01-01", "2100-03-28T01:00:00Z" },
    { "half an hour", "Australia/Lord_Howe", "2026-09-01", "2026-10-03T15:30:00Z" },
    { "a whole day", "Pacific/Apia", "2011-12-01", "2011-12-30T10:00:00Z" },
    { "no rules any more", "Asia/Tokyo", "2026-01-01", NULL },
    /* in 1992 Lisbon went from WEST to CET: another name, the same offset */
    { "a new abbreviation is no change", "Europe/Lisbon", "1992-09-27T00:59:59Z", "1993-03-28T01:00:00Z" },
};

static void
check_change(void **state)
{
    const struct change_case *c = *state;
    int64_t got = 0;

    if (c->want == NULL) {
        assert_false(zone_next_change(zone(c->zone), at(c->t), &got));
        return;
    }
    assert_true(zone_next_change(zone(c->zone), at(c->t), &got));
    assert_int_equal(got, at(c->want));
}

int
main(void)
{
    TEST_TABLE(finds, check_find);
    TEST_TABLE(locals, check_local);
    TEST_TABLE(instants, check_instant);
    TEST_TABLE(changes, check_change);
    return TESTS_RUN("zone");
}
