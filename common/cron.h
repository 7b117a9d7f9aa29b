/* common/cron.h
 * cron - five-field expressions in an IANA zone, and the ticks they mean.
 *
 * minute hour day-of-month month day-of-week; names (jan, mon), lists, ranges, steps, 7 = Sunday, ranges that wrap are
 * refused; @hourly @daily @midnight @weekly @monthly @yearly @annually. Day-of-month and day-of-week both restricted:
 * either matches (Vixie). An expression whose field starts with '*' counts as unrestricted there, as in Vixie cron.
 *
 * Daylight saving: a reading that a spring gap skips runs at the first valid instant after the gap, once, however many
 * readings fell into it; in an autumn overlap a fixed time (no '*' or step in minute AND hour) runs at the first of its
 * two instants only, an interval (a '*' or a step in minute or hour) runs through both hours.
 *
 * Threads: a struct cron is immutable after cron_parse().
 */
#ifndef DESKMILL_CRON_H
#define DESKMILL_CRON_H

#include "common/err.h"
#include "common/zone.h"
#include <stdbool.h>
#include <stdint.h>

struct cron {
    uint64_t minute;  /* bit n = minute n */
    uint32_t hour;    /* bit n = hour n */
    uint32_t mday;    /* bits 1-31 */
    uint16_t month;   /* bits 1-12 */
    uint8_t wday;     /* bits 0-6, 0 = Sunday */
    bool any_mday;    /* the field began with '*' */
    bool any_wday;
    bool interval;    /* minute or hour holds a '*' or a step: runs through both hours of an overlap */
};

/* RC_INVALID names the field ("hour: 25 is not within 0-23"). Refuses what can never match (30 February). */
enum rc cron_parse(const char *text, struct cron *out, struct err *err);

/* The first tick strictly after `after`, in microseconds since 1970. False if there is none within 8 years. */
bool cron_next(const struct cron *c, const struct zone *z, int64_t after, int64_t *out);

#endif
