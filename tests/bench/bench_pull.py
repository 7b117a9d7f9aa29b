#!/usr/bin/env python3
"""Issues per second from the vendor's page to the committed row, beside plain COPY of the same rows into the same indexed table.

    ./dev bench pull [--issues 30000] [--reps 5] [--body 1000] [--pages 999,100]

One worker with one slot, no limiter at the vendor. Repetitions take turns (COPY, new, unchanged, changed), so that a slow spell of the machine hits all.
COPY is the yardstick: the rows the pull has written, ready-made in a file, through one connection into an empty table with the same indexes. New: the table is
empty before. Unchanged: the same again. Changed: a tenth of the rows have been made older and different in the database before.
"""
import argparse
import time

import psycopg
from common import Bench, PeakMemory, machine, median, table

DATA = ("issues", "accounts", "users", "messages")


class PullBench:
    def __init__(self, bench, args, page):
        self.stack, self.args, self.page = bench.stack, args, page
        self.worker = self.stack.worker(slots=1)
        self.scheduler = self.stack.scheduler()
        self.desk = self.stack.vendor("pylon", issues=args.issues, accounts=100, users=20, messages=0, body_bytes=args.body, profile="none", latency_ms=0,
                                      settings={"page_size": page, "settle_s": 0, "directory_refresh_s": 86400})
        self.conn = psycopg.connect(self.stack.database_url, autocommit=True, options="-c search_path=deskmill")
        self.wal_of = {}

    def sql(self, text):
        return self.conn.execute(text)

    def wal(self):
        return self.sql("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()[0]

    def settle(self):
        """Nothing of the last step is left to be done in the background of the next."""
        self.sql("VACUUM ANALYZE issues")
        self.sql("CHECKPOINT")

    def run_pull(self):
        """One full pull; seconds it ran for and WAL bytes the whole database wrote meanwhile."""
        self.sql("UPDATE issues SET messages_read_for = coalesce(latest_message_time, 'epoch')"
                 " WHERE messages_read_for IS DISTINCT FROM coalesce(latest_message_time, 'epoch')")
        self.settle()
        before = self.wal()
        job = self.stack.enqueue("issue_pull", self.desk, full=True)
        row = self.stack.wait_job(job, timeout=600)
        wal = self.wal() - before
        for waiting in self.stack.sql("SELECT id FROM jobs WHERE kind = 'message_pull' AND state IN ('scheduled', 'queued', 'running')"):
            self.stack.http("POST", f"/api/v1/jobs/{waiting.id}/cancel")
        self.stack.idle()
        log = self.stack.sync_log(job)[-1]
        return (row.ended_at - row.started_at).total_seconds(), wal, log

    def empty(self):
        self.sql(f"TRUNCATE {', '.join(DATA)}, stream_cursors")

    def new(self):
        self.empty()
        seconds, wal, log = self.run_pull()
        assert log.inserted >= self.args.issues, f"only {log.inserted} rows were new"
        return self.args.issues / seconds, wal / self.args.issues

    def unchanged(self):
        seconds, wal, log = self.run_pull()
        assert log.inserted == log.updated == 0, f"{log.inserted} new and {log.updated} changed in an unchanged pull"
        return self.args.issues / seconds, wal / self.args.issues

    def changed(self):
        self.sql("UPDATE issues SET row_hash = row_hash + 1, updated_at = updated_at - interval '1 day' WHERE hashtext(id) % 10 = 0")
        changed = self.sql("SELECT count(*) FROM issues WHERE hashtext(id) % 10 = 0").fetchone()[0]
        seconds, wal, log = self.run_pull()
        assert log.updated == changed, f"{log.updated} updated, {changed} were different"
        return self.args.issues / seconds, wal / max(changed, 1)

    def copy(self):
        """The yardstick, by one connection, of the rows the last pull left."""
        self.sql("DROP TABLE IF EXISTS yardstick")
        self.sql("CREATE TABLE yardstick (LIKE issues INCLUDING ALL)")
        with self.conn.cursor() as cursor, cursor.copy("COPY issues TO STDOUT") as out:
            rows = b"".join(bytes(chunk) for chunk in out)
        self.sql("CHECKPOINT")
        before, start = self.wal(), time.monotonic()
        with self.conn.cursor() as cursor, cursor.copy("COPY yardstick FROM STDIN") as to:
            for at in range(0, len(rows), 1 << 18):
                to.write(rows[at:at + (1 << 18)])
        seconds = time.monotonic() - start
        wal = self.wal() - before
        self.sql("DROP TABLE yardstick")
        return self.args.issues / seconds, wal / self.args.issues

    def run(self):
        self.new()  # fills the table, the caches and the connections; not counted
        rates = {name: [] for name in ("COPY", "new", "unchanged", "10 % changed")}
        wals = {name: [] for name in rates}
        with PeakMemory(self.worker) as memory:
            for _ in range(self.args.reps):
                for name, step in (("COPY", self.copy), ("new", self.new), ("unchanged", self.unchanged), ("10 % changed", self.changed)):
                    rate, wal = step()
                    rates[name].append(rate)
                    wals[name].append(wal)
        base = median(rates["COPY"])
        print(f"{self.page} a page, {self.args.issues} issues, bodies of about {self.args.body} bytes, median of {self.args.reps}; "
              f"worker's peak memory {memory.peak:.0f} MB (PSS, all its processes)")
        table(["what", "issues/s", "lowest", "highest", "of COPY", "WAL bytes/row"],
              [[n, f"{median(r):,.0f}", f"{min(r):,.0f}", f"{max(r):,.0f}", f"{median(r) / base:.2f}", f"{median(wals[n]):,.0f}"] for n, r in rates.items()])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--issues", type=int, default=30000)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--body", type=int, default=1000)
    parser.add_argument("--pages", default="999,100")
    args = parser.parse_args()
    print(machine(), "\n")
    for page in args.pages.split(","):
        with Bench() as bench:
            PullBench(bench, args, int(page)).run()


if __name__ == "__main__":
    main()
