#include "api/cli/when.h"
#include "common/auto.h"
#include "common/clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *
span_text(int64_t us, char out[static WHEN_TEXT])
{
    int64_t s = us / CLOCK_SECOND;

    if (s < 60)
        (void)snprintf(out, WHEN_TEXT, "%" PRId64 "s", s);
    else if (s < 3600)
        (void)snprintf(out, WHEN_TEXT, s < 600 && s % 60 != 0 ? "%" PRId64 "m %" PRId64 "s" : "%" PRId64 "m",
                       s / 60, s % 60);
    else if (s < 86400)
        (void)snprintf(out, WHEN_TEXT, "%" PRId64 "h %" PRId64 "m", s / 3600, s / 60 % 60);
    else
        (void)snprintf(out, WHEN_TEXT, "%" PRId64 "d %" PRId64 "h", s / 86400, s / 3600 % 24);
    return out;
}

const char *
when_text(int64_t t, int64_t now, char out[static WHEN_TEXT])
{
    time_t s = (time_t)(t / CLOCK_SECOND);
    char moment[32] = "", age[WHEN_TEXT];
    struct tm tm;

    if (localtime_r(&s, &tm) != NULL)
        (void)strftime(moment, sizeof moment, "%Y-%m-%d %H:%M:%S", &tm);
    (void)span_text(t <= now ? now - t : t - now, age);
    (void)snprintf(out, WHEN_TEXT, t <= now ? "%s (%.20s ago)" : "%s (in %.20s)", moment, age);
    return out;
}

const char *
number_text(int64_t n, char out[static WHEN_TEXT])
{
    char digits[WHEN_TEXT];
    int len = snprintf(digits, sizeof digits, "%" PRId64, n), o = 0;

    for (int i = 0; i < len; i++) {
        if (i > 0 && digits[i - 1] != '-' && (len - i) % 3 == 0)
            out[o++] = ',';
        out[o++] = digits[i];
    }
    out[o] = '\0';
    return out;
}

enum rc
since_parse(const char *text, int64_t now, char out[static WHEN_TEXT], struct err *err)
{
    static const struct {
        char unit;
        int64_t us;
    } units[] = { { 's', CLOCK_SECOND }, { 'm', CLOCK_MINUTE }, { 'h', CLOCK_HOUR }, { 'd', CLOCK_DAY } };
    size_t n = strspn(text, "0123456789");
    int64_t t;

    for (size_t i = 0; i < COUNT_OF(units) && n > 0 && n < 7; i++)
        if (text[n] == units[i].unit && text[n + 1] == '\0') {
            (void)clock_format(now - strtoll(text, NULL, 10) * units[i].us, out);
            return RC_OK;
        }
    if (clock_parse(text, strlen(text), &t, NULL) != RC_OK)
        return err_set(
            err, RC_INVALID,
            "%s is neither a moment (2026-01-31, 2026-01-31T08:00:00Z) nor an age (90s, 15m, 2h, 3d)", text);
    (void)clock_format(t, out);
    return RC_OK;
}
