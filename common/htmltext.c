#include "common/htmltext.h"
#include "common/auto.h"
#include <libxml/HTMLparser.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define MAX_DEPTH 512 /* as browsers have it */

/* The text on its way out. White space and line breaks are remembered and written before the next visible
 * character. */
struct writer {
    struct buf *out;
    bool any;     /* something was written */
    bool on_line; /* something visible is on this line */
    bool space;   /* white space is due before what comes next */
    bool newline; /* a line break is due before what comes next */
    int hidden;   /* open elements whose text nobody reads */
    htmlParserCtxtPtr parser;
};

static void
break_line(struct writer *w)
{
    w->newline = w->any;
    w->on_line = w->space = false;
}

/* Bytes of white space at `s`, 0 if there is none: ASCII's and U+00A0. */
static size_t
space_at(const char *s, const char *end)
{
    if (*s == ' ' || (*s >= '\t' && *s <= '\r'))
        return 1;
    return end - s >= 2 && s[0] == '\xc2' && s[1] == '\xa0' ? 2 : 0;
}

/* Space apart, no control character is readable. */
static bool
is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static void
put_word(struct writer *w, const char *s, size_t n)
{
    if (w->newline)
        buf_putc(w->out, '\n');
    else if (w->space && w->on_line)
        buf_putc(w->out, ' ');
    buf_put(w->out, s, n);
    w->newline = w->space = false;
    w->any = w->on_line = true;
}

static void
put_text(struct writer *w, const char *s, size_t len)
{
    const char *end = s + len, *word;
    size_t n;

    while (s < end) {
        if ((n = space_at(s, end)) > 0) {
            w->space = true;
            s += n;
            continue;
        }
        if (is_control(*s)) {
            s++;
            continue;
        }
        for (word = s; s < end && !is_control(*s) && space_at(s, end) == 0;)
            s++;
        put_word(w, word, (size_t)(s - word));
    }
}

static bool
is_one_of(const char *name, const char *const names[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool
is_hidden(const char *name)
{
    static const char *const names[] = { "script", "style", "head", "title" };

    return is_one_of(name, names, COUNT_OF(names));
}

static bool
breaks_line(const char *name)
{
    static const char *const names[] = { "br",         "p",  "div", "li", "tr", "ul", "ol", "table", "pre",
                                         "blockquote", "h1", "h2",  "h3", "h4", "h5", "h6", "hr" };

    return is_one_of(name, names, COUNT_OF(names));
}

/* libxml2 looks through all open elements for each end tag, so that deep nesting costs time squared. Beyond
 * the depth that browsers bear, an element is taken off its stack again (names only, owned by a dictionary)
 * and counts as a break. */
static bool
stay_shallow(htmlParserCtxtPtr p)
{
    if (p->nameNr <= MAX_DEPTH)
        return false;
    p->nameNr = MAX_DEPTH;
    p->name = p->nameTab[MAX_DEPTH - 1];
    return true;
}

static void
on_start(void *arg, const xmlChar *name, const xmlChar **attributes)
{
    struct writer *w = arg;
    bool too_deep = stay_shallow(w->parser);

    (void)attributes;
    if (!too_deep && is_hidden((const char *)name))
        w->hidden++;
    else if (too_deep || breaks_line((const char *)name))
        break_line(w);
}

static void
on_end(void *arg, const xmlChar *name)
{
    struct writer *w = arg;

    if (is_hidden((const char *)name))
        w->hidden -= w->hidden > 0;
    else if (breaks_line((const char *)name))
        break_line(w);
}

static void
on_text(void *arg, const xmlChar *s, int len)
{
    struct writer *w = arg;

    if (w->hidden == 0)
        put_text(w, (const char *)s, (size_t)len);
}

static pthread_once_t parser_once = PTHREAD_ONCE_INIT;

static void
parser_init(void)
{
    xmlInitParser();
    (void)htmlHandleOmittedElem(0); /* no <p> of its own around text in <html> and <body> */
}

static void
parse(const char *html, size_t len, struct writer *w)
{
    htmlParserCtxtPtr ctxt;

    (void)pthread_once(&parser_once, parser_init);
    if ((ctxt = htmlNewParserCtxt()) == NULL) {
        w->out->failed = true; /* no memory, as buf would say it */
        return;
    }
    *ctxt->sax = (htmlSAXHandler){
        .startElement = on_start,
        .endElement = on_end,
        .characters = on_text,
        .ignorableWhitespace = on_text, /* what libxml2 thinks of white space is not our rule */
    };
    ctxt->userData = w;
    w->parser = ctxt;
    (void)htmlCtxtReadMemory(ctxt, html, (int)len, NULL, "UTF-8",
                             HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                 HTML_PARSE_NONET | HTML_PARSE_NODEFDTD | HTML_PARSE_NOIMPLIED |
                                 HTML_PARSE_IGNORE_ENC);
    htmlFreeParserCtxt(ctxt);
}

/* The long road: through libxml2, with two of its habits out of the way. A NUL would end the text, and other
 * control characters that we read as space would be lost. Text that stands in no element at all would be
 * wrapped in a <p>, which makes two lines of "<b>a</b>c"; so it stands in <html>, of which it may bring one
 * more. */
static void
parse_cleaned(const char *html, size_t len, struct writer *w)
{
    static const char prefix[] = "<html>";
    AUTO_FREE char *copy = malloc(sizeof prefix + len);
    size_t n = sizeof prefix - 1;

    if (copy == NULL) {
        w->out->failed = true;
        return;
    }
    memcpy(copy, prefix, n);
    for (size_t i = 0; i < len; i++)
        if (html[i] == '\v' || html[i] == '\f')
            copy[n++] = ' ';
        else if (!is_control(html[i]) || space_at(html + i, html + len) > 0)
            copy[n++] = html[i];
    parse(copy, n, w);
}

void
htmltext(const char *html, size_t len, struct buf *out)
{
    struct writer w = { .out = out };

    if (len == 0)
        return;
    if (memchr(html, '<', len) == NULL && memchr(html, '&', len) == NULL)
        put_text(&w, html, len);
    else if (len > INT_MAX - 64)
        out->failed = true; /* beyond what libxml2 counts; no message is */
    else
        parse_cleaned(html, len, &w);
}
