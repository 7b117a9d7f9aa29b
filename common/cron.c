#include "common/cron.h"
#include "common/auto.h"
#include "common/clock.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HORIZON      (INT64_C(8) * 366 * CLOCK_DAY) /* 29 February may be eight years away */
#define DAY_S        INT64_C(86400)
#define HOUR_S       INT64_C(3600)
#define MINUTE_S     INT64_C(60)
#define LATEST_START INT64_C(253402300799000000) /* the end of the year 9999 */

/* ---- parsing ---- */

enum field_id { MINUTE, HOUR, MDAY, MONTH, WDAY, FIELDS };

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun",
                                           "jul", "aug", "sep", "oct", "nov", "dec" };
static const char *const wday_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

static const struct field {
    const char *name;
    int low, high;
    int most; /* values there are, the longest step that makes sense: 0 and 7 are one Sunday */
    const char *const *names;
    int names_count;
} fields[FIELDS] = {
    [MINUTE] = { "minute", 0, 59, 60, NULL, 0 },
    [HOUR] = { "hour", 0, 23, 24, NULL, 0 },
    [MDAY] = { "day-of-month", 1, 31, 31, NULL, 0 },
    [MONTH] = { "month", 1, 12, 12, month_names, COUNT_OF(month_names) },
    [WDAY] = { "day-of-week", 0, 7, 7, wday_names, COUNT_OF(wday_names) },
};

/* A field being read; `p` moves on. */
struct reader {
    const struct field *field;
    const char *p, *end;
    struct err *err;
};

static enum rc
read_int(struct reader *r, int *out)
{
    int n = 0;

    if (r->p == r->end || *r->p < '0' || *r->p > '9')
        return err_set(r->err, RC_INVALID, "%s: expected a number%s at '%.*s'", r->field->name,
                       r->field->names != NULL ? " or a name" : "",
                       (int)(r->end - r->p > 20 ? 20 : r->end - r->p), r->p);
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++)
        n = n < 10000 ? n * 10 + (*r->p - '0') : n;
    *out = n;
    return RC_OK;
}

static enum rc
read_value(struct reader *r, int *out)
{
    const struct field *f = r->field;
    enum rc rc;

    for (int i = 0; i < f->names_count; i++)
        if (r->end - r->p >= 3 && strncasecmp(r->p, f->names[i], 3) == 0) {
            r->p += 3;
            *out = i + f->low;
            return RC_OK;
        }
    if ((rc = read_int(r, out)) != RC_OK)
        return rc;
    if (*out < f->low || *out > f->high)
        return err_set(r->err, RC_INVALID, "%s: %d is not within %d-%d", f->name, *out, f->low, f->high);
    return RC_OK;
}

static bool
take(struct reader *r, char c)
{
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

/* "5", "1-5", "*": first and last value. */
static enum rc
read_range(struct reader *r, int *first, int *last, bool *one)
{
    const struct field *f = r->field;
    enum rc rc;

    *one = false;
    if (take(r, '*')) {
        *first = f->low;
        *last = f->low + f->most - 1;
        return RC_OK;
    }
    if ((rc = read_value(r, first)) != RC_OK)
        return rc;
    *last = *first;
    *one = true;
    if (!take(r, '-'))
        return RC_OK;
    *one = false;
    if ((rc = read_value(r, last)) != RC_OK)
        return rc;
    if (f == &fields[WDAY] && *last == 0 && *first > 0 && r->p[-1] != '0')
        *last = 7; /* fri-sun: the name of Sunday is both ends of the week */
    if (*last < *first)
        return err_set(r->err, RC_INVALID,
                       "%s: the range %d-%d runs backwards: write it as two, separated by a comma", f->name,
                       *first, *last);
    return RC_OK;
}

/* Sets the bits of "range" or "range/step"; *wide if it holds a '*' or a step. */
static enum rc
read_item(struct reader *r, uint64_t *bits, bool *wide)
{
    const struct field *f = r->field;
    int first, last, step = 1;
    bool star = r->p < r->end && *r->p == '*', one;
    enum rc rc;

    if ((rc = read_range(r, &first, &last, &one)) != RC_OK)
        return rc;
    *wide = *wide || star;
    if (take(r, '/')) {
        if (one)
            return err_set(r->err, RC_INVALID, "%s: a step needs a range: write %d-%d/... or */...", f->name,
                           first, f->low + f->most - 1);
        if ((rc = read_int(r, &step)) != RC_OK)
            return rc;
        if (step < 1 || step > f->most)
            return err_set(r->err, RC_INVALID, "%s: a step of %d is not within 1-%d", f->name, step, f->most);
        *wide = true;
    }
    for (int i = first; i <= last; i += step)
        *bits |= UINT64_C(1) << i;
    return RC_OK;
}

static enum rc
read_field(const struct field *f, const char *text, size_t len, uint64_t *bits, bool *wide, struct err *err)
{
    struct reader r = { .field = f, .p = text, .end = text + len, .err = err };
    enum rc rc;

    *bits = 0;
    *wide = false;
    do {
        if ((rc = read_item(&r, bits, wide)) != RC_OK)
            return rc;
    } while (take(&r, ','));
    if (r.p < r.end)
        return err_set(err, RC_INVALID, "%s: '%.*s' is not understood", f->name,
                       (int)(r.end - r.p > 20 ? 20 : r.end - r.p), r.p);
    return RC_OK;
}

static bool
bit(uint64_t bits, int n)
{
    return (bits >> n & 1) != 0;
}

/* Vixie's rule: two restricted day fields are alternatives, a field that began with '*' is a further
 * condition. */
static bool
either_day(const struct cron *c)
{
    return !c->any_mday && !c->any_wday;
}

static bool
can_match(const struct cron *c)
{
    for (int month = 1; month <= 12; month++)
        for (int day = 1; bit(c->month, month) && day <= clock_month_days(2000, month); day++)
            if (either_day(c) || bit(c->mday, day))
                return true;
    return false;
}

static const char *
expand(const char *text, struct err *err)
{
    size_t len = strcspn(text, " \t");
    static const struct {
        const char *name, *means;
    } words[] = {
        { "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },   { "@midnight", "0 0 * * *" },
        { "@weekly", "0 0 * * 0" },   { "@monthly", "0 0 1 * *" }, { "@yearly", "0 0 1 1 *" },
        { "@annually", "0 0 1 1 *" },
    };

    if (text[len + strspn(text + len, " \t")] != '\0') {
        (void)err_set(err, RC_INVALID, "there is more after '%.*s'", (int)(len > 20 ? 20 : len), text);
        return NULL;
    }
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strlen(words[i].name) == len && strncasecmp(text, words[i].name, len) == 0)
            return words[i].means;
    (void)err_set(
        err, RC_INVALID,
        "'%.*s' is not known: expected @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually",
        (int)(len > 20 ? 20 : len), text);
    return NULL;
}

/* Where each field begins, and how long it is. */
static enum rc
split(const char *text, const char *at[FIELDS], size_t len[FIELDS], struct err *err)
{
    static const char blanks[] = " \t";
    int n = 0;

    for (text += strspn(text, blanks); *text != '\0'; text += strspn(text, blanks), n++) {
        size_t word = strcspn(text, blanks);

        if (n < FIELDS) {
            at[n] = text;
            len[n] = word;
        }
        text += word;
    }
    if (n == FIELDS)
        return RC_OK;
    return err_set(
        err, RC_INVALID,
        "expected five fields (minute hour day-of-month month day-of-week) or a word like @hourly, not %d",
        n);
}

enum rc
cron_parse(const char *text, struct cron *out, struct err *err)
{
    const char *at[FIELDS];
    size_t len[FIELDS];
    uint64_t bits[FIELDS];
    bool wide[FIELDS];
    struct cron c;
    enum rc rc;

    assert(text != NULL && out != NULL);
    text += strspn(text, " \t");
    if (*text == '@' && (text = expand(text, err)) == NULL)
        return RC_INVALID;
    if ((rc = split(text, at, len, err)) != RC_OK)
        return rc;
    for (int i = 0; i < FIELDS; i++)
        if ((rc = read_field(&fields[i], at[i], len[i], &bits[i], &wide[i], err)) != RC_OK)
            return rc;
    c = (struct cron){
        .minute = bits[MINUTE],
        .hour = (uint32_t)bits[HOUR],
        .mday = (uint32_t)bits[MDAY],
        .month = (uint16_t)bits[MONTH],
        .wday = (uint8_t)((bits[WDAY] | bits[WDAY] >> 7) & 0x7f), /* 7 is Sunday too */
        .any_mday = *at[MDAY] == '*',
        .any_wday = *at[WDAY] == '*',
        .interval = wide[MINUTE] || wide[HOUR],
    };
    if (!can_match(&c))
        return err_set(err, RC_INVALID,
                       "day-of-month: none of the months given has such a day, it would never run");
    *out = c;
    return RC_OK;
}

/* ---- finding the next reading of the wall clock that matches ---- */

/* A reading is counted in seconds as if the zone were UTC; broken down here only as far as cron sees. */
struct reading {
    int64_t day; /* since 1970-01-01 */
    int hour, minute;
};

static int64_t
reading_s(const struct reading *r)
{
    return r->day * DAY_S + r->hour * HOUR_S + r->minute * MINUTE_S;
}

static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The first whole minute at or after `s`. */
static struct reading
reading_from(int64_t s)
{
    int64_t minute = floor_div(s + 59, 60);
    int64_t day = floor_div(minute, 1440);
    int of_day = (int)(minute - day * 1440);

    return (struct reading){ .day = day, .hour = of_day / 60, .minute = of_day % 60 };
}

static bool
day_matches(const struct cron *c, int64_t day, int mday)
{
    int64_t since_sunday = day + 4; /* 1970-01-01 was a Thursday */
    bool w = bit(c->wday, (int)(since_sunday - floor_div(since_sunday, 7) * 7));
    bool m = bit(c->mday, mday);

    return either_day(c) ? m || w : m && w;
}

/* The first bit at or above `from`, or -1. */
static int
next_bit(uint64_t bits, int from)
{
    bits = from > 63 ? 0 : bits >> from << from;
    return bits == 0 ? -1 : __builtin_ctzll(bits);
}

/* The first day at or after `day` that matches, jumping over months that do not. False past `last`. */
static bool
next_day(const struct cron *c, int64_t *day, int64_t last)
{
    int year, month, mday;

    while (*day <= last) {
        clock_date(*day, &year, &month, &mday);
        if (!bit(c->month, month)) {
            *day = clock_days(month == 12 ? year + 1 : year, month % 12 + 1, 1);
            continue;
        }
        for (int n = clock_month_days(year, month); mday <= n; mday++, ++*day)
            if (day_matches(c, *day, mday))
                return *day <= last;
    }
    return false;
}

/* Moves *r to the first matching reading at or after it. False past the day `last`. */
static bool
next_reading(const struct cron *c, struct reading *r, int64_t last)
{
    int64_t day = r->day;
    int hour, minute;

    if (!next_day(c, &r->day, last))
        return false;
    if (r->day > day)
        r->hour = r->minute = 0;
    hour = next_bit(c->hour, r->hour);
    minute = next_bit(c->minute, hour == r->hour ? r->minute : 0);
    if (hour >= 0 && minute < 0) { /* nothing left in this hour */
        hour = next_bit(c->hour, hour + 1);
        minute = next_bit(c->minute, 0);
    }
    if (hour < 0) { /* nor in this day */
        r->day++;
        if (!next_day(c, &r->day, last))
            return false;
        hour = next_bit(c->hour, 0);
        minute = next_bit(c->minute, 0);
    }
    r->hour = hour;
    r->minute = minute;
    return true;
}

/* ---- from readings to instants ---- */

static int64_t
local_s(const struct zone *z, int64_t t)
{
    struct civil c;

    zone_local(z, t, &c);
    return clock_days(c.year, c.month, c.day) * DAY_S + c.hour * HOUR_S + c.minute * MINUTE_S + c.second;
}

/* Readings and their first instants run in the same order: of those after the present reading, the first
 * whose instant is late enough is the one. Only in the second pass of an overlap are some passed over. */
static bool
next_fixed(const struct cron *c, const struct zone *z, int64_t after, int64_t *out)
{
    int64_t now = local_s(z, after);
    int64_t last = floor_div(now, DAY_S) + HORIZON / CLOCK_DAY;
    struct reading r = reading_from(now + 1);
    int year, month, mday;
    int64_t t;

    while (next_reading(c, &r, last)) {
        clock_date(r.day, &year, &month, &mday);
        (void)zone_instant(
            z,
            &(struct civil){ .year = year, .month = month, .day = mday, .hour = r.hour, .minute = r.minute },
            &t, NULL);
        if (t > after) {
            *out = t;
            return true;
        }
        r = reading_from(reading_s(&r) + 60);
    }
    return false;
}

/* Whether the gap from reading `from` up to `to` swallowed every reading that some day had: then none of them
 * ran. */
static bool
gap_takes_a_day(const struct cron *c, int64_t from, int64_t to)
{
    int64_t last_of_day =
        (63 - __builtin_clzll(c->hour)) * HOUR_S + (63 - __builtin_clzll(c->minute)) * MINUTE_S;

    for (int64_t day = floor_div(from, DAY_S); day * DAY_S < to; day++) {
        struct reading first = { .day = day };

        if (next_reading(c, &first, day) && reading_s(&first) >= from && day * DAY_S + last_of_day < to)
            return true;
    }
    return false;
}

/* Real time, one stretch of constant offset after the other: within one, readings and instants are a sum
 * apart. */
static bool
next_interval(const struct cron *c, const struct zone *z, int64_t after, int64_t *out)
{
    int64_t s = floor_div(after, CLOCK_SECOND);
    int64_t offset = local_s(z, after) - s;
    int64_t last = floor_div(s + offset, DAY_S) + HORIZON / CLOCK_DAY;
    struct reading r = reading_from(s + 1 + offset);
    int64_t change = after, moved;

    for (;;) {
        bool found = next_reading(c, &r, last);
        bool changes = zone_next_change(z, change, &change);
        int64_t at = found ? reading_s(&r) - offset : 0;

        if (found && (!changes || at < change / CLOCK_SECOND)) {
            *out = at * CLOCK_SECOND;
            return true;
        }
        if (!changes || change > after + HORIZON)
            return false;
        s = change / CLOCK_SECOND;
        moved = local_s(z, change) - s - offset;
        if (moved > 0 && gap_takes_a_day(c, s + offset, s + offset + moved)) {
            *out = change;
            return true;
        }
        offset += moved;
        r = reading_from(s + offset);
    }
}

bool
cron_next(const struct cron *c, const struct zone *z, int64_t after, int64_t *out)
{
    assert(c != NULL && z != NULL && out != NULL);
    if (after > LATEST_START)
        return false;
    return c->interval ? next_interval(c, z, after, out) : next_fixed(c, z, after, out);
}
