/* worker/child.h
 * child - a child's life: wait for a job, run it in plain blocking code, say how it ended, again.
 *
 * It ends when the parent's end of the socket closes, after `child-jobs` jobs, or with the parent
 * (PR_SET_PDEATHSIG). Connections are made with the first job and kept.
 */
#ifndef DESKMILL_WORKER_CHILD_H
#define DESKMILL_WORKER_CHILD_H

#include "common/conf.h"
#include "worker/lane.h"

/* Called in the fresh child: closes what it inherited but for `fd`, and never returns. */
_Noreturn void child_run(const struct conf *conf, int fd, struct lane *lane);

#endif
