/* vendor - what a help desk must say about itself to be simulated: its endpoints and the JSON of its records.
 * A new vendor is one file that defines a `struct vendor`, and one row in vendor.c.
 *
 * Threads: every function here is called with the simulator's lock held.
 */
#ifndef VENDORSIM_VENDOR_H
#define VENDORSIM_VENDOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "buf.h"
#include "world.h"

struct sim;
struct MHD_Connection;

enum { HEADERS_MAX = 12 };

struct reply {
    int status;
    const char *content_type; /* NULL: none is sent */
    struct buf body;
    struct buf tail; /* what differs between two answers that are otherwise the same */
    struct {
        const char *name; /* static */
        char value[64];
    } headers[HEADERS_MAX];
    int nheaders;
};

struct call {
    struct sim *sim;
    struct MHD_Connection *conn;
    const struct endpoint *ep; /* NULL: no endpoint has this path */
    char arg[64];              /* what stood at the {} of the path */
    json_t *body;              /* the request's JSON, borrowed; NULL when there was none or it was broken */
    bool body_broken;
    bool repeat_cursor; /* an ordered failure: answer with the cursor that was given */
    int64_t left;       /* calls left in the window, -1 unknown */
};

struct endpoint {
    const char *name;
    const char *method;
    const char *path;  /* {} stands for one segment */
    int per_minute[2]; /* old and new profile; 0: no limit */
    bool cursor_in_body;
    bool is_page; /* counted as a page served, and churned after */
    void (*answer)(struct call *c, struct reply *r);
};

struct vendor {
    const char *name;
    const struct endpoint *endpoints;
    size_t nendpoints;
    bool (*authorize)(struct call *c, struct reply *r); /* false: r has the refusal */
    void (*not_found)(struct call *c, struct reply *r);
    void (*limited)(struct call *c, struct reply *r);
    void (*failure)(struct call *c,
                    struct reply *r); /* an ordered failure with r->status, in the vendor's envelope */
    void (*finish)(struct call *c, struct reply *r); /* adds what each answer has: request id, headers */
    struct blob *(*issue)(const struct world *w, struct issue *is); /* borrowed: the issue keeps it */
    void (*put_message)(struct buf *b, const struct world *w, const struct issue *is, const struct msg *m);
    void (*put_account)(struct buf *b, const struct world *w, int i);
    void (*put_user)(struct buf *b, const struct world *w, int i);
    void (*put_contact)(struct buf *b, const struct world *w, int i);
};

enum { ENDPOINTS_MAX = 32 };

const struct vendor *vendor_find(const char *name); /* NULL: no such */

void reply_fini(struct reply *r);
void reply_header(struct reply *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Whether the path is the pattern's, whose {} stands for one segment that is not empty: it goes to `arg`. */
bool path_match(const char *pattern, const char *path, char *arg, size_t size);
/* A query parameter or a header of the request; NULL when absent. Borrowed from the connection. */
const char *call_query(const struct call *c, const char *name);
const char *call_header(const struct call *c, const char *name);

#endif
