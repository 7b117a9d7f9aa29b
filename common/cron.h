/* common/cron.h
 * cron - five-field expressions in an IANA zone, and the ticks they mean.
 *
 * minute hour day-of-month month day-of-week; names (jan, mon; at the end of a range sun is 7), lists,
 * ranges, steps of a range or of '*', 7 = Sunday. Ranges that wrap and steps longer than their field are
 * refused. @hourly @daily @midnight
 * @weekly @monthly @yearly @annually. Day-of-month and day-of-week both restricted: either matches (Vixie). A
 * field that starts with '*' counts as unrestricted there, as in Vixie cron: then both must match.
 *
 * Daylight saving. A fixed expression has no '*' and no step in minute and hour: a reading that a spring gap
 * skips runs at the first valid instant after the gap, once, however many readings fell into it; one that an
 * autumn overlap repeats runs the first time only. An interval has one: it runs at each real minute whose
 * reading matches, so through both hours of an overlap, and not in a gap; only if a gap took all the readings
 * that some day had, it runs once at the gap's end.
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
    uint64_t minute; /* bit n = minute n */
    uint32_t hour;   /* bit n = hour n */
    uint32_t mday;   /* bits 1-31 */
    uint16_t month;  /* bits 1-12 */
    uint8_t wday;    /* bits 0-6, 0 = Sunday */
    bool any_mday;   /* the field began with '*' */
    bool any_wday;
    bool interval; /* minute or hour holds a '*' or a step: runs through both hours of an overlap */
};

/* RC_INVALID names the field ("hour: 25 is not within 0-23"). Refuses what can never match (30 February). */
enum rc cron_parse(const char *text, struct cron *out, struct err *err);

/* The first tick strictly after `after`, in microseconds since 1970. False if there is none within 8 years.
 */
bool cron_next(const struct cron *c, const struct zone *z, int64_t after, int64_t *out);

#endif
