#!/usr/bin/env python3
"""Durable jobs through the whole queue: how many a second, how soon one starts, what they cost.

    ./dev bench queue [--jobs 20000] [--reps 5] [--slots 8] [--rate 200] [--seconds 10]

A job is a noop in a child process: row inserted and committed, id pushed, claimed, run, settled. Latency is from the producer's call (before the row is
written) to the first line of the handler, which writes the moment down. The yardstick is the disk: one small row inserted and committed at a time over one
connection, in the same Postgres. A durable job cannot start sooner than that.
"""
import argparse
import json
import subprocess
import time

from common import Bench, machine, median, memory, percentile, table
import stack as stacks

PRODUCER = stacks.BUILD / "tests" / "bench-producer"


class QueueBench:
    def __init__(self, bench, args):
        self.stack, self.args = bench.stack, args
        self.stack.scheduler()

    def produce(self, *argv):
        done = subprocess.run([PRODUCER, *map(str, argv)], env=self.stack.env(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        return done.stdout

    def redis_bytes(self):
        """Redis memory per queued job, nobody taking any."""
        client, n = self.stack.redis_client(), 100000
        before = client.info("memory")["used_memory"]
        self.produce("bulk", n, 5000)
        return (client.info("memory")["used_memory"] - before) / n

    def forget_jobs(self):
        self.stack.sql("TRUNCATE jobs CASCADE")
        for key in self.stack.redis_client().scan_iter("dm:q:*"):
            self.stack.redis_client().delete(key)
        self.stack.redis_client().delete("dm:wake")

    def commits(self, n=500):
        """Milliseconds of each of n durable commits of one small row."""
        took = []
        self.stack.sql("CREATE TABLE IF NOT EXISTS yardstick (id bigint, at timestamptz)")
        for i in range(n):
            start = time.monotonic()
            self.stack.sql("INSERT INTO yardstick VALUES (%s, now())", i)
            took.append((time.monotonic() - start) * 1000)
        return took

    def enqueue_rates(self):
        n = self.args.jobs
        bulk = json.loads(self.produce("bulk", n, 1000))
        self.forget_jobs()
        one = json.loads(self.produce("one", n // 10))
        self.forget_jobs()
        return bulk["n"] / bulk["us"] * 1e6, one["n"] / one["us"] * 1e6

    def drain(self):
        """Jobs/s of one worker on a preloaded queue, from its first start to its last settle."""
        self.produce("bulk", self.args.jobs, 1000)
        worker = self.stack.worker(slots=self.args.slots)
        self.stack.wait(lambda: not self.stack.sql("SELECT 1 FROM jobs WHERE state <> 'done' LIMIT 1"), 600, "all jobs are done")
        row = self.stack.sql("SELECT count(*) AS n, extract(epoch FROM max(ended_at) - min(started_at))::float AS s FROM jobs")[0]
        worker.stop()
        self.forget_jobs()
        return row.n / row.s

    def latency(self, n, per_s):
        """Microseconds from the call to the handler, a job each."""
        self.forget_jobs()
        began = dict(map(int, line.split()) for line in self.produce("rate", n, per_s).splitlines())
        self.stack.wait(lambda: not self.stack.sql("SELECT 1 FROM jobs WHERE state <> 'done' LIMIT 1"), 120, "all jobs are done")
        rows = self.stack.sql("SELECT id, (progress->>'started_us')::bigint AS t FROM jobs")
        return [r.t - began[r.id] for r in rows]

    def idle_memory(self, slots):
        worker = self.stack.worker(slots=slots)
        self.stack.wait(lambda: len(worker.children()) == slots, 10, "all children run")
        children = [memory(p) for p in worker.children()]
        result = memory(worker.pid), max(children), max(memory(p, "Pss") for p in worker.children())
        worker.stop()
        return result

    def start_time(self, slots):
        """Seconds from exec to `slots` children."""
        start = time.monotonic()
        worker = self.stack.worker(slots=slots, ready=False)
        self.stack.wait(lambda: len(worker.children()) == slots, 30, "all children run")
        seconds = time.monotonic() - start
        worker.stop()
        return seconds

    def run(self):
        args = self.args
        per_job = self.redis_bytes()
        self.forget_jobs()
        yard, bulk, one, drains = [], [], [], []
        for _ in range(args.reps):
            took = self.commits()
            yard.append(len(took) / sum(took) * 1000)
            rates = self.enqueue_rates()
            bulk.append(rates[0])
            one.append(rates[1])
            drains.append(self.drain())
        base = median(yard)
        table(["durable jobs/s", "median", "lowest", "highest", "of a bare commit"],
              [[name, f"{median(r):,.0f}", f"{min(r):,.0f}", f"{max(r):,.0f}", f"{median(r) / base:.2f}"] for name, r in
               (("a bare row, one a commit (yardstick)", yard), ("enqueue, 1,000 a call", bulk), ("enqueue, one a call", one),
                (f"run and settle, 1 worker, {args.slots} slots", drains))])
        worker = self.stack.worker(slots=args.slots)
        self.latency(50, 20)  # connections made, statements prepared in every child
        bare = [ms * 1000 for ms in self.commits()]
        idle = self.latency(args.seconds * 20, 20)
        steady = self.latency(args.seconds * args.rate, args.rate)
        table(["enqueue to start, ms", "p50", "p99", "highest", "jobs"],
              [[name, f"{percentile(v, .5) / 1000:.2f}", f"{percentile(v, .99) / 1000:.2f}", f"{max(v) / 1000:.2f}", len(v)]
               for name, v in (("a bare commit (yardstick)", bare), ("idle (20/s)", idle), (f"steady {args.rate}/s, open loop", steady))])
        worker.stop()
        parent, child, pss = self.idle_memory(args.slots)
        table(["what", "value"], [["Redis bytes per queued job", f"{per_job:.0f}"], ["idle parent, MB resident", f"{parent:.1f}"],
                                  ["idle child, MB resident", f"{child:.1f}"], ["idle child, MB proportional", f"{pss:.1f}"],
                                  ["seconds until 64 slots are there", f"{median([self.start_time(64) for _ in range(3)]):.2f}"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20000)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=10)
    args = parser.parse_args()
    print(machine(), "\n")
    with Bench() as bench:
        QueueBench(bench, args).run()


if __name__ == "__main__":
    main()
