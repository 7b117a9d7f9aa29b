/* api/vendors.h
 * vendors - the help desks that an integration can be of, and what may be set for one.
 */
#ifndef DESKMILL_API_VENDORS_H
#define DESKMILL_API_VENDORS_H

#include "api/app.h"
#include "common/json.h"

struct vendor {
    const char *name;
    const char *base_url; /* where it usually is */
    const char *pull;     /* the job kind that its schedule runs */
};
/* RC_INVALID lists those there are. */
enum rc vendor_find(const char *name, const struct vendor **out, struct err *err);

/* An http or https address without query; http only for loopback and the hosts of --allow-http-hosts. Without
 * its trailing slash into `out`. */
enum rc vendor_check_url(const struct app *a, const char *url, char *out, size_t size, struct err *err);

/* Keys and ranges of integrations.settings; errors are about "settings.<key>". */
enum rc vendor_check_settings(const json_t *settings, struct err *err);

#endif
