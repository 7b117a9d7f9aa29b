/* replay - feeds a fuzz target the files of the folders it is given; none at all is a failure. */
#include "common/auto.h"
#include "tests/fuzz/fuzz.h"
#include <dirent.h>
#include <string.h>

static char *
slurp(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *data = NULL;
    long size;

    if (f == NULL)
        return NULL;
    if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0 &&
        (data = malloc((size_t)size + (size == 0))) != NULL)
        *len = fread(data, 1, (size_t)size, f);
    (void)fclose(f);
    return data;
}

/* The bytes stand in memory of just their size, so that a sanitizer sees one step too far. */
static int
replay(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    int count = 0;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char path[4096];
        size_t len = 0;
        AUTO_FREE char *data = NULL;

        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] == '.' || (data = slurp(path, &len)) == NULL)
            continue;
        fprintf(stderr, "%s\n", path);
        (void)LLVMFuzzerTestOneInput((const uint8_t *)data, len);
        count++;
    }
    if (dir != NULL)
        (void)closedir(dir);
    return count;
}

int
main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    fprintf(stderr, "%d seeds\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
