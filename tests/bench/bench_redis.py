#!/usr/bin/env python3
"""What losing Redis costs: bytes of it per queued job, seconds to rebuild it, and how long no job starts after each way of losing it.

    ./dev bench redis [--jobs 1000000] [--tries 5] [--only bytes,rebuild,pause]

bytes:   growth of used_memory by the ids of --jobs queued jobs, in one list and spread over many, and that of one job each for 10,000 tenants.
rebuild: FLUSHALL with that many queued; from there until the scheduler has put every id back and trusts the lists. The ids must all be there, each once.
pause:   the longest time in which no job started in the five seconds after the blow: a worker of four slots has 12,000 jobs of 2 ms before it, so that only the
         blow can hold it up. Every one of them must be done in the end.
"""
import argparse
import shutil
import signal
import time

from common import Bench, machine, median, table
import stack as stacks  # noqa: F401  (sets the path to services)

BACKLOG, WINDOW_S = 12000, 5


class RedisBench:
    def __init__(self, bench, args):
        self.stack, self.args, self.sql = bench.stack, args, bench.stack.sql
        self.sql("INSERT INTO organizations (slug, name) VALUES ('bench', 'Bench')")
        self.sql("INSERT INTO integrations (organization_id, name, vendor, base_url, credentials)"
                 " SELECT (SELECT id FROM organizations), 'desk' || i, 'pylon', 'http://127.0.0.1:9', '' FROM generate_series(1, 10000) i")

    def client(self):
        return self.stack.redis_client()

    def trusted(self):
        """Redis holds what the scheduler says it must."""
        row, client = self.sql("SELECT generation, run_id FROM queue_state")[0], self.client()
        return client.get("dm:gen") == str(row.generation) and client.info("server")["run_id"] == row.run_id

    def queue(self, n, tenants=0, sleep_ms=0):
        """n queued jobs as rows alone, of so many tenants by turns."""
        self.sql("TRUNCATE jobs CASCADE")
        self.sql("INSERT INTO jobs (kind, queue, state, integration_id, args, origin, max_attempts, timeout_s, queued_at)"
                 " SELECT 'noop', 'bulk', 'queued', nullif(CASE WHEN %s > 0 THEN 1 + i %% greatest(%s, 1) ELSE 0 END, 0), jsonb_build_object('sleep_ms', %s::int),"
                 " 'bench', 3, 60, now() - interval '1 minute' FROM generate_series(1, %s) i", tenants, tenants, sleep_ms, n)
        self.sql("ANALYZE jobs")

    def rebuilt(self):
        """Seconds from FLUSHALL until the lists are trusted."""
        start = time.monotonic()
        self.client().flushall()
        self.stack.wait(self.trusted, 120, "Redis has been rebuilt")
        return time.monotonic() - start

    def ids(self):
        client, ids = self.client(), []
        for key in client.scan_iter("dm:q:*", count=1000):
            if not key.endswith(":ring"):
                ids += client.lrange(key, 0, -1)
        return ids

    # -- bytes and rebuilding --

    def bytes(self):
        rows = []
        for name, n, tenants in ((f"{self.args.jobs:,} of one tenant", self.args.jobs, 0), (f"{self.args.jobs:,} of 1,000 tenants", self.args.jobs, 1000),
                                 ("100,000 of 10,000 tenants", 100000, 10000), ("10,000 of 10,000 tenants", 10000, 10000)):
            self.sql("TRUNCATE jobs CASCADE")
            self.rebuilt()
            before = self.client().info("memory")["used_memory"]
            self.queue(n, tenants)
            self.rebuilt()
            rows.append([name, f"{(self.client().info('memory')['used_memory'] - before) / n:.1f}"])
        table(["queued jobs", "bytes of Redis per job"], rows)

    def rebuild(self):
        rows = []
        for name, tenants in (("of one tenant", 0), ("of 1,000 tenants", 1000)):
            self.queue(self.args.jobs, tenants)
            took = [self.rebuilt() for _ in range(self.args.tries)]
            ids = self.ids()
            assert len(ids) == len(set(ids)) == self.args.jobs, f"{len(ids)} ids, {len(set(ids))} different, not {self.args.jobs}"
            rows.append([f"{self.args.jobs:,} ids {name}", *(f"{f(took):.2f}" for f in (median, min, max))])
        table(["seconds to rebuild", "median", "lowest", "highest"], rows)

    # -- pauses --

    def flushall(self):
        self.client().flushall()

    def restart(self):
        self.stack.redis().restart(signal.SIGKILL)

    def failover(self):
        redis = self.stack.redis()
        redis.stop(signal.SIGKILL)
        shutil.rmtree(redis.folder / "appendonlydir")
        redis.start()

    def gone(self):
        """Back only after the window."""
        self.stack.redis().stop(signal.SIGKILL)

    def hang(self):
        self.stack.redis().proc.kill(signal.SIGSTOP)

    def full(self):
        self.client().config_set("maxmemory", 1)
        self.client().delete("dm:gen")  # as a push that was refused does

    def mend(self):
        redis = self.stack.redis()
        redis.proc.kill(signal.SIGCONT)
        if not redis.proc.alive:
            redis.start()
        self.client().config_set("maxmemory", 0)

    def pause(self, blow):
        """The longest time without a start within the window after the blow."""
        self.queue(BACKLOG, sleep_ms=2)
        self.rebuilt()
        worker = self.stack.worker(slots=4, child_jobs=1000000, log_level="warn")
        self.stack.wait(lambda: self.sql("SELECT 1 FROM jobs WHERE state = 'done' OFFSET 500 LIMIT 1"), 30, "it is under way")
        at = self.sql("SELECT clock_timestamp() AS t")[0].t
        blow()
        over = time.monotonic() + WINDOW_S
        while time.monotonic() < over:
            time.sleep(0.1)
        self.mend()
        self.stack.wait(lambda: not self.sql("SELECT 1 FROM jobs WHERE state <> 'done' LIMIT 1"), 180, "all jobs are done")
        self.stack.wait(self.trusted, 60, "the lists are trusted again")
        worker.stop()
        starts = [r.s for r in self.sql("SELECT extract(epoch FROM started_at - %s)::float AS s FROM jobs WHERE started_at > %s ORDER BY 1", at, at)]
        assert max(starts) > WINDOW_S, "the jobs ran out too early for what is measured"
        moments = [0.0, *(s for s in starts if s < WINDOW_S), WINDOW_S]
        return max(b - a for a, b in zip(moments, moments[1:]))

    def pauses(self):
        cases = (("FLUSHALL", self.flushall), ("kill -9 and restart", self.restart), ("failover to an empty server", self.failover),
                 ("it is gone", self.gone), ("it hangs (SIGSTOP)", self.hang), ("out of memory", self.full))
        rows = []
        for name, blow in cases:
            took = [self.pause(blow) for _ in range(self.args.tries)]
            rows.append([name, *(f"{f(took):.2f}" for f in (median, min, max))])
        table(["seconds in which no job started", "median", "lowest", "highest"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000000)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--only", default="bytes,rebuild,pause")
    args = parser.parse_args()
    print(machine(), "\n")
    with Bench() as bench:
        bench.stack.scheduler(log_level="warn", sweep_ms=86400000)
        b = RedisBench(bench, args)
        parts = {"bytes": b.bytes, "rebuild": b.rebuild, "pause": b.pauses}
        for part in args.only.split(","):
            parts[part]()


if __name__ == "__main__":
    main()
