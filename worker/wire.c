#include "worker/wire.h"
#include "common/auto.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    PACKET_MAX = 192 * 1024, /* below Linux's default socket buffer */
    TEXTS = 5,               /* kind, args, lock key, checkpoint, progress */
};

/* Each packet begins with this. Both ends are the same program, forked: structs go over as they are, except
 * for their pointers. */
struct head {
    enum wire_type type;
    union {
        struct {
            uint32_t number;
            struct job job;    /* its pointers mean nothing */
            size_t len[TEXTS]; /* of the texts that follow, each with its 0; 0 = NULL */
        } job;
        struct wire_result result;
    } u;
};
static_assert(sizeof(struct head) < PACKET_MAX, "a packet holds its head");

enum rc
wire_pair(int fds[static 2], struct err *err)
{
    int size = 2 * PACKET_MAX;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return err_set(err, RC_INTERNAL, "socketpair: %s", strerror(errno));
    for (int i = 0; i < 2; i++)
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return RC_OK;
}

static enum rc
send_packet(int fd, struct iovec *parts, size_t n, struct err *err)
{
    const struct msghdr m = { .msg_iov = parts, .msg_iovlen = n };
    ssize_t sent;

    do
        sent = sendmsg(fd, &m, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? err_set(err, RC_UNAVAILABLE, "sending to the other process: %s", strerror(errno))
                    : RC_OK;
}

enum rc
wire_send_job(int fd, const struct job *j, uint32_t number, struct err *err)
{
    char *const texts[TEXTS] = { j->kind, j->args, j->lock_key, j->checkpoint, j->progress };
    struct head head = { .type = WIRE_JOB, .u.job = { .number = number, .job = *j } };
    struct iovec parts[1 + TEXTS] = { { &head, sizeof head } };
    size_t total = sizeof head;

    for (size_t i = 0; i < TEXTS; i++) {
        head.u.job.len[i] = texts[i] != NULL ? strlen(texts[i]) + 1 : 0;
        parts[1 + i] = (struct iovec){ texts[i], head.u.job.len[i] };
        total += head.u.job.len[i];
    }
    if (total > PACKET_MAX)
        return err_set(err, RC_LIMIT, "the job's arguments and checkpoint are larger than %d bytes",
                       PACKET_MAX);
    return send_packet(fd, parts, COUNT_OF(parts), err);
}

enum rc
wire_send_result(int fd, const struct wire_result *r, struct err *err)
{
    struct head head = { .type = WIRE_RESULT, .u.result = *r };

    return send_packet(fd, &(struct iovec){ &head, sizeof head }, 1, err);
}

static enum rc
read_job(const char *packet, size_t n, struct job *out, struct err *err)
{
    const struct head *head = (const void *)packet;
    char *texts[TEXTS] = { NULL };
    struct job j = head->u.job.job;
    size_t at = sizeof *head;

    for (size_t i = 0; i < TEXTS; i++) {
        size_t len = head->u.job.len[i];

        assert(len <= n - at); /* the parent made it */
        if (len > 0)
            texts[i] = strndup(packet + at, len - 1);
        at += len;
    }
    j.kind = texts[0];
    j.args = texts[1];
    j.lock_key = texts[2];
    j.checkpoint = texts[3];
    j.progress = texts[4];
    if (j.kind == NULL || j.args == NULL) {
        job_fini(&j);
        return err_set(err, RC_INTERNAL, "no memory");
    }
    *out = j;
    return RC_OK;
}

/* A child may be anything by now: a page that broke its parser may have written over what it sends. */
static enum rc
read_result(const char *packet, struct wire_result *out, struct err *err)
{
    const struct head *head = (const void *)packet;

    if ((int)head->u.result.outcome < 0 || head->u.result.outcome >= OUTCOME_COUNT)
        return err_set(err, RC_PROTOCOL, "a result message that is none");
    *out = head->u.result;
    out->error[sizeof out->error - 1] = '\0';
    return RC_OK;
}

/* One packet of at least a head, or END or NOTHING. */
static enum rc
receive(int fd, bool wait, enum wire_type *type, const char **out, size_t *size, struct err *err)
{
    static _Alignas(struct head) char packet[PACKET_MAX];
    ssize_t n;

    /* ECONNRESET comes once, before what the other side still said, if it went without reading what we had.
     */
    do
        n = recv(fd, packet, sizeof packet, wait ? 0 : MSG_DONTWAIT);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n <= 0) {
        *type = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? WIRE_NOTHING : WIRE_END;
        return RC_OK;
    }
    if ((size_t)n < sizeof(struct head))
        return err_set(err, RC_PROTOCOL, "a message cut short");
    *out = packet;
    *size = (size_t)n;
    *type = ((const struct head *)(const void *)packet)->type;
    return RC_OK;
}

enum rc
wire_receive_job(int fd, bool wait, enum wire_type *type, struct job *job, uint32_t *number, struct err *err)
{
    const char *packet = NULL;
    size_t n = 0;
    enum rc rc = receive(fd, wait, type, &packet, &n, err);

    if (rc != RC_OK || packet == NULL)
        return rc;
    if (*type != WIRE_JOB)
        return err_set(err, RC_PROTOCOL, "an unexpected message");
    *number = ((const struct head *)(const void *)packet)->u.job.number;
    return read_job(packet, n, job, err);
}

enum rc
wire_receive_result(int fd, bool wait, enum wire_type *type, struct wire_result *result, struct err *err)
{
    const char *packet = NULL;
    size_t n = 0;
    enum rc rc = receive(fd, wait, type, &packet, &n, err);

    if (rc != RC_OK || packet == NULL)
        return rc;
    if (*type != WIRE_RESULT)
        return err_set(err, RC_PROTOCOL, "an unexpected message");
    return read_result(packet, result, err);
}
