/* worker/wire.h
 * wire - the messages between a worker's parent and one child, over a SOCK_SEQPACKET pair: one message is one
 * packet of JSON.
 *
 * Parent to child: a job to run, or "stop" while it runs one (the child ends it at the next page). Child to
 * parent: how the job ended. Either side reads the other's death as the end of the stream.
 */
#ifndef DESKMILL_WORKER_WIRE_H
#define DESKMILL_WORKER_WIRE_H

#include "common/job.h"

enum wire_type { WIRE_END, WIRE_NOTHING, WIRE_JOB, WIRE_STOP, WIRE_RESULT };

struct wire_result {
    enum outcome outcome;
    int64_t delay_ms;
    bool touched;
    char error[512]; /* "" = none */
};

/* Both ends, O_CLOEXEC. */
enum rc wire_pair(int fds[static 2], struct err *err);

/* RC_LIMIT: the job does not fit into a packet. */
enum rc wire_send_job(int fd, const struct job *j, struct err *err);
enum rc wire_send_stop(int fd, struct err *err);
enum rc wire_send_result(int fd, const struct wire_result *r, struct err *err);

/* The next message; WIRE_NOTHING only when `wait` is false. `job` is filled for WIRE_JOB (the caller's to
 * job_fini()), `result` for WIRE_RESULT. */
enum rc wire_receive(int fd, bool wait, enum wire_type *type, struct job *job, struct wire_result *result,
                     struct err *err);

#endif
