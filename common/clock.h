/* common/clock.h
 * clock - instants as integer microseconds, their RFC 3339 text, and date arithmetic in UTC.
 *
 * An instant is an int64_t: microseconds since 1970-01-01T00:00:00Z (so PostgreSQL's are 946,684,800 s less).
 * A process may be given another time with DESKMILL_CLOCK_OFFSET_S (seconds, tests only; read once at first
 * use): it moves clock_now() and leaves clock_mono() alone.
 *
 * Threads: all functions are safe.
 */
#ifndef DESKMILL_CLOCK_H
#define DESKMILL_CLOCK_H

#include "common/err.h"
#include <stddef.h>
#include <stdint.h>

#define CLOCK_SECOND INT64_C(1000000)
#define CLOCK_MINUTE (60 * CLOCK_SECOND)
#define CLOCK_HOUR   (60 * CLOCK_MINUTE)
#define CLOCK_DAY    (24 * CLOCK_HOUR)
#define CLOCK_TEXT   32 /* bytes that clock_format() needs at most, with the 0 */

int64_t clock_now(void);  /* this host's wall clock */
int64_t clock_mono(void); /* for durations: never jumps; its zero means nothing */

/* RFC 3339 with a zone ("Z" or an offset), fraction of any length (cut to microseconds), years 0001 to 9999;
 * a space or 'T' between date and time. `len` bytes of `s`, no terminator needed. :60 is the next second.
 * Also a plain date "2026-01-31" (= its midnight UTC). */
enum rc clock_parse(const char *s, size_t len, int64_t *out, struct err *err);

/* "2026-01-31T08:00:00Z", with ".123456" only where the microseconds are not zero (trailing zeros cut).
 * Returns `buf`. */
const char *clock_format(int64_t t, char buf[static CLOCK_TEXT]);

/* The proleptic Gregorian calendar. Days are counted from 1970-01-01, a Thursday; `day` may be out of its
 * month. */
int64_t clock_days(int year, int month, int day);
void clock_date(int64_t days, int *year, int *month, int *day);
int clock_month_days(int year, int month);

#endif
