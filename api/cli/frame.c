#include "api/cli/frame.h"
#include "api/cli/show.h"
#include "api/cli/table.h"
#include "api/cli/when.h"
#include "common/clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_ROWS = 3, QUEUE_ROWS = 5, LIST_HEAD_ROWS = 2, LISTS = 3, CELL_MAX = 128 };

/* ---- what is worked out for showing ---- */

/* "12.5", "1,234", "-" where it is not known. */
static const char *
rate_text(double rate, char out[static WHEN_TEXT])
{
    if (rate < 0)
        (void)snprintf(out, WHEN_TEXT, "-");
    else if (rate < 100)
        (void)snprintf(out, WHEN_TEXT, "%.1f", rate);
    else
        (void)number_text((int64_t)(rate + 0.5), out);
    return out;
}

static void
set_text(json_t *item, const char *key, const char *text)
{
    (void)json_object_set_new(item, key, json_string(text));
}

/* "1,234"; "~1,234" where it was estimated, "1,234+" where it was not counted on. */
static void
set_waiting(json_t *item)
{
    const char *is = json_text_at(item, "queued_is");
    char number[WHEN_TEXT], text[CELL_MAX];

    (void)snprintf(text, sizeof text, "%s%s%s", strcmp(is, "about") == 0 ? "~" : "",
                   number_text(json_int_at(item, "queued"), number), strcmp(is, "at_least") == 0 ? "+" : "");
    set_text(item, "waiting_text", text);
}

static void
prepare_queues(json_t *queues, const struct rates *rates)
{
    json_t *item;
    size_t q;

    json_array_foreach(queues, q, item)
    {
        bool paused = json_at(item, "paused") != NULL;
        char text[WHEN_TEXT];

        set_waiting(item);
        set_text(item, "in_text", q < RATES_QUEUES ? rate_text(rates->queues[q].in, text) : "-");
        set_text(item, "out_text", q < RATES_QUEUES ? rate_text(rates->queues[q].out, text) : "-");
        set_text(item, "state_text", paused ? "paused" : "active");
    }
}

/* "paused" as a whole, else the queues that are paused for it. */
static void
prepare_tenants(json_t *tenants)
{
    json_t *item;
    size_t i;

    json_array_foreach(tenants, i, item)
    {
        const json_t *queues = json_object_get(item, "paused_queues"), *name;
        char text[CELL_MAX] = "";
        size_t k;

        set_waiting(item);
        json_array_foreach((json_t *)queues, k, name)
        {
            size_t n = strlen(text);

            (void)snprintf(text + n, sizeof text - n, "%s %s", n == 0 ? "paused in" : ",",
                           json_string_value(name));
        }
        set_text(item, "state_text",
                 text[0] != '\0' && strcmp(json_text_at(item, "state"), "active") == 0
                     ? text
                     : json_text_at(item, "state"));
        if (json_at(item, "integration") == NULL)
            set_text(item, "integration", "(none)");
    }
}

static void
prepare_workers(json_t *workers, const struct rates *rates)
{
    json_t *item;
    size_t i;

    json_array_foreach(workers, i, item)
    {
        bool alive = json_is_true(json_object_get(item, "alive"));
        int64_t has = json_int_at(item, "running"), slots = json_int_at(item, "slots");
        char text[CELL_MAX], rate[WHEN_TEXT], ahead[WHEN_TEXT] = "";

        if (has > slots) /* taken in advance */
            (void)snprintf(ahead, sizeof ahead, " +%" PRId64, has - slots);
        (void)snprintf(text, sizeof text, "%" PRId64 "/%" PRId64 "%s", has < slots ? has : slots, slots,
                       ahead);
        set_text(item, "busy_text", text);
        set_text(item, "rate_text", rate_text(rates_of_worker(rates, json_int_at(item, "id")), rate));
        set_text(item, "state_text", alive ? json_text_at(item, "state") : "silent");
    }
}

/* ---- the page ---- */

/* The queue whose oldest job has waited for longest. */
static const json_t *
oldest_queue(const json_t *queues)
{
    const json_t *item, *oldest = NULL;
    size_t i;

    json_array_foreach((json_t *)queues, i, item)
    {
        if (json_at(item, "oldest_s") != NULL &&
            (oldest == NULL || json_int_at(item, "oldest_s") > json_int_at(oldest, "oldest_s")))
            oldest = item;
    }
    return oldest;
}

/* "3", "10,000+" */
static const char *
bounded_text(const json_t *overview, const char *key, char out[static WHEN_TEXT])
{
    int64_t n = json_int_at(overview, key);

    (void)number_text(n, out);
    if (n >= json_int_at(overview, "counted_up_to"))
        (void)strncat(out, "+", WHEN_TEXT - strlen(out) - 1);
    return out;
}

static void
put_head(const struct cli *c, FILE *f, const json_t *overview, const struct rates *r, const char *trouble)
{
    const json_t *oldest = oldest_queue(json_object_get(overview, "queues"));
    char one[WHEN_TEXT], two[WHEN_TEXT], three[WHEN_TEXT], four[WHEN_TEXT], clean[512];
    int64_t at;
    const char *text = json_text_at(overview, "at");

    one[0] = '\0';
    if (clock_parse(text, strlen(text), &at, NULL) == RC_OK)
        (void)when_text(at, at, one);
    if (trouble != NULL)
        (void)fprintf(f, "%s%s%s\n", c->colors ? style_begin(STYLE_BAD) : "",
                      text_clean(trouble, clean, sizeof clean), c->colors ? STYLE_END : "");
    else
        (void)fprintf(f,
                      "deskmill %.19s   redis %s   workers %" PRId64 " of %" PRId64 " alive, %" PRId64
                      " slots   dead %s   scheduled %s\n",
                      one, json_text_at(overview, "redis"), json_int_at(overview, "workers.alive"),
                      json_int_at(overview, "workers.total"), json_int_at(overview, "workers.slots"),
                      bounded_text(overview, "dead", two), bounded_text(overview, "scheduled", three));
    (void)fprintf(f, "a second: enqueued %s  started %s  done %s  failed %s",
                  rate_text(r->enqueued_rate, one), rate_text(r->started, two), rate_text(r->done, three),
                  rate_text(r->failed, four));
    if (oldest != NULL)
        (void)fprintf(f, "   oldest waiting: job %" PRId64 " in %s, %s", json_int_at(oldest, "oldest_job"),
                      json_text_at(oldest, "queue"),
                      span_text(json_int_at(oldest, "oldest_s") * CLOCK_SECOND, one));
    (void)fputs("\n\n", f);
}

static const struct show_column queue_columns[] = {
    { "QUEUE", "queue", SHOW_TEXT, 0 },       { "WAITING", "waiting_text", SHOW_RIGHT, 0 },
    { "OLDEST", "oldest_s", SHOW_SPAN, 0 },   { "RUNNING", "running", SHOW_NUMBER, 0 },
    { "IN/s", "in_text", SHOW_RIGHT, 0 },     { "OUT/s", "out_text", SHOW_RIGHT, 0 },
    { "STATE", "state_text", SHOW_STATE, 0 }, { "WHY", "paused.reason", SHOW_TEXT, 40 },
    { "BY", "paused.by", SHOW_TEXT, 30 },
};
static const struct show_column tenant_columns[] = {
    { "INTEGRATION", "integration", SHOW_TEXT, 40 },
    { "WAITING", "waiting_text", SHOW_RIGHT, 0 },
    { "OLDEST", "oldest_s", SHOW_SPAN, 0 },
    { "STATE", "state_text", SHOW_STATE, 0 },
};
static const struct show_column job_columns[] = {
    { "JOB", "id", SHOW_RIGHT, 0 },         { "RUNNING", "kind", SHOW_TEXT, 24 },
    { "OF", "integration", SHOW_TEXT, 40 }, { "QUEUE", "queue", SHOW_TEXT, 0 },
    { "FOR", "age_s", SHOW_SPAN, 0 },       { "FAILURES", "attempt", SHOW_NUMBER, 0 },
    { "PAGES", "pages", SHOW_NUMBER, 0 },   { "FETCHED", "fetched", SHOW_NUMBER, 0 },
    { "WORKER", "worker", SHOW_RIGHT, 0 },
};
static const struct show_column worker_columns[] = {
    { "WORKER", "id", SHOW_RIGHT, 0 },        { "HOST", "host", SHOW_TEXT, 30 },
    { "PID", "pid", SHOW_RIGHT, 0 },          { "STATE", "state_text", SHOW_STATE, 0 },
    { "BUSY", "busy_text", SHOW_RIGHT, 0 },   { "BEAT", "beat_s", SHOW_SPAN, 0 },
    { "DONE/s", "rate_text", SHOW_RIGHT, 0 }, { "DONE", "done", SHOW_NUMBER, 0 },
    { "FAILED", "failed", SHOW_NUMBER, 0 },
};

struct list {
    const json_t *items;
    const struct show_column *columns;
    size_t n;    /* columns */
    size_t rows; /* to be shown */
};

/* Shares `room` lines out, a row at a time to each list that has more; each shown list's head costs two. */
static void
share_out(struct list *lists, size_t n, size_t room)
{
    bool given = true;

    for (size_t i = 0; i < n; i++)
        lists[i].rows = 0;
    while (given) {
        given = false;
        for (size_t i = 0; i < n; i++) {
            size_t cost = 1 + (lists[i].rows == 0 ? LIST_HEAD_ROWS : 0);

            if (lists[i].rows >= json_array_size(lists[i].items) || cost > room)
                continue;
            room -= cost;
            lists[i].rows++;
            given = true;
        }
    }
}

static void
put_page(struct cli *c, FILE *f, json_t *overview, const struct rates *rates, const char *trouble,
         size_t rows)
{
    struct list lists[LISTS] = {
        { json_at(overview, "tenants"), tenant_columns, COUNT_OF(tenant_columns), 0 },
        { json_at(overview, "running"), job_columns, COUNT_OF(job_columns), 0 },
        { json_at(overview, "workers.items"), worker_columns, COUNT_OF(worker_columns), 0 },
    };
    size_t fixed = HEAD_ROWS + QUEUE_ROWS - 1;

    put_head(c, f, overview, rates, trouble);
    show_items_to(c, f, json_object_get(overview, "queues"), SIZE_MAX, queue_columns,
                  COUNT_OF(queue_columns));
    share_out(lists, LISTS, rows == 0 ? SIZE_MAX / 2 : rows > fixed ? rows - fixed : 0);
    for (size_t i = 0; i < LISTS; i++) {
        if (lists[i].rows == 0)
            continue;
        (void)fputc('\n', f);
        show_items_to(c, f, lists[i].items, lists[i].rows, lists[i].columns, lists[i].n);
    }
}

char *
frame_text(struct cli *c, json_t *overview, const struct rates *rates, const char *trouble, size_t rows)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (f == NULL)
        return NULL;
    prepare_queues(json_object_get(overview, "queues"), rates);
    prepare_tenants(json_object_get(overview, "tenants"));
    prepare_workers((json_t *)json_at(overview, "workers.items"), rates);
    put_page(c, f, overview, rates, trouble, rows);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
