/* api/auth.h
 * auth - who is asking. One key from the environment for now: its bearer may do everything.
 */
#ifndef DESKMILL_API_AUTH_H
#define DESKMILL_API_AUTH_H

#include "api/app.h"
#include "api/router.h"

/* The role that the headers prove. `authorization` and `api_key` are the headers' values or NULL. RC_DENIED:
 * none, or wrong; the text says which header would be right and never what was given. */
enum rc auth_check(const struct app *a, const char *authorization, const char *api_key, enum role *out,
                   struct err *err);

#endif
