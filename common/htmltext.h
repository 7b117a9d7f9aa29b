/* common/htmltext.h
 * htmltext - what a person reads in an HTML message. The one user of libxml2's HTML parser.
 *
 * Entities are decoded. script, style, head, title and comments are left out. br is a line break; the start
 * and the end of p, div, li, tr, ul, ol, table, pre, blockquote, h1-h6 and hr break the line if it is not
 * empty. Within a line, runs of white space (ASCII's, and U+00A0) are one space, and lines are trimmed; other
 * control characters and empty lines are dropped; lines are joined by "\n". No trailing newline. Beyond 512
 * open elements, nesting is flattened. tests/scenarios/oracle.py states the same rule in Python.
 */
#ifndef DESKMILL_HTMLTEXT_H
#define DESKMILL_HTMLTEXT_H

#include "common/buf.h"
#include <stddef.h>

/* Appends to `out`. The HTML is UTF-8 (doc has checked it); what is none goes in and out as garbage. Broken
 * HTML is read as browsers do, as far as libxml2 can; there is no error but out->failed. Text without any '<'
 * or '&' takes a short road with the same result. */
void htmltext(const char *html, size_t len, struct buf *out);

#endif
