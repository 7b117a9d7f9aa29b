/* api/cli/main.c - the operator's command line; what it does is in cli.c. */
#include "api/cli/cli.h"

int
main(int argc, char **argv)
{
    return (int)cli_main(argc, argv);
}
