/* door - the control door under /_sim/: tests look at the simulator and steer it here. Never counted, never
 * limited.
 *
 * Threads: called with the simulator's lock held.
 */
#ifndef VENDORSIM_DOOR_H
#define VENDORSIM_DOOR_H

#include "sim.h"
#include "vendor.h"

#define DOOR_PREFIX "/_sim/"

/* Parts of a long answer, in order. They are shared with the records, so it holds what was true when it was
 * made. */
struct door_stream {
    struct blob **parts;
    size_t n, cap;
    size_t bytes;
    size_t at, offset; /* where sending stands */
};

void door_stream_destroy(struct door_stream *s); /* NULL is fine */

/* Answers into *r, or gives a long answer in *stream (else NULL). `path` begins behind the prefix. */
void door_answer(struct call *c, const char *method, const char *path, struct reply *r,
                 struct door_stream **stream);

#endif
