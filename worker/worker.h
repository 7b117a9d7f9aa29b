/* worker/worker.h
 * worker - the parent: owns Redis, claims and settles in batches, beats, and keeps its slots' children. Never
 * waits for anything but its loop.
 *
 * The parts, over one struct worker (worker_internal.h): worker.c its life (registering, beating, draining),
 * claim.c how it gets jobs, slot.c its children, settle.c how attempts are written back.
 */
#ifndef DESKMILL_WORKER_WORKER_H
#define DESKMILL_WORKER_WORKER_H

#include "common/auto.h"
#include "common/conf.h"
#include "common/err.h"

struct worker;
void worker_destroy(struct worker *w); /* NULL is fine */
AUTO_DEFINE(worker)

/* Checks what must be right before the first job (schema, Redis's eviction policy, the sealing key). `conf`
 * is borrowed. */
enum rc worker_create(const struct conf *conf, struct worker **out, struct err *err);
/* Until SIGTERM or SIGINT and the end of the drain. RC_OK: every job it started is settled. */
enum rc worker_run(struct worker *w, struct err *err);

#endif
