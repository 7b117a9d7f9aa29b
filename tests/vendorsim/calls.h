/* calls - when which endpoint was called and what became of it: what a test of budgets and of timing counts
 * in.
 *
 * Ownership: in the caller's storage; an all-zero log is empty and may be `fini`ed.
 * Threads:   the simulator's lock guards it.
 */
#ifndef VENDORSIM_CALLS_H
#define VENDORSIM_CALLS_H

#include <stddef.h>
#include <stdint.h>

struct logged_call {
    int64_t at; /* microseconds of the monotonic clock, which all processes of a machine share */
    uint16_t endpoint;
    uint16_t status; /* of the answer that was decided on; 0: none was to come */
};

struct call_log {
    struct logged_call *calls;
    size_t n, cap;
};

void calls_fini(struct call_log *l);
void calls_add(struct call_log *l, int64_t at, size_t endpoint, int status);

#endif
