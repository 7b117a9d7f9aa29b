/* api/cli/frame.h
 * frame - the overview as a page of text: what the service is about, its queues, who has most waiting, what
 * runs, who works.
 */
#ifndef DESKMILL_CLI_FRAME_H
#define DESKMILL_CLI_FRAME_H

#include "api/cli/cli.h"
#include "api/cli/rates.h"

/* At most `rows` lines (0 = as many as it takes); the three lists share what the rest leaves. `trouble` (may
 * be NULL) is said at the top. The caller's to free(); NULL without memory. Fields for showing are put into
 * `overview`. */
char *frame_text(struct cli *c, json_t *overview, const struct rates *rates, const char *trouble,
                 size_t rows);

#endif
