/* common/migrate.h
 * migrate - brings the schema up to date: schema/NNNN_words.sql in order, each in its own transaction with
 * its record.
 *
 * The files are part of the binary. What was applied is in deskmill.schema_migrations, with a checksum, and
 * an applied file is never edited: a change is a new file. Any number of hosts may run it at once (an
 * advisory lock lets one through at a time), and running it again does nothing. No timeout of the session's
 * ends a migration.
 */
#ifndef DESKMILL_MIGRATE_H
#define DESKMILL_MIGRATE_H

#include "common/db.h"

/* The key of pg_advisory_lock(): "deskmill" in ASCII. */
#define MIGRATE_LOCK_KEY INT64_C(0x6465736b6d696c6c)

/* After each file that was applied. */
typedef void (*migrate_report_cb)(void *arg, int version, const char *name, int64_t ms);

/* `dir`: read the files from there, or NULL for the binary's own. `report` may be NULL. Disconnects `d` when
 * done: its next use starts a session with the usual timeouts. Must not be called within a transaction.
 * RC_CONFLICT: an applied file was changed, or the database is newer than this binary. RC_INVALID: a file
 * name, a gap, a double, or a file that commits by itself. A failed file leaves nothing of itself behind;
 * those before it stay applied. */
enum rc migrate_run(struct db *d, const char *dir, migrate_report_cb report, void *arg, struct err *err);

/* For processes that must not start on another schema than theirs. RC_CONFLICT when files are missing (the
 * sentence says to run `deskmill migrate`), and as above. *pending (may be NULL) is the number of missing
 * files, also written when that is why it fails. */
enum rc migrate_check(struct db *d, int *pending, struct err *err);

#endif
