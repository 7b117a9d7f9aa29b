/* pylon_json - the records as Pylon's API shows them. */
#ifndef VENDORSIM_PYLON_JSON_H
#define VENDORSIM_PYLON_JSON_H

#include "buf.h"
#include "world.h"

enum { CF_MAX = 24, CF_VALUES = 4 };

struct pylon_cf {
    const char *slug;
    const char *value; /* NULL: null */
    int nvalues;       /* -1: no `values` at all */
    const char *values[CF_VALUES];
    const json_t *raw; /* given by an edit, wins over all the above */
};

/* The custom fields of an issue; strings are borrowed from tables and from the issue. Returns how many. */
int pylon_custom_fields(const struct issue *is, struct pylon_cf out[CF_MAX]);
bool pylon_is_custom_field(const char *slug); /* one of those that the workspace has defined */
void pylon_title(struct buf *b, const struct issue *is);
void pylon_body(struct buf *b, const struct world *w, const struct issue *is);

struct blob *pylon_issue(const struct world *w, struct issue *is); /* borrowed: the issue keeps it */
void pylon_put_message(struct buf *b, const struct world *w, const struct issue *is, const struct msg *m);
void pylon_put_account(struct buf *b, const struct world *w, int i);
void pylon_put_user(struct buf *b, const struct world *w, int i);
void pylon_put_contact(struct buf *b, const struct world *w, int i);
void pylon_put_team(struct buf *b, const struct world *w, int i);
void pylon_put_status(struct buf *b, const struct world *w, int i);

#endif
