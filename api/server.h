/* api/server.h
 * server - HTTP in, HTTP out. The one user of libmicrohttpd in the product.
 *
 * Threads: the server has its own; these functions are for the thread that made it.
 */
#ifndef DESKMILL_API_SERVER_H
#define DESKMILL_API_SERVER_H

#include "api/app.h"

struct server;
/* Stops at once; use server_drain() first to let running requests finish. */
void server_destroy(struct server *s);
AUTO_DEFINE(server)

/* Listens as the options say; borrows `a`. RC_INVALID: an address that is none; RC_CONFLICT: it is in use. */
enum rc server_create(struct app *a, struct server **out, struct err *err);
int server_port(const struct server *s);

/* Takes no new connection and waits until the requests that were begun are answered, but no longer than `ms`.
 * Returns how many were not. */
int server_drain(struct server *s, int64_t ms);

#endif
