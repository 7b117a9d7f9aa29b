/* worker/options.h
 * options - what a worker can be told; rows of common/conf.h.
 */
#ifndef DESKMILL_WORKER_OPTIONS_H
#define DESKMILL_WORKER_OPTIONS_H

#include "common/conf.h"

extern const struct conf_option worker_options[];

#endif
