/* common/utf8.h
 * utf8 - telling valid UTF-8 from bytes that only look like it.
 */
#ifndef DESKMILL_UTF8_H
#define DESKMILL_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed character at the start of `s` (1 to 4); 0 if there is none: n is 0, a stray or
 * missing continuation, an overlong form, a surrogate, or beyond U+10FFFF. */
size_t utf8_step(const char *s, size_t n);

#endif
