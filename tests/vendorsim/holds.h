/* holds - answers that a test wants kept back until it says so.
 *
 * Threads: the simulator's lock guards it. Ownership: in the caller's storage; all-zero is empty.
 */
#ifndef VENDORSIM_HOLDS_H
#define VENDORSIM_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

struct hold {
    char endpoint[32];
    uint64_t page; /* the answer to keep back, in answers of the endpoint since the start */
    struct hold *next;
};

struct holds {
    struct hold *first;
    uint64_t releases; /* grows with each release: whoever waits sees it change */
};

void holds_clear(struct holds *h);
void holds_add(struct holds *h, const char *endpoint, uint64_t page);
/* True when this answer, the `page`-th of its endpoint, must wait. The hold is used up. */
bool holds_take(struct holds *h, const char *endpoint, uint64_t page);

#endif
