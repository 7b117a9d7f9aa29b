/* worker/wire.h
 * wire - jobs from a worker's parent to one child, over a SOCK_SEQPACKET pair. One packet holds several jobs.
 * Both are the same program, forked, so that structs go over as they are. The other way, results go through
 * the lane; the socket only says that there are some. Either side reads the other's death as the end of the
 * stream.
 *
 * Threads: one of each process.
 */
#ifndef DESKMILL_WORKER_WIRE_H
#define DESKMILL_WORKER_WIRE_H

#include "common/job.h"

/* Both ends, O_CLOEXEC. */
enum rc wire_pair(int fds[static 2], struct err *err);

/* ---- the parent's: a packet under construction, for one child at a time ---- */
struct wire_packet;
enum rc wire_packet_create(struct wire_packet **out, struct err *err);
void wire_packet_destroy(struct wire_packet *p); /* NULL is fine */
/* RC_LIMIT: no room. If the packet was empty, the job does not fit into any. */
enum rc wire_add(struct wire_packet *p, const struct job *j, uint32_t number, struct err *err);
/* Sends what there is, if anything, and empties the packet whatever came of it. */
enum rc wire_send(struct wire_packet *p, int fd, struct err *err);
/* Takes the child's nudges. False: the child is gone or going. */
bool wire_nudged(int fd);

/* ---- the child's ---- */
/* Waits for the next packet. False: the parent is gone. */
bool wire_receive(int fd);
/* The next job of the packet; its texts are borrowed, until the next wire_receive(). False: there is none. */
bool wire_next(struct job *job, uint32_t *number);
/* Tells the parent to look into the lane. False: it is gone. */
bool wire_nudge(int fd);

#endif
