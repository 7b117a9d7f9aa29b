#include "worker/lane.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

struct lane {
    _Atomic uint64_t word; /* upper half: the last number begun; lower: the last one taken back */
    _Atomic bool stop;
    _Atomic bool told;      /* the parent knows that there are results, and has not begun to look */
    _Atomic uint32_t ended; /* results written */
    uint32_t read;          /* results read: the parent's */
    struct lane_result results[LANE_JOBS];
};

static uint64_t
word(uint32_t begun, uint32_t taken)
{
    return (uint64_t)begun << 32 | taken;
}

enum rc
lane_create(struct lane **out, struct err *err)
{
    void *at = mmap(NULL, sizeof **out, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return err_set(err, RC_INTERNAL, "mmap: %s", strerror(errno));
    *out = at;
    lane_reset(*out);
    return RC_OK;
}

void
lane_destroy(struct lane *l)
{
    if (l != NULL)
        (void)munmap(l, sizeof *l);
}

/* ---- the parent's ---- */

void
lane_reset(struct lane *l)
{
    l->word = 0;
    l->stop = false;
    l->told = false;
    l->ended = 0;
    l->read = 0;
}

uint32_t
lane_take_back(struct lane *l, uint32_t n)
{
    uint64_t was = l->word;

    while (!atomic_compare_exchange_weak(&l->word, &was, word((uint32_t)(was >> 32), n)))
        continue;
    return (uint32_t)(was >> 32);
}

uint32_t
lane_begun(const struct lane *l)
{
    return (uint32_t)(l->word >> 32);
}

void
lane_stop(struct lane *l)
{
    l->stop = true;
}

void
lane_look(struct lane *l)
{
    l->told = false;
}

const struct lane_result *
lane_read(struct lane *l)
{
    struct lane_result *r = &l->results[l->read % LANE_JOBS];

    if (l->read == l->ended)
        return NULL;
    l->read++;
    r->error[sizeof r->error - 1] = '\0';
    return r;
}

/* ---- the child's ---- */

bool
lane_begin(struct lane *l, uint32_t n)
{
    uint64_t was = l->word;

    do
        if (n <= (uint32_t)was)
            return false;
    while (!atomic_compare_exchange_weak(&l->word, &was, word(n, (uint32_t)was)));
    return true;
}

bool
lane_stopped(const struct lane *l)
{
    return l->stop;
}

struct lane_result *
lane_result(struct lane *l)
{
    struct lane_result *r = &l->results[l->ended % LANE_JOBS];

    *r = (struct lane_result){ .number = lane_begun(l) };
    return r;
}

bool
lane_end(struct lane *l)
{
    l->ended++;
    return !atomic_exchange(&l->told, true);
}
