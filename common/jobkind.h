/* common/jobkind.h
 * jobkind - what every process knows of a kind of job: its queue, limits, keys and arguments. What it does is
 * the worker's.
 *
 * Threads: constants.
 */
#ifndef DESKMILL_JOBKIND_H
#define DESKMILL_JOBKIND_H

#include "common/err.h"
#include "common/queue.h"
#include <jansson.h>
#include <stdint.h>

#ifndef JOBKIND_DEF /* the worker of a later version, which tests build, knows more */
#define JOBKIND_DEF "common/jobkind.def"
#endif

struct jobkind {
    const char *name;
    enum queue_name queue;
    int priority;
    int max_attempts;
    int timeout_s;
    const char *lock, *dedupe; /* patterns, NULL = none */
    const char *help;
};

/* All kinds; ends with a NULL name. */
extern const struct jobkind jobkinds[];
const struct jobkind *jobkind_find(const char *name); /* NULL if unknown */

/* Checks arguments against the kind: unknown or missing ones, wrong types, `from` not before `to`. RC_INVALID
 * names the field. */
enum rc jobkind_check_args(const struct jobkind *k, const json_t *args, int64_t integration_id,
                           struct err *err);

/* Fills in a key pattern; *out is the caller's to free(), NULL where the pattern is NULL or an argument it
 * names is missing. */
enum rc jobkind_key(const char *pattern, int64_t integration_id, const json_t *args, char **out,
                    struct err *err);

#endif
