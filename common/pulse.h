/* common/pulse.h
 * pulse - a process's proof that it gets on, for whoever watches it from outside (a container's health check,
 * a monitor): a small file that says until when the process is to be believed. It is renewed by what only a
 * working process can do, such as a turn of its loop that ended in an answer from Postgres; nobody renews it
 * on the side. A process that hangs, or is cut off, lets it run out.
 *
 * The moment is the monotonic clock's, so no change of the wall clock makes anyone healthy or ill. It means
 * something on the host where it was written, until that host is booted again.
 */
#ifndef DESKMILL_PULSE_H
#define DESKMILL_PULSE_H

#include "common/err.h"
#include <stdint.h>

/* Good for `fresh_ms` from now. "" is no file: nothing is written. A file that cannot be written is not
 * renewed, which is what its reader will see. */
void pulse_beat(const char *path, int64_t fresh_ms);

/* RC_OK while the last beat is good. RC_TIMEOUT: it has run out; RC_NOT_FOUND: there has been none;
 * RC_INVALID: no path, or the file is none of ours. */
enum rc pulse_check(const char *path, struct err *err);

/* What a program's --health does: one line on standard output, and the exit status, 0 for RC_OK. */
int pulse_report(const char *path);

#endif
