/* common/err.h
 * err - why something did not work: a code to act on and a sentence to read.
 *
 * Bugs are asserted; bad luck is an `enum rc` with its reason in a `struct err` of the caller's. common/
 * returns errors and never logs them: whoever decides what to do about one logs it, once.
 *
 * Threads: a struct err belongs to one thread at a time.
 */
#ifndef DESKMILL_ERR_H
#define DESKMILL_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

enum rc {
    RC_OK = 0,
    RC_INVALID,     /* the caller's input is wrong: repeating it cannot help */
    RC_NOT_FOUND,   /* the thing named does not exist */
    RC_CONFLICT,    /* someone else got there first: a stale epoch, a taken name */
    RC_UNAVAILABLE, /* a server cannot be reached, went away or is restarting: try again later */
    RC_TIMEOUT,     /* no answer in time; whether it took effect is unknown */
    RC_DENIED,      /* refused: wrong key, wrong token, no permission */
    RC_LIMIT,       /* a limit or ceiling of ours or theirs is in the way */
    RC_PROTOCOL,    /* the other side's answer makes no sense */
    RC_INTERNAL,    /* no memory, no descriptors, a statement that cannot be right */
};

/* All zero is "no error". `text` is always terminated and holds one line without control characters. */
struct err {
    enum rc rc;
    char text[512];
};

/* Sets code and sentence and returns the code, so that `return err_set(...)` reads well. `e` may be NULL. A
 * macro, so that compiler and analyzer, which see one file at a time, know that what comes back is the code
 * given and not RC_OK. */
#define err_set(e, code, ...)            \
    __extension__({                      \
        enum rc rc_ = (code);            \
        err_set_((e), rc_, __VA_ARGS__); \
        rc_;                             \
    })
void err_set_(struct err *e, enum rc rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "doing what: " before the sentence; the code stays and is returned. */
enum rc err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void err_clear(struct err *e);

/* "invalid", "not_found" ...: constant words for logs and for the api's problem documents. */
const char *rc_name(enum rc rc);

#ifdef __cplusplus
}
#endif

#endif
