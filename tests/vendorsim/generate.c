/* generate - fills a world with a believable year.
 *
 * Issues are made in the order of their creation, so that numbers rise with time. Then some are given the
 * same created_at or updated_at as their neighbours, also right across the borders of pages of 100 and of
 * 999: ties are what breaks paging and watermarks.
 */
#include "generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

/* Which stream of dice; part of every seed. */
enum dice {
    DICE_TIMES = 1,
    DICE_ISSUE,
    DICE_STORY,
    DICE_TIES,
    DICE_ACCOUNT,
    DICE_USER,
    DICE_CONTACT,
    DICE_TEAM,
    DICE_WEIGHT,
    DICE_ORG,
};

static const char *const sources[] = { "email",
                                       "email",
                                       "email",
                                       "slack",
                                       "slack",
                                       "chat_widget",
                                       "chat_widget",
                                       "microsoft_teams",
                                       "microsoft_teams_chat",
                                       "form",
                                       "manual",
                                       "discord",
                                       "whatsapp",
                                       "sms",
                                       "telegram",
                                       "phone" };
static const char *const open_states[] = { "new",
                                           "new",
                                           "waiting_on_you",
                                           "waiting_on_you",
                                           "waiting_on_you",
                                           "waiting_on_customer",
                                           "waiting_on_customer",
                                           "on_hold",
                                           "with_engineering",
                                           "next_release" };
static const char *const closed_states[] = { "closed", "closed",           "closed",       "closed",
                                             "closed", "closed_duplicate", "closed_silent" };
static const char *const team_names[TEAMS] = { "Tier 1", "Tier 2", "Équipe facturation", "夜間チーム" };

#define PICK(r, a) ((a)[rng_below((r), (uint32_t)(sizeof(a) / sizeof((a)[0])))])

/* Some times are whole seconds, some carry milliseconds or microseconds, as they come from different
 * machines. */
static int64_t
roughen(struct rng *r, int64_t us)
{
    uint32_t form = rng_below(r, 10);

    return form < 5 ? us - us % USEC : form < 8 ? us - us % 1000 : us;
}

static int64_t
capped(int64_t us, int64_t now)
{
    return us > now ? now : us;
}

static int
compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* A moment of the year, mostly on weekdays and in office hours. */
static int64_t
draw_created(struct rng *r, int64_t now, int64_t days)
{
    int64_t start = now - days * DAY_US, day, us;

    for (;;) {
        day = now - rng_between(r, 0, days) * DAY_US;
        day -= day % DAY_US;
        if (simtime_weekday(day) % 6 == 0 && rng_chance(r, 850))
            continue;
        if (rng_chance(r, 850)) /* two dice together favour the middle of the day */
            us = 7 * HOUR_US + (int64_t)((rng_unit(r) + rng_unit(r)) * 5.5 * (double)HOUR_US);
        else
            us = rng_between(r, 0, DAY_US - 1);
        if (day + us >= start && day + us <= now)
            return roughen(r, day + us);
    }
}

/* Position of the i-th oldest issue, counted from the newest: that is how pages count. */
static bool
near_page_border(size_t n, size_t i, size_t spread)
{
    size_t pos = n - 1 - i;

    return (pos % 100 >= 100 - spread || pos % 100 < spread || pos % 999 >= 999 - spread ||
            pos % 999 < spread) &&
           pos >= spread;
}

static int64_t *
draw_times(const struct world *w, size_t n, int64_t now, int64_t days)
{
    struct rng r = { rng_mix(w->seed, DICE_TIMES, 0) };
    int64_t *t = must_alloc(n * sizeof(*t));

    for (size_t i = 0; i < n; i++)
        t[i] = draw_created(&r, now, days);
    if (n > 0)
        qsort(t, n, sizeof(*t), compare_i64);
    for (size_t i = 1; i < n; i++) {
        bool border =
            near_page_border(n, i, 2) && near_page_border(n, i - 1, 3) && ((n - 1 - i) / 50) % 4 < 2;

        if (border || rng_chance(&r, 15))
            t[i] = t[i - 1];
    }
    return t;
}

static void
make_people(struct world *w, const struct options *o, int64_t now)
{
    w->naccounts = (int)o->accounts;
    w->nusers = (int)o->users;
    w->ncontacts = (int)o->contacts;
    w->accounts = must_alloc((size_t)w->naccounts * sizeof(*w->accounts));
    w->users = must_alloc((size_t)w->nusers * sizeof(*w->users));
    w->contacts = must_alloc((size_t)w->ncontacts * sizeof(*w->contacts));
    for (int i = 0; i < w->naccounts; i++) {
        struct account *a = &w->accounts[i];
        struct rng r = { a->seed = rng_mix(w->seed, DICE_ACCOUNT, (uint64_t)i) };

        world_uuid(rng_next(&r), a->id);
        a->created = roughen(&r, now - rng_between(&r, 0, (o->days + 400) * DAY_US));
        a->updated = roughen(&r, rng_between(&r, a->created, now));
        if (a->updated < a->created)
            a->updated = a->created;
    }
    for (int i = 0; i < w->nusers; i++) {
        struct user *u = &w->users[i];

        u->seed = rng_mix(w->seed, DICE_USER, (uint64_t)i);
        world_uuid(u->seed ^ 1, u->id);
        (void)snprintf(u->email, sizeof(u->email), "agent%d@vendor.example", i + 1);
    }
    for (int i = 0; i < w->ncontacts; i++) {
        struct contact *c = &w->contacts[i];
        struct rng r = { c->seed = rng_mix(w->seed, DICE_CONTACT, (uint64_t)i) };

        world_uuid(rng_next(&r), c->id);
        c->account = w->naccounts > 0 && !rng_chance(&r, 40) ? i % w->naccounts : NOBODY;
        if (!rng_chance(&r, 40))
            (void)snprintf(c->email, sizeof(c->email),
                           i % 50 == 7 ? "søren.%d@client%d.example" : "person%d@client%d.example", i + 1,
                           c->account + 1);
    }
    for (int i = 0; i < TEAMS; i++) {
        world_uuid(rng_mix(w->seed, DICE_TEAM, (uint64_t)i), w->teams[i].id);
        w->teams[i].name = team_names[i];
    }
    world_uuid(rng_mix(w->seed, DICE_ORG, 0), w->org_id);
}

/* Who is concerned. A few accounts and agents have most of the issues, as in life. */
static void
draw_people(const struct world *w, struct issue *is, struct rng *r)
{
    double u = rng_unit(r), v = rng_unit(r);
    int per_account = w->naccounts > 0 ? w->ncontacts / w->naccounts : 0;

    is->account = is->requester = is->assignee = is->team = NOBODY;
    if (w->naccounts > 0 && !rng_chance(r, 60))
        is->account = (int)(u * u * w->naccounts);
    if (w->ncontacts > 0 && !rng_chance(r, 80) && strcmp(is->source, "manual") != 0) {
        if (is->account != NOBODY && per_account > 0)
            is->requester = is->account + w->naccounts * (int)rng_below(r, (uint32_t)per_account);
        else
            is->requester = (int)rng_below(r, (uint32_t)w->ncontacts);
    }
    if (w->nusers > 0 && !rng_chance(r, 130))
        is->assignee = (int)(v * v * w->nusers);
    if (rng_chance(r, 600))
        is->team = (int)rng_below(r, TEAMS);
}

void
generate_message_id(struct msg *m, const struct issue *is, uint64_t k)
{
    m->seed = rng_mix(is->seed, 77, k);
    world_uuid(m->seed ^ 3, m->id);
}

static void
draw_messages(struct issue *is, struct rng *r, unsigned n, int64_t span, int64_t now)
{
    int64_t at = is->created;

    is->nmsgs = n;
    is->msgs = n > 0 ? must_alloc(n * sizeof(*is->msgs)) : NULL;
    for (unsigned k = 0; k < n; k++) {
        struct msg *m = &is->msgs[k];
        uint32_t die = rng_below(r, 100);

        generate_message_id(m, is, k);
        if (k > 0 && die % 20 != 0) /* else two at the very same moment */
            at = roughen(r, at + USEC + rng_between(r, 0, 2 * span / n));
        m->at = at = capped(at, now);
        m->kind = k == 0 || die < 35 ? MSG_CONTACT : die < 92 ? MSG_USER : MSG_BOT;
        m->is_private = m->kind != MSG_CONTACT && die % 4 == 0;
        if (m->kind == MSG_USER && !m->is_private) {
            is->touches++;
            if (is->first_response == TIME_NONE)
                is->first_response = m->at;
        }
    }
    if (n > 0)
        is->latest_message = is->msgs[n - 1].at;
    else if (rng_chance(r, 500))
        is->latest_message = is->created;
}

/* How it went on: answered, closed, reopened, and which state it is in now. */
static void
draw_story(struct issue *is, struct rng *r, unsigned nmsgs, int64_t now)
{
    uint32_t die = rng_below(r, 100);
    int64_t span = rng_between(r, MINUTE_US, die < 55 ? 4 * HOUR_US : die < 85 ? 3 * DAY_US : 25 * DAY_US);
    int64_t age = now - is->created, end;
    bool closed = rng_chance(r, age > 14 * DAY_US ? 910 : age > DAY_US ? 550 : 200);
    bool reopened = rng_chance(r, 110);

    draw_messages(is, r, nmsgs, span, now);
    end = capped(is->created + span, now);
    if (is->latest_message != TIME_NONE && is->latest_message > end)
        end = is->latest_message;
    if (nmsgs == 0 && rng_chance(r, 300))
        is->first_response = roughen(r, is->created + (end - is->created) / 3);
    if (closed)
        is->resolution = is->first_resolution = end =
            capped(roughen(r, end + USEC + rng_between(r, 0, 2 * HOUR_US)), now);
    if (reopened)
        is->first_resolution = roughen(r, is->created + (end - is->created) / 2);
    if (is->first_resolution < is->created && is->first_resolution != TIME_NONE)
        is->first_resolution = is->created;
    is->updated = capped(roughen(r, end + USEC + rng_between(r, 0, 10 * MINUTE_US)), now);
    issue_slug(is->state, closed     ? PICK(r, closed_states)
                          : reopened ? "waiting_on_you"
                                     : PICK(r, open_states));
}

static struct issue *
make_issue(const struct world *w, size_t i, int64_t created, unsigned nmsgs, int64_t now)
{
    struct issue *is = must_alloc(sizeof(*is));
    struct rng r = { is->seed = rng_mix(w->seed, DICE_ISSUE, i) };

    is->number = FIRST_NUMBER + (int64_t)i;
    world_uuid(rng_next(&r), is->id);
    is->created = created;
    is->first_response = is->resolution = is->first_resolution = is->latest_message = TIME_NONE;
    issue_slug(is->source, PICK(&r, sources));
    issue_slug(is->type, rng_chance(&r, 620) ? "ticket" : "conversation");
    draw_people(w, is, &r);
    r.s = rng_mix(w->seed, DICE_STORY, i);
    draw_story(is, &r, nmsgs, now);
    return is;
}

/* How much of the messages an issue draws: none for some, a great deal for a few. */
static double
draw_weight(const struct world *w, size_t i)
{
    struct rng r = { rng_mix(w->seed, DICE_WEIGHT, i) };
    double u = rng_unit(&r);

    return u < 0.12 ? 0 : 0.3 + u / (1.02 - u);
}

/* Gives the issues from `from` to `to` (in order of creation) one common updated_at a little after the last
 * of theirs. */
static void
tie_updated(struct issue **by_age, size_t from, size_t to, size_t step, struct rng *r, int64_t now)
{
    int64_t at = 0;

    for (size_t i = from; i < to; i += step)
        if (by_age[i]->updated > at)
            at = by_age[i]->updated;
    at = capped(roughen(r, at + USEC + rng_between(r, 0, 6 * HOUR_US)), now);
    for (size_t i = from; i < to; i += step)
        by_age[i]->updated = at;
}

static void
make_ties(const struct world *w, struct issue **by_age, size_t n, int64_t now)
{
    struct rng r = { rng_mix(w->seed, DICE_TIES, 0) };

    for (size_t c = 0; c < n / 70; c++) { /* someone edited many at once */
        size_t size = 5 + rng_below(&r, 36), step = 1 + rng_below(&r, 3), from = rng_below(&r, (uint32_t)n);
        size_t to = from + size * step < n ? from + size * step : n;

        tie_updated(by_age, from, to, step, &r, now);
    }
    for (size_t pos = 100; pos + 6 < n; pos += rng_chance(&r, 500) ? 100 : 200) /* counted from the newest */
        tie_updated(by_age, n - pos - 5, n - pos + 5 < n ? n - pos + 5 : n, 1, &r, now);
    for (size_t pos = 999; pos + 20 < n; pos += 999)
        tie_updated(by_age, n - pos - 18, n - pos + 18, 1, &r, now);
}

void
generate_world(struct world *w, const struct options *o, int64_t now)
{
    size_t n = (size_t)o->issues;
    double total = 0, sum = 0;
    int64_t given = 0;
    int64_t *created;

    w->seed = (uint64_t)o->seed;
    w->body_bytes = o->body_bytes;
    make_people(w, o, now);
    created = draw_times(w, n, now, o->days);
    w->order = must_alloc((n + 64) * sizeof(struct issue *));
    w->order_cap = n + 64;
    for (size_t i = 0; i < n; i++)
        total += draw_weight(w, i);
    for (size_t i = 0; i < n; i++) { /* running sums, so that the total comes out exactly */
        int64_t upto;

        sum += draw_weight(w, i);
        upto = i + 1 == n ? o->messages : (int64_t)((double)o->messages * (sum / (total > 0 ? total : 1)));
        w->order[i] = make_issue(w, i, created[i], (unsigned)(upto - given), now);
        given = upto;
    }
    free(created);
    w->nissues = n;
    make_ties(w, w->order, n, now);
    world_index(w);
}
