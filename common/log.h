/* common/log.h
 * log - lines of data on standard error: key=value for people, JSON for machines.
 *
 *   log_info("job.done", KV_INT("job", id), KV_STR("kind", kind));
 *   ts=2030-01-02T03:04:05.678Z level=info proc=worker pid=41 event=job.done job=42 kind=issue_pull
 *
 * The event and the keys are constants; all that varies is a value. Values are quoted and escaped where they
 * need it and cut to 1,000 bytes as written; a key that names a secret (common/mask.h) is written as `***`,
 * and the password inside a URL is masked. A line is at most 4,096 bytes, the most that a pipe takes in one
 * piece: fields beyond that are left out and `cut=true` says so.
 *
 * Threads: any thread may log; a line is one write(2). After fork() the pid is right by itself.
 */
#ifndef DESKMILL_LOG_H
#define DESKMILL_LOG_H

#include "common/err.h"
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_KV, LOG_FORMAT_JSON };

struct kv {
    const char *key; /* NULL ends a list */
    enum kv_type { KV_TYPE_STR, KV_TYPE_INT, KV_TYPE_DBL, KV_TYPE_BOOL } type;
    union {
        const char *str; /* NULL leaves the field out */
        int64_t i64;
        double dbl;
        bool yes;
    } v;
};
#define KV_STR(k, x)  ((struct kv){ .key = (k), .type = KV_TYPE_STR, .v.str = (x) })
#define KV_INT(k, x)  ((struct kv){ .key = (k), .type = KV_TYPE_INT, .v.i64 = (x) })
#define KV_DBL(k, x)  ((struct kv){ .key = (k), .type = KV_TYPE_DBL, .v.dbl = (x) })
#define KV_BOOL(k, x) ((struct kv){ .key = (k), .type = KV_TYPE_BOOL, .v.yes = (x) })
/* an error as two fields: rc=unavailable error="..." */
#define KV_ERR(e) KV_STR("rc", rc_name((e)->rc)), KV_STR("error", (e)->text)

/* Before this, lines go out as key=value at level info with proc=?. `proc` is borrowed for the process's
 * life. */
void log_open(const char *proc, enum log_level level, enum log_format format);

bool log_is_open(void); /* whether log_open() was called */

/* The job that this process runs: its id is on every line until set to 0. A field "job" of the line's own
 * wins. */
void log_set_job(int64_t job_id);

bool log_enabled(enum log_level level);
/* Keeps errno. A line that standard error does not take is lost. */
void log_write(enum log_level level, const char *event, const struct kv *fields);

#define LOG_AT(level, event, ...)                                                                          \
    do {                                                                                                   \
        if (log_enabled(level))                                                                            \
            log_write((level), (event), (const struct kv[]){ __VA_ARGS__ __VA_OPT__(, ){ .key = NULL } }); \
    } while (0)
#define log_debug(event, ...) LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...)  LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warn(event, ...)  LOG_AT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)

#endif
