/* worker/wire.h
 * wire - the messages between a worker's parent and one child, over a SOCK_SEQPACKET pair: one message is one
 * packet. Both are the same program, so that structs go over as they are.
 *
 * Parent to child: a job to run, with its number in the child's lane. Child to parent: how the job with that
 * number ended. Either side reads the other's death as the end of the stream.
 *
 * Threads: receiving is for one thread of a process.
 */
#ifndef DESKMILL_WORKER_WIRE_H
#define DESKMILL_WORKER_WIRE_H

#include "common/job.h"

enum wire_type { WIRE_END, WIRE_NOTHING, WIRE_JOB, WIRE_RESULT };

struct wire_result {
    uint32_t number;
    enum outcome outcome;
    int64_t us; /* microseconds that the job took */
    int64_t delay_ms;
    bool touched;
    char error[512]; /* "" = none */
};

/* Both ends, O_CLOEXEC. */
enum rc wire_pair(int fds[static 2], struct err *err);

/* RC_LIMIT: the job does not fit into a packet. */
enum rc wire_send_job(int fd, const struct job *j, uint32_t number, struct err *err);
enum rc wire_send_result(int fd, const struct wire_result *r, struct err *err);

/* The next message; WIRE_NOTHING only when `wait` is false. The child's: `job` and `number` are filled for
 * WIRE_JOB (the job is the caller's to job_fini()). The parent's: `result` for WIRE_RESULT. */
enum rc wire_receive_job(int fd, bool wait, enum wire_type *type, struct job *job, uint32_t *number,
                         struct err *err);
enum rc wire_receive_result(int fd, bool wait, enum wire_type *type, struct wire_result *result,
                            struct err *err);

#endif
