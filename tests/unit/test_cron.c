#include "common/auto.h"
#include "common/clock.h"
#include "common/cron.h"
#include "tests/unit/tables.h"
#include <stdio.h>
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

    assert_int_equal(zone_find(name, &z, NULL), RC_OK);
    return z;
}

static struct cron
cron(const char *text)
{
    struct cron c = { 0 };
    struct err err = { 0 };

    if (cron_parse(text, &c, &err) != RC_OK)
        fail_msg("%s: %s", text, err.text);
    return c;
}

/* ---- what is understood ---- */

#define EVERY_MINUTE UINT64_C(0xfffffffffffffff)
#define EVERY_HOUR   0xffffffU
#define EVERY_MDAY   0xfffffffeU
#define EVERY_MONTH  0x1ffe
#define EVERY_WDAY   0x7f
#define ANY_DAY      EVERY_MDAY, EVERY_MONTH, EVERY_WDAY, true, true

static struct parse_case {
    const char *name; /* the expression */
    struct cron want;
} parses[] = {
    { "* * * * *", { EVERY_MINUTE, EVERY_HOUR, ANY_DAY, true } },
    { "  5\t4  * * * ", { 1U << 5, 1U << 4, ANY_DAY, false } },
    { "1,3-5 0 * * *", { 0x3a, 1, ANY_DAY, false } },
    { "*/15 2 * * *", { 1 | 1U << 15 | 1U << 30 | UINT64_C(1) << 45, 4, ANY_DAY, true } },
    { "0-10/5 2 * * *", { 1 | 1U << 5 | 1U << 10, 4, ANY_DAY, true } },
    { "59 23 * * *", { UINT64_C(1) << 59, 1U << 23, ANY_DAY, false } },
    { "0 */12 * * *", { 1, 1 | 1U << 12, ANY_DAY, true } },
    { "0 0 1,31 * *", { 1, 1, 1U << 1 | 1U << 31, EVERY_MONTH, EVERY_WDAY, false, true, false } },
    { "0 0 */10 * *",
      { 1, 1, 1U << 1 | 1U << 11 | 1U << 21 | 1U << 31, EVERY_MONTH, EVERY_WDAY, true, true, false } },
    { "0 0 * JAN,mar-May *", { 1, 1, EVERY_MDAY, 0x3a, EVERY_WDAY, true, true, false } },
    { "0 0 * * 0", { 1, 1, EVERY_MDAY, EVERY_MONTH, 1, true, false, false } },
    { "0 0 * * 7", { 1, 1, EVERY_MDAY, EVERY_MONTH, 1, true, false, false } },
    { "0 0 * * Mon-fri", { 1, 1, EVERY_MDAY, EVERY_MONTH, 0x3e, true, false, false } },
    { "0 0 * * 5-7", { 1, 1, EVERY_MDAY, EVERY_MONTH, 0x61, true, false, false } },
    { "0 0 * * fri-sun", { 1, 1, EVERY_MDAY, EVERY_MONTH, 0x61, true, false, false } },
    { "0 0 * * sun-mon", { 1, 1, EVERY_MDAY, EVERY_MONTH, 3, true, false, false } },
    { "0 0 * * 0-7", { 1, 1, EVERY_MDAY, EVERY_MONTH, 0x7f, true, false, false } },
    { "0 0 * * */2", { 1, 1, EVERY_MDAY, EVERY_MONTH, 0x55, true, true, false } },
    { "0 0 13 * 5", { 1, 1, 1U << 13, EVERY_MONTH, 1U << 5, false, false, false } },
    { "0 0 29 2 *", { 1, 1, 1U << 29, 4, EVERY_WDAY, false, true, false } },
    { "0 0 30 2 1", { 1, 1, 1U << 30, 4, 2, false, false, false } }, /* Mondays in February remain */
    { "@hourly", { 1, EVERY_HOUR, ANY_DAY, true } },
    { "@daily", { 1, 1, ANY_DAY, false } },
    { "@midnight", { 1, 1, ANY_DAY, false } },
    { " @Weekly ", { 1, 1, EVERY_MDAY, EVERY_MONTH, 1, true, false, false } },
    { "@monthly", { 1, 1, 2, EVERY_MONTH, EVERY_WDAY, false, true, false } },
    { "@yearly", { 1, 1, 2, 2, EVERY_WDAY, false, true, false } },
    { "@annually", { 1, 1, 2, 2, EVERY_WDAY, false, true, false } },
};

static void
check_parse(void **state)
{
    const struct parse_case *p = *state;
    struct cron c = cron(p->name);

    assert_true(c.minute == p->want.minute);
    assert_int_equal(c.hour, p->want.hour);
    assert_int_equal(c.mday, p->want.mday);
    assert_int_equal(c.month, p->want.month);
    assert_int_equal(c.wday, p->want.wday);
    assert_int_equal(c.any_mday, p->want.any_mday);
    assert_int_equal(c.any_wday, p->want.any_wday);
    assert_int_equal(c.interval, p->want.interval);
}

static struct refuse_case {
    const char *name; /* the expression */
    const char *why;
} refusals[] = {
    { "", "expected five fields" },
    { "* * * *", "not 4" },
    { "* * * * * *", "not 6" },
    { "60 * * * *", "minute: 60 is not within 0-59" },
    { "* 25 * * *", "hour: 25 is not within 0-23" },
    { "* 24 * * *", "hour: 24 is not within 0-23" },
    { "* * 0 * *", "day-of-month: 0 is not within 1-31" },
    { "* * 32 * *", "day-of-month: 32 is not within 1-31" },
    { "* * * 13 *", "month: 13 is not within 1-12" },
    { "* * * * 8", "day-of-week: 8 is not within 0-7" },
    { "99999999999999999999 * * * *", "is not within 0-59" },
    { "-1 * * * *", "minute: expected a number at '-1'" },
    { "1, * * * *", "minute: expected a number at ''" },
    { "1-x * * * *", "minute: expected a number at 'x'" },
    { "jan * * * *", "minute: expected a number at 'jan'" },
    { "* * * foo *", "month: expected a number or a name at 'foo'" },
    { "* * * january *", "month: 'uary' is not understood" },
    { "* * * * ?", "day-of-week: expected a number or a name at '?'" },
    { "1.5 * * * *", "minute: '.5' is not understood" },
    { "*5 * * * *", "minute: '5' is not understood" },
    { "50-10 * * * *", "minute: the range 50-10 runs backwards" },
    { "* 22-2 * * *", "hour: the range 22-2 runs backwards" },
    { "* * * nov-feb *", "month: the range 11-2 runs backwards" },
    { "* * * * fri-mon", "day-of-week: the range 5-1 runs backwards" },
    { "* * * * 5-0", "day-of-week: the range 5-0 runs backwards" },
    { "*/0 * * * *", "minute: a step of 0 is not within 1-60" },
    { "*/90 * * * *", "minute: a step of 90 is not within 1-60" },
    { "*/ * * * *", "minute: expected a number at ''" },
    { "5/15 * * * *", "minute: a step needs a range: write 5-59/" },
    { "0 0 30 2 *", "it would never run" },
    { "0 0 31 2,4,6,9,11 *", "it would never run" },
    { "0 0 30 2 */2", "it would never run" },
    { "@reboot", "'@reboot' is not known" },
    { "@daily x", "there is more after '@daily'" },
};

static void
check_refusal(void **state)
{
    const struct refuse_case *r = *state;
    struct cron c = { .minute = 77 };
    struct err err = { 0 };

    assert_int_equal(cron_parse(r->name, &c, &err), RC_INVALID);
    assert_int_equal(c.minute, 77);
    if (strstr(err.text, r->why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, r->why);
}

/* ---- known ticks ---- */

#define TICKS 4

static struct next_case {
    const char *name;
    const char *text, *zone, *after;
    const char *want[TICKS]; /* one after the other; NULL: no more are looked at */
} nexts[] = {
    { "strictly after", "0 12 * * *", "UTC", "2026-01-31T12:00:00Z", { "2026-02-01T12:00:00Z" } },
    { "a microsecond before",
      "0 12 * * *",
      "UTC",
      "2026-01-31T11:59:59.999999Z",
      { "2026-01-31T12:00:00Z" } },
    { "over the end of the hour, day, year",
      "5 0 * * *",
      "UTC",
      "2026-12-31T23:59:59Z",
      { "2027-01-01T00:05:00Z" } },
    { "hours left, but no minute in this one",
      "10 8,9 * * *",
      "UTC",
      "2026-01-01T08:30:00Z",
      { "2026-01-01T09:10:00Z" } },
    { "either day field (Vixie)",
      "0 0 13 * 5",
      "UTC",
      "2026-02-01",
      { "2026-02-06", "2026-02-13", "2026-02-20" } },
    { "both, if one begins with a star",
      "0 0 */2 * 1",
      "UTC",
      "2026-02-01",
      { "2026-02-09", "2026-02-23", "2026-03-09" } },
    { "months without a 31st are passed over",
      "0 0 31 * *",
      "UTC",
      "2026-01-31",
      { "2026-03-31", "2026-05-31" } },
    { "a leap day", "0 0 29 2 *", "UTC", "2026-01-01", { "2028-02-29", "2032-02-29" } },
    { "a leap day eight years away", "0 0 29 2 *", "UTC", "2096-02-29", { "2104-02-29" } },
    { "before 1970", "0 0 1 * *", "UTC", "1969-11-15T00:00:30Z", { "1969-12-01", "1970-01-01" } },
    { "a zone's own midnight", "0 0 * * *", "Asia/Kathmandu", "2026-01-01", { "2026-01-01T18:15:00Z" } },

    { "gap: a fixed time runs at its end",
      "30 2 * * *",
      "Europe/Berlin",
      "2026-03-28T12:00:00Z",
      { "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z" } },
    { "gap: several readings run once",
      "15,30,45 2 * * *",
      "Europe/Berlin",
      "2026-03-28T12:00:00Z",
      { "2026-03-29T01:00:00Z", "2026-03-30T00:15:00Z" } },
    { "gap: once also if its end matches",
      "0 2,3 * * *",
      "Europe/Berlin",
      "2026-03-28T12:00:00Z",
      { "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T01:00:00Z" } },
    { "gap: an interval skips what never was",
      "30 * * * *",
      "Europe/Berlin",
      "2026-03-29T00:00:00Z",
      { "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z" } },
    { "gap: an interval that lost its whole day runs once",
      "*/10 2 * * *",
      "Europe/Berlin",
      "2026-03-28T12:00:00Z",
      { "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T00:10:00Z" } },
    { "gap: an interval that lost a part does not",
      "*/30 1,2 * * *",
      "Europe/Berlin",
      "2026-03-29T00:15:00Z",
      { "2026-03-29T00:30:00Z", "2026-03-29T23:00:00Z" } },
    { "gap: on another day it does not matter",
      "*/10 2 30 * *",
      "Europe/Berlin",
      "2026-03-28T12:00:00Z",
      { "2026-03-30T00:00:00Z" } },
    { "gap: half an hour",
      "15 2 * * *",
      "Australia/Lord_Howe",
      "2026-10-03T12:00:00Z",
      { "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z" } },
    { "gap: half an hour leaves the other half",
      "*/20 2 * * *",
      "Australia/Lord_Howe",
      "2026-10-03T12:00:00Z",
      { "2026-10-03T15:40:00Z", "2026-10-04T15:00:00Z" } },
    { "gap: at midnight",
      "0 0 * * *",
      "America/Sao_Paulo",
      "2018-11-03T12:00:00Z",
      { "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z" } },
    { "gap: at midnight, on the first of that day only",
      "30 0 4 11 *",
      "America/Sao_Paulo",
      "2018-11-01",
      { "2018-11-04T03:00:00Z", "2019-11-04T03:30:00Z" } },
    { "gap: midnight in Beirut",
      "@daily",
      "Asia/Beirut",
      "2026-03-28T12:00:00Z",
      { "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z" } },
    { "gap: midnight in Cairo",
      "*/5 0 * * *",
      "Africa/Cairo",
      "2026-04-23T12:00:00Z",
      { "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z" } },
    { "gap: a whole day",
      "0 9,17 * * *",
      "Pacific/Apia",
      "2011-12-30T04:00:00Z",
      { "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z", "2011-12-31T03:00:00Z" } },
    { "gap: a whole day of an interval",
      "30 */6 30 12 *",
      "Pacific/Apia",
      "2011-12-29T00:00:00Z",
      { "2011-12-30T10:00:00Z", "2012-12-29T10:30:00Z" } },

    { "overlap: a fixed time runs at the first",
      "30 2 * * *",
      "Europe/Berlin",
      "2026-10-24T12:00:00Z",
      { "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z" } },
    { "overlap: asked in its second pass",
      "30 2 * * *",
      "Europe/Berlin",
      "2026-10-25T01:10:00Z",
      { "2026-10-26T01:30:00Z" } },
    { "overlap: the reading behind it runs once",
      "0 3 * * *",
      "Europe/Berlin",
      "2026-10-24T12:00:00Z",
      { "2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z" } },
    { "overlap: an interval runs through both",
      "*/30 2 * * *",
      "Europe/Berlin",
      "2026-10-24T12:00:00Z",
      { "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z" } },
    { "overlap: an hourly job never pauses",
      "0 * * * *",
      "America/New_York",
      "2026-11-01T04:30:00Z",
      { "2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z" } },
    { "overlap: half an hour",
      "45 1 * * *",
      "Australia/Lord_Howe",
      "2026-04-04T12:00:00Z",
      { "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z" } },
};

static void
check_next(void **state)
{
    const struct next_case *n = *state;
    struct cron c = cron(n->text);
    int64_t t = at(n->after);
    char got[CLOCK_TEXT], want[CLOCK_TEXT];

    for (size_t i = 0; i < TICKS && n->want[i] != NULL; i++) {
        assert_true(cron_next(&c, zone(n->zone), t, &t));
        assert_string_equal(clock_format(t, got), clock_format(at(n->want[i]), want));
    }
}

static void
nothing_within_eight_years_is_false(void **state)
{
    struct cron c =
        cron("0 0 29 2 */6"); /* a leap day that is a Saturday or a Sunday: both conditions count */
    int64_t t = 0;

    (void)state;
    assert_true(cron_next(&c, zone("UTC"), at("2026-01-01"), &t));
    assert_int_equal(t, at("2032-02-29"));
    c = cron("0 0 29 2 */7"); /* a Sunday: 2032, then not before 2060 */
    t = 77;
    assert_false(cron_next(&c, zone("UTC"), at("2033-01-01"), &t));
    c = cron("* 0 29 2 */7");
    assert_false(cron_next(&c, zone("Europe/Berlin"), at("2033-01-01"), &t));
    assert_false(cron_next(&c, zone("UTC"), INT64_MAX, &t));
    assert_int_equal(t, 77);
}

/* ---- the oracle: every real minute of some days, with nothing but zone_local() ---- */

#define WINDOW_DAYS 4
#define MINUTES     (WINDOW_DAYS * 1440)

static bool
on(uint64_t bits, int64_t n)
{
    return (bits & UINT64_C(1) << n) != 0;
}

/* Whether the wall reading, in minutes since 1970, is one of the expression's. */
static bool
reading_matches(const struct cron *c, int64_t reading)
{
    int64_t day = reading / 1440, of_day = reading % 1440;
    int year, month, mday;
    bool m, w;

    clock_date(day, &year, &month, &mday);
    m = on(c->mday, mday);
    w = on(c->wday, (day + 4) % 7);
    if (!on(c->month, month) || !on(c->hour, of_day / 60) || !on(c->minute, of_day % 60))
        return false;
    return c->any_mday || c->any_wday ? m && w : m || w;
}

static int64_t
reading_at(const struct zone *z, int64_t t)
{
    struct civil l;

    zone_local(z, t, &l);
    assert_int_equal(l.second, 0);
    return clock_days(l.year, l.month, l.day) * 1440 + l.hour * INT64_C(60) + l.minute;
}

/* Whether the skipped readings from..to-1 call for a run at the gap's end. */
static bool
gap_matters(const struct cron *c, int64_t from, int64_t to)
{
    for (int64_t r = from; r < to; r++) {
        int matching = 0, lost = 0;

        if (!reading_matches(c, r))
            continue;
        if (!c->interval)
            return true;
        for (int64_t of_day = 0; of_day < 1440; of_day++) {
            int64_t same_day = r / 1440 * 1440 + of_day;

            if (reading_matches(c, same_day)) {
                matching++;
                lost += same_day >= from && same_day < to;
            }
        }
        if (matching == lost)
            return true;
    }
    return false;
}

/* ticks[i]: whether minute i from `start` is one. */
static void
walk(const struct cron *c, const struct zone *z, int64_t start, bool ticks[MINUTES])
{
    int64_t before = reading_at(z, start - CLOCK_MINUTE), latest = before;

    for (int i = 0; i < MINUTES; i++) {
        int64_t r = reading_at(z, start + i * CLOCK_MINUTE);
        bool again = r <= latest;

        ticks[i] = reading_matches(c, r) && (c->interval || !again);
        if (r > before + 1 && gap_matters(c, before + 1, r))
            ticks[i] = true;
        before = r;
        latest = r > latest ? r : latest;
    }
}

static void
compare(const struct cron *c, const char *text, const struct zone *z, int64_t start)
{
    static bool ticks[MINUTES];
    int next = MINUTES; /* the oracle's next tick */
    char asked[CLOCK_TEXT], got[CLOCK_TEXT];

    walk(c, z, start, ticks);
    for (int i = MINUTES - 1; i >= -1; i--) { /* from behind: what comes after minute i is known */
        int64_t after = start + i * CLOCK_MINUTE, t = INT64_MAX;
        bool found;

        /* where nothing changes, a few questions are enough */
        if (i % 13 == 0 || i == -1 || (i >= 0 && ticks[i]) || (next < MINUTES && i >= next - 1)) {
            found = cron_next(c, z, after, &t);
            if (next < MINUTES ? t != start + next * CLOCK_MINUTE
                               : found && t < start + WINDOW_DAYS * CLOCK_DAY)
                fail_msg("'%s' after %s: %s, not minute %d", text, clock_format(after, asked),
                         found ? clock_format(t, got) : "none", next);
        }
        if (i >= 0 && ticks[i])
            next = i;
    }
}

static struct oracle_case {
    const char *name;
    const char *zone, *from; /* the days around the first change of the offset after this */
} oracles[] = {
    { "oracle: Berlin, spring", "Europe/Berlin", "2026-03-01" },
    { "oracle: Berlin, autumn", "Europe/Berlin", "2026-10-01" },
    { "oracle: New York, spring", "America/New_York", "2026-03-01" },
    { "oracle: New York, autumn", "America/New_York", "2026-10-01" },
    { "oracle: Lord Howe, spring", "Australia/Lord_Howe", "2026-09-01" },
    { "oracle: Lord Howe, autumn", "Australia/Lord_Howe", "2026-03-01" },
    { "oracle: Sao Paulo, no midnight", "America/Sao_Paulo", "2018-10-01" },
    { "oracle: Sao Paulo, two", "America/Sao_Paulo", "2018-02-01" },
    { "oracle: Beirut, spring", "Asia/Beirut", "2026-03-01" },
    { "oracle: Beirut, autumn", "Asia/Beirut", "2026-10-01" },
    { "oracle: Cairo, spring", "Africa/Cairo", "2026-03-01" },
    { "oracle: Cairo, autumn", "Africa/Cairo", "2026-10-01" },
    { "oracle: Apia, the lost day", "Pacific/Apia", "2011-12-01" },
    { "oracle: Kwajalein, the lost day of 1993", "Pacific/Kwajalein", "1993-08-01" },
    { "oracle: Casablanca, around Ramadan", "Africa/Casablanca", "2026-01-01" },
    { "oracle: Caracas, half an hour for good", "America/Caracas", "2016-04-01" },
    { "oracle: Troll, two hours", "Antarctica/Troll", "2026-03-01" },
    { "oracle: Nuuk, into midnight", "America/Nuuk", "2026-03-01" },
    { "oracle: UTC, nothing happens", "UTC", "2026-03-01" },
};

static const char *const expressions[] = {
    "* * * * *",     "0 * * * *",      "30 * * * *",      "*/10 2 * * *",   "*/10 0 * * *",
    "30 2 * * *",    "0 2 * * *",      "0 3 * * *",       "0 0 * * *",      "15,45 0-3 * * *",
    "30 23 * * *",   "*/30 1,2 * * *", "0-20/10 2 * * *", "0 */2 * * *",    "15 1 * * *",
    "0 1 * * sun",   "45 1 * * 6",     "*/7 */3 * * *",   "0,30 0,2 * * *", "5 2-3 */2 * *",
    "59 1,23 * * *", "*/20 23 * * *",  "0 9 30 * *",      "* 2 29 * *",     "30 2 29 3 *",
    "0 0 1 1 *",     "*/15 0-2 * * 0", "0 12 * * 1-5",    "10 0,12 * * *",  "1-59/2 2 * * *",
};

static int64_t
window_start(const struct oracle_case *o, const struct zone *z)
{
    int64_t change = at(o->from);

    (void)zone_next_change(z, change, &change);
    assert_int_equal(change % CLOCK_MINUTE, 0);
    return change - WINDOW_DAYS * CLOCK_DAY / 2;
}

static void
check_oracle(void **state)
{
    const struct oracle_case *o = *state;
    const struct zone *z = zone(o->zone);
    int64_t start = window_start(o, z);

    for (size_t i = 0; i < COUNT_OF(expressions); i++) {
        struct cron c = cron(expressions[i]);

        compare(&c, expressions[i], z, start);
    }
}

/* ---- the same for expressions that nobody thought of ---- */

static uint32_t
rnd(uint32_t n)
{
    static uint64_t seed = 42;

    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % n;
}

static int
put_random(char *out, size_t size, uint32_t low, uint32_t high)
{
    uint32_t a = low + rnd(high - low + 1), b = a + rnd(high - a + 1);

    switch (rnd(6)) {
    case 0:
        return snprintf(out, size, "*");
    case 1:
        return snprintf(out, size, "*/%u", 1 + rnd(high - low));
    case 2:
        return snprintf(out, size, "%u-%u", a, b);
    case 3:
        return snprintf(out, size, "%u-%u/%u", a, b, 1 + rnd(high - low));
    case 4:
        return snprintf(out, size, "%u,%u", a, b);
    default:
        return snprintf(out, size, "%u", a);
    }
}

static void
check_random(void **state)
{
    const struct oracle_case *o = *state;
    const struct zone *z = zone(o->zone);
    int64_t start = window_start(o, z);
    char minute[32], hour[32], mday[32], wday[32], text[160];

    for (int i = 0; i < 30; i++) {
        struct cron c;

        (void)put_random(minute, sizeof minute, 0, 59);
        (void)put_random(hour, sizeof hour, 0, rnd(2) == 0 ? 3 : 23);
        (void)put_random(mday, sizeof mday, 1, 31);
        (void)put_random(wday, sizeof wday, 0, 6);
        (void)snprintf(text, sizeof text, "%s %s %s * %s", minute, hour, rnd(3) == 0 ? mday : "*",
                       rnd(3) == 0 ? wday : "*");
        c = cron(text);
        compare(&c, text, z, start);
    }
}

int
main(void)
{
    TEST_TABLE(parses, check_parse);
    TEST_TABLE(refusals, check_refusal);
    TEST_TABLE(nexts, check_next);
    TEST_ONE(nothing_within_eight_years_is_false);
    TEST_TABLE(oracles, check_oracle);
    TEST_TABLE(oracles, check_random);
    return TESTS_RUN("cron");
}
