/* api/cli/rates.h
 * rates - what was done a second, between two looks at the overview. Workers tell their sums with each beat,
 * so a worker's figures are of the time between its beats, however often somebody looks.
 *
 * Ownership: all zero is a fresh one; nothing to free.
 */
#ifndef DESKMILL_CLI_RATES_H
#define DESKMILL_CLI_RATES_H

#include "api/cli/cli.h"

enum { RATES_WORKERS_MAX = 100, RATES_QUEUES = 3 };

enum rate_kind {
    RATE_LIVE,
    RATE_DEFAULT,
    RATE_BULK,
    RATE_DONE,
    RATE_FAILED,
    RATE_KINDS
}; /* started, by queue */

struct rates {
    struct rates_worker {
        int64_t id, beat_at;
        int64_t sums[RATE_KINDS];
        double rate[RATE_KINDS]; /* < 0: not known yet */
    } workers[RATES_WORKERS_MAX];
    size_t workers_n;
    struct {
        int64_t queued; /* < 0: not counted to its end */
        double in, out; /* < 0: not known */
    } queues[RATES_QUEUES];
    int64_t at, enqueued;
    double enqueued_rate, started, done, failed; /* < 0: not known */
};

/* Takes in what the api answered last. */
void rates_look(struct rates *r, const json_t *overview);
/* Of one worker: attempts that went well; < 0: not known. */
double rates_of_worker(const struct rates *r, int64_t id);

#endif
