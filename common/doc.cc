#include <cctype>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <simdjson.h>

extern "C" {
#include "common/buf.h"
#include "common/err.h"
}
/* In C a struct and a function may share the name doc_iter; g++ mistakes the second for a hidden constructor.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "common/doc.h"
#pragma GCC diagnostic pop

/* A doc_value is a position on simdjson's tape: (document, index). simdjson's own element holds exactly this
 * pair but can't be made from one outside, so the tape is read through internal::tape_ref, which can. What we
 * know of the tape: the root value is at 1; a container's first member follows it and its payload points
 * behind its end; a key is a string with its value right behind it. */
static_assert(simdjson::SIMDJSON_VERSION_MAJOR == 3,
              "check the tape's layout against this version of simdjson");
static_assert(static_cast<int>(simdjson::internal::tape_type::UINT64) == 'u', "the tape's type letters");
static_assert(simdjson::SIMDJSON_PADDING <= 64, "the padding that doc.h asks for");

using simdjson::dom::document;
using simdjson::internal::tape_ref;
using simdjson::internal::tape_type;

static constexpr size_t max_depth = 256;
static constexpr size_t root_index = 1;
static constexpr size_t min_capacity = 16 * 1024;

struct doc {
    simdjson::dom::parser parser;
};

static tape_ref
tape_at(const void *doc, size_t at)
{
    return tape_ref(static_cast<const document *>(doc), at);
}

static tape_ref
tape_of(struct doc_value v)
{
    return tape_at(v.doc, v.at);
}

static enum doc_type
type_of(tape_type t)
{
    switch (t) {
    case tape_type::START_ARRAY:
        return DOC_ARRAY;
    case tape_type::START_OBJECT:
        return DOC_OBJECT;
    case tape_type::STRING:
        return DOC_STRING;
    case tape_type::INT64:
    case tape_type::UINT64:
        return DOC_INT;
    case tape_type::DOUBLE:
        return DOC_DOUBLE;
    case tape_type::TRUE_VALUE:
    case tape_type::FALSE_VALUE:
        return DOC_BOOL;
    default:
        return DOC_NULL;
    }
}

static struct doc_value
value_at(const void *doc, size_t at)
{
    return { doc, at, type_of(tape_at(doc, at).tape_ref_type()) };
}

static struct doc_value
null_value()
{
    return { nullptr, 0, DOC_NULL };
}

void
doc_destroy(struct doc *d)
{
    delete d;
}

enum rc
doc_create(struct doc **out, struct err *err)
{
    struct doc *d = new (std::nothrow) struct doc;

    if (d == nullptr)
        return err_set(err, RC_INTERNAL, "no memory for a JSON parser");
    *out = d;
    return RC_OK;
}

/* Where and why a text is no JSON. simdjson says that it is none, not where; this slow second look is for
 * people. */
struct fault {
    const char *s;
    size_t n, at;
    const char *what; /* NULL while all is well */

    bool
    fail(const char *why)
    {
        what = why;
        return false;
    }
    bool
    next_is(char c)
    {
        return at < n && s[at] == c;
    }
    void
    space()
    {
        while (at < n && (s[at] == ' ' || s[at] == '\t' || s[at] == '\n' || s[at] == '\r'))
            at++;
    }
    bool digits();
    bool number();
    bool escape();
    bool string();
    bool word(const char *w);
    bool member();
    bool container(size_t depth, bool object);
    bool value(size_t depth);
};

bool
fault::digits()
{
    size_t from = at;

    while (at < n && s[at] >= '0' && s[at] <= '9')
        at++;
    return at > from || fail("a digit is missing");
}

bool
fault::number()
{
    size_t from = at;
    bool whole = true;

    at += next_is('-');
    if (next_is('0'))
        at++;
    else if (!digits())
        return false;
    if (next_is('.')) {
        whole = false;
        at++;
        if (!digits())
            return false;
    }
    if (next_is('e') || next_is('E')) {
        whole = false;
        at++;
        at += next_is('+') || next_is('-');
        if (!digits())
            return false;
    }
    if (whole && at - from > 19) {
        at = from;
        return fail("an integer that does not fit in 64 bits");
    }
    return true;
}

bool
fault::escape()
{
    if (at + 1 < n && strchr("\"\\/bfnrt", s[at + 1]) != nullptr && s[at + 1] != '\0') {
        at += 2;
        return true;
    }
    if (at + 1 >= n || s[at + 1] != 'u')
        return fail("an unknown escape in a string");
    for (size_t i = at + 2; i < at + 6; i++)
        if (i >= n || !isxdigit(static_cast<unsigned char>(s[i])))
            return fail("an unknown escape in a string");
    at += 6;
    return true;
}

bool
fault::string()
{
    size_t from = at++;

    while (at < n && s[at] != '"') {
        if (static_cast<unsigned char>(s[at]) < 0x20)
            return fail("a control character in a string");
        if (s[at] != '\\')
            at++;
        else if (!escape())
            return false;
    }
    if (at >= n)
        return fail("it ends inside a string");
    if (!simdjson::validate_utf8(s + from, at - from)) {
        at = from;
        return fail("a string that is not UTF-8");
    }
    at++;
    return true;
}

bool
fault::word(const char *w)
{
    size_t len = strlen(w);

    if (n - at < len || memcmp(s + at, w, len) != 0)
        return fail("an unknown word");
    at += len;
    return true;
}

bool
fault::member()
{
    space();
    if (!next_is('"'))
        return fail(at < n ? "a member's name is missing" : "it ends early");
    if (!string())
        return false;
    space();
    if (!next_is(':'))
        return fail(at < n ? "a colon is missing" : "it ends early");
    at++;
    return true;
}

bool
fault::container(size_t depth, bool object)
{
    char end = object ? '}' : ']';

    at++;
    space();
    if (next_is(end)) {
        at++;
        return true;
    }
    for (;;) {
        if ((object && !member()) || !value(depth + 1))
            return false;
        space();
        if (next_is(end)) {
            at++;
            return true;
        }
        if (!next_is(','))
            return fail(at < n ? "a comma or an end is missing" : "it ends early");
        at++;
    }
}

bool
fault::value(size_t depth)
{
    space();
    if (at >= n)
        return fail("it ends early");
    if (depth > max_depth)
        return fail("nested too deeply");
    switch (s[at]) {
    case '{':
        return container(depth, true);
    case '[':
        return container(depth, false);
    case '"':
        return string();
    case 't':
        return word("true");
    case 'f':
        return word("false");
    case 'n':
        return word("null");
    default:
        return strchr("-0123456789", s[at]) != nullptr && s[at] != '\0' ? number()
                                                                        : fail("no value begins like this");
    }
}

static enum rc
not_json(const char *text, size_t len, size_t skipped, simdjson::error_code code, struct err *err)
{
    struct fault f = { text, len, 0, nullptr };

    if (code == simdjson::MEMALLOC)
        return err_set(err, RC_INTERNAL, "no memory to parse %zu bytes of JSON", len);
    f.space();
    if (f.at == len)
        return err_set(err, RC_PROTOCOL, "not JSON: the body is empty");
    if (text[f.at] == '<')
        return err_set(err, RC_PROTOCOL, "not JSON at byte %zu: it looks like HTML", skipped + f.at);
    if (f.value(1)) {
        f.space();
        if (f.at < len)
            f.fail("something follows the value");
    }
    if (f.what == nullptr) /* we find nothing wrong: simdjson's word has to do */
        return err_set(err, RC_PROTOCOL, "not JSON: %s", simdjson::error_message(code));
    return err_set(err, RC_PROTOCOL, "not JSON at byte %zu: %s", skipped + f.at, f.what);
}

/* Pages of one pull differ a little in size; a quarter more than asked saves allocating anew for each larger
 * one. Memory that no document has reached yet is address space only. */
static simdjson::error_code
make_room(simdjson::dom::parser &p, size_t len)
{
    size_t want = len < min_capacity ? min_capacity : len + len / 4;
    simdjson::error_code code = simdjson::SUCCESS;

    if (p.implementation == nullptr || p.capacity() < len)
        code = p.allocate(want, max_depth);
    if (code == simdjson::SUCCESS && p.doc.capacity() < len)
        code = p.doc.allocate(want);
    if (code != simdjson::SUCCESS)
        p.implementation.reset(); /* half of it may be there */
    return code;
}

enum rc
doc_parse(struct doc *d, const char *text, size_t len, struct doc_value *root, struct err *err)
{
    simdjson::error_code code;
    size_t bom = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    text += bom;
    len -= bom;
    code = make_room(d->parser, len);
    if (code == simdjson::SUCCESS)
        code = d->parser.parse(text, len, false).error();
    if (code == simdjson::CAPACITY)
        return err_set(err, RC_LIMIT, "%zu bytes of JSON are more than the parser takes", len);
    if (code != simdjson::SUCCESS)
        return not_json(text, len, bom, code, err);
    *root = value_at(&d->parser.doc, root_index);
    return RC_OK;
}

void
doc_trim(struct doc *d, size_t len)
{
    simdjson::dom::parser &p = d->parser;
    size_t keep = len < min_capacity ? min_capacity : len + len / 4;

    if (p.capacity() <= keep && p.doc.capacity() <= keep)
        return;
    p.implementation.reset();
    p.doc = document(); /* the next parse takes what it needs */
}

static struct doc_value
get(struct doc_value v, const char *key, size_t len)
{
    for (struct doc_iter it = doc_iter(v); it.object && doc_next(&it);)
        if (it.key_len == len && memcmp(it.key, key, len) == 0)
            return it.value;
    return null_value();
}

struct doc_value
doc_get(struct doc_value v, const char *key)
{
    return get(v, key, strlen(key));
}

struct doc_value
doc_path(struct doc_value v, const char *path)
{
    for (;;) {
        const char *dot = strchrnul(path, '.');

        v = get(v, path, static_cast<size_t>(dot - path));
        if (*dot == '\0' || v.type == DOC_NULL)
            return v;
        path = dot + 1;
    }
}

const char *
doc_string(struct doc_value v, size_t *len)
{
    if (v.type != DOC_STRING)
        return nullptr;
    if (len != nullptr)
        *len = tape_of(v).get_string_length();
    return tape_of(v).get_c_str();
}

static bool
whole(double x, int64_t *out)
{
    if (!(x >= -0x1p63 && x < 0x1p63) || std::trunc(x) != x)
        return false;
    *out = static_cast<int64_t>(x);
    return true;
}

bool
doc_int(struct doc_value v, int64_t *out)
{
    if (v.type == DOC_DOUBLE)
        return whole(tape_of(v).next_tape_value<double>(), out);
    if (v.type != DOC_INT || tape_of(v).is_uint64())
        return false; /* unsigned on the tape means: too large for int64_t */
    *out = tape_of(v).next_tape_value<int64_t>();
    return true;
}

bool
doc_double(struct doc_value v, double *out)
{
    if (v.type == DOC_DOUBLE)
        *out = tape_of(v).next_tape_value<double>();
    else if (v.type == DOC_INT && tape_of(v).is_uint64())
        *out = static_cast<double>(tape_of(v).next_tape_value<uint64_t>());
    else if (v.type == DOC_INT)
        *out = static_cast<double>(tape_of(v).next_tape_value<int64_t>());
    else
        return false;
    return true;
}

bool
doc_bool(struct doc_value v, bool *out)
{
    if (v.type != DOC_BOOL)
        return false;
    *out = tape_of(v).is_true();
    return true;
}

size_t
doc_len(struct doc_value v)
{
    size_t n;

    if (v.type != DOC_ARRAY && v.type != DOC_OBJECT)
        return 0;
    n = tape_of(v).scope_count();
    if (n < simdjson::internal::JSON_COUNT_MASK)
        return n;
    n = 0; /* the tape's count ends there */
    for (struct doc_iter it = doc_iter(v); doc_next(&it);)
        n++;
    return n;
}

struct doc_iter
doc_iter(struct doc_value v)
{
    struct doc_iter it = {};

    if (v.type != DOC_ARRAY && v.type != DOC_OBJECT)
        return it;
    it.doc = v.doc;
    it.object = v.type == DOC_OBJECT;
    it.at = v.at + 1;
    it.end = tape_of(v).after_element() - 1;
    return it;
}

bool
doc_next(struct doc_iter *it)
{
    if (it->at >= it->end)
        return false;
    if (it->object) {
        tape_ref key = tape_at(it->doc, it->at);

        it->key = key.get_c_str();
        it->key_len = key.get_string_length();
        it->at++;
    }
    it->value = value_at(it->doc, it->at);
    it->at = tape_at(it->doc, it->at).after_element();
    return true;
}

static void
write_double(double x, struct buf *out)
{
    char text[64]; /* simdjson writes at most 24 and looks at no end */
    const char *end = simdjson::internal::to_chars(text, text + sizeof text, x);

    buf_put(out, text, static_cast<size_t>(end - text));
}

static void
write_int(struct doc_value v, struct buf *out)
{
    if (tape_of(v).is_uint64())
        buf_printf(out, "%llu", static_cast<unsigned long long>(tape_of(v).next_tape_value<uint64_t>()));
    else
        buf_printf(out, "%lld", static_cast<long long>(tape_of(v).next_tape_value<int64_t>()));
}

static void
write_members(struct doc_value v, struct buf *out)
{
    bool first = true;

    for (struct doc_iter it = doc_iter(v); doc_next(&it); first = false) {
        if (!first)
            buf_putc(out, ',');
        if (it.object) {
            buf_put_json_string(out, it.key, it.key_len);
            buf_putc(out, ':');
        }
        doc_write(it.value, out); /* no deeper than max_depth */
    }
}

void
doc_write(struct doc_value v, struct buf *out)
{
    size_t len = 0;

    switch (v.type) {
    case DOC_NULL:
        buf_puts(out, "null");
        break;
    case DOC_BOOL:
        buf_puts(out, tape_of(v).is_true() ? "true" : "false");
        break;
    case DOC_INT:
        write_int(v, out);
        break;
    case DOC_DOUBLE:
        write_double(tape_of(v).next_tape_value<double>(), out);
        break;
    case DOC_STRING: {
        const char *s = doc_string(v, &len);

        buf_put_json_string(out, s, len);
        break;
    }
    case DOC_ARRAY:
    case DOC_OBJECT:
        buf_putc(out, v.type == DOC_ARRAY ? '[' : '{');
        write_members(v, out);
        buf_putc(out, v.type == DOC_ARRAY ? ']' : '}');
        break;
    }
}
