/* faults - failures that a test has ordered, by endpoint.
 *
 * Threads: the simulator's lock guards it. Ownership: in the caller's storage; all-zero is empty.
 */
#ifndef VENDORSIM_FAULTS_H
#define VENDORSIM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

enum fault_mode {
    FAULT_STATUS,
    FAULT_RESET,
    FAULT_HANG,
    FAULT_TRUNCATE,
    FAULT_GARBAGE,
    FAULT_WRONG_SHAPE,
    FAULT_EMPTY,
    FAULT_HTML,
    FAULT_REPEAT_CURSOR,
};

struct fault {
    char endpoint[32]; /* "*": any */
    enum fault_mode mode;
    int status;
    int64_t retry_after; /* seconds; -1: no header */
    bool x_header;       /* X-Retry-After instead of Retry-After */
    int64_t after;       /* good calls that still pass before */
    int64_t count;       /* calls that will fail */
    struct fault *next;
};

struct faults {
    struct fault *first;
    uint64_t clears; /* grows with each clear, which lets hanging calls go */
};

void faults_clear(struct faults *f);
/* Adds the failure described by `order`. On a bad order returns false and leaves the reason in *why (static).
 */
bool faults_order(struct faults *f, const json_t *order, const char **why);
/* True when this call must fail, then *out says how; else the call counts as a good one.
 * A repeated cursor needs a call that brings one: others pass by that order. */
bool faults_take(struct faults *f, const char *endpoint, bool has_cursor, struct fault *out);

#endif
