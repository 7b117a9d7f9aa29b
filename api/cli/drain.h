/* api/cli/drain.h
 * drain - waits until nothing runs any more of what was told to stop: a queue, an integration, a worker.
 *
 * Ctrl-C and a timeout end the waiting, never what was asked for.
 */
#ifndef DESKMILL_CLI_DRAIN_H
#define DESKMILL_CLI_DRAIN_H

#include "api/cli/cli.h"

#define DRAIN_OPTIONS                                                            \
    {                                                                            \
        "timeout", "SECONDS", "give up waiting after so long; never if left out" \
    }

/* The command's --timeout, checked before anything is changed. */
enum ending drain_timeout(const struct cli *c, int64_t *seconds);

/* GETs `path` until the answer's `drained` is true, or its `state` is stopped or dead. `what` names it in
 * what is said on standard error; `stays` says what goes on when the waiting ends early. END_OK: *last is the
 * last answer, the caller's to json_decref(). END_FAILED: time is up. */
enum ending drain_wait(struct cli *c, const char *path, const char *what, const char *stays, int64_t seconds,
                       json_t **last);

#endif
