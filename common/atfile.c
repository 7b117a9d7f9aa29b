#include "common/atfile.h"
#include "common/auto.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 4096 };

static const char blanks[] = " \t\r\n\v\f";

/* The first line, cut to size: one byte more than allowed tells that it is too long. */
static enum rc
first_line(const char *path, char line[static LINE_BYTES + 2], size_t *len, struct err *err)
{
    FILE *f = fopen(path, "re");
    size_t n = 0;
    int c = EOF;
    enum rc rc = RC_OK;

    if (f == NULL)
        return err_set(err, RC_INVALID, "the file %.300s: %s", path, strerror(errno));
    setvbuf(f, NULL, _IONBF, 0); /* no copy of a secret is left behind in a buffer */
    while (n <= LINE_BYTES && (c = fgetc(f)) != EOF && c != '\n')
        line[n++] = (char)c;
    line[n] = '\0';
    *len = n;
    if (ferror(f))
        rc = err_set(err, RC_INVALID, "the file %.300s: %s", path, strerror(errno));
    (void)fclose(f);
    return rc;
}

static enum rc
check(const char *path, const char *line, size_t len, struct err *err)
{
    if (len > LINE_BYTES)
        return err_set(err, RC_INVALID, "the file %.300s: its first line is longer than %d bytes", path,
                       LINE_BYTES);
    if (strlen(line) != len)
        return err_set(err, RC_INVALID, "the file %.300s: its first line holds a NUL byte", path);
    if (line[strspn(line, blanks)] == '\0')
        return err_set(err, RC_INVALID, "the file %.300s: its first line is empty", path);
    return RC_OK;
}

enum rc
atfile_read(const char *text, char **out, struct err *err)
{
    char line[LINE_BYTES + 2] = "", *begin = line;
    size_t len = 0;
    enum rc rc = RC_OK;

    assert(text != NULL && out != NULL);
    if (*text != '@') {
        *out = strdup(text);
        return *out != NULL ? RC_OK : err_set(err, RC_INTERNAL, "no memory");
    }
    if ((rc = first_line(text + 1, line, &len, err)) == RC_OK &&
        (rc = check(text + 1, line, len, err)) == RC_OK) {
        while (strchr(blanks, line[len - 1]) != NULL)
            line[--len] = '\0';
        begin += strspn(line, blanks);
        if ((*out = strdup(begin)) == NULL)
            rc = err_set(err, RC_INTERNAL, "no memory");
    }
    explicit_bzero(line, sizeof line);
    return rc;
}
