#include "api/auth.h"
#include <string.h>
#include <strings.h>

static const char bearer[] = "Bearer ";

enum rc
auth_check(const struct app *a, const char *authorization, const char *api_key, enum role *out,
           struct err *err)
{
    const char *given = api_key;

    if (given == NULL && authorization != NULL && strncasecmp(authorization, bearer, sizeof bearer - 1) == 0)
        given = authorization + sizeof bearer - 1;
    if (given == NULL)
        return err_set(err, RC_DENIED, "no key: send `Authorization: Bearer <key>` or `X-API-Key: <key>`");
    if (!seal_equal(given, conf_str(a->conf, "api-key")))
        return err_set(err, RC_DENIED, "the key is not the one this api was started with (DESKMILL_API_KEY)");
    *out = ADMIN;
    return RC_OK;
}
