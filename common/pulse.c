#include "common/pulse.h"
#include "common/clock.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIGITS = 19 }; /* of INT64_MAX; always as many, so that a beat overwrites the one before */

void
pulse_beat(const char *path, int64_t fresh_ms)
{
    char text[DIGITS + 2];
    int fd;

    if (*path == '\0' || (fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644)) < 0)
        return;
    (void)snprintf(text, sizeof text, "%019" PRId64 "\n", clock_mono() + fresh_ms * 1000);
    (void)!write(fd, text, DIGITS + 1); /* small enough to be written at once or not at all */
    (void)close(fd);
}

static enum rc
read_moment(const char *path, int64_t *out, struct err *err)
{
    char text[DIGITS + 2] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? RC_NOT_FOUND : RC_INVALID, "%.300s: %s", path,
                       errno == ENOENT ? "there has been no sign of life yet" : strerror(errno));
    n = read(fd, text, DIGITS + 1);
    (void)close(fd);
    if (n != DIGITS + 1 || text[DIGITS] != '\n' || strspn(text, "0123456789") != DIGITS)
        return err_set(err, RC_INVALID, "%.300s: holds no moment", path);
    *out = strtoll(text, NULL, 10);
    return RC_OK;
}

enum rc
pulse_check(const char *path, struct err *err)
{
    int64_t until = 0, now;
    enum rc rc;

    if (*path == '\0')
        return err_set(err, RC_INVALID,
                       "--health-file (DESKMILL_HEALTH_FILE): is not set, so nothing can be known");
    if ((rc = read_moment(path, &until, err)) != RC_OK)
        return rc;
    now = clock_mono();
    if (now > until)
        return err_set(err, RC_TIMEOUT, "the next sign of life is %" PRId64 " s overdue",
                       (now - until) / CLOCK_SECOND);
    return RC_OK;
}

int
pulse_report(const char *path)
{
    struct err err = { 0 };

    if (pulse_check(path, &err) == RC_OK) {
        (void)printf("working\n");
        return EXIT_SUCCESS;
    }
    (void)printf("not working: %s\n", err.text);
    return EXIT_FAILURE;
}
