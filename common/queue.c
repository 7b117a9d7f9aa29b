#include "common/queue.h"
#include "common/auto.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ITEM_WORDS = 5,    /* queue, integration, priority, id, front */
    PUSH_BATCH = 500,  /* items a round trip: keeps the script well under a millisecond */
    NUMBER_BYTES = 24, /* the longest int64 and its 0 */
    KEY_BYTES = 80,
    PRIORITIES = 3,
    DROP_SLICES_MAX = 10000, /* of 500 integrations: whoever pushes meanwhile does not keep us for ever */
};

const char *const queue_names[QUEUE_COUNT] = {
    [QUEUE_LIVE] = "live",
    [QUEUE_DEFAULT] = "default",
    [QUEUE_BULK] = "bulk",
};

int
queue_by_name(const char *name)
{
    for (int q = 0; q < QUEUE_COUNT; q++)
        if (strcmp(name, queue_names[q]) == 0)
            return q;
    return -1;
}

/* The words of one queue_push call; `text` holds the numbers that `words` point to. */
struct push_words {
    const char *words[PUSH_BATCH * ITEM_WORDS];
    char text[PUSH_BATCH * 2][NUMBER_BYTES];
};

static void
push_words_fill(struct push_words *w, const struct queue_item *items, size_t n)
{
    static const char *const priorities[PRIORITIES] = { "0", "1", "2" };

    assert(n <= PUSH_BATCH);
    for (size_t i = 0; i < n; i++) {
        const struct queue_item *it = &items[i];
        const char **word = &w->words[i * ITEM_WORDS];

        assert(it->priority >= 0 && it->priority < PRIORITIES);
        (void)snprintf(w->text[2 * i], NUMBER_BYTES, "%" PRId64, it->integration_id);
        (void)snprintf(w->text[2 * i + 1], NUMBER_BYTES, "%" PRId64, it->job_id);
        word[0] = queue_names[it->queue];
        word[1] = w->text[2 * i];
        word[2] = priorities[it->priority];
        word[3] = w->text[2 * i + 1];
        word[4] = it->front ? "1" : "0";
    }
}

enum rc
queue_push(struct cache *c, const struct queue_item *items, size_t n, struct err *err)
{
    struct push_words w;

    for (size_t done = 0; done < n; done += PUSH_BATCH) {
        size_t batch = n - done < PUSH_BATCH ? n - done : PUSH_BATCH;
        enum rc rc;

        push_words_fill(&w, items + done, batch);
        if ((rc = cache_script(c, SCRIPT_queue_push, 0, batch * ITEM_WORDS, w.words, NULL, err)) != RC_OK)
            return rc;
    }
    return RC_OK;
}

void
queue_push_async(struct cachea *c, const struct queue_item *items, size_t n, cachea_cb cb, void *arg)
{
    struct push_words w;

    for (size_t done = 0; done < n; done += PUSH_BATCH) {
        size_t batch = n - done < PUSH_BATCH ? n - done : PUSH_BATCH;
        bool last = done + batch == n;

        push_words_fill(&w, items + done, batch);
        cachea_script(c, SCRIPT_queue_push, 0, batch * ITEM_WORDS, w.words, last ? cb : NULL,
                      last ? arg : NULL);
    }
}

void
queue_claim_async(struct cachea *c, int64_t worker_id, int want, cachea_cb cb, void *arg)
{
    char worker[NUMBER_BYTES], count[NUMBER_BYTES];

    assert(want > 0 && want <= 1000); /* one unpack() in the script */
    (void)snprintf(worker, sizeof worker, "%" PRId64, worker_id);
    (void)snprintf(count, sizeof count, "%d", want);
    cachea_script(c, SCRIPT_queue_claim, 0, 2, (const char *[]){ worker, count }, cb, arg);
}

void
queue_wait_async(struct cachea *c, int seconds, cachea_cb cb, void *arg)
{
    char timeout[NUMBER_BYTES];

    (void)snprintf(timeout, sizeof timeout, "%d", seconds);
    cachea_runv(c, 3, (const char *[]){ "BLPOP", "dm:wake", timeout }, cb, arg);
}

void
queue_forget_async(struct cachea *c, int64_t worker_id)
{
    char key[KEY_BYTES];

    (void)snprintf(key, sizeof key, "dm:w:%" PRId64, worker_id);
    cachea_runv(c, 2, (const char *[]){ "DEL", key }, NULL, NULL);
}

enum rc
queue_taken(struct cache *c, int64_t worker_id, int64_t **ids, size_t *n, struct err *err)
{
    AUTO(reply) r = NULL;
    char key[KEY_BYTES];
    int64_t *list;
    enum rc rc;

    (void)snprintf(key, sizeof key, "dm:w:%" PRId64, worker_id);
    if ((rc = cache_run(c, &r, err, "LRANGE", key, "0", "-1", NULL)) != RC_OK)
        return rc;
    list = calloc(reply_len(r) + 1, sizeof *list);
    if (list == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (size_t i = 0; i < reply_len(r); i++)
        list[i] = reply_int(reply_at(r, i));
    *n = reply_len(r);
    *ids = list;
    return RC_OK;
}

enum rc
queue_forget(struct cache *c, int64_t worker_id, struct err *err)
{
    char key[KEY_BYTES];

    (void)snprintf(key, sizeof key, "dm:w:%" PRId64, worker_id);
    return cache_run(c, NULL, err, "DEL", key, NULL);
}

enum rc
queue_lengths(struct cache *c, const struct queue_item *of, size_t n, int64_t *lens, struct err *err)
{
    AUTO(reply) r = NULL;
    AUTO_FREE const char **words = calloc(2 * n + 1, sizeof *words);
    AUTO_FREE char(*text)[NUMBER_BYTES] = calloc(n + 1, sizeof *text);
    enum rc rc;

    if (words == NULL || text == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(text[i], NUMBER_BYTES, "%" PRId64, of[i].integration_id);
        words[2 * i] = queue_names[of[i].queue];
        words[2 * i + 1] = text[i];
    }
    if ((rc = cache_script(c, SCRIPT_queue_lengths, 0, 2 * n, words, &r, err)) != RC_OK)
        return rc;
    if (reply_len(r) != n)
        return err_set(err, RC_PROTOCOL, "Redis gave %zu list lengths for %zu lists", reply_len(r), n);
    for (size_t i = 0; i < n; i++)
        lens[i] = reply_int(reply_at(r, i));
    return RC_OK;
}

/* The value of `field` in the text of INFO, copied to `out`. */
static void
info_field(const char *info, const char *field, char *out, size_t size)
{
    const char *at = strstr(info, field);
    size_t n;

    out[0] = '\0';
    if (at == NULL)
        return;
    at += strlen(field);
    n = strcspn(at, "\r\n");
    if (n < size) {
        memcpy(out, at, n);
        out[n] = '\0';
    }
}

enum rc
queue_generation(struct cache *c, int64_t *generation, char run_id[static 64], struct err *err)
{
    AUTO(reply) gen = NULL;
    AUTO(reply) info = NULL;
    enum rc rc;

    if ((rc = cache_run(c, &gen, err, "GET", "dm:gen", NULL)) != RC_OK ||
        (rc = cache_run(c, &info, err, "INFO", "server", NULL)) != RC_OK)
        return rc;
    *generation = reply_nil(gen) ? -1 : reply_int(gen);
    info_field(reply_str(info), "run_id:", run_id, 64);
    return RC_OK;
}

enum rc
queue_reset(struct cache *c, int64_t generation, struct err *err)
{
    char value[NUMBER_BYTES];
    enum rc rc;

    if ((rc = cache_script(c, SCRIPT_queue_drop, 0, 0, NULL, NULL, err)) != RC_OK)
        return rc;
    (void)snprintf(value, sizeof value, "%" PRId64, generation);
    return cache_run(c, NULL, err, "SET", "dm:gen", value, NULL);
}

enum rc
queue_drop(struct cache *c, enum queue_name queue, int64_t integration_id, struct err *err)
{
    char integration[NUMBER_BYTES];

    (void)snprintf(integration, sizeof integration, "%" PRId64, integration_id);
    return cache_script(c, SCRIPT_queue_drop, 0, 2, (const char *[]){ queue_names[queue], integration }, NULL,
                        err);
}

enum rc
queue_drop_all(struct cache *c, enum queue_name queue, struct err *err)
{
    enum rc rc = RC_OK;
    int64_t left = 1;

    for (int i = 0; i < DROP_SLICES_MAX && left > 0 && rc == RC_OK; i++) {
        AUTO(reply) r = NULL;

        rc = cache_script(c, SCRIPT_queue_drop, 0, 1, (const char *[]){ queue_names[queue] }, &r, err);
        left = rc == RC_OK ? reply_int(r) : 0;
    }
    return rc;
}

enum rc
queue_depths(struct cache *c, enum queue_name queue, size_t max, struct queue_depth *out, size_t *n,
             int64_t *ring, struct err *err)
{
    AUTO(reply) r = NULL;
    char count[NUMBER_BYTES];
    size_t found;
    enum rc rc;

    (void)snprintf(count, sizeof count, "%zu", max);
    rc = cache_script(c, SCRIPT_queue_depths, 0, 2, (const char *[]){ queue_names[queue], count }, &r, err);
    if (rc != RC_OK)
        return rc;
    found = reply_len(r) > 0 ? (reply_len(r) - 1) / 2 : 0;
    if (found > max)
        return err_set(err, RC_PROTOCOL, "Redis gave %zu depths where at most %zu were asked for", found,
                       max);
    *ring = found > 0 ? reply_int(reply_at(r, 0)) : 0;
    for (size_t i = 0; i < found; i++)
        out[i] = (struct queue_depth){ .integration_id = reply_int(reply_at(r, 1 + 2 * i)),
                                       .ids = reply_int(reply_at(r, 2 + 2 * i)) };
    *n = found;
    return RC_OK;
}
