/* options - the command line. A table in options.c is both the parser and --help. */
#ifndef VENDORSIM_OPTIONS_H
#define VENDORSIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    const char *vendor;
    int64_t port;
    const char *port_file;
    const char *bind;
    const char *token;
    const char *region;
    const char *profile;
    int64_t seed;
    int64_t issues;
    int64_t accounts;
    int64_t users;
    int64_t contacts; /* -1: three for each account */
    int64_t messages;
    int64_t days;
    int64_t body_bytes;
    int64_t now; /* TIME_NONE: the start time */
    const char *cursor;
    const char *gzip;
    int64_t latency_ms;
    const char *order;
};

enum options_result {
    OPTIONS_RUN,
    OPTIONS_HELP, /* the help has been printed */
    OPTIONS_BAD,  /* the reason is on stderr */
};

/* Strings are borrowed from argv. */
enum options_result options_parse(int argc, char **argv, struct options *out);

#endif
