/* cron_ticks - answers which ticks cron_next() finds, one question a line: "zone|after|until|expression",
 * moments in microseconds since 1970. The answer is one line too: the ticks later than `after` and not later
 * than `until`, in seconds and divided by blanks, each asked for by way of the one before it; or "error: "
 * and the reason. It knows nothing about right and wrong; whoever asks does. */
#include "common/auto.h"
#include "common/clock.h"
#include "common/cron.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
print_tick(int64_t t, bool first)
{
    printf("%s%" PRId64, first ? "" : " ", t / CLOCK_SECOND);
    if (t % CLOCK_SECOND != 0) /* never right, and so it must not be rounded away */
        printf("+%" PRId64 "us", t % CLOCK_SECOND);
}

static void
answer(const struct zone *z, const struct cron *c, int64_t after, int64_t until)
{
    bool first = true;
    int64_t t;

    while (cron_next(c, z, after, &t) && t <= until) {
        print_tick(t, first);
        if (t <= after) { /* it would go on for ever */
            printf(" back");
            break;
        }
        first = false;
        after = t;
    }
    printf("\n");
}

/* Cuts the line into its four parts. */
static bool
read_question(char *line, const char *part[4])
{
    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < 4; i++) {
        part[i] = line;
        if (i < 3 && (line = strchr(line, '|')) == NULL)
            return false;
        if (i < 3)
            *line++ = '\0';
    }
    return true;
}

int
main(void)
{
    AUTO_FREE char *line = NULL;
    size_t size = 0;

    while (getline(&line, &size, stdin) > 0) {
        const char *part[4];
        const struct zone *z = NULL;
        struct cron c;
        struct err err = { 0 };

        if (!read_question(line, part))
            printf("error: expected zone|after|until|expression\n");
        else if (zone_find(part[0], &z, &err) != RC_OK || cron_parse(part[3], &c, &err) != RC_OK)
            printf("error: %s\n", err.text);
        else
            answer(z, &c, strtoll(part[1], NULL, 10), strtoll(part[2], NULL, 10));
    }
    return ferror(stdin) || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
