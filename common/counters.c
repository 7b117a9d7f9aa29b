#include "common/counters.h"
#include <stdlib.h>
#include <string.h>

enum { CELLS = 1024, FULL = CELLS / 4 * 3, LABEL_BYTES = 48 }; /* far more than there are kinds x outcomes */

const struct counter_info counter_infos[COUNTER_COUNT] = {
#define COUNTER(id, of_metric, of_label, of_label2, of_unit, of_help) \
    [COUNTER_##id] = { .name = #id,                                   \
                       .metric = (of_metric),                         \
                       .label = (of_label),                           \
                       .label2 = (of_label2),                         \
                       .help = (of_help),                             \
                       .unit = (of_unit) },
#include "common/counters.def"
#undef COUNTER
};

struct cell {
    bool used;
    enum counter id;
    char label[LABEL_BYTES], label2[LABEL_BYTES];
    int64_t pending; /* counted, not written */
    int64_t sent;    /* on its way */
};

struct counters {
    struct cell cells[CELLS]; /* open addressing; cells are never freed */
    size_t used;
    bool sending;
};

void
counters_destroy(struct counters *c)
{
    free(c);
}

enum rc
counters_create(struct counters **out, struct err *err)
{
    struct counters *c = calloc(1, sizeof *c);

    if (c == NULL)
        return err_set(err, RC_INTERNAL, "no memory");
    *out = c;
    return RC_OK;
}

/* FNV-1a over as much of a label as is kept. */
static uint32_t
hash_label(uint32_t h, const char *label)
{
    for (size_t i = 0; i < LABEL_BYTES - 1 && label[i] != '\0'; i++)
        h = (h ^ (unsigned char)label[i]) * 16777619U;
    return h;
}

static struct cell *
find(struct counters *c, enum counter id, const char *label, const char *label2)
{
    for (size_t i = hash_label(hash_label(2166136261U ^ (uint32_t)id, label), label2);; i++) {
        struct cell *cell = &c->cells[i % CELLS];

        if (cell->used && cell->id == id && strncmp(cell->label, label, LABEL_BYTES - 1) == 0 &&
            strncmp(cell->label2, label2, LABEL_BYTES - 1) == 0)
            return cell;
        if (cell->used)
            continue;
        if (c->used == FULL)
            return NULL;
        c->used++;
        *cell = (struct cell){ .used = true, .id = id };
        strncat(cell->label, label, LABEL_BYTES - 1);
        strncat(cell->label2, label2, LABEL_BYTES - 1);
        return cell;
    }
}

void
counters_add(struct counters *c, enum counter id, const char *label, const char *label2, int64_t n)
{
    struct cell *cell = find(c, id, label, label2);

    if (cell != NULL)
        cell->pending += n;
}

/* ---- writing ---- */

/* What is pending, as columns. */
struct columns {
    const char *names[FULL], *labels[FULL], *labels2[FULL];
    int64_t values[FULL];
    size_t n;
};

static void
take_pending(struct counters *c, struct columns *out)
{
    out->n = 0;
    for (size_t i = 0; i < CELLS; i++) {
        struct cell *cell = &c->cells[i];

        if (cell->pending == 0)
            continue;
        out->names[out->n] = counter_infos[cell->id].name;
        out->labels[out->n] = cell->label;
        out->labels2[out->n] = cell->label2;
        out->values[out->n++] = cell->sent = cell->pending;
        cell->pending = 0;
    }
}

static void
settled(struct counters *c, bool written)
{
    for (size_t i = 0; i < CELLS; i++) {
        if (!written)
            c->cells[i].pending += c->cells[i].sent;
        c->cells[i].sent = 0;
    }
}

#define COLUMNS(c)                                                                                 \
    DB_ARGS(db_texts((c).names, (c).n), db_texts((c).labels, (c).n), db_texts((c).labels2, (c).n), \
            db_i64s((c).values, (c).n))

enum rc
counters_write(struct counters *c, struct db *db, struct err *err)
{
    struct columns columns;
    enum rc rc;

    take_pending(c, &columns);
    if (columns.n == 0)
        return RC_OK;
    rc = db_run(db, SQL_counters_add, COLUMNS(columns), NULL, err);
    settled(c, rc == RC_OK);
    return rc;
}

static void
on_written(void *arg, enum rc rc, const struct dbres *res, const struct err *err)
{
    struct counters *c = arg;

    (void)res;
    (void)err; /* they go with the next batch */
    c->sending = false;
    settled(c, rc == RC_OK);
}

void
counters_send(struct counters *c, struct dba *d)
{
    struct columns columns;

    if (c->sending || !dba_is_up(d))
        return;
    take_pending(c, &columns);
    if (columns.n == 0)
        return;
    c->sending = true;
    dba_run(d, SQL_counters_add, COLUMNS(columns), on_written, c);
}

enum rc
counters_add_now(struct db *db, enum counter id, const char *label, int64_t n, struct err *err)
{
    const char *name = counter_infos[id].name, *none = "";

    if (n == 0)
        return RC_OK;
    return db_run(db, SQL_counters_add,
                  DB_ARGS(db_texts(&name, 1), db_texts(&label, 1), db_texts(&none, 1), db_i64s(&n, 1)), NULL,
                  err);
}
