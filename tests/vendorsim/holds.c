/* holds - answers that a test wants kept back until it says so. */
#include "holds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

void
holds_clear(struct holds *h)
{
    while (h->first != NULL) {
        struct hold *gone = h->first;

        h->first = gone->next;
        free(gone);
    }
    h->releases++;
}

void
holds_add(struct holds *h, const char *endpoint, uint64_t page)
{
    struct hold *hold = must_alloc(sizeof(*hold));

    (void)snprintf(hold->endpoint, sizeof(hold->endpoint), "%s", endpoint);
    hold->page = page;
    hold->next = h->first;
    h->first = hold;
}

bool
holds_take(struct holds *h, const char *endpoint, uint64_t page)
{
    for (struct hold **p = &h->first; *p != NULL; p = &(*p)->next) {
        struct hold *hold = *p;

        if (hold->page == page && strcmp(hold->endpoint, endpoint) == 0) {
            *p = hold->next;
            free(hold);
            return true;
        }
    }
    return false;
}
