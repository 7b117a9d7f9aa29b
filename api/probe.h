/* api/probe.h
 * probe - `deskmill-api --health`: asks the api that runs on this host with these options whether the service
 * works.
 */
#ifndef DESKMILL_API_PROBE_H
#define DESKMILL_API_PROBE_H

#include "common/conf.h"

/* GET /readyz. One line on standard output, and the exit status: 0 for a 200, else 1. */
int probe_report(const struct conf *conf);

#endif
