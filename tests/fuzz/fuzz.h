/* tests/fuzz/fuzz.h
 * fuzz - the one function of a fuzz target, called by libFuzzer or by replay.c. A broken promise aborts.
 */
#ifndef DESKMILL_FUZZ_H
#define DESKMILL_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(what)                                                             \
    do {                                                                       \
        if (!(what)) {                                                         \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                           \
        }                                                                      \
    } while (0)

#endif
