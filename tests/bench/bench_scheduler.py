#!/usr/bin/env python3
"""The scheduler with very many schedules: how soon it is ready, what firing costs, how long a full minute takes.

    ./dev bench scheduler [--schedules 100000] [--reps 5] [--only start,due,minute]

Schedules are of noop jobs, in every zone that Postgres knows by turns, of five cron expressions. Times are of the wall clock: from the process's start, or from
the commit that makes schedules due, until the tick and the job are rows and the job's id is in Redis. In `minute` all are due at once, and in its last row
the leader of two is killed (SIGKILL) when half of the ids are in Redis. Each (schedule, tick) must have exactly one job afterwards, and Redis each id
exactly once, or the bench fails.
"""
import argparse
import os
import signal
import time

from common import Bench, machine, median, table

CRONS = ("{m} * * * *", "{m} 2 * * *", "{m} 9 * * 1-5", "{m} 0 1 * *", "{m},{n} */3 * * *")
LIST = "dm:q:default:0:1"  # where noop jobs of no integration wait


def cpu_seconds(pid):
    """Processor time of a process so far."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until(condition, what, timeout=180):
    """Waits as closely as a bench must."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"still not so after {timeout} s: {what}"
        time.sleep(0.001)


class SchedulerBench:
    def __init__(self, bench, args):
        self.stack, self.args = bench.stack, args
        self.sql = self.stack.sql
        self.sql("INSERT INTO organizations (slug, name) VALUES ('bench', 'Bench')")
        self.redis = self.stack.redis_client()

    # -- what is there --

    def load(self, n, fresh=False):
        """n schedules, none of them due before long; `fresh` ones have no next tick yet."""
        self.sql("TRUNCATE jobs, schedules, schedule_ticks RESTART IDENTITY CASCADE")
        self.redis.flushall()
        minute = (time.gmtime().tm_min + 8) % 15  # offsets from UTC are quarters of an hour: none is due in the next seven minutes
        crons = [c.format(m=minute + 15 * (i % 4), n=minute) for i, c in enumerate(CRONS)]
        self.sql("INSERT INTO schedules (organization_id, kind, cron, timezone, next_tick)"
                 " SELECT (SELECT id FROM organizations), 'noop', (%s::text[])[1 + i %% %s], z.name, CASE WHEN NOT %s THEN now() + interval '1 day' END"
                 " FROM generate_series(1, %s) i JOIN (SELECT name, row_number() OVER (ORDER BY name) - 1 AS k, count(*) OVER () AS zones"
                 " FROM pg_timezone_names WHERE name LIKE '%%/%%' AND name !~ '^(posix|right)') z ON z.k = i %% z.zones", crons, len(crons), fresh, n)
        self.sql("VACUUM ANALYZE schedules")

    def make_due(self, n):
        """The minute that has begun is the next tick of n schedules, and the schedulers know."""
        self.sql("WITH u AS (UPDATE schedules SET next_tick = date_trunc('minute', now()) WHERE id <= %s RETURNING id)"
                 " SELECT pg_notify('deskmill_scheduler', '') FROM (SELECT count(*) FROM u) c", n)

    def leader(self):
        return "".join(r.leader for r in self.sql("SELECT leader FROM queue_state WHERE leader_until > now()"))

    def schedulers(self, n):
        procs = [self.stack.scheduler(log_level="warn") for _ in range(n)]
        self.stack.wait(self.leader, 10, "one of them leads")
        self.stack.wait(lambda: self.redis.get("dm:gen") is not None, 10, "Redis is trusted")
        return procs

    def stop(self, procs):
        for p in procs:
            p.stop()

    # -- what is measured --

    def ready(self, n):
        """Seconds from the start of the process to the first tick's job in Redis."""
        self.load(n)
        self.make_due(1)
        start = time.monotonic()
        proc = self.stack.scheduler(log_level="warn")
        until(lambda: self.redis.llen(LIST) == 1, "the one that is due has fired")
        seconds = time.monotonic() - start
        proc.stop()
        return seconds

    def first_ticks(self, n):
        """Seconds until n new schedules have their next tick."""
        self.load(n, fresh=True)
        start = time.monotonic()
        proc = self.stack.scheduler(log_level="warn")
        until(lambda: not self.sql("SELECT 1 FROM schedules WHERE next_tick IS NULL LIMIT 1"), "all have a next tick")
        seconds = time.monotonic() - start
        proc.stop()
        return seconds

    def fire(self, n, at_half=None):
        """Seconds until n schedules that became due have fired."""
        had = self.redis.llen(LIST)
        self.make_due(n)
        start = time.monotonic()
        if at_half is not None:
            until(lambda: self.redis.llen(LIST) - had >= n / 2, "half of the ids are in Redis")
            at_half()
        until(lambda: self.redis.llen(LIST) - had >= n, "all ids are in Redis")
        return time.monotonic() - start

    def few_of_many(self, due, n):
        """Seconds to fire `due` schedules of n, several times; and the scheduler's processor time for one of them."""
        self.load(n)
        procs = self.schedulers(1)
        self.fire(due)  # connections made, statements prepared
        before, took = cpu_seconds(procs[0].pid), []
        for _ in range(self.args.reps):
            self.sql("TRUNCATE schedule_ticks")  # so that the same minute counts again
            took.append(self.fire(due))
        cpu = (cpu_seconds(procs[0].pid) - before) / self.args.reps
        self.stop(procs)
        return took, cpu

    def minute(self, schedulers, kill=False):
        """Seconds until all have fired."""
        n = self.args.schedules
        self.load(n)
        procs = self.schedulers(schedulers)

        def kill_leader():
            next(p for p in procs if f":{p.pid}:" in self.leader()).kill(signal.SIGKILL)

        seconds = self.fire(n, kill_leader if kill else None)
        self.check(n)
        self.stop(procs)
        return seconds

    def check(self, n):
        """Each tick once, each job once, each id in Redis once."""
        row = self.sql("SELECT (SELECT count(*) FROM schedule_ticks) AS ticks, (SELECT count(*) FROM jobs) AS jobs,"
                       " (SELECT count(DISTINCT (schedule_id, tick)) FROM jobs) AS made, (SELECT count(*) FROM jobs JOIN schedule_ticks t"
                       " ON t.job_id = jobs.id AND t.schedule_id = jobs.schedule_id AND t.tick = jobs.tick) AS matched")[0]
        assert row == {"ticks": n, "jobs": n, "made": n, "matched": n}, f"{row}, not {n} of each"
        ids = self.redis.lrange(LIST, 0, -1)
        assert len(set(ids)) == n, f"{len(ids)} ids in Redis, {len(set(ids))} different ones, not {n}"

    # -- the tables --

    def table(self, head, rows):
        table([head, "median", "lowest", "highest"], [[name, *(f"{f(v):.2f}" for f in (median, min, max))] for name, v in rows])

    def start(self):
        n, reps = self.args.schedules, range(self.args.reps)
        self.table("seconds", [[f"from start to the first tick, {k:,} schedules", [self.ready(k) for _ in reps]] for k in (1000, n)]
                   + [[f"first ticks of {n:,} new schedules", [self.first_ticks(n) for _ in reps]]])

    def due(self):
        rows = []
        for n in (1000, 10000, self.args.schedules):
            took, cpu = self.few_of_many(1000, n)
            rows.append([f"1,000 due of {n:,}", *(f"{f(took) * 1000:.0f}" for f in (median, min, max)), f"{cpu * 1000:.0f}"])
        table(["ms", "median", "lowest", "highest", "scheduler's processor"], rows)

    def minutes(self):
        reps = range(self.args.reps)
        cases = (("one scheduler", 1, False), ("two schedulers", 2, False), ("two, the leader killed in the middle", 2, True))
        self.table(f"seconds, {self.args.schedules:,} due at once", [[name, [self.minute(k, kill) for _ in reps]] for name, k, kill in cases])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=100000)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--only", default="start,due,minute")
    args = parser.parse_args()
    print(machine(), "\n")
    with Bench() as bench:
        b = SchedulerBench(bench, args)
        parts = {"start": b.start, "due": b.due, "minute": b.minutes}
        for part in args.only.split(","):
            parts[part]()


if __name__ == "__main__":
    main()
