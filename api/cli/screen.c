#include "api/cli/screen.h"
#include "api/cli/table.h"
#include "common/buf.h"
#include "common/clock.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define PAGE_BEGIN "\033[?1049h\033[?25l" /* a page of our own, no cursor */
#define PAGE_END   "\033[?25h\033[?1049l"
enum { FRAME_MAX = 1 << 20 };

static struct {
    volatile sig_atomic_t resized, stop;
    bool has_keys;
    struct termios before;
    struct sigaction old_int, old_term, old_hup, old_winch;
} screen;

static void
on_signal(int sig)
{
    if (sig == SIGWINCH)
        screen.resized = 1;
    else
        screen.stop = 1;
}

static void
put(const char *data, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDOUT_FILENO, data, n);

        if (done < 0 && errno != EINTR) {
            screen.stop = 1; /* the terminal is gone */
            return;
        }
        if (done > 0) {
            data += done;
            n -= (size_t)done;
        }
    }
}

void
screen_open(void)
{
    const struct sigaction on = { .sa_handler = on_signal }; /* no SA_RESTART: waiting ends */
    struct termios raw;

    screen.resized = screen.stop = 0;
    (void)sigaction(SIGINT, &on, &screen.old_int);
    (void)sigaction(SIGTERM, &on, &screen.old_term);
    (void)sigaction(SIGHUP, &on, &screen.old_hup);
    (void)sigaction(SIGWINCH, &on, &screen.old_winch);
    screen.has_keys = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &screen.before) == 0;
    if (screen.has_keys) {
        raw = screen.before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* a stopped program would leave its page behind */
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    }
    put(PAGE_BEGIN, strlen(PAGE_BEGIN));
}

void
screen_close(void)
{
    put(PAGE_END, strlen(PAGE_END));
    if (screen.has_keys)
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &screen.before);
    (void)sigaction(SIGINT, &screen.old_int, NULL);
    (void)sigaction(SIGTERM, &screen.old_term, NULL);
    (void)sigaction(SIGHUP, &screen.old_hup, NULL);
    (void)sigaction(SIGWINCH, &screen.old_winch, NULL);
}

void
screen_size(size_t *rows, size_t *columns)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;

    *rows = known ? size.ws_row : 24;
    *columns = known ? size.ws_col : 80;
}

/* Each line replaces the one that was there; what is below the last goes. */
void
screen_draw(const char *text)
{
    size_t rows, columns;
    struct buf b;

    screen_size(&rows, &columns);
    buf_init(&b, FRAME_MAX);
    buf_puts(&b, "\033[H");
    for (size_t row = 0; row < rows && *text != '\0'; row++) {
        AUTO_FREE char *line = strndup(text, strcspn(text, "\n"));

        if (line == NULL)
            break;
        text += strlen(line) + (text[strlen(line)] == '\n');
        buf_printf(&b, "%s%.*s" STYLE_END "\033[K", row > 0 ? "\r\n" : "", (int)text_fit(line, columns),
                   line);
    }
    buf_puts(&b, "\033[J");
    if (!b.failed)
        put(b.data, b.len);
    buf_fini(&b);
}

enum screen_event
screen_wait(int64_t ms, char *key)
{
    int64_t end = clock_mono() + ms * 1000;
    struct pollfd p = { .fd = screen.has_keys ? STDIN_FILENO : -1, .events = POLLIN };

    for (;;) {
        int64_t left = (end - clock_mono() + 999) / 1000;

        if (screen.stop)
            return SCREEN_STOP;
        if (screen.resized) {
            screen.resized = 0;
            return SCREEN_RESIZED;
        }
        if (left <= 0)
            return SCREEN_TIME;
        if (poll(&p, 1, left > 1000 ? 1000 : (int)left) <= 0)
            continue;
        if (read(STDIN_FILENO, key, 1) == 1)
            return SCREEN_KEY;
        return SCREEN_STOP; /* nobody is there any more */
    }
}
