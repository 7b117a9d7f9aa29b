/* fuzz_json - any bytes are an object or are refused with a reason that does not quote them. An object's text
 * reads back as the same object and is then written the same again, with its members doubled it is refused;
 * each getter takes a field of its own type and refuses, by name, the rest. */
#include "common/auto.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

#define SECRET "s3cr3t" /* the seeds hold it in places where a parser might quote it */

static bool
is_one_line(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

static enum rc
parse(const char *text, size_t len, json_t **out)
{
    struct err err = { 0 };
    enum rc rc = json_parse_object(text, len, out, &err);

    if (rc == RC_OK)
        MUST(json_is_object(*out));
    else
        MUST(rc == RC_INVALID && *out == NULL && is_one_line(err.text) &&
             strncmp(err.text, "line ", 5) == 0 && strstr(err.text, SECRET) == NULL);
    return rc;
}

static void
check_round_trip(const json_t *j)
{
    AUTO_FREE char *once = json_text(j), *twice = NULL;
    json_auto_t *again = NULL;

    MUST(once != NULL && parse(once, strlen(once), &again) == RC_OK);
    MUST(json_equal((json_t *)(uintptr_t)j, again)); /* it takes no const, and changes nothing */
    twice = json_text(again);
    MUST(twice != NULL && strcmp(once, twice) == 0);
}

/* Every member twice: only the empty object may stay one. */
static void
check_duplicates(const json_t *j)
{
    AUTO_FREE char *text = json_text(j);
    json_auto_t *twice = NULL;
    size_t len = strlen(text), n = json_object_size(j);
    struct buf b;

    buf_init(&b, 1 << 22);
    buf_put(&b, text, len - 1);
    buf_puts(&b, n > 0 ? "," : "");
    buf_puts(&b, text + 1);
    MUST(b.failed || parse(b.data, b.len, &twice) == (n > 0 ? RC_INVALID : RC_OK));
    buf_fini(&b);
}

/* What a getter must say of a field that is `yes` or is not of its type. */
static enum rc
expected(const json_t *v, bool yes)
{
    return json_is_null(v) ? RC_NOT_FOUND : yes ? RC_OK : RC_INVALID;
}

static void
check_field(const json_t *obj, const char *key, const json_t *v)
{
    const char *s = NULL;
    int64_t n = 0, t = 0, want_t = 0;
    bool yes = false;
    struct err err = { 0 };
    enum rc rc;

    rc = json_get_string(obj, key, 0, SIZE_MAX, &s, &err);
    MUST(rc == expected(v, json_is_string(v)));
    MUST(rc != RC_OK || (s == json_string_value(v) && strlen(s) == json_string_length(v)));
    MUST(rc == RC_OK || (is_one_line(err.text) && err.text[0] != '\0'));
    if (rc == RC_OK && s[0] != '\0') {
        MUST(json_get_string(obj, key, 0, strlen(s) - 1, &s, &err) == RC_INVALID);
        MUST(json_get_string(obj, key, strlen(s), strlen(s), &s, &err) == RC_OK);
    }
    rc = json_get_int(obj, key, INT64_MIN, INT64_MAX, &n, &err);
    MUST(rc == expected(v, json_is_integer(v)));
    MUST(rc != RC_OK || (n == json_integer_value(v) && json_get_int(obj, key, n, n, &n, &err) == RC_OK));
    if (rc == RC_OK && n < INT64_MAX)
        MUST(json_get_int(obj, key, n + 1, INT64_MAX, &n, &err) == RC_INVALID);
    rc = json_get_bool(obj, key, &yes, &err);
    MUST(rc == expected(v, json_is_boolean(v)) && (rc != RC_OK || yes == json_is_true(v)));
    rc = json_get_time(obj, key, &t, &err);
    MUST(rc == expected(v, json_is_string(v) && clock_parse(json_string_value(v), json_string_length(v),
                                                            &want_t, NULL) == RC_OK));
    MUST(t == want_t && is_one_line(err.text));
}

/* Only the first key is allowed: so it is fine exactly when there is no other. */
static void
check_only_keys(json_t *obj)
{
    const char *const none[] = { NULL };
    const char *const first[] = { json_object_iter_key(json_object_iter(obj)), NULL };
    struct err err = { 0 };
    size_t n = json_object_size(obj);

    MUST(json_only_keys(obj, none, &err) == (n == 0 ? RC_OK : RC_INVALID));
    MUST(json_only_keys(obj, first, &err) == (n <= 1 ? RC_OK : RC_INVALID));
    MUST(is_one_line(err.text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    json_auto_t *j = NULL;
    const char *key;
    json_t *v;

    if (len > 1 << 16 || parse((const char *)data, len, &j) != RC_OK)
        return 0;
    check_round_trip(j);
    check_duplicates(j);
    check_only_keys(j);
    json_object_foreach(j, key, v) check_field(j, key, v);
    return 0;
}
