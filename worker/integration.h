/* worker/integration.h
 * integration - the help desk a job works for: where it is, with what token, within which limits.
 *
 * Ownership: the caller's; the token is wiped when it is destroyed and never leaves this process but in a
 * request's header.
 */
#ifndef DESKMILL_WORKER_INTEGRATION_H
#define DESKMILL_WORKER_INTEGRATION_H

#include "common/auto.h"
#include "common/conf.h"
#include "common/db.h"
#include "worker/connectors/connector.h"

struct integration {
    int64_t id;
    const struct connector *connector;
    char *base_url; /* without a slash at its end */
    char *token;
    size_t token_len;
    struct budget_class classes[CONNECTOR_CLASSES_MAX]; /* the connector's, with settings.limits applied */
    /* settings, in their own units */
    int page_size;
    int64_t lookback_s, directory_refresh_s;
    int64_t history_from; /* DB_NO_TIME = from the earliest issue */
};
void integration_destroy(struct integration *in);
AUTO_DEFINE(integration)

/* RC_NOT_FOUND no such integration; RC_UNAVAILABLE it is paused or refused (says why); RC_DENIED its
 * credentials can't be opened with this worker's key; RC_INVALID its settings or its vendor are wrong, naming
 * the field. */
enum rc integration_load(struct db *d, const struct conf *conf, int64_t id, struct integration **out,
                         struct err *err);

#endif
