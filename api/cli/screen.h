/* api/cli/screen.h
 * screen - a terminal as a page that is drawn over and over, and the keys that are pressed meanwhile.
 *
 * There is one terminal. From screen_open() to screen_close() it shows a page of its own (what was there
 * comes back afterwards), without a cursor, and keys come one by one without being shown. A signal that ends
 * the program is given to screen_wait() instead.
 */
#ifndef DESKMILL_CLI_SCREEN_H
#define DESKMILL_CLI_SCREEN_H

#include <stddef.h>
#include <stdint.h>

void screen_open(void);
void screen_close(void);

/* As it is at this moment. */
void screen_size(size_t *rows, size_t *columns);
/* Lines of text, drawn in one go; each is cut where the screen ends, and so is the last. Escapes that begin
 * and end styles are let through. */
void screen_draw(const char *text);

enum screen_event { SCREEN_TIME, SCREEN_KEY, SCREEN_RESIZED, SCREEN_STOP };
/* Until something happens, `ms` at most. *key is the key that was pressed. */
enum screen_event screen_wait(int64_t ms, char *key);

#endif
