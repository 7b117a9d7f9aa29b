#include "common/sql.h"

const struct sql_stmt sql_stmts[SQL_COUNT] = {
#define SQL(n, np, t)  [SQL_##n] = { .name = #n, .text = (t), .nparams = (np), .prepared = true },
#define SQL_TEXT(n, t) [SQL_##n] = { .name = #n, .text = (t), .nparams = 0, .prepared = false },
#include SQL_ALL_DEF
#undef SQL
#undef SQL_TEXT
};
