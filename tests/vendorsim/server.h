/* server - HTTP: takes requests, lets the vendor or the control door answer, and sends, holds, delays or
 * spoils the answer as ordered.
 *
 * Threads: one for each connection, so an answer that is held blocks nobody else.
 */
#ifndef VENDORSIM_SERVER_H
#define VENDORSIM_SERVER_H

#include "sim.h"

struct server; /* opaque */

struct server *server_create(struct sim *sim, int *port); /* NULL: cannot listen */
void server_destroy(struct server *s);                    /* ends what is under way; NULL is fine */
/* Until the answers that were on their way when this began have gone out, or a moment has passed. The lock is
 * held; with this, counts include every answer that the asker has seen. */
void server_settle(struct sim *sim);

#endif
