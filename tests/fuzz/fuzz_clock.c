/* fuzz_clock - any bytes parse or are refused with a reason; what parses is the instant that timegm() makes
 * of the same digits, is written as gmtime_r() would, and reads back as itself. Bytes taken as a number make
 * an instant that does the same. */
#include "common/auto.h"
#include "common/clock.h"
#include "tests/fuzz/fuzz.h"
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define FIRST INT64_C(-62135596800000000) /* 0001-01-01T00:00:00Z */
#define PAST  INT64_C(253402300800000000) /* the year 10000 */
#define UNSET INT64_C(0x5a5a5a5a)

static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static enum rc
parse(const char *text, size_t len, int64_t *out)
{
    struct err err = { 0 };
    enum rc rc;

    *out = UNSET;
    if ((rc = clock_parse(text, len, out, &err)) == RC_OK)
        MUST(*out >= FIRST && *out < PAST);
    else
        MUST(rc == RC_INVALID && err.text[0] != '\0' && *out == UNSET);
    return rc;
}

/* The date there and back, and its neighbours. */
static void
check_days(int64_t days)
{
    int year, month, day, year2, month2, day2;

    clock_date(days, &year, &month, &day);
    MUST(month >= 1 && month <= 12 && day >= 1 && day <= clock_month_days(year, month));
    MUST(clock_days(year, month, day) == days);
    clock_date(days + 1, &year2, &month2, &day2);
    MUST((year2 == year && month2 == month && day2 == day + 1) ||
         (day2 == 1 && day == clock_month_days(year, month)));
}

/* Written, it is what the C library writes, and reading it gives it back. */
static void
check_instant(int64_t t)
{
    char text[CLOCK_TEXT], want[64];
    time_t s = floor_div(t, CLOCK_SECOND);
    int64_t again;
    struct tm tm;
    size_t len;

    MUST(clock_format(t, text) == text && gmtime_r(&s, &tm) != NULL);
    (void)snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    len = strlen(text);
    MUST(strlen(want) == 19 && len >= 20 && memcmp(text, want, 19) == 0 && text[len - 1] == 'Z');
    MUST((text[19] == '.') == (t % CLOCK_SECOND != 0) && text[len - 2] != '.');
    MUST(text[19] != '.' || text[len - 2] != '0');
    MUST(parse(text, len, &again) == RC_OK && again == t);
    check_days(floor_div(t, CLOCK_DAY));
}

static int
two(const char *p)
{
    return (p[0] - '0') * 10 + (p[1] - '0');
}

/* How far the zone at `p` is ahead of UTC, in seconds. It has been accepted. */
static int64_t
ahead_s(const char *p, const char *end)
{
    int64_t s;

    if (*p == 'Z' || *p == 'z')
        return 0;
    s = two(p + 1) * 3600;
    if (end - p > 3)
        s += two(p + (p[3] == ':' ? 4 : 3)) * 60;
    return *p == '-' ? -s : s;
}

/* The same instant by other means: accepted text has its digits in fixed places. */
static int64_t
by_timegm(const char *p, size_t len)
{
    struct tm tm = { .tm_year = two(p) * 100 + two(p + 2) - 1900,
                     .tm_mon = two(p + 5) - 1,
                     .tm_mday = two(p + 8) };
    const char *end = p + len, *zone = p + 19;
    int64_t unit = CLOCK_SECOND, fraction = 0;

    if (len == 10)
        return timegm(&tm) * CLOCK_SECOND;
    tm.tm_hour = two(p + 11);
    tm.tm_min = two(p + 14);
    tm.tm_sec = two(p + 17);
    if (*zone == '.')
        for (zone++; *zone >= '0' && *zone <= '9'; zone++)
            fraction += (*zone - '0') * (unit /= 10);
    return (timegm(&tm) - ahead_s(zone, end)) * CLOCK_SECOND + fraction;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    uint64_t number = 0;
    int64_t t;

    if (parse(text, len, &t) == RC_OK) {
        MUST(t == by_timegm(text, len));
        check_instant(t);
    }
    if (len >= sizeof number) {
        memcpy(&number, data, sizeof number);
        check_instant(FIRST + (int64_t)(number % (uint64_t)(PAST - FIRST)));
    }
    return 0;
}
