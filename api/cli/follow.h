/* api/cli/follow.h
 * follow - watches a job until it has ended: a progress bar on a terminal, lines elsewhere.
 *
 * Ctrl-C ends the watching, never the job. An api that is away for a moment (a restart) is waited for.
 */
#ifndef DESKMILL_CLI_FOLLOW_H
#define DESKMILL_CLI_FOLLOW_H

#include "api/cli/cli.h"

/* END_OK done, END_FAILED dead, END_CANCELLED, END_INTERRUPTED, or why it could not be watched. With --json
 * nothing but the ended job's JSON is printed. *last (may be NULL): the job as last seen, the caller's to
 * json_decref(). */
enum ending follow_job(struct cli *c, int64_t job, json_t **last);

/* The same; after an issue_pull that went well the messages that its integration is being read for. */
enum ending follow_pull(struct cli *c, int64_t job);

#endif
