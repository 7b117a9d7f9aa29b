/* api/cli/client.h
 * client - calls to the api. A failure is told on standard error at once, in one line with what to do next.
 */
#ifndef DESKMILL_CLI_CLIENT_H
#define DESKMILL_CLI_CLIENT_H

#include "api/cli/cli.h"
#include "common/buf.h"

void client_destroy(struct client *c);

/* `path` with its query; `body` is borrowed and may be NULL. END_OK for 2xx: *out (may be NULL) is the
 * caller's json_decref(), null without a body. */
enum ending client_call(struct cli *c, const char *method, const char *path, const json_t *body,
                        json_t **out);

/* The same without a word and whatever the status: 0 = no answer, and *err says why. */
int client_ask(struct cli *c, const char *method, const char *path, const json_t *body, json_t **out,
               struct err *err);
/* What client_call() says and does about such an outcome. */
enum ending client_explain(struct cli *c, int status, const json_t *answer, const struct err *err);

/* A path in the making: segments and query values are encoded. Check path.failed never: it has room for all
 * that a command line can hold, or the call is refused. */
struct buf path_begin(const char *text);
void path_segment(struct buf *b, const char *text);
/* Nothing is added where `value` is NULL. */
void path_query(struct buf *b, const char *name, const char *value);
/* The command's --since, if it was given. END_USAGE after saying that it is no time. */
enum ending path_since(struct buf *b, const struct cli *c);

#endif
