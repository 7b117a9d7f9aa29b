/* scheduler/scheduler.h
 * scheduler - one scheduler process: waits until something is due, then lets the parts do a bounded piece of
 * work each.
 */
#ifndef DESKMILL_SCHEDULER_H
#define DESKMILL_SCHEDULER_H

#include "common/conf.h"

extern const struct conf_option scheduler_options[];

struct scheduler;
void scheduler_destroy(struct scheduler *s);
AUTO_DEFINE(scheduler)
/* Blocks SIGTERM and SIGINT, to be read by scheduler_run(). RC_INVALID: a setting, or a Redis that would lose
 * ids. */
enum rc scheduler_create(const struct conf *conf, struct scheduler **out, struct err *err);

/* Until SIGTERM or SIGINT. RC_INVALID: the schema is not the one this program knows. */
enum rc scheduler_run(struct scheduler *s, struct err *err);

#endif
