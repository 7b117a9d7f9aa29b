/* tests/chaos/clockshift.c
 * clockshift - preloaded into a process, shifts what it believes the time of day to be, by as many
 * microseconds as stand in a file that DESKMILL_CLOCKSHIFT names. The file is mapped: who writes to it makes
 * the clock of the running process jump, and of the processes it forks. The monotonic clock stays as it is,
 * as it does where a machine's clock is set.
 *
 * The kernel is asked directly: other interposers (a sanitizer's) may not be ready when the first call comes.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000)

static const volatile int64_t *shift_us; /* NULL: no shift */

__attribute__((constructor)) static void
map(void)
{
    const char *path = getenv("DESKMILL_CLOCKSHIFT");
    void *at;
    int fd;

    if (path == NULL || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return;
    at = mmap(NULL, sizeof *shift_us, PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (at != MAP_FAILED)
        shift_us = at;
}

static void
shift(struct timespec *t)
{
    int64_t by = shift_us != NULL ? *shift_us : 0, us = t->tv_sec * SECOND + t->tv_nsec / 1000 + by;

    if (by == 0)
        return;
    t->tv_nsec = (long)(us % SECOND * 1000 + t->tv_nsec % 1000);
    t->tv_sec = us / SECOND;
}

int
clock_gettime(clockid_t id, struct timespec *t)
{
    long rc = syscall(SYS_clock_gettime, id, t);

    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        shift(t);
    return (int)rc;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec t;

    (void)tz;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    *tv = (struct timeval){ .tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000 };
    return 0;
}

time_t
time(time_t *out)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (out != NULL)
        *out = t.tv_sec;
    return t.tv_sec;
}
