/* api/find.h
 * find - organizations and integrations by what people call them.
 *
 * An integration is its id (12), "organization/name" (acme/pylon), or its name alone where only one
 * organization has it; an organization its id or its slug. Not found and ambiguous are errors about `field`.
 * A kind of job that there is not is RC_INVALID and lists those there are.
 */
#ifndef DESKMILL_API_FIND_H
#define DESKMILL_API_FIND_H

#include "api/request.h"
#include "common/jobkind.h"

struct organization {
    int64_t id;
    char slug[64], timezone[64];
};
enum rc find_organization(struct db *d, const char *field, const char *text, struct organization *out,
                          struct err *err);

struct integration {
    int64_t id, organization_id;
    char name[160]; /* "acme/pylon" */
    char state[16], reason[200], timezone[64];
};
enum rc find_integration(struct db *d, const char *field, const char *text, struct integration *out,
                         struct err *err);

enum rc find_kind(const char *field, const char *name, const struct jobkind **out, struct err *err);

/* The body's `integration`, a string or a number; RC_INVALID if it is missing. */
enum rc body_integration(struct request *rq, struct integration *out, struct err *err);
/* The query's `integration` as an argument of a listing: null if it is not given. */
enum rc query_integration(struct request *rq, struct db_arg *out, struct err *err);

#endif
