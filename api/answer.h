/* api/answer.h
 * answer - what goes back: a status, a body, a few headers. Errors are RFC 9457 problem documents.
 *
 * Ownership: answer_init() in the caller's storage, answer_fini() frees.
 */
#ifndef DESKMILL_API_ANSWER_H
#define DESKMILL_API_ANSWER_H

#include "common/buf.h"
#include "common/db.h"
#include "common/err.h"
#include <jansson.h>

struct answer {
    int status; /* 200 unless set */
    const char *type;
    struct buf body;
    char location[128]; /* "" = none, like those below */
    char allow[64];
    bool challenge; /* WWW-Authenticate: Bearer */
    int retry_after_s;
};
void answer_init(struct answer *a);
void answer_fini(struct answer *a);

/* Takes `j`. */
enum rc answer_json(struct answer *a, int status, json_t *j, struct err *err);
/* JSON that PostgreSQL made: row 0, column `col`. */
enum rc answer_row(struct answer *a, int status, const struct dbres *res, int col, struct err *err);
/* {"items": [...], "next": cursor or null} out of rows (id, JSON), of which there are `limit` + 1 when more
 * follow. */
enum rc answer_list(struct answer *a, const struct dbres *res, int64_t limit, struct err *err);

/* The problem document of `err`. In RC_INVALID, RC_NOT_FOUND and RC_CONFLICT a sentence that begins with a
 * name and a colon ("cron: minute: ...") is about that field, and `field` says so. */
void answer_problem(struct answer *a, const struct err *err);
/* The same with a status of its own. */
void answer_problem_as(struct answer *a, int status, const char *title, const struct err *err);

#endif
