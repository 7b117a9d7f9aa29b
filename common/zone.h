/* common/zone.h
 * zone - IANA time zones: from an instant to the wall clock and back. The one user of cctz.
 *
 * A zone is loaded once from the system's tzdata, cached, and lives as long as the process; nothing is freed.
 * Threads: all functions are safe.
 */
#ifndef DESKMILL_ZONE_H
#define DESKMILL_ZONE_H

#include "common/err.h"
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zone;

/* A wall-clock reading. month 1-12, day 1-31, hour 0-23; weekday 0 = Sunday, filled by zone_local(), ignored
 * by zone_instant(). */
struct civil {
    int year, month, day, hour, minute, second, weekday;
};

enum zone_kind {
    ZONE_UNIQUE,   /* the reading happens once */
    ZONE_SKIPPED,  /* never: a spring gap. `first` is the instant at which the gap ends (the first valid
                      instant after it) */
    ZONE_REPEATED, /* twice: an autumn overlap. `first` and `second` are the two instants */
};

/* RC_INVALID names the zone and shows what one looks like. Fixed abbreviations that are not in tzdata are
 * refused; "UTC" is a zone. */
enum rc zone_find(const char *name, const struct zone **out, struct err *err);

/* `t` in microseconds since 1970 UTC, floored to the second. */
void zone_local(const struct zone *z, int64_t t, struct civil *out);

/* Fields out of range are normalised (the 32nd is the 1st of the next month). `second` may be NULL. */
enum zone_kind zone_instant(const struct zone *z, const struct civil *c, int64_t *first, int64_t *second);

/* The next instant strictly after `t` at which the zone's offset changes; false if there is none. */
bool zone_next_change(const struct zone *z, int64_t t, int64_t *out);

#ifdef __cplusplus
}
#endif
#endif
