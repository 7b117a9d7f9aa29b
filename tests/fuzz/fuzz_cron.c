/* fuzz_cron - any expression parses or is refused with a reason. What parses ticks as a walk over the wall
 * clock, minute by minute, says: each tick is later than the one before, each matches its fields (or is the
 * end of a spring gap that took a match), and none between two ticks was left out.
 *
 * An input is a letter for the zone, the second to begin at, a blank, and the expression: "B1711843200 30 2 *
 * * *". */
#include "common/auto.h"
#include "common/clock.h"
#include "common/cron.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

#define EXPRESSION_MAX 512
#define TICKS          16
#define WALK_MAX       6000                 /* minutes looked at for one input: four days */
#define BEGIN_MIN      INT64_C(-2208988800) /* 1900 */
#define BEGIN_SPAN     INT64_C(7258118400)  /* to 2130 */
#define UNSET          INT64_C(0x5a5a5a5a)

static const char *const zones[] = {
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",   /* gaps at midnight */
    "America/Havana",      /* the same, and overlaps that end there */
    "Australia/Lord_Howe", /* half an hour of summer time */
    "Antarctica/Troll",    /* two hours */
    "Pacific/Apia",        /* 2011-12-30 never was */
    "Pacific/Kwajalein",   /* nor 1993-08-21 here */
    "Africa/Casablanca",   /* no summer time in Ramadan */
    "Europe/Dublin",       /* winter time */
    "Asia/Kathmandu",
    "Africa/Monrovia", /* 44 min 30 s behind until 1972 */
    "Asia/Gaza",
    "Europe/Amsterdam",
};

static bool
bit(uint64_t bits, int n)
{
    return (bits >> n & 1) != 0;
}

static bool
day_matches(const struct cron *c, const struct civil *at)
{
    bool m = bit(c->mday, at->day), w = bit(c->wday, at->weekday);

    return bit(c->month, at->month) && (c->any_mday || c->any_wday ? m && w : m || w);
}

static bool
matches(const struct cron *c, const struct civil *at)
{
    return at->second == 0 && day_matches(c, at) && bit(c->hour, at->hour) && bit(c->minute, at->minute);
}

/* A reading as seconds, and back. */
static int64_t
seconds_of(const struct civil *c)
{
    return clock_days(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
}

static struct civil
civil_of(int64_t s)
{
    struct civil c = { 0 };
    int64_t day = s / 86400 - (s % 86400 < 0), of_day = s - day * 86400;

    clock_date(day, &c.year, &c.month, &c.day);
    c.hour = (int)(of_day / 3600);
    c.minute = (int)(of_day / 60 % 60);
    c.second = (int)(of_day % 60);
    c.weekday = (int)(((day + 4) % 7 + 7) % 7);
    return c;
}

static bool
matches_within(const struct cron *c, int64_t from, int64_t to)
{
    for (int64_t s = from + (60 - (from % 60 + 60) % 60) % 60; s < to; s += 60) {
        struct civil at = civil_of(s);

        if (matches(c, &at))
            return true;
    }
    return false;
}

/* Whether the clock jumps ahead at `t`, over [*from, *to). */
static bool
gap_at(const struct zone *z, int64_t t, int64_t *from, int64_t *to)
{
    struct civil before, after;
    int64_t change;

    if (!zone_next_change(z, t - CLOCK_SECOND, &change) || change != t)
        return false;
    zone_local(z, t - CLOCK_SECOND, &before);
    zone_local(z, t, &after);
    *from = seconds_of(&before) + 1;
    *to = seconds_of(&after);
    return *to > *from;
}

/* The gap took a fixed expression's match; or, of an interval, all those that one day had. */
static bool
gap_makes_tick(const struct cron *c, int64_t from, int64_t to)
{
    if (!c->interval)
        return matches_within(c, from, to);
    for (int64_t day = from / 86400 - (from % 86400 < 0); day * 86400 < to; day++) {
        int64_t begin = day * 86400, end = begin + 86400;

        if (matches_within(c, begin > from ? begin : from, end < to ? end : to) &&
            !matches_within(c, begin, from) && !matches_within(c, to, end))
            return true;
    }
    return false;
}

static bool
is_tick(const struct cron *c, const struct zone *z, int64_t t)
{
    int64_t first, from, to;
    struct civil at;

    zone_local(z, t, &at);
    if (matches(c, &at)) {
        if (c->interval)
            return true;
        (void)zone_instant(z, &at, &first, NULL);
        if (first == t) /* not its second time */
            return true;
    }
    return gap_at(z, t, &from, &to) && gap_makes_tick(c, from, to);
}

/* The next instant at which a minute of the wall clock begins or the clock changes. */
static int64_t
step(const struct zone *z, int64_t t)
{
    int64_t floor = t - (t % CLOCK_SECOND + CLOCK_SECOND) % CLOCK_SECOND, next, change;
    struct civil at;

    zone_local(z, t, &at);
    next = floor + (60 - at.second) * CLOCK_SECOND;
    return zone_next_change(z, t, &change) && change < next ? change : next;
}

/* No tick: then no day of the next seven years can match. */
static void
check_never(const struct cron *c, const struct zone *z, int64_t after)
{
    struct civil at;

    for (int day = 2; day < 7 * 365; day++) {
        zone_local(z, after, &at);
        at = civil_of(seconds_of(&at) + day * INT64_C(86400));
        MUST(!day_matches(c, &at));
    }
}

static void
check_ticks(const struct cron *c, const struct zone *z, int64_t after)
{
    int walked = 0;

    for (int i = 0; i < TICKS; i++) {
        int64_t tick = UNSET, t = after;

        if (!cron_next(c, z, after, &tick)) {
            MUST(tick == UNSET);
            check_never(c, z, after);
            return;
        }
        MUST(tick > after && tick % CLOCK_SECOND == 0);
        MUST(is_tick(c, z, tick));
        while (walked++ < WALK_MAX && (t = step(z, t)) < tick)
            MUST(!is_tick(c, z, t));
        after = tick;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[EXPRESSION_MAX], *expression;
    struct cron c = { .minute = 77 }, untouched = c;
    const struct zone *z = NULL;
    struct err err = { 0 };
    int64_t begin;
    enum rc rc;

    if (len < 2 || len >= sizeof text)
        return 0;
    memcpy(text, data, len);
    text[len] = '\0';
    MUST(zone_find(zones[(size_t)(unsigned char)(text[0] - 'A') % COUNT_OF(zones)], &z, NULL) == RC_OK);
    begin = strtoll(text + 1, &expression, 10) % BEGIN_SPAN;
    if (begin < BEGIN_MIN)
        begin += BEGIN_SPAN;
    if ((rc = cron_parse(expression, &c, &err)) == RC_OK)
        check_ticks(&c, z, begin * CLOCK_SECOND);
    else
        MUST(rc == RC_INVALID && err.text[0] != '\0' && memcmp(&c, &untouched, sizeof c) == 0);
    return 0;
}
