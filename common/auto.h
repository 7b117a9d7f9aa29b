/* common/auto.h
 * auto - cleanup on every way out of a scope, and handing ownership on.
 *
 * AUTO(conf) c = NULL;   a `struct conf *` that conf_destroy() gets when the scope ends
 * *out = TAKE(c);        gives it away: c is NULL afterwards and nothing is destroyed
 *
 * A module that wants AUTO(x) writes AUTO_DEFINE(x) below the prototype of x_destroy() in its header.
 */
#ifndef DESKMILL_AUTO_H
#define DESKMILL_AUTO_H

#include <stddef.h>
#include <stdlib.h>

#define AUTO_DEFINE(T)                                 \
    static inline void T##_auto_destroy_(struct T **p) \
    {                                                  \
        T##_destroy(*p);                               \
    }
#define AUTO(T) __attribute__((cleanup(T##_auto_destroy_))) struct T *

static inline void
auto_free_(void *p)
{
    free(*(void **)p);
}
#define AUTO_FREE __attribute__((cleanup(auto_free_)))

#define TAKE(p)                    \
    __extension__({                \
        __typeof__(p) take_ = (p); \
        (p) = NULL;                \
        take_;                     \
    })

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#endif
