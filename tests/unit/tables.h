/* tests/unit/tables.h
 * tables - cmocka tests out of tables: one row, one test, reported by the row's name.
 *
 *   static struct x_case { const char *name; ... } cases[] = { { "what it shows", ... } };
 *   static void check(void **state) { const struct x_case *c = *state; ... }
 *   int main(void) { TEST_TABLE(cases, check); TEST_ONE(a_story); return TESTS_RUN("x"); }
 */
#ifndef DESKMILL_TABLES_H
#define DESKMILL_TABLES_H

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct CMUnitTest tests_[1024];
static size_t tests_count_;

static inline void
tests_add_(const char *name, CMUnitTestFunction fn, void *row)
{
    assert(tests_count_ < sizeof tests_ / sizeof tests_[0]);
    tests_[tests_count_++] = (struct CMUnitTest){ .name = name, .test_func = fn, .initial_state = row };
}

#define TEST_TABLE(rows, fn)                                                   \
    do {                                                                       \
        for (size_t row_ = 0; row_ < sizeof(rows) / sizeof((rows)[0]); row_++) \
            tests_add_((rows)[row_].name, (fn), &(rows)[row_]);                \
    } while (0)
#define TEST_ONE(fn)     tests_add_(#fn, (fn), NULL)
#define TESTS_RUN(group) _cmocka_run_group_tests((group), tests_, tests_count_, NULL, NULL)

/* A string literal as pointer and length, for rows that may hold NUL bytes. */
#define BYTES(lit) (lit), sizeof(lit) - 1

#endif
