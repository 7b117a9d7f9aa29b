/* text - believable words: names, titles, HTML bodies, tags. Everything follows from the seed handed in. */
#ifndef VENDORSIM_TEXT_H
#define VENDORSIM_TEXT_H

#include <stdint.h>

#include "buf.h"

enum { TAGS_MAX = 4 };

void text_person(struct buf *b, uint64_t seed);
void text_company(struct buf *b, uint64_t seed);
void text_title(struct buf *b, uint64_t seed);
void text_body_html(struct buf *b, uint64_t seed, int64_t average);
void text_message_html(struct buf *b, uint64_t seed); /* empty now and then */
/* Up to TAGS_MAX tags into `out`; returns how many, 0 for none. */
int text_tags(uint64_t seed, const char *out[TAGS_MAX]);

#endif
