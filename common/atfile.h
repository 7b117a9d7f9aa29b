/* common/atfile.h
 * atfile - a value that may stand in a file: "@/run/secrets/key" means the first line of that file. So a
 * secret need not be in an environment, which `ps` and core dumps show.
 */
#ifndef DESKMILL_ATFILE_H
#define DESKMILL_ATFILE_H

#include "common/err.h"

/* *out is a copy of `text`, or, when it begins with @, the first line of the file behind it, without blanks
 * at its ends; the caller's to free(), and to wipe if it matters. RC_INVALID names the file and what is
 * wrong: it cannot be read, its first line is empty, longer than 4096 bytes, or holds a NUL byte. */
enum rc atfile_read(const char *text, char **out, struct err *err);

#endif
