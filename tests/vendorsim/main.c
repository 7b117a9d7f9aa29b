/* main - reads the options, serves until told to stop. What it does is in server.c. */
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "server.h"
#include "sim.h"

enum { EXIT_USAGE = 2 };

static bool
write_port_file(const char *path, int port)
{
    char draft[4096];
    FILE *f;

    if (snprintf(draft, sizeof(draft), "%s.new", path) >= (int)sizeof(draft) ||
        (f = fopen(draft, "we")) == NULL)
        return false;
    fprintf(f, "%d\n", port);
    return fclose(f) == 0 && rename(draft, path) == 0; /* so that a reader finds all of it or nothing */
}

int
main(int argc, char **argv)
{
    static struct sim sim;
    struct options opts;
    struct server *server;
    sigset_t stop;
    int sig, port;

    switch (options_parse(argc, argv, &opts)) {
    case OPTIONS_HELP:
        return EXIT_SUCCESS;
    case OPTIONS_BAD:
        return EXIT_USAGE;
    case OPTIONS_RUN:
        break;
    }
    (void)mallopt(M_ARENA_MAX, 1); /* other arenas grow by a system call for each page */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &stop, NULL); /* in all threads: only sigwait below takes them */
    sim_init(&sim, &opts);
    server = server_create(&sim, &port);
    if (server == NULL || (opts.port_file != NULL && !write_port_file(opts.port_file, port))) {
        fprintf(stderr, "vendorsim: %s\n",
                server == NULL ? "--port or --bind: cannot listen there" : "--port-file: cannot write");
        server_destroy(server);
        sim_fini(&sim);
        return EXIT_FAILURE;
    }
    printf("vendorsim ready http://%s:%d\n", opts.bind, port);
    (void)fflush(stdout);
    (void)sigwait(&stop, &sig);
    server_destroy(server);
    sim_fini(&sim);
    return EXIT_SUCCESS;
}
