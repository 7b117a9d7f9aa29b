/* sim - the state of one running simulator. */
#include "sim.h"

#include <string.h>
#include <time.h>

#include "generate.h"

enum { GENEROUS_PER_MINUTE = 6000 };

int
sim_endpoint(const struct sim *s, const char *name)
{
    for (size_t i = 0; i < s->vendor->nendpoints; i++)
        if (strcmp(s->vendor->endpoints[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool
sim_set_profile(struct sim *s, const char *profile)
{
    bool is_old = strcmp(profile, "old") == 0, generous = strcmp(profile, "generous") == 0;
    bool none = strcmp(profile, "none") == 0;

    if (!is_old && !generous && !none && strcmp(profile, "new") != 0)
        return false;
    s->is_new = !is_old;
    for (size_t i = 0; i < s->vendor->nendpoints; i++) {
        int64_t n = s->vendor->endpoints[i].per_minute[is_old ? 0 : 1];

        limiter_set(&s->limiters[i], none ? 0 : generous ? GENEROUS_PER_MINUTE : n, MINUTE_US);
    }
    return true;
}

void
sim_init(struct sim *s, const struct options *opts)
{
    pthread_condattr_t attr;

    *s = (struct sim){ .opts = *opts, .vendor = vendor_find(opts->vendor), .gzip = gzip_cache_create() };
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    simclock_set(&s->clock, opts->now != TIME_NONE ? opts->now : wall_us());
    s->churn.rng.s = rng_mix((uint64_t)opts->seed, 500, 0);
    generate_world(&s->world, opts, s->clock.base);
    (void)sim_set_profile(s, opts->profile);
}

void
sim_fini(struct sim *s)
{
    for (size_t i = 0; i < ENDPOINTS_MAX; i++)
        limiter_fini(&s->limiters[i]);
    calls_fini(&s->call_log);
    faults_clear(&s->faults);
    holds_clear(&s->holds);
    world_fini(&s->world);
    gzip_cache_destroy(s->gzip);
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->lock);
}

void
sim_wait(struct sim *s, int64_t ms)
{
    int64_t until = mono_us() + ms * 1000;
    struct timespec ts = { .tv_sec = until / USEC, .tv_nsec = until % USEC * 1000 };

    (void)pthread_cond_timedwait(&s->wake, &s->lock, &ts);
}

void
sim_stop(struct sim *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->stopping = true;
    (void)pthread_cond_broadcast(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
}
