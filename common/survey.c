#include "common/survey.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRETCH = 250, WORDS = 5, PRIORITIES = 3 }; /* words: integration, ids, three heads */

void
survey_fini(struct survey *s)
{
    free(s->heads);
    *s = (struct survey){ .heads = NULL };
}

static bool
add_head(struct survey *s, size_t *cap, const struct reply *id)
{
    if (reply_len(id) == 0)
        return true;
    if (s->heads_n == *cap) {
        size_t more = *cap == 0 ? 256 : 2 * *cap;
        int64_t *grown = realloc(s->heads, more * sizeof *grown);

        if (grown == NULL)
            return false;
        s->heads = grown;
        *cap = more;
    }
    s->heads[s->heads_n++] = reply_int(id);
    return true;
}

/* One stretch of a ring. *n: how many integrations it had. */
static enum rc
look(struct cache *c, enum queue_name queue, size_t from, struct survey *s, size_t *cap, size_t *n,
     struct err *err)
{
    AUTO(reply) r = NULL;
    char at[24], count[24];
    enum rc rc;

    (void)snprintf(at, sizeof at, "%zu", from);
    (void)snprintf(count, sizeof count, "%d", STRETCH);
    rc = cache_script(c, SCRIPT_queue_survey, 0, 3, (const char *[]){ queue_names[queue], at, count }, &r,
                      err);
    if (rc != RC_OK)
        return rc;
    if (reply_len(r) % WORDS != 1)
        return err_set(err, RC_PROTOCOL, "Redis gave %zu words for a survey", reply_len(r));
    s->queues[queue].integrations = reply_int(reply_at(r, 0));
    *n = reply_len(r) / WORDS;
    for (size_t i = 0; i < *n; i++) {
        s->queues[queue].ids += reply_int(reply_at(r, 2 + i * WORDS));
        for (size_t p = 0; p < PRIORITIES; p++)
            if (!add_head(s, cap, reply_at(r, 3 + i * WORDS + p)))
                return err_set(err, RC_INTERNAL, "no memory");
    }
    return RC_OK;
}

static enum rc
look_through(struct cache *c, enum queue_name queue, size_t max, struct survey *s, size_t *cap,
             struct err *err)
{
    struct survey_queue *q = &s->queues[queue];
    size_t seen = 0, n = STRETCH;
    enum rc rc = RC_OK;

    while (n == STRETCH && seen < max && rc == RC_OK) {
        rc = look(c, queue, seen, s, cap, &n, err);
        seen += n;
    }
    if (rc == RC_OK && seen > 0 && q->integrations > (int64_t)seen)
        q->ids = (int64_t)((double)q->ids * (double)q->integrations / (double)seen);
    return rc;
}

enum rc
survey_take(struct cache *c, size_t max, struct survey *out, struct err *err)
{
    struct survey s = { .heads = NULL };
    size_t cap = 0;
    enum rc rc = RC_OK;

    for (int q = 0; q < QUEUE_COUNT && rc == RC_OK; q++)
        rc = look_through(c, (enum queue_name)q, max, &s, &cap, err);
    if (rc != RC_OK)
        survey_fini(&s);
    *out = s;
    return rc;
}
