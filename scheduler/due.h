/* scheduler/due.h
 * due - which ticks of one schedule are to be dealt with now, under its misfire and overlap policies. Pure:
 * no clock, no database.
 *
 * Threads: all functions are safe.
 */
#ifndef DESKMILL_SCHEDULER_DUE_H
#define DESKMILL_SCHEDULER_DUE_H

#include "common/clock.h"
#include "common/cron.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DUE_NONE    INT64_MIN           /* no such moment */
#define DUE_ON_TIME (60 * CLOCK_SECOND) /* a tick no later than this was not missed */
#define DUE_WINDOW  (7 * CLOCK_DAY)     /* no misfire window is longer: so long are ticks remembered */

enum due_misfire { DUE_RUN_ONCE, DUE_RUN_ALL, DUE_SKIP };
/* By the word in schedules.misfire; RUN_ONCE for an unknown one. */
enum due_misfire due_misfire_by_name(const char *name);

struct due_schedule {
    const struct cron *cron;
    const struct zone *zone;
    enum due_misfire misfire;
    int64_t window;    /* microseconds; for RUN_ALL */
    int64_t next_tick; /* the oldest tick not dealt with; DUE_NONE: the schedule is new */
    bool no_overlap;   /* its jobs may not pile up: a tick while one waits or runs makes none */
    bool busy;         /* one waits or runs now */
    bool active;       /* its integration takes jobs */
};

struct due_tick {
    int64_t at;
    bool run; /* false: recorded, but makes no job */
};

struct due {
    size_t n;     /* ticks given */
    int64_t next; /* the next tick to look at: may have passed already (RUN_ALL, more than `max`). DUE_NONE:
                     there is none */
    int64_t passed_from, passed_to; /* missed ticks that are neither run nor recorded, first and last;
                                       DUE_NONE: there are none */
};

/* Writes up to `max` (at least 1) ticks, oldest first, none of them after `now`. */
void due_decide(const struct due_schedule *s, int64_t now, struct due_tick *ticks, size_t max,
                struct due *out);

#endif
