/* edit - changes to the data while it is being read.
 *
 * Fields that the simulator itself looks at (times, state, people) have a row in `setters`. All other fields,
 * and values no setter takes, are kept literally and shown as they are, so that a test can show a reader
 * anything.
 */
#include "edit.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "generate.h"
#include "rng.h"
#include "text.h"

enum verdict {
    TAKEN,
    LITERAL, /* not for the setter: keep the value as it is */
    REFUSED,
};

struct setter {
    const char *key;
    enum verdict (*set)(struct world *w, struct issue *is, const struct setter *s, const json_t *v);
    size_t at;                                          /* of the member it sets */
    int (*find)(const struct world *w, const char *id); /* of people */
    const char *shown_as;                               /* the field that an edit of this key replaces */
};

static enum verdict
set_slug(struct world *w, struct issue *is, const struct setter *s, const json_t *v)
{
    const char *text = json_string_value(v);

    (void)w;
    if (text == NULL || strlen(text) >= SLUG_SIZE)
        return LITERAL;
    issue_slug((char *)is + s->at, text);
    return TAKEN;
}

static enum verdict
set_time(struct world *w, struct issue *is, const struct setter *s, const json_t *v)
{
    int64_t us = TIME_NONE;
    bool must = s->at == offsetof(struct issue, created) || s->at == offsetof(struct issue, updated);

    (void)w;
    if (json_is_null(v) ? must : json_string_value(v) == NULL || !simtime_parse(json_string_value(v), &us))
        return LITERAL;
    memcpy((char *)is + s->at, &us, sizeof(us));
    return TAKEN;
}

static enum verdict
set_person(struct world *w, struct issue *is, const struct setter *s, const json_t *v)
{
    const char *id = json_string_value(json_is_object(v) ? json_object_get(v, "id") : v);
    int found = NOBODY;

    if (id != NULL && *id != '\0') {
        found = s->find(w, id);
        if (found == NOBODY)
            return json_is_object(v) ? LITERAL : REFUSED;
    } else if (!json_is_null(v) && !json_is_string(v)) {
        return LITERAL;
    }
    memcpy((char *)is + s->at, &found, sizeof(found));
    return TAKEN;
}

static enum verdict
set_touches(struct world *w, struct issue *is, const struct setter *s, const json_t *v)
{
    (void)w;
    (void)s;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
        return LITERAL;
    is->touches = (unsigned)json_integer_value(v);
    return TAKEN;
}

static void
merge_field(struct issue *is, const char *slug, json_t *field)
{
    if (is->cf == NULL)
        is->cf = json_object();
    (void)json_object_set_new(is->cf, slug, json_deep_copy(field));
}

/* Both shapes: an object by slug, or an array of {slug, value|values}. Fields not named stay as they are. */
static enum verdict
set_custom_fields(struct world *w, struct issue *is, const struct setter *s, const json_t *v)
{
    const char *slug;
    json_t *field;

    (void)w;
    (void)s;
    if (!json_is_object(v) && !json_is_array(v))
        return LITERAL;
    json_object_foreach((json_t *)(uintptr_t)v, slug, field)
    {
        if (!json_is_object(field) && !json_is_null(field))
            return REFUSED;
        merge_field(is, slug, field);
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        field = json_array_get(v, i);
        slug = json_string_value(json_object_get(field, "slug"));
        if (slug == NULL)
            return REFUSED;
        merge_field(is, slug, field);
    }
    return TAKEN;
}

static enum verdict
set_never(struct world *w, struct issue *is, const struct setter *s, const json_t *v)
{
    (void)w;
    (void)is;
    (void)s;
    (void)v;
    return REFUSED;
}

#define AT(member) offsetof(struct issue, member)

static const struct setter setters[] = {
    { "id", set_never, 0, NULL, NULL },
    { "number", set_never, 0, NULL, NULL },
    { "state", set_slug, AT(state), NULL, NULL },
    { "type", set_slug, AT(type), NULL, NULL },
    { "source", set_slug, AT(source), NULL, NULL },
    { "created_at", set_time, AT(created), NULL, NULL },
    { "updated_at", set_time, AT(updated), NULL, NULL },
    { "first_response_time", set_time, AT(first_response), NULL, NULL },
    { "resolution_time", set_time, AT(resolution), NULL, NULL },
    { "first_resolution_time", set_time, AT(first_resolution), NULL, NULL },
    { "latest_message_time", set_time, AT(latest_message), NULL, NULL },
    { "account", set_person, AT(account), world_account, NULL },
    { "assignee", set_person, AT(assignee), world_user, NULL },
    { "requester", set_person, AT(requester), world_contact, NULL },
    { "team", set_person, AT(team), world_team, NULL },
    { "account_id", set_person, AT(account), world_account, "account" },
    { "assignee_id", set_person, AT(assignee), world_user, "assignee" },
    { "requester_id", set_person, AT(requester), world_contact, "requester" },
    { "team_id", set_person, AT(team), world_team, "team" },
    { "number_of_touches", set_touches, 0, NULL, NULL },
    { "custom_fields", set_custom_fields, 0, NULL, NULL },
};

static const struct setter *
find_setter(const char *key)
{
    for (size_t i = 0; i < sizeof(setters) / sizeof(setters[0]); i++)
        if (strcmp(setters[i].key, key) == 0)
            return &setters[i];
    return NULL;
}

static void
keep_literally(struct issue *is, const char *key, const json_t *v)
{
    if (is->extra == NULL)
        is->extra = json_object();
    (void)json_object_set_new(is->extra, key, json_deep_copy(v));
}

static bool
set_field(struct world *w, struct issue *is, const char *key, const json_t *v)
{
    const struct setter *s = find_setter(key);
    enum verdict verdict = s != NULL ? s->set(w, is, s, v) : LITERAL;

    if (verdict == LITERAL)
        keep_literally(is, key, v);
    else if (verdict == TAKEN && is->extra != NULL)
        (void)json_object_del(is->extra, s->shown_as != NULL ? s->shown_as : key);
    return verdict != REFUSED;
}

static bool
is_closed(const struct issue *is)
{
    const char *category = status_category(is->state);

    return category != NULL && strcmp(category, "closed") == 0;
}

/* Closing sets the resolution, opening again takes it back; the first resolution stays. */
static void
follow_state(struct issue *is, bool was_closed, int64_t now)
{
    if (is_closed(is) && !was_closed) {
        is->resolution = now;
        if (is->first_resolution == TIME_NONE)
            is->first_resolution = now;
    } else if (!is_closed(is) && was_closed) {
        is->resolution = TIME_NONE;
    }
}

/* All fields of the patch. On a bad one the issue is left half-changed: work on a copy. */
static bool
set_fields(struct world *w, struct issue *is, const json_t *patch, struct buf *why)
{
    const char *key;
    json_t *v;

    if (!json_is_object(patch)) {
        buf_str(why, "body: not a JSON object");
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)patch, key, v)
    {
        if (!set_field(w, is, key, v)) {
            buf_printf(why, "%s: cannot be set to this", key);
            return false;
        }
    }
    return true;
}

bool
edit_patch(struct world *w, struct issue *is, const json_t *patch, int64_t now, struct buf *why)
{
    struct issue draft = *is;
    bool was_closed = is_closed(is);

    draft.extra = json_deep_copy(is->extra);
    draft.cf = json_deep_copy(is->cf);
    draft.updated = now;
    if (draft.extra != NULL && json_object_get(patch, "updated_at") == NULL)
        (void)json_object_del(draft.extra, "updated_at");
    if (!set_fields(w, &draft, patch, why)) {
        json_decref(draft.extra);
        json_decref(draft.cf);
        return false;
    }
    if (json_object_get(patch, "resolution_time") == NULL)
        follow_state(&draft, was_closed, draft.updated);
    json_decref(is->extra);
    json_decref(is->cf);
    issue_touch(is);
    draft.render = NULL;
    world_unfile(w, is);
    *is = draft;
    world_file(w, is);
    return true;
}

struct issue *
edit_create(struct world *w, const json_t *fields, int64_t now, struct buf *why)
{
    struct issue *is = must_alloc(sizeof(*is));

    is->seed = rng_mix(w->seed, 900, w->made++);
    world_uuid(is->seed ^ 1, is->id);
    is->created = is->updated = now;
    is->first_response = is->resolution = is->first_resolution = is->latest_message = TIME_NONE;
    is->account = is->assignee = is->requester = is->team = NOBODY;
    issue_slug(is->state, "new");
    issue_slug(is->type, "conversation");
    issue_slug(is->source, "email");
    if (fields != NULL && !set_fields(w, is, fields, why)) {
        issue_free(is);
        return NULL;
    }
    if (json_object_get(fields, "resolution_time") == NULL)
        follow_state(is, false, is->updated);
    world_add(w, is);
    return is;
}

/* Makes room for one message at `at`, behind those of the same moment. */
static struct msg *
insert_message(struct issue *is, int64_t at)
{
    struct msg *list = realloc(is->msgs, (is->nmsgs + 1) * sizeof(*list));
    unsigned k = is->nmsgs;

    if (list == NULL)
        abort();
    is->msgs = list;
    while (k > 0 && list[k - 1].at > at)
        k--;
    memmove(list + k + 1, list + k, (is->nmsgs - k) * sizeof(*list));
    is->nmsgs++;
    list[k] = (struct msg){ .at = at };
    return &list[k];
}

/* "user", "contact" or "bot"; anything else is shown as it is. */
static bool
author_kind(const json_t *v, unsigned char *kind)
{
    const char *name = json_string_value(v);

    if (name == NULL)
        return v == NULL;
    if (strcmp(name, "user") == 0)
        *kind = MSG_USER;
    else if (strcmp(name, "contact") == 0)
        *kind = MSG_CONTACT;
    else if (strcmp(name, "bot") == 0)
        *kind = MSG_BOT;
    else
        return false;
    return true;
}

static json_t *
message_literals(const json_t *fields, bool author_is_kind)
{
    json_t *extra = json_object();
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)fields, key, v)
    {
        if (strcmp(key, "is_private") == 0 || strcmp(key, "timestamp") == 0 || strcmp(key, "updated_at") == 0)
            continue;
        if (strcmp(key, "author") != 0 || !author_is_kind)
            (void)json_object_set_new(extra, key, json_deep_copy(v));
    }
    return extra;
}

static bool
given_time(const json_t *fields, const char *key, int64_t *us, struct buf *why)
{
    const json_t *v = json_object_get(fields, key);

    if (v == NULL || (json_is_string(v) && simtime_parse(json_string_value(v), us)))
        return true;
    buf_printf(why, "%s: expected an RFC 3339 time with a zone", key);
    return false;
}

/* What a new message does to its issue. */
static void
follow_message(struct issue *is, const struct msg *m, int64_t updated)
{
    is->latest_message = is->msgs[is->nmsgs - 1].at;
    is->updated = updated;
    if (is->extra != NULL) {
        (void)json_object_del(is->extra, "latest_message_time");
        (void)json_object_del(is->extra, "updated_at");
    }
    if (m->kind == MSG_USER && !m->is_private) {
        is->touches++;
        if (is->first_response == TIME_NONE)
            is->first_response = m->at;
    }
    issue_touch(is);
}

struct msg *
edit_add_message(struct world *w, struct issue *is, const json_t *fields, int64_t now, struct buf *why)
{
    const json_t *author = json_object_get(fields, "author");
    int64_t at = now, updated = now;
    unsigned char kind = MSG_USER;
    bool is_kind = author_kind(author, &kind);
    struct msg *m;

    if (!given_time(fields, "timestamp", &at, why) || !given_time(fields, "updated_at", &updated, why))
        return NULL;
    if (json_object_get(author, "contact") != NULL)
        kind = MSG_CONTACT;
    m = insert_message(is, at);
    generate_message_id(m, is, UINT64_C(1000000000) + w->made++);
    m->kind = kind;
    m->is_private = json_is_true(json_object_get(fields, "is_private"));
    m->extra = fields != NULL ? message_literals(fields, is_kind) : NULL;
    follow_message(is, m, updated);
    return m;
}

/* -- churn -- */

static void
churn_state(struct issue *is, struct rng *r, int64_t now)
{
    bool was_closed = is_closed(is);

    issue_slug(is->state, statuses[rng_below(r, (uint32_t)nstatuses)].slug);
    follow_state(is, was_closed, now);
}

static void
churn_reopen(struct issue *is, int64_t now)
{
    if (!is_closed(is)) { /* then it is closed first, in the same stroke */
        issue_slug(is->state, "closed");
        follow_state(is, false, now);
    }
    issue_slug(is->state, "waiting_on_you");
    follow_state(is, true, now);
}

static void
churn_title(struct issue *is, struct rng *r)
{
    struct buf title = { 0 };
    json_t *v;

    text_title(&title, rng_next(r));
    buf_str(&title, " (edited)");
    v = json_stringn(title.p, title.len);
    keep_literally(is, "title", v);
    json_decref(v);
    buf_fini(&title);
}

static void
churn_tags(struct issue *is, struct rng *r)
{
    const char *tags[TAGS_MAX];
    int n = text_tags(rng_next(r), tags);
    json_t *list = n > 0 ? json_array() : json_null();

    for (int i = 0; i < n; i++)
        (void)json_array_append_new(list, json_string(tags[i]));
    keep_literally(is, "tags", list);
    json_decref(list);
}

void
edit_random(struct world *w, struct rng *r, int64_t now)
{
    struct buf why = { 0 };
    struct issue *is;

    if (w->nissues == 0)
        return;
    is = w->order[rng_below(r, (uint32_t)w->nissues)];
    switch (rng_below(r, 5)) {
    case 0:
        churn_state(is, r, now);
        break;
    case 1:
        churn_reopen(is, now);
        break;
    case 2:
        churn_title(is, r);
        break;
    case 3:
        churn_tags(is, r);
        break;
    default:
        (void)edit_add_message(w, is, NULL, now, &why);
        break;
    }
    is->updated = now;
    if (is->extra != NULL)
        (void)json_object_del(is->extra, "updated_at");
    issue_touch(is);
    buf_fini(&why);
}
