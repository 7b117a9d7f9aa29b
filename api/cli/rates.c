#include "api/cli/rates.h"
#include "api/cli/show.h"
#include "common/clock.h"
#include <string.h>

static int64_t
moment_at(const json_t *j, const char *path)
{
    const char *text = json_text_at(j, path);
    int64_t t;

    return clock_parse(text, strlen(text), &t, NULL) == RC_OK ? t : 0;
}

static const struct rates_worker *
find_worker(const struct rates *r, int64_t id)
{
    for (size_t i = 0; i < r->workers_n; i++)
        if (r->workers[i].id == id)
            return &r->workers[i];
    return NULL;
}

/* Between the beat that was seen before and this one; as it was, if there was none in between. */
static struct rates_worker
look_at_worker(const struct rates *before, const json_t *item)
{
    static const char *const keys[RATE_KINDS] = { "started.live", "started.default", "started.bulk", "done",
                                                  "failed" };
    const struct rates_worker *last = find_worker(before, json_int_at(item, "id"));
    struct rates_worker now = { .id = json_int_at(item, "id"), .beat_at = moment_at(item, "beat_at") };

    for (int k = 0; k < RATE_KINDS; k++) {
        now.sums[k] = json_int_at(item, keys[k]);
        now.rate[k] = last == NULL ? -1 : last->rate[k];
    }
    if (last == NULL || now.beat_at <= last->beat_at)
        return now;
    for (int k = 0; k < RATE_KINDS; k++)
        now.rate[k] = (double)(now.sums[k] - last->sums[k]) * (double)CLOCK_SECOND /
                      (double)(now.beat_at - last->beat_at);
    return now;
}

static double
sum_of(const struct rates *r, enum rate_kind from, enum rate_kind to)
{
    double sum = -1;

    for (size_t i = 0; i < r->workers_n; i++)
        for (int k = (int)from; k <= (int)to; k++)
            if (r->workers[i].rate[k] >= 0)
                sum = (sum < 0 ? 0 : sum) + r->workers[i].rate[k];
    return sum;
}

/* What came in is what went out and what there is more of now. */
static void
look_at_queues(struct rates *r, const struct rates *before, const json_t *queues)
{
    double seconds = (double)(r->at - before->at) / (double)CLOCK_SECOND;

    for (size_t q = 0; q < RATES_QUEUES; q++) {
        const json_t *item = json_array_get(queues, q);
        bool exact = strcmp(json_text_at(item, "queued_is"), "exact") == 0;
        double in;

        r->queues[q].queued = exact ? json_int_at(item, "queued") : -1;
        r->queues[q].out = sum_of(r, (enum rate_kind)q, (enum rate_kind)q);
        r->queues[q].in = -1;
        if (!exact || before->at == 0 || before->queues[q].queued < 0 || r->queues[q].out < 0 || seconds <= 0)
            continue;
        in = r->queues[q].out + (double)(r->queues[q].queued - before->queues[q].queued) / seconds;
        r->queues[q].in = in > 0 ? in : 0;
    }
}

void
rates_look(struct rates *r, const json_t *overview)
{
    const struct rates before = *r;
    const json_t *items = json_at(overview, "workers.items"), *item;
    size_t i;

    r->workers_n = 0;
    json_array_foreach((json_t *)items, i, item)
    {
        if (r->workers_n < RATES_WORKERS_MAX)
            r->workers[r->workers_n++] = look_at_worker(&before, item);
    }
    r->at = moment_at(overview, "at");
    r->enqueued = json_int_at(overview, "enqueued");
    r->enqueued_rate =
        before.at == 0 || r->at <= before.at
            ? -1
            : (double)(r->enqueued - before.enqueued) * (double)CLOCK_SECOND / (double)(r->at - before.at);
    r->started = sum_of(r, RATE_LIVE, RATE_BULK);
    r->done = sum_of(r, RATE_DONE, RATE_DONE);
    r->failed = sum_of(r, RATE_FAILED, RATE_FAILED);
    look_at_queues(r, &before, json_object_get(overview, "queues"));
}

double
rates_of_worker(const struct rates *r, int64_t id)
{
    const struct rates_worker *w = find_worker(r, id);

    return w != NULL ? w->rate[RATE_DONE] : -1;
}
