#include "common/clock.h"
#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static pthread_once_t offset_once = PTHREAD_ONCE_INIT;
static int64_t offset_us;

static void
read_offset(void)
{
    const char *text = getenv("DESKMILL_CLOCK_OFFSET_S");
    char *end;
    long long s;

    if (text == NULL)
        return;
    s = strtoll(text, &end, 10);
    if (end != text && *end == '\0' && s > -INT64_C(100000000000) && s < INT64_C(100000000000))
        offset_us = s * CLOCK_SECOND;
}

static int64_t
read_clock(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);

    assert(rc == 0); /* both clocks exist on every Linux */
    (void)rc;
    return ts.tv_sec * CLOCK_SECOND + ts.tv_nsec / 1000;
}

int64_t
clock_now(void)
{
    (void)pthread_once(&offset_once, read_offset);
    return read_clock(CLOCK_REALTIME) + offset_us;
}

int64_t
clock_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Years are counted from March, so that the leap day is the last of its year; eras of 400 years repeat
 * exactly. */
int64_t
clock_days(int year, int month, int day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

    assert(month >= 1 && month <= 12);
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void
clock_date(int64_t days, int *year, int *month, int *day)
{
    int64_t since = days + 719468; /* 0000-03-01 */
    int64_t era = floor_div(since, 146097);
    int64_t doe = since - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t m = (5 * doy + 2) / 153; /* 0 = March */

    *day = (int)(doy - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = (int)(yoe + era * 400 + (m >= 10));
}

int
clock_month_days(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    assert(month >= 1 && month <= 12);
    return days[month - 1] + (month == 2 && leap);
}

const char *
clock_format(int64_t t, char buf[static CLOCK_TEXT])
{
    int64_t days = floor_div(t, CLOCK_DAY);
    int64_t us = t % CLOCK_DAY + (t % CLOCK_DAY < 0 ? CLOCK_DAY : 0);
    int64_t s = us / CLOCK_SECOND;
    int fraction = (int)(us % CLOCK_SECOND), digits = 6, year, month, day;
    char tail[12] = "Z";
    int n;

    clock_date(days, &year, &month, &day);
    if (fraction != 0) {
        for (; fraction % 10 == 0; digits--)
            fraction /= 10;
        (void)snprintf(tail, sizeof tail, ".%0*dZ", digits, fraction);
    }
    n = snprintf(buf, CLOCK_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d%s", year, month, day, (int)(s / 3600),
                 (int)(s / 60 % 60), (int)(s % 60), tail);
    assert(n > 0 && n < CLOCK_TEXT);
    (void)n;
    return buf;
}

/* What is left of a text being read; `whole` is for the error. */
struct scan {
    const char *p, *end;
    const char *whole;
    struct err *err;
};

static enum rc
refuse(const struct scan *s, const char *why)
{
    int len = (int)(s->end - s->whole > 64 ? 64 : s->end - s->whole);

    return err_set(s->err, RC_INVALID, "'%.*s': %s", len, s->whole, why);
}

static bool
take(struct scan *s, char c)
{
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static bool
is_digit(const struct scan *s)
{
    return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

/* Exactly `digits` digits, within low..high. */
static enum rc
number(struct scan *s, int digits, int low, int high, const char *what, int *out)
{
    char why[64];
    int n = 0;

    for (int i = 0; i < digits; i++) {
        if (!is_digit(s)) {
            (void)snprintf(why, sizeof why, "expected %d digits for the %s", digits, what);
            return refuse(s, why);
        }
        n = n * 10 + (*s->p++ - '0');
    }
    if (n < low || n > high) {
        (void)snprintf(why, sizeof why, "%s %d is not within %d to %d", what, n, low, high);
        return refuse(s, why);
    }
    *out = n;
    return RC_OK;
}

static enum rc
separator(struct scan *s, char c, const char *where)
{
    char why[64];

    if (take(s, c))
        return RC_OK;
    (void)snprintf(why, sizeof why, "expected '%c' after the %s", c, where);
    return refuse(s, why);
}

static enum rc
read_date(struct scan *s, int64_t *out)
{
    int year, month, day;
    enum rc rc;

    if ((rc = number(s, 4, 1, 9999, "year", &year)) != RC_OK || (rc = separator(s, '-', "year")) != RC_OK ||
        (rc = number(s, 2, 1, 12, "month", &month)) != RC_OK || (rc = separator(s, '-', "month")) != RC_OK ||
        (rc = number(s, 2, 1, clock_month_days(year, month), "day", &day)) != RC_OK)
        return rc;
    *out = clock_days(year, month, day) * CLOCK_DAY;
    return RC_OK;
}

static enum rc
read_time(struct scan *s, int64_t *out)
{
    int hour, minute, second;
    int64_t unit = CLOCK_SECOND;
    enum rc rc;

    if ((rc = number(s, 2, 0, 23, "hour", &hour)) != RC_OK || (rc = separator(s, ':', "hour")) != RC_OK ||
        (rc = number(s, 2, 0, 59, "minute", &minute)) != RC_OK ||
        (rc = separator(s, ':', "minute")) != RC_OK ||
        (rc = number(s, 2, 0, 60, "second", &second)) != RC_OK) /* :60, a leap second, is the next second */
        return rc;
    *out = hour * CLOCK_HOUR + minute * CLOCK_MINUTE + second * CLOCK_SECOND;
    if (!take(s, '.'))
        return RC_OK;
    if (!is_digit(s))
        return refuse(s, "expected digits after the '.'");
    for (; is_digit(s); s->p++) {
        unit /= 10;
        *out += unit * (*s->p - '0'); /* past the microseconds unit is 0 */
    }
    return RC_OK;
}

/* Z, +HH, +HHMM, +HH:MM: how far that clock is ahead of UTC. */
static enum rc
read_zone(struct scan *s, int64_t *out)
{
    int hour, minute = 0;
    bool behind;
    enum rc rc;

    *out = 0;
    if (take(s, 'Z') || take(s, 'z'))
        return RC_OK;
    behind = take(s, '-');
    if (!behind && !take(s, '+'))
        return refuse(s, s->p == s->end ? "the zone is missing: expected Z or an offset like +02:00"
                                        : "expected Z or an offset like +02:00 after the seconds");
    if ((rc = number(s, 2, 0, 23, "offset's hour", &hour)) != RC_OK)
        return rc;
    if ((take(s, ':') || is_digit(s)) && (rc = number(s, 2, 0, 59, "offset's minute", &minute)) != RC_OK)
        return rc;
    *out = (hour * CLOCK_HOUR + minute * CLOCK_MINUTE) * (behind ? -1 : 1);
    return RC_OK;
}

enum rc
clock_parse(const char *text, size_t len, int64_t *out, struct err *err)
{
    struct scan s = { .p = text, .end = text + len, .whole = text, .err = err };
    int64_t date, time = 0, ahead = 0, t;
    enum rc rc;

    if (len == 0)
        return err_set(err, RC_INVALID, "expected a time like 2026-01-31T08:00:00Z, not an empty string");
    if ((rc = read_date(&s, &date)) != RC_OK)
        return rc;
    if (s.p < s.end) {
        if (!take(&s, 'T') && !take(&s, 't') && !take(&s, ' '))
            return refuse(&s, "expected 'T' or a space after the date");
        if ((rc = read_time(&s, &time)) != RC_OK || (rc = read_zone(&s, &ahead)) != RC_OK)
            return rc;
    }
    if (s.p < s.end)
        return refuse(&s, "there is more after the end of the time");
    t = date + time - ahead;
    if (t < clock_days(1, 1, 1) * CLOCK_DAY || t >= clock_days(10000, 1, 1) * CLOCK_DAY)
        return refuse(&s, "in UTC this is outside the years 0001 to 9999");
    *out = t;
    return RC_OK;
}
