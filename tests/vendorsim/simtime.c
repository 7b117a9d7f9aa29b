/* simtime - moments, their text, and a clock that tests can move. */
#include "simtime.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t
read_clock(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * USEC + ts.tv_nsec / 1000;
}

int64_t
mono_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t
wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

void
simclock_set(struct simclock *c, int64_t us)
{
    c->base = us;
    c->started = mono_us();
}

void
simclock_freeze(struct simclock *c, bool frozen)
{
    simclock_set(c, simclock_now(c));
    c->frozen = frozen;
}

int64_t
simclock_now(const struct simclock *c)
{
    return c->frozen ? c->base : c->base + (mono_us() - c->started);
}

/* Two or four digits as a number, or -1. */
static int
digits(const char *s, int n)
{
    int v = 0;

    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)s[i]))
            return -1;
        v = v * 10 + (s[i] - '0');
    }
    return v;
}

static int64_t
parse_fraction(const char **s)
{
    int64_t us = 0, unit = USEC / 10;

    for ((*s)++; isdigit((unsigned char)**s); (*s)++) {
        us += (**s - '0') * unit;
        unit /= 10; /* digits behind the microsecond add nothing */
    }
    return us;
}

static bool
parse_zone(const char *s, int64_t *offset_s)
{
    int h, m;

    if ((s[0] == 'Z' || s[0] == 'z') && s[1] == '\0') {
        *offset_s = 0;
        return true;
    }
    if ((s[0] != '+' && s[0] != '-') || strlen(s) != 6 || s[3] != ':')
        return false;
    h = digits(s + 1, 2);
    m = digits(s + 4, 2);
    if (h < 0 || h > 23 || m < 0 || m > 59)
        return false;
    *offset_s = (int64_t)(s[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
    return true;
}

static int
days_in_month(int y, int mo)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

    return mo == 2 && leap ? 29 : days[mo - 1];
}

bool
simtime_parse(const char *s, int64_t *us)
{
    struct tm tm = { 0 };
    int64_t offset = 0, fraction = 0;
    int f[6];
    static const struct {
        int at, len;
        char after;
    } part[6] = { { 0, 4, '-' }, { 5, 2, '-' }, { 8, 2, 'T' }, { 11, 2, ':' }, { 14, 2, ':' }, { 17, 2, 0 } };

    if (strlen(s) < 20)
        return false;
    for (int i = 0; i < 6; i++) {
        f[i] = digits(s + part[i].at, part[i].len);
        if (f[i] < 0 || (part[i].after != 0 && s[part[i].at + part[i].len] != part[i].after))
            return false;
    }
    if (f[1] < 1 || f[1] > 12 || f[2] < 1 || f[2] > days_in_month(f[0], f[1]) || f[3] > 23 || f[4] > 59 ||
        f[5] > 59)
        return false;
    s += 19;
    if (*s == '.') {
        if (!isdigit((unsigned char)s[1]))
            return false;
        fraction = parse_fraction(&s);
    }
    if (!parse_zone(s, &offset))
        return false;
    tm = (struct tm){ .tm_year = f[0] - 1900,
                      .tm_mon = f[1] - 1,
                      .tm_mday = f[2],
                      .tm_hour = f[3],
                      .tm_min = f[4],
                      .tm_sec = f[5] };
    *us = ((int64_t)timegm(&tm) - offset) * USEC + fraction;
    return true;
}

static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Year, month and day of a day count since 1970-01-01 (the usual era arithmetic, without a libc call). */
static void
civil(int64_t days, int *y, int *m, int *d)
{
    int64_t z = days + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = (int)(yoe + era * 400 + (*m <= 2));
}

static void
put2(char *p, int v)
{
    p[0] = (char)('0' + v / 10);
    p[1] = (char)('0' + v % 10);
}

void
simtime_put(struct buf *b, int64_t us)
{
    char text[32] = "\"0000-00-00T00:00:00";
    int64_t days, rest;
    int y, m, d, sec, n = 20;

    if (us == TIME_NONE) {
        buf_str(b, "null");
        return;
    }
    days = floor_div(us, DAY_US);
    rest = us - days * DAY_US;
    sec = (int)(rest / USEC);
    civil(days, &y, &m, &d);
    put2(text + 1, y / 100);
    put2(text + 3, y % 100);
    put2(text + 6, m);
    put2(text + 9, d);
    put2(text + 12, sec / 3600);
    put2(text + 15, sec / 60 % 60);
    put2(text + 18, sec % 60);
    if (rest % USEC != 0) {
        int frac = (int)(rest % USEC);

        n += snprintf(text + n, sizeof(text) - (size_t)n, ".%06d", frac);
        while (text[n - 1] == '0')
            n--;
    }
    text[n++] = 'Z';
    text[n++] = '"';
    buf_add(b, text, (size_t)n);
}

int
simtime_weekday(int64_t us)
{
    return (int)(((floor_div(us, DAY_US) + 4) % 7 + 7) % 7);
}
