#include "api/cli/follow.h"
#include "api/cli/client.h"
#include "api/cli/show.h"
#include "api/cli/table.h"
#include "api/cli/when.h"
#include "common/clock.h"
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
    POLL_FIRST_MS = 250,
    POLL_MAX_MS = 1000,
    AWAY_MAX_S = 30,
    LINE_MAX_BYTES = 512,
    BAR_MAX = 24,
    MESSAGES_MAX = 20
};

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

/* What one look at a job told. */
struct sight {
    const char *kind, *state; /* borrowed from the job */
    int64_t pages, fetched, inserted, updated;
    int64_t children, ended; /* 0 children: it has none */
    bool has_progress;
};

struct watch {
    struct cli *c;
    int64_t id;
    bool terminal, quiet;
    int64_t began;       /* clock_mono */
    int64_t first_seen;  /* fetched, when the watching began */
    int64_t first_ended; /* children that had ended then; -1 before the first look */
    double rate;         /* records a second, smoothed; < 0: not known yet */
    int64_t rate_at, rate_fetched;
    char said[LINE_MAX_BYTES]; /* the last plain line */
    int64_t said_at;
};

static void
look(const json_t *job, struct sight *s)
{
    const json_t *children = json_at(job, "children");
    const json_t *progress = children != NULL ? json_at(children, "progress") : json_at(job, "progress");

    *s = (struct sight){ .kind = json_text_at(job, "kind"),
                         .state = json_text_at(job, "state"),
                         .pages = json_int_at(progress, "pages"),
                         .fetched = json_int_at(progress, "fetched"),
                         .inserted = json_int_at(progress, "inserted"),
                         .updated = json_int_at(progress, "updated"),
                         .children = json_int_at(children, "total"),
                         .has_progress = progress != NULL };
    s->ended =
        json_int_at(children, "done") + json_int_at(children, "dead") + json_int_at(children, "cancelled");
}

/* Of the last few seconds rather than of all time, so that a stall shows. */
static void
measure(struct watch *w, const struct sight *s)
{
    int64_t now = clock_mono();
    double seconds = (double)(now - w->rate_at) / (double)CLOCK_SECOND, fresh, weight;

    if (w->first_ended < 0) {
        w->first_ended = s->ended;
        w->rate_at = now;
        w->rate_fetched = s->fetched;
        return;
    }
    if (seconds < 0.2)
        return;
    fresh = (double)(s->fetched - w->rate_fetched) / seconds;
    weight = 1 - exp(-seconds / 3);
    w->rate = w->rate < 0 ? fresh : w->rate + weight * (fresh - w->rate);
    w->rate_at = now;
    w->rate_fetched = s->fetched;
}

/* What `fetched` counts. A pull brings accounts and users along with its issues. */
static const char *
noun(const char *kind)
{
    static const struct {
        const char *kind, *noun;
    } nouns[] = { { "message_pull", "messages" },
                  { "issue_backfill", "issues" },
                  { "issue_chunk", "issues" } };

    for (size_t i = 0; i < COUNT_OF(nouns); i++)
        if (strcmp(nouns[i].kind, kind) == 0)
            return nouns[i].noun;
    return "records";
}

/* "12/27 chunks  340 pages  34,000 issues  1,200/s  3m left  (33,000 new, 1,000 changed)": what matters most
 * comes first, for a narrow screen cuts the end. */
static void
describe(const struct watch *w, const struct sight *s, char out[static LINE_MAX_BYTES])
{
    char one[WHEN_TEXT], two[WHEN_TEXT];
    int64_t ended = s->ended - w->first_ended;
    struct buf b;

    buf_init(&b, LINE_MAX_BYTES - 1);
    if (s->children > 0)
        buf_printf(&b, "  %" PRId64 "/%" PRId64 " chunks", s->ended, s->children);
    if (s->has_progress)
        buf_printf(&b, "  %s pages  %s %s", number_text(s->pages, one), number_text(s->fetched, two),
                   noun(s->kind));
    if (w->rate >= 0.5)
        buf_printf(&b, "  %s/s", number_text((int64_t)(w->rate + 0.5), one));
    if (s->children > s->ended && ended > 0)
        buf_printf(&b, "  %s left",
                   span_text((clock_mono() - w->began) / ended * (s->children - s->ended), one));
    if (s->has_progress)
        buf_printf(&b, "  (%s new, %s changed)", number_text(s->inserted, one), number_text(s->updated, two));
    (void)snprintf(out, LINE_MAX_BYTES, "%s", b.len > 2 ? b.data + 2 : "");
    buf_fini(&b);
}

static int
screen_width(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

/* The line is overwritten in place; it never wraps. */
static void
draw(const struct watch *w, const struct sight *s, const char *text)
{
    static const char marks[] = "########################", blanks[] = "........................";
    int width = screen_width() - 1, bar = width < 100 ? 10 : BAR_MAX;
    int full = s->children > 0 ? (int)(s->ended * bar / s->children) : 0;
    char line[LINE_MAX_BYTES * 2];

    if (s->children > 0)
        (void)snprintf(line, sizeof line, "job %" PRId64 " [%.*s%.*s] %" PRId64 "%%  %s", w->id, full, marks,
                       bar - full, blanks, s->ended * 100 / s->children, text);
    else
        (void)snprintf(line, sizeof line, "job %" PRId64 " %s  %s", w->id, s->state, text);
    (void)fprintf(stderr, "\r%.*s\033[K", width, line);
    (void)fflush(stderr);
}

/* One line per change, at most one a second; the last state is said by conclude() in any case. */
static void
say(struct watch *w, const struct sight *s, const char *text)
{
    char line[LINE_MAX_BYTES * 2];
    int64_t now = clock_mono();

    (void)snprintf(line, sizeof line, "job %" PRId64 " %s %s%s%s", w->id, s->kind, s->state,
                   text[0] != '\0' ? ": " : "", text);
    line[sizeof w->said - 1] = '\0';
    if (strcmp(line, w->said) == 0 || (w->said[0] != '\0' && now - w->said_at < CLOCK_SECOND))
        return;
    (void)fprintf(stderr, "%s\n", line);
    memcpy(w->said, line, sizeof w->said);
    w->said_at = now;
}

static void
clear_line(const struct watch *w)
{
    if (w->terminal && !w->quiet)
        (void)fprintf(stderr, "\r\033[K");
}

static enum ending
conclude(struct watch *w, const json_t *job, const struct sight *s)
{
    char text[LINE_MAX_BYTES], clean[LINE_MAX_BYTES], took[WHEN_TEXT];

    clear_line(w);
    w->rate = -1;
    describe(w, s, text);
    if (strcmp(s->state, "dead") == 0) {
        (void)fprintf(stderr,
                      "deskmill: job %" PRId64 " (%s) is dead: %s; `deskmill job retry %" PRId64
                      "%s` lets it try again\n",
                      w->id, s->kind, text_clean(json_text_at(job, "error"), clean, sizeof clean), w->id,
                      json_int_at(job, "children.dead") > 0 ? " --children" : "");
        return END_FAILED;
    }
    if (strcmp(s->state, "cancelled") == 0) {
        (void)fprintf(stderr, "deskmill: job %" PRId64 " (%s) was cancelled\n", w->id, s->kind);
        return END_CANCELLED;
    }
    if (!w->quiet)
        (void)fprintf(stderr, "job %" PRId64 " %s done%s%s; watched for %s\n", w->id, s->kind,
                      text[0] != '\0' ? ": " : "", text, span_text(clock_mono() - w->began, took));
    if (json_int_at(job, "children.dead") > 0) {
        (void)fprintf(stderr,
                      "deskmill: %" PRId64 " of its children dead; `deskmill jobs --parent %" PRId64
                      " --state dead` lists them\n",
                      json_int_at(job, "children.dead"), w->id);
        return END_FAILED;
    }
    return END_OK;
}

static enum ending
stop_watching(const struct watch *w)
{
    clear_line(w);
    (void)fprintf(stderr,
                  "Job %" PRId64 " goes on. `deskmill job show %" PRId64
                  " --follow` watches it again, `deskmill job cancel %" PRId64 "` ends it.\n",
                  w->id, w->id, w->id);
    return END_INTERRUPTED;
}

static void
nap(int64_t ms)
{
    const struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };

    (void)nanosleep(&t, NULL); /* a signal cuts it short: that is meant */
}

/* One GET; an api that does not answer is asked again until it has been away for too long. */
static enum ending
fetch(const struct watch *w, json_t **job)
{
    int64_t since = clock_mono();
    struct buf path = path_begin("/api/v1/jobs");
    enum ending end = END_OK;
    char id[32];

    (void)snprintf(id, sizeof id, "%" PRId64, w->id);
    path_segment(&path, id);
    while (end == END_OK && *job == NULL && !interrupted) {
        json_auto_t *answer = NULL;
        struct err err = { 0 };
        int status = client_ask(w->c, "GET", path.data, NULL, &answer, &err);
        bool away = status == 503 || (status == 0 && (err.rc == RC_UNAVAILABLE || err.rc == RC_TIMEOUT));

        if (status == 200)
            *job = TAKE(answer);
        else if (!away || clock_mono() - since > AWAY_MAX_S * CLOCK_SECOND)
            end = client_explain(w->c, status, answer, &err);
        else
            nap(POLL_MAX_MS);
    }
    buf_fini(&path);
    return end;
}

static bool
has_ended(const char *state)
{
    return strcmp(state, "done") == 0 || strcmp(state, "dead") == 0 || strcmp(state, "cancelled") == 0;
}

static enum ending
watch(struct watch *w, json_t **last)
{
    int64_t pause = POLL_FIRST_MS;

    for (;;) {
        json_auto_t *job = NULL;
        char text[LINE_MAX_BYTES];
        struct sight s;
        enum ending end = fetch(w, &job);

        if (end != END_OK)
            return end;
        if (interrupted || job == NULL)
            return stop_watching(w);
        look(job, &s);
        measure(w, &s);
        describe(w, &s, text);
        if (json_int_at(job, "folded_into") > 0) {
            w->id = json_int_at(job, "folded_into"); /* it never ran: that one does its work */
            continue;
        }
        if (has_ended(s.state)) {
            end = conclude(w, job, &s);
            *last = TAKE(job);
            return end;
        }
        if (!w->quiet)
            w->terminal ? draw(w, &s, text) : say(w, &s, text);
        nap(pause);
        pause = pause * 5 / 4 < POLL_MAX_MS ? pause * 5 / 4 : POLL_MAX_MS;
    }
}

enum ending
follow_job(struct cli *c, int64_t job, json_t **last)
{
    struct watch w = { .c = c,
                       .id = job,
                       .terminal = isatty(STDERR_FILENO) == 1,
                       .quiet = c->json,
                       .began = clock_mono(),
                       .first_ended = -1,
                       .rate = -1 };
    const struct sigaction on = { .sa_handler = on_interrupt }; /* no SA_RESTART: naps end */
    struct sigaction before;
    json_t *seen = NULL;
    enum ending end;

    (void)sigaction(SIGINT, &on, &before);
    end = watch(&w, &seen);
    (void)sigaction(SIGINT, &before, NULL);
    if (last != NULL)
        *last = TAKE(seen);
    json_decref(seen);
    return end;
}

/* The integration's message_pulls that wait or run now, oldest first; how many there are. */
static size_t
messages_jobs(struct cli *c, int64_t integration, int64_t out[static MESSAGES_MAX])
{
    json_auto_t *answer = NULL;
    struct buf path = path_begin("/api/v1/jobs?kind=message_pull");
    const json_t *items;
    struct err err = { 0 };
    char text[32];
    size_t n = 0;

    (void)snprintf(text, sizeof text, "%" PRId64, integration);
    path_query(&path, "integration", text);
    (void)snprintf(text, sizeof text, "%d", MESSAGES_MAX);
    path_query(&path, "limit", text);
    items =
        client_ask(c, "GET", path.data, NULL, &answer, &err) == 200 ? json_object_get(answer, "items") : NULL;
    buf_fini(&path);
    for (size_t i = json_array_size(items); i > 0; i--) {
        const json_t *job = json_array_get(items, i - 1);

        if (!has_ended(json_text_at(job, "state")))
            out[n++] = json_int_at(job, "id");
    }
    return n;
}

/* Those there are at this moment: a schedule that pulls every minute must not keep us here for ever. */
static enum ending
follow_messages(struct cli *c, int64_t integration)
{
    int64_t jobs[MESSAGES_MAX];
    size_t n = messages_jobs(c, integration, jobs);
    enum ending end = END_OK;

    for (size_t i = 0; i < n && end == END_OK; i++) {
        if (!c->json)
            (void)fprintf(stderr, "%s (job %" PRId64 ").\n",
                          i == 0 ? "The issues are in; now their messages" : "More messages", jobs[i]);
        end = follow_job(c, jobs[i], NULL);
    }
    return end;
}

enum ending
follow_pull(struct cli *c, int64_t job)
{
    json_auto_t *last = NULL;
    enum ending end = follow_job(c, job, &last);

    if (c->json && last != NULL)
        show_json(last);
    if (end != END_OK || strcmp(json_text_at(last, "kind"), "issue_pull") != 0)
        return end;
    return follow_messages(c, json_int_at(last, "integration_id"));
}
