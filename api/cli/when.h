/* api/cli/when.h
 * when - moments and numbers as people read and write them.
 *
 * All functions that take `out` return it.
 */
#ifndef DESKMILL_CLI_WHEN_H
#define DESKMILL_CLI_WHEN_H

#include "common/err.h"
#include <stddef.h>
#include <stdint.h>

enum { WHEN_TEXT = 64 };

/* "2026-01-31 09:00:05 (3m ago)" in the zone of TZ, "(in 5m)" for what is to come. `t` and `now` in
 * microseconds since 1970. */
const char *when_text(int64_t t, int64_t now, char out[static WHEN_TEXT]);
/* "12s", "3m", "2h 5m", "4d 3h" */
const char *span_text(int64_t us, char out[static WHEN_TEXT]);
/* "1,234,567" */
const char *number_text(int64_t n, char out[static WHEN_TEXT]);

/* RFC 3339, a date, or an age ("90s", "15m", "2h", "3d"): as RFC 3339. RC_INVALID shows what it could be. */
enum rc since_parse(const char *text, int64_t now, char out[static WHEN_TEXT], struct err *err);

#endif
