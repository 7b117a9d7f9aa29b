#include "worker/wire.h"
#include "common/auto.h"
#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    PACKET_MAX = 192 * 1024, /* below Linux's default socket buffer */
    TEXTS = 5,               /* kind, args, lock key, checkpoint, progress */
};

/* A job in a packet; its texts follow, each with its 0. */
struct head {
    size_t size;       /* with the texts, up to the next head */
    size_t len[TEXTS]; /* with the 0; 0 = NULL */
    struct job job;    /* its pointers mean nothing */
    uint32_t number;
};

struct wire_packet {
    size_t n;
    alignas(struct head) char bytes[PACKET_MAX];
};

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

/* ---- the parent's ---- */

enum rc
wire_packet_create(struct wire_packet **out, struct err *err)
{
    struct wire_packet *p = malloc(sizeof *p);

    if (p == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    p->n = 0;
    *out = p;
    return RC_OK;
}

void
wire_packet_destroy(struct wire_packet *p)
{
    free(p);
}

enum rc
wire_add(struct wire_packet *p, const struct job *j, uint32_t number, struct err *err)
{
    const char *const texts[TEXTS] = { j->kind, j->args, j->lock_key, j->checkpoint, j->progress };
    struct head head = { .size = sizeof head, .job = *j, .number = number };
    char *at = p->bytes + p->n;

    for (size_t i = 0; i < TEXTS; i++) {
        head.len[i] = texts[i] != NULL ? strlen(texts[i]) + 1 : 0;
        head.size += head.len[i];
    }
    head.size = (head.size + alignof(struct head) - 1) / alignof(struct head) * alignof(struct head);
    if (head.size > PACKET_MAX - p->n)
        return err_set(err, RC_LIMIT, "the job's arguments and checkpoint are larger than %d bytes",
                       PACKET_MAX);
    memcpy(at, &head, sizeof head);
    at += sizeof head;
    for (size_t i = 0; i < TEXTS; at += head.len[i++])
        if (texts[i] != NULL)
            memcpy(at, texts[i], head.len[i]);
    p->n += head.size;
    return RC_OK;
}

static bool
send_all(int fd, const void *bytes, size_t n)
{
    ssize_t sent;

    do
        sent = send(fd, bytes, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

enum rc
wire_send(struct wire_packet *p, int fd, struct err *err)
{
    size_t n = p->n;

    p->n = 0;
    return n == 0 || send_all(fd, p->bytes, n)
               ? RC_OK
               : err_set(err, RC_UNAVAILABLE, "sending to the other process: %s", strerror(errno));
}

bool
wire_nudged(int fd)
{
    char nudge;
    ssize_t n;

    /* ECONNRESET comes once, before what the other side still said, if it went without reading what we had
     * sent. */
    do
        n = recv(fd, &nudge, sizeof nudge, MSG_DONTWAIT);
    while (n > 0 || (n < 0 && (errno == EINTR || errno == ECONNRESET)));
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* ---- the child's ---- */

static alignas(struct head) char received[PACKET_MAX];
static size_t received_n, read_n;

bool
wire_receive(int fd)
{
    ssize_t n;

    do
        n = recv(fd, received, sizeof received, 0);
    while (n < 0 && errno == EINTR);
    received_n = n > 0 ? (size_t)n : 0;
    read_n = 0;
    return n > 0;
}

bool
wire_next(struct job *job, uint32_t *number)
{
    const struct head *head = (const void *)(received + read_n);
    char *texts[TEXTS], *at = received + read_n + sizeof *head;

    if (read_n == received_n)
        return false;
    assert(received_n - read_n >= sizeof *head && head->size <= received_n - read_n); /* the parent made it */
    for (size_t i = 0; i < TEXTS; at += head->len[i++])
        texts[i] = head->len[i] > 0 ? at : NULL;
    read_n += head->size;
    *number = head->number;
    *job = head->job;
    job->kind = texts[0];
    job->args = texts[1];
    job->lock_key = texts[2];
    job->checkpoint = texts[3];
    job->progress = texts[4];
    return true;
}

bool
wire_nudge(int fd)
{
    return send_all(fd, "!", 1);
}
