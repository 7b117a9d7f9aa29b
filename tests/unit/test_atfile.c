#include "common/atfile.h"
#include "tests/unit/tables.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct file_case {
    const char *name;
    const char *bytes;
    size_t len;
    const char *want;  /* the value; NULL: */
    const char *wrong; /* why there is none */
} files[] = {
    { "a line", BYTES("secret\n"), "secret", NULL },
    { "a line without its end", BYTES("secret"), "secret", NULL },
    { "the first of two lines", BYTES("secret\nmore\n"), "secret", NULL },
    { "a line that ends as on Windows", BYTES("secret\r\n"), "secret", NULL },
    { "blanks around it go, blanks inside stay", BYTES(" \t a secret \n"), "a secret", NULL },
    { "an @ inside is no other file", BYTES("@/etc/passwd\n"), "@/etc/passwd", NULL },
    { "nothing", BYTES(""), NULL, "its first line is empty" },
    { "an empty first line", BYTES("\nsecret\n"), NULL, "its first line is empty" },
    { "only blanks", BYTES("  \t\n"), NULL, "its first line is empty" },
    { "a NUL byte", BYTES("sec\0ret\n"), NULL, "its first line holds a NUL byte" },
};

static enum rc
read_file(const void *bytes, size_t len, char **out, struct err *err)
{
    char path[] = "/tmp/deskmill-atfile-XXXXXX", text[64];
    int fd = mkstemp(path);
    enum rc rc;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    (void)close(fd);
    (void)snprintf(text, sizeof text, "@%s", path);
    rc = atfile_read(text, out, err);
    (void)unlink(path);
    if (rc != RC_OK)
        assert_non_null(strstr(err->text, path));
    return rc;
}

static void
check_file(void **state)
{
    const struct file_case *c = *state;
    struct err err = { 0 };
    char *value = NULL;
    enum rc rc = read_file(c->bytes, c->len, &value, &err);

    if (c->want != NULL) {
        assert_int_equal(rc, RC_OK);
        assert_string_equal(value, c->want);
    } else {
        assert_int_equal(rc, RC_INVALID);
        assert_null(value);
        assert_non_null(strstr(err.text, c->wrong));
        assert_null(strstr(err.text, "ret")); /* not even a part of what is in it */
    }
    free(value);
}

static void
the_longest_line_is_read_and_a_longer_one_is_refused(void **state)
{
    static char bytes[4097];
    struct err err = { 0 };
    char *value = NULL;

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(read_file(bytes, 4096, &value, &err), RC_OK);
    assert_int_equal(strlen(value), 4096);
    free(value);
    value = NULL;
    assert_int_equal(read_file(bytes, 4097, &value, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "longer than 4096 bytes"));
    assert_null(value);
}

static void
what_does_not_begin_with_an_at_is_the_value(void **state)
{
    char *value = NULL;

    (void)state;
    assert_int_equal(atfile_read(" a@b ", &value, NULL), RC_OK);
    assert_string_equal(value, " a@b ");
    free(value);
}

static void
a_file_that_cannot_be_read_is_named(void **state)
{
    struct err err = { 0 };
    char *value = NULL;

    (void)state;
    assert_int_equal(atfile_read("@/nonexistent/key", &value, &err), RC_INVALID);
    assert_string_equal(err.text, "the file /nonexistent/key: No such file or directory");
    assert_int_equal(atfile_read("@/", &value, &err), RC_INVALID); /* a directory opens, but does not read */
    assert_string_equal(err.text, "the file /: Is a directory");
    assert_int_equal(atfile_read("@", &value, &err), RC_INVALID);
    assert_null(value);
}

int
main(void)
{
    TEST_TABLE(files, check_file);
    TEST_ONE(the_longest_line_is_read_and_a_longer_one_is_refused);
    TEST_ONE(what_does_not_begin_with_an_at_is_the_value);
    TEST_ONE(a_file_that_cannot_be_read_is_named);
    return TESTS_RUN("atfile");
}
