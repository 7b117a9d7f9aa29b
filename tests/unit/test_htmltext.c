/* test_htmltext - what a person reads in an HTML message. */
#include "common/htmltext.h"
#include "tests/unit/tables.h"
#include <stdio.h>
#include <string.h>

static struct html_case {
    const char *name, *html, *want;
} cases[] = {
    { "empty", "", "" },
    { "only space", " \n\t ", "" },
    { "only tags", "<p></p><br><div> </div>", "" },
    { "plain text", "It stops at 80%", "It stops at 80%" },
    { "plain text, spaces and lines", "  a \n\n b\t\tc  ", "a b c" },
    { "one paragraph", "<p>It stops.</p>", "It stops." },
    { "two paragraphs", "<p>one</p>\n<p>two</p>", "one\ntwo" },
    { "br", "one<br>two<br/>three<br><br><br>four", "one\ntwo\nthree\nfour" },
    { "inline tags join", "<b>a</b>c<i>d</i> <u>e</u>", "acd e" },
    { "inline tags first and last", "x<b>a</b> c", "xa c" },
    { "a link", "see <a href=\"https://x.example/?a=1&amp;b=2\">the <em>docs</em></a>.", "see the docs." },
    { "nested blocks", "<div>a<div>b<div>c</div></div>d</div>e", "a\nb\nc\nd\ne" },
    { "a list", "<ul><li>one</li><li>two<ul><li>three</li></ul></li></ul>four", "one\ntwo\nthree\nfour" },
    { "a list with no end tags", "<ol><li>one<li>two</ol>x", "one\ntwo\nx" },
    { "a table", "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "ab\nc" },
    { "headings and a rule", "<h1>T</h1>a<hr>b<h3>c</h3>d", "T\na\nb\nc\nd" },
    { "a quote", "yes<blockquote>was it?</blockquote>no", "yes\nwas it?\nno" },
    { "pre is not special", "<pre>a\n  b</pre>c", "a b\nc" },
    { "entities", "a &lt;b&gt; &amp; &quot;c&quot; &eacute; &#233; &#x1F600; &copy;",
      "a <b> & \"c\" \xc3\xa9 \xc3\xa9 "
      "\xf0\x9f\x98\x80 \xc2\xa9" },
    { "an entity that is none", "a &nosuch; b & c", "a &nosuch; b & c" },
    { "nbsp by name and by character", "a&nbsp;&nbsp;b \xc2\xa0 c&#160;", "a b c" },
    { "nbsp without any tag",
      "\xc2\xa0"
      "a\xc2\xa0\xc2\xa0"
      "b\xc2\xa0",
      "a b" },
    { "script and style", "a<script>if (1<2) x(\"</p>\");</script>b<style>p{color:red}</style>c", "abc" },
    { "head and title",
      "<html><head><title>T</title><meta charset=\"latin1\"><style>x</style></head><body>b\xc3\xa9</body></html>",
      "b\xc3\xa9" },
    { "comments", "a<!-- <p>no</p> -->b<!---->c", "abc" },
    { "a doctype", "<!DOCTYPE html><p>a", "a" },
    { "no end tags", "<div><p>a<p>b<b>c", "a\nbc" },
    { "end tags of nothing", "a</b>b</i>c", "abc" },
    { "wrongly nested", "<b>a<i>b</b>c</i>d", "abcd" },
    { "a tag that never ends", "a<b", "a" },
    { "a lone less-than", "1 < 2 and 3 > 2", "1 < 2 and 3 > 2" },
    { "attributes with angle brackets", "<p title=\"a>b\">c</p>", "c" },
    { "upper case", "<P>a</P><BR><DIV>b</DIV>", "a\nb" },
    { "an unknown tag", "a<frobnicate>b</frobnicate>c", "abc" },
    { "unicode", "<p>\xe6\x97\xa5\xe6\x9c\xac \xc3\xbc\xc3\x9f</p>",
      "\xe6\x97\xa5\xe6\x9c\xac \xc3\xbc\xc3\x9f" },
    { "unicode without any tag", "\xe6\x97\xa5\xe6\x9c\xac \xc3\xbc\xc3\x9f",
      "\xe6\x97\xa5\xe6\x9c\xac \xc3\xbc\xc3\x9f" },
    { "a charset that lies",
      "<meta http-equiv=\"Content-Type\" content=\"text/html; charset=iso-8859-1\">\xc3\xa9", "\xc3\xa9" },
    { "space between inline tags", "<b>a</b>\n<b>b</b>", "a b" },
    { "space at a block's edge", "<p> a </p> <p> b </p>", "a\nb" },
    { "text after the body is a line of its own", "<html><body>a</body></html>b", "a\nb" },
};

static void
text_of(const char *html, size_t len, struct buf *out)
{
    buf_init(out, 1 << 20);
    htmltext(html, len, out);
    buf_putc(out, '\0');
    assert_false(out->failed);
}

static void
check(void **state)
{
    const struct html_case *c = *state;
    struct buf out;

    text_of(c->html, strlen(c->html), &out);
    assert_string_equal(out.data, c->want);
    buf_fini(&out);
}

/* The same text with an empty comment before it takes the long road. */
static void
assert_roads_agree(const char *text, size_t n)
{
    struct buf html, brief, lengthy;

    buf_init(&html, 1 << 20);
    buf_puts(&html, "<!---->");
    buf_put(&html, text, n);
    text_of(text, n, &brief);
    text_of(html.data, html.len, &lengthy);
    assert_string_equal(brief.data, lengthy.data);
    buf_fini(&html);
    buf_fini(&brief);
    buf_fini(&lengthy);
}

static void
test_both_roads_agree(void **state)
{
    static const char all[] = "a\x01"
                              "b\x0b"
                              "c\x0c"
                              "d\x1f"
                              "e\x7f"
                              "f\r\n g\xc2\xa0h\xc2\x85i\xe2\x80\x8bj\xe3\x80\x80k\xef\xbb\xbfl";

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (strpbrk(cases[i].html, "<&") == NULL)
            assert_roads_agree(cases[i].html, strlen(cases[i].html));
    assert_roads_agree(all, sizeof all - 1);
    assert_roads_agree("x\0y z", 5);
    assert_roads_agree("]]> > \" ' ; #", 13);
}

static void
test_nul_does_not_end_it(void **state)
{
    static const char html[] = "<p>a\0b</p>\0<p>c";
    struct buf out;

    (void)state;
    text_of(html, sizeof html - 1, &out);
    assert_string_equal(out.data, "ab\nc");
    buf_fini(&out);
}

static void
test_it_appends(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1024);
    buf_puts(&out, "before|");
    htmltext("<p>a</p>", 8, &out);
    htmltext("b", 1, &out);
    assert_string_equal(out.data, "before|ab");
    buf_fini(&out);
}

static void
test_long_text_is_whole(void **state)
{
    struct buf html, out;

    (void)state;
    buf_init(&html, 1 << 20);
    buf_puts(&html, "<p>");
    for (int i = 0; i < 20000; i++)
        buf_printf(&html, "w%05d\xc3\xbc ", i);
    text_of(html.data, html.len, &out);
    assert_int_equal(strlen(out.data), 20000 * 9 - 1);
    assert_non_null(strstr(out.data, " w19999\xc3\xbc"));
    buf_fini(&html);
    buf_fini(&out);
}

static void
test_deep_nesting_costs_no_time_squared(void **state)
{
    struct buf html, out;

    (void)state;
    buf_init(&html, 4 << 20);
    for (int i = 0; i < 200000; i++)
        buf_puts(&html, "<div>");
    buf_puts(&html, "deep<p>deeper<br>still</p>");
    for (int i = 0; i < 200000; i++)
        buf_puts(&html, "</b></div>"); /* took a minute and more */
    buf_puts(&html, "after");
    text_of(html.data, html.len, &out);
    assert_string_equal(out.data, "deep\ndeeper\nstill\nafter");
    buf_fini(&html);
    buf_fini(&out);
}

int
main(void)
{
    TEST_TABLE(cases, check);
    TEST_ONE(test_both_roads_agree);
    TEST_ONE(test_nul_does_not_end_it);
    TEST_ONE(test_it_appends);
    TEST_ONE(test_long_text_is_whole);
    TEST_ONE(test_deep_nesting_costs_no_time_squared);
    return TESTS_RUN("htmltext");
}
