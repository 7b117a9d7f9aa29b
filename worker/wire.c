#include "worker/wire.h"
#include "common/json.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { PACKET_MAX = 192 * 1024 }; /* below Linux's default socket buffer */

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
send_json(int fd, json_t *message, struct err *err)
{
    AUTO_FREE char *text = message != NULL ? json_text(message) : NULL;
    ssize_t n;

    json_decref(message);
    if (text == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    if (strlen(text) > PACKET_MAX)
        return err_set(err, RC_LIMIT, "the job's arguments and checkpoint are larger than %d bytes",
                       PACKET_MAX);
    do
        n = send(fd, text, strlen(text), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? err_set(err, RC_UNAVAILABLE, "sending to the other process: %s", strerror(errno)) : RC_OK;
}

enum rc
wire_send_job(int fd, const struct job *j, struct err *err)
{
    return send_json(
        fd,
        json_pack("{s:s, s:I, s:i, s:I, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s?, s:s, s:s?, s:s?}",
                  "type", "job", "id", (json_int_t)j->id, "epoch", j->epoch, "worker_id",
                  (json_int_t)j->worker_id, "integration_id", (json_int_t)j->integration_id, "parent_id",
                  (json_int_t)j->parent_id, "attempt", j->attempt, "max_attempts", j->max_attempts, "crashes",
                  j->crashes, "timeout_s", j->timeout_s, "queue", (int)j->queue, "priority", j->priority,
                  "kind", j->kind, "lock_key", j->lock_key, "args", j->args, "checkpoint", j->checkpoint,
                  "progress", j->progress),
        err);
}

enum rc
wire_send_stop(int fd, struct err *err)
{
    return send_json(fd, json_pack("{s:s}", "type", "stop"), err);
}

enum rc
wire_send_result(int fd, const struct wire_result *r, struct err *err)
{
    return send_json(fd,
                     json_pack("{s:s, s:i, s:I, s:b, s:s}", "type", "result", "outcome", (int)r->outcome,
                               "delay_ms", (json_int_t)r->delay_ms, "touched", (int)r->touched, "error",
                               r->error),
                     err);
}

static char *
copy_text(const json_t *j)
{
    return json_is_string(j) ? strdup(json_string_value(j)) : NULL;
}

static enum rc
read_job(json_t *m, struct job *out, struct err *err)
{
    json_t *kind, *args, *lock_key, *checkpoint, *progress;
    json_int_t id, worker_id, integration_id, parent_id;
    struct job j = { 0 };
    int queue;

    if (json_unpack(m, "{s:I, s:i, s:I, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o}",
                    "id", &id, "epoch", &j.epoch, "worker_id", &worker_id, "integration_id", &integration_id,
                    "parent_id", &parent_id, "attempt", &j.attempt, "max_attempts", &j.max_attempts,
                    "crashes", &j.crashes, "timeout_s", &j.timeout_s, "queue", &queue, "priority",
                    &j.priority, "kind", &kind, "lock_key", &lock_key, "args", &args, "checkpoint",
                    &checkpoint, "progress", &progress) != 0)
        return err_set(err, RC_PROTOCOL, "a job message that is none");
    j.id = id;
    j.worker_id = worker_id;
    j.integration_id = integration_id;
    j.parent_id = parent_id;
    j.queue = (enum queue_name)queue;
    j.kind = copy_text(kind);
    j.args = copy_text(args);
    j.lock_key = copy_text(lock_key);
    j.checkpoint = copy_text(checkpoint);
    j.progress = copy_text(progress);
    if (j.kind == NULL || j.args == NULL) {
        job_fini(&j);
        return err_set(err, RC_PROTOCOL, "a job message without kind or arguments");
    }
    *out = j;
    return RC_OK;
}

static enum rc
read_result(json_t *m, struct wire_result *out, struct err *err)
{
    struct wire_result r = { 0 };
    const char *error;
    json_int_t delay;
    int outcome, touched;

    if (json_unpack(m, "{s:i, s:I, s:b, s:s}", "outcome", &outcome, "delay_ms", &delay, "touched", &touched,
                    "error", &error) != 0 ||
        outcome < 0 || outcome >= OUTCOME_COUNT)
        return err_set(err, RC_PROTOCOL, "a result message that is none");
    r.outcome = (enum outcome)outcome;
    r.delay_ms = delay;
    r.touched = touched != 0;
    strncpy(r.error, error, sizeof r.error - 1);
    *out = r;
    return RC_OK;
}

enum rc
wire_receive(int fd, bool wait, enum wire_type *type, struct job *job, struct wire_result *result,
             struct err *err)
{
    AUTO_FREE char *packet = malloc(PACKET_MAX);
    json_auto_t *m = NULL;
    const char *name;
    ssize_t n;
    enum rc rc;

    if (packet == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    do
        n = recv(fd, packet, PACKET_MAX, wait ? 0 : MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        *type = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? WIRE_NOTHING : WIRE_END;
        return RC_OK;
    }
    if ((rc = json_parse_object(packet, (size_t)n, &m, err)) != RC_OK)
        return rc;
    name = json_string_value(json_object_get(m, "type"));
    if (name != NULL && strcmp(name, "stop") == 0) {
        *type = WIRE_STOP;
        return RC_OK;
    }
    if (name != NULL && strcmp(name, "job") == 0 && job != NULL) {
        *type = WIRE_JOB;
        return read_job(m, job, err);
    }
    if (name != NULL && strcmp(name, "result") == 0 && result != NULL) {
        *type = WIRE_RESULT;
        return read_result(m, result, err);
    }
    return err_set(err, RC_PROTOCOL, "an unexpected message");
}
