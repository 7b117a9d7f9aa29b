/* world - the records of the help desk, free of any vendor's JSON: issues, messages, accounts, users,
 * contacts.
 *
 * Ownership: the world owns all records; pointers to them are borrowed until the record is deleted.
 * Threads:   no lock of its own; whoever calls holds the simulator's lock. Only blobs may be shared beyond
 * it. Text that nobody has edited (titles, bodies, tags) is not stored: it is made again from the record's
 * seed.
 */
#ifndef VENDORSIM_WORLD_H
#define VENDORSIM_WORLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "buf.h"
#include "simtime.h"

enum { NOBODY = -1, ID_SIZE = 37, SLUG_SIZE = 40 };

/* Rendered bytes with a count of users, so that an answer can go on using them after an edit. */
struct blob {
    atomic_int refs;
    size_t len;
    char data[];
};

struct blob *blob_make(const struct buf *b);
struct blob *blob_ref(struct blob *blob);
void blob_unref(struct blob *blob); /* NULL is fine */

enum msg_kind {
    MSG_CONTACT,
    MSG_USER,
    MSG_BOT,
};

struct msg {
    char id[ID_SIZE];
    unsigned char kind; /* enum msg_kind */
    bool is_private;
    uint64_t seed;
    int64_t at;
    json_t *extra; /* fields given literally, they win; NULL when none */
};

struct issue {
    uint64_t seed;
    int64_t number;
    char id[ID_SIZE];
    char state[SLUG_SIZE];
    char type[SLUG_SIZE];
    char source[SLUG_SIZE];
    int64_t created, updated, first_response, resolution, first_resolution, latest_message;
    int account, assignee, requester, team; /* indices, or NOBODY */
    unsigned touches;
    unsigned nmsgs;
    struct msg *msgs;    /* oldest first */
    json_t *extra;       /* fields given literally by an edit, they win over the ones above */
    json_t *cf;          /* custom fields that an edit changed: slug -> field object, or null for removed */
    struct blob *render; /* the vendor's JSON; NULL when not rendered since the last change */
};

struct account {
    char id[ID_SIZE];
    uint64_t seed;
    int64_t created, updated;
};

struct user {
    char id[ID_SIZE];
    char email[80];
    uint64_t seed;
};

struct contact {
    char id[ID_SIZE];
    char email[80]; /* empty: known by phone only */
    uint64_t seed;
    int account;
};

struct team {
    char id[ID_SIZE];
    const char *name;
};

struct status {
    const char *slug, *label, *category;
    bool is_default, is_archived;
};

extern const struct status statuses[];
extern const size_t nstatuses;

enum { TEAMS = 4 };

struct world {
    uint64_t seed;
    int64_t body_bytes;
    char org_id[ID_SIZE];
    struct issue **order; /* newest created_at first, equal ones by id upwards */
    size_t nissues, order_cap;
    struct issue **by_id; /* open addressing; `buckets` is a power of two */
    size_t buckets;
    struct issue **by_number; /* number - FIRST_NUMBER; NULL where deleted */
    size_t nnumbers, numbers_cap;
    struct account *accounts;
    struct user *users;
    struct contact *contacts;
    struct team teams[TEAMS];
    int naccounts, nusers, ncontacts;
    uint64_t made; /* records made by edits so far; their seeds follow from it */
};

enum { FIRST_NUMBER = 1001 };

void world_fini(struct world *w);
void world_uuid(uint64_t seed, char out[ID_SIZE]);

/* Takes the issue, gives it the next number and files it. */
void world_add(struct world *w, struct issue *is);
void world_remove(struct world *w, struct issue *is); /* and frees it */
/* To be called around a change of `created`: takes the issue out of the order, or puts it back. */
void world_unfile(struct world *w, struct issue *is);
void world_file(struct world *w, struct issue *is);
/* Sorts everything and indexes it, after the generator has filled `order`. */
void world_index(struct world *w);
/* The issue with this UUID or number, or NULL. */
struct issue *world_find(const struct world *w, const char *ref);
/* Position of the first issue behind (created, id) in the order. */
size_t world_after(const struct world *w, int64_t created, const char *id);
/* Forget the rendered JSON, because something in it has changed. */
void issue_touch(struct issue *is);
void issue_free(struct issue *is);
void issue_slug(char out[SLUG_SIZE], const char *text); /* what is too long is cut off */

int world_account(const struct world *w, const char *id); /* index, or NOBODY */
int world_user(const struct world *w, const char *id);
int world_contact(const struct world *w, const char *id);
int world_team(const struct world *w, const char *id);
/* The category of a state's slug; NULL for a slug that is not listed. */
const char *status_category(const char *slug);

#endif
