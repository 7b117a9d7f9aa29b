#!/usr/bin/env python3
"""Durable jobs through the whole queue: how many a second, how soon one starts, what they cost, who waits for whom.

    ./dev bench queue [SECTION...] [--jobs 20000] [--reps 5] [--slots 8] [--seconds 10] [--log-level info]
    ./dev bench queue --peers [NAME...] [--quick] [--kill] [--modes mem,disk] [--only bulk,one,drain,lat] [--reps 3]

Sections (all but perf, unless some are named):
    rates         enqueueing, a preloaded queue, a live producer
    latency       enqueue to start: idle, and at half of the live rate, open loop
    backlog       cost of a job with 1,000 and with 1,000,000 queued
    integrations  cost of a job with 1 and with 10,000 integrations
    fair          a single job beside another tenant's 100,000, beside a tenant without budget; weights of the queues
    memory        bytes per queued job, MB per process, seconds to start
    perf          where the CPU goes, by process and function (needs linux-perf)

A job is a noop in a child process: row inserted and committed, id pushed, claimed, run, settled. Latency is from when the job was due (before the row is
written) to the first line of the handler, which logs how long that took. The yardstick is the disk: one small row inserted and committed at a time over one
connection, in the same Postgres. A durable job cannot start sooner than that.
"""
import argparse
import datetime
import json
import re
import subprocess
import time

from common import Bench, PRODUCER, cpu_seconds, family, machine, median, memory, percentile, table
import peers

FAIR_JOB_MS = 20
FAIR_BACKLOG = 100000
FAIR_TRIES = 20
WEIGHTS = {"live": 6, "default": 3, "bulk": 1}
BATCH = 1000


class Meter:
    """CPU seconds of each process, and the database's clock, between begin() and end()."""

    def __init__(self, stack, **procs):
        self.stack, self.procs = stack, {"postgres": stack.cluster.postgres.proc, "redis": stack.redis().proc, **procs}

    def begin(self):
        self.before = {name: cpu_seconds(p) for name, p in self.procs.items()}
        self.since = self.stack.sql("SELECT clock_timestamp() AS t")[0].t
        return self

    def end(self):
        self.cpu = {name: cpu_seconds(p) - self.before[name] for name, p in self.procs.items()}
        self.until = self.stack.sql("SELECT clock_timestamp() AS t")[0].t
        self.seconds = (self.until - self.since).total_seconds()
        return self


class QueueBench:
    def __init__(self, bench, args):
        self.bench, self.stack, self.args = bench, bench.stack, args
        self.scheduler = self.stack.scheduler()
        self.organization = None

    # -- parts ------------------------------------------------------------------------------------------------------------

    def produce(self, *argv, **options):
        done = subprocess.run(self._producer(argv, options), env=self.stack.env(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def producing(self, *argv, **options):
        """The same in the background."""
        return subprocess.Popen(self._producer(argv, options), env=self.stack.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def _producer(self, argv, options):
        flags = [x for name, value in options.items() for x in (f"--{name.replace('_', '-')}", value)]
        return [str(x) for x in (PRODUCER, *flags, *argv)]

    def worker(self, **options):
        return self.stack.worker(slots=self.args.slots, log_level=self.args.log_level, **options)

    def none_left(self, seconds=600):
        """Waits until all jobs are done. Redis is asked first: it costs next to nothing."""
        client = self.stack.redis_client()
        self.stack.wait(lambda: not any(client.exists(f"dm:q:{queue}:ring") for queue in WEIGHTS)
                        and not self.stack.sql("SELECT 1 FROM jobs WHERE state <> 'done' LIMIT 1"), seconds, "all jobs are done")

    def integrations(self, n):
        """(first id, how many) of n integrations that no vendor stands behind."""
        if self.organization is None:
            self.organization = self.stack.sql("INSERT INTO organizations (slug, name) VALUES ('bench', 'Bench') RETURNING id")[0].id
            self.made = 0
        rows = self.stack.sql(
            "WITH i AS (INSERT INTO integrations (organization_id, name, vendor, base_url, credentials) SELECT %s, 'i' || g, 'pylon', 'http://127.0.0.1:9', ''"
            " FROM generate_series(%s::int + 1, %s::int) g RETURNING id) SELECT min(id) AS first, count(*) AS n, max(id) - min(id) + 1 AS span FROM i",
            self.organization, self.made, self.made + n)
        self.made += n
        assert rows[0].n == rows[0].span == n
        return f"{rows[0].first},{n}"

    def settle_down(self):
        """What loading a queue leaves to do is done before anything is measured."""
        self.stack.sql("VACUUM (ANALYZE) jobs")
        self.stack.sql("CHECKPOINT")

    def waits(self, worker, offset):
        """Milliseconds that stamped jobs waited, from the worker's log beyond `offset` bytes."""
        with open(worker.log_path, "rb") as log:
            log.seek(offset)
            return [int(us) / 1000 for us in re.findall(rb"event=noop\.started.* waited_us=(-?\d+)", log.read())]

    def commits(self, n=500):
        """Milliseconds of each of n durable commits of one small row."""
        took = []
        self.stack.sql("CREATE TABLE IF NOT EXISTS yardstick (id bigint, at timestamptz)")
        for i in range(n):
            start = time.monotonic()
            self.stack.sql("INSERT INTO yardstick VALUES (%s, now())", i)
            took.append((time.monotonic() - start) * 1000)
        return took

    # -- rates ------------------------------------------------------------------------------------------------------------

    def enqueue_rate(self, n, batch):
        said = self.produce("bulk", n, batch)
        self.bench.forget_jobs()
        return said["n"] / said["us"] * 1e6

    def drained(self):
        """Jobs/s from the first claim to the last settle, as the rows say."""
        row = self.stack.sql("SELECT count(*) AS n, extract(epoch FROM max(ended_at) - min(started_at))::float AS s FROM jobs")[0]
        return row.n / row.s

    def preloaded(self, workers=1):
        self.produce("bulk", self.args.jobs, BATCH)
        self.settle_down()
        procs = [self.worker(ready=False) for _ in range(workers)]
        self.none_left()
        rate = self.drained()
        for proc in procs:
            proc.stop()
        self.bench.forget_jobs()
        return rate

    def live(self):
        """Jobs/s with the producer at work beside the worker: from its first call until everything has run. (rate, CPU seconds per 100,000)"""
        worker = self.worker()
        meter = Meter(self.stack, worker=worker, scheduler=self.scheduler).begin()
        self.produce("bulk", self.args.jobs, BATCH)
        self.none_left()
        row = self.stack.sql("SELECT extract(epoch FROM max(ended_at) - min(created_at))::float AS s FROM jobs")[0]
        meter.end()
        worker.stop()
        self.bench.forget_jobs()
        return self.args.jobs / row.s, {name: s / self.args.jobs * 1e5 for name, s in meter.cpu.items()}

    def rates(self):
        series = {"a bare row, one a commit (yardstick)": [], f"enqueue, {BATCH:,} a call": [], "enqueue, one a call": [], "run and settle, 1 worker, preloaded": [],
                  "run and settle, 2 workers, preloaded": [], "enqueue, run and settle, 1 worker, live producer": []}
        for _ in range(self.args.reps):
            took = self.commits()
            for values, rate in zip(series.values(), (
                    len(took) / sum(took) * 1000, self.enqueue_rate(self.args.jobs, BATCH), self.enqueue_rate(self.args.jobs // 10, 1), self.preloaded(),
                    self.preloaded(2), self.live()[0])):
                values.append(rate)
        base = median(next(iter(series.values())))
        table([f"durable jobs/s, {self.args.slots} slots a worker", "median", "lowest", "highest", "of a bare commit"],
              [[name, f"{median(r):,.0f}", f"{min(r):,.0f}", f"{max(r):,.0f}", f"{median(r) / base:.2f}"] for name, r in series.items()])

    # -- latency ----------------------------------------------------------------------------------------------------------

    def latencies(self, worker, *argv, **options):
        offset = worker.log_path.stat().st_size
        said = self.produce(*argv, **options)
        self.none_left(120)
        values = self.waits(worker, offset)
        self.bench.forget_jobs()
        return values, said["n"] / said["us"] * 1e6

    def latency(self):
        args = self.args
        peak = median([self.live()[0] for _ in range(min(args.reps, 3))])
        half = args.rate or int(peak / 2)
        worker = self.worker()
        self.latencies(worker, "rate", 50, 20, 1, stamp=1)  # connections made, statements prepared in every child
        rows = [("a bare commit (yardstick)", self.commits(), "")]
        rows.append(("idle, 20/s", *self.latencies(worker, "rate", args.seconds * 20, 20, 1, stamp=1)))
        rows.append((f"open loop, {half:,}/s (live rate {peak:,.0f}/s)",
                     *self.latencies(worker, "rate", args.seconds * half, half, BATCH, stamp=max(1, half // 2000))))
        table(["enqueue to start, ms", "p50", "p99", "p99.9", "highest", "measured", "jobs/s"],
              [[name, *(f"{percentile(v, share):.2f}" for share in (.5, .99, .999)), f"{max(v):.2f}", f"{len(v):,}", f"{rate:,.0f}" if rate else ""]
               for name, v, rate in rows])
        worker.stop()

    # -- cost of a job ----------------------------------------------------------------------------------------------------

    def cost(self, queued, many, window, rate):
        """One worker for `window` seconds on a queue that holds at least `queued` throughout. (jobs/s, CPU seconds per 100,000 jobs by process, queued at its end)"""
        n = queued + int(rate * (window + 1) * 1.5) + BATCH
        self.produce("bulk", n, BATCH, **({"integrations": many} if many else {}))
        self.settle_down()
        worker = self.worker()
        self.stack.wait(lambda: self.stack.sql("SELECT 1 FROM jobs WHERE state = 'done' ORDER BY id LIMIT 1"), 30, "it works")
        meter = Meter(self.stack, worker=worker, scheduler=self.scheduler).begin()
        time.sleep(window)
        meter.end()
        worker.stop()
        done = self.stack.sql("SELECT count(*) FILTER (WHERE ended_at > %s AND ended_at <= %s) AS n, count(*) FILTER (WHERE state = 'queued') AS left FROM jobs",
                              meter.since, meter.until)[0]
        self.bench.forget_jobs()
        assert done.left >= queued * .99, f"the queue ran low: {done.left}"
        return done.n / meter.seconds, {name: s / done.n * 1e5 for name, s in meter.cpu.items()}, done.left

    def compare(self, title, cases, window=2.0):
        """cases: name -> (queued, integrations). They take turns."""
        rate = self.preloaded()
        found = {name: [] for name in cases}
        for _ in range(self.args.reps):
            for name, (queued, many) in cases.items():
                found[name].append(self.cost(queued, many, window, rate))
        base = None
        rows = []
        for name, runs in found.items():
            jobs = median([r[0] for r in runs])
            cpu = {p: median([r[1][p] for r in runs]) for p in runs[0][1]}
            total = median([sum(r[1].values()) for r in runs])
            base = base or (jobs, total)
            rows.append([name, f"{median([r[2] for r in runs]):,.0f}", f"{jobs:,.0f}", f"{jobs / base[0]:.2f}", *(f"{s:.2f}" for s in cpu.values()), f"{total:.2f}",
                         f"{total / base[1]:.2f}"])
        table([title, "left at the end", "jobs/s", "ratio", *(f"{p}, CPU s/100k" for p in cpu), "all", "ratio"], rows)

    def backlog(self):
        self.compare("queued throughout, at least", {f"{n:,}": (n, None) for n in (1000, 1000000)})

    def integrations_many(self):
        self.compare("integrations, 100,000 queued", {f"{n:,}": (100000, self.integrations(n)) for n in (1, 10000)})

    # -- fairness ---------------------------------------------------------------------------------------------------------

    def single_jobs(self, worker, tenant, meanwhile=lambda: None, **options):
        """Milliseconds that a tenant's single jobs wait, a few a second."""
        offset = worker.log_path.stat().st_size
        producer = self.producing("gaps", FAIR_TRIES, 100, stamp=1, integrations=tenant, **options)
        while producer.poll() is None:
            meanwhile()
            time.sleep(0.1)
        assert producer.wait() == 0
        self.stack.wait(lambda: len(self.waits(worker, offset)) >= FAIR_TRIES, 60, "the single jobs have started")
        return self.waits(worker, offset)

    def beside_a_backlog(self):
        """Shift of a single job's start when another tenant has 100,000 jobs of 20 ms queued."""
        rows = []
        bulky, small = self.integrations(1), self.integrations(1)
        for queue in ("live", "default", "bulk"):
            worker = self.worker()
            alone = self.single_jobs(worker, small, queue=queue)
            self.produce("bulk", FAIR_BACKLOG, BATCH, integrations=bulky, queue="bulk", sleep_ms=FAIR_JOB_MS)
            self.settle_down()
            beside = self.single_jobs(worker, small, queue=queue)
            left = self.stack.sql("SELECT count(*) AS n FROM jobs WHERE state = 'queued'")[0].n
            worker.stop()
            self.bench.forget_jobs()
            shift = median(beside) - median(alone)
            rows.append([queue, *(f"{x:.1f}" for x in (median(alone), max(alone), median(beside), max(beside), shift, max(beside) - median(alone))),
                         f"{FAIR_JOB_MS + 10}", f"{left:,}"])
        table([f"a single job, ms to start; {FAIR_BACKLOG:,} of {FAIR_JOB_MS} ms in bulk; its queue", "alone p50", "max", "beside p50", "max", "shift p50", "shift max",
               "goal", "left"], rows)

    def beside_a_throttled_tenant(self, chunks=200):
        """Another tenant's jobs cannot run for lack of budget: what it costs the others that they look again and again."""
        desk = self.stack.vendor("pylon", issues=2000, messages=0, settings={"limits": {"search": 1}})
        small = self.integrations(1)
        worker = self.worker()
        alone, alone_rate = self.single_jobs(worker, small), self.others_rate(small)
        since = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
        for n in range(chunks):  # the first spends the budget
            day = since + datetime.timedelta(days=n)
            self.stack.enqueue("issue_chunk", desk, **{"from": day.isoformat(), "to": (day + datetime.timedelta(days=3000)).isoformat()})
        self.stack.wait(lambda: not self.stack.sql("SELECT 1 FROM jobs WHERE kind = 'issue_chunk' AND (epoch = 0 OR state IN ('queued', 'running')) LIMIT 1"), 60,
                        "one has spent the budget, the others wait for it")
        looks = self.looks()
        beside = self.single_jobs(worker, small, meanwhile=self.stack.hasten)
        looks = self.looks() - looks
        beside_rate = self.others_rate(small)
        self.stack.sql("UPDATE jobs SET state = 'cancelled', ended_at = now() WHERE kind = 'issue_chunk' AND state <> 'running'")
        worker.stop()
        self.bench.forget_jobs()
        table([f"another tenant with {chunks} jobs and no budget", "single job p50, ms", "max", "its jobs looked", "jobs/s"],
              [["not there", f"{median(alone):.1f}", f"{max(alone):.1f}", "", f"{alone_rate:,.0f}"],
               ["there, woken over and over (p50, max); waiting (jobs/s)", f"{median(beside):.1f}", f"{max(beside):.1f}", f"{looks:,}", f"{beside_rate:,.0f}"]])

    def looks(self):
        return self.stack.sql("SELECT coalesce(sum(epoch), 0) AS n FROM jobs WHERE kind = 'issue_chunk'")[0].n

    def others_rate(self, tenant):
        """Jobs/s of this tenant's preloaded jobs, whatever else there is."""
        before = self.stack.sql("SELECT coalesce(max(id), 0) AS id FROM jobs")[0].id
        self.produce("bulk", self.args.jobs, BATCH, integrations=tenant)
        self.stack.wait(lambda: not self.stack.sql("SELECT 1 FROM jobs WHERE id > %s AND kind = 'noop' AND state <> 'done' LIMIT 1", before), 600, "they are done")
        row = self.stack.sql("SELECT count(*) AS n, extract(epoch FROM max(ended_at) - min(created_at))::float AS s FROM jobs WHERE id > %s AND kind = 'noop'", before)[0]
        return row.n / row.s

    def weights(self):
        """Shares of the queues among the first jobs run, while all three are full."""
        n = self.args.jobs
        for queue in WEIGHTS:
            self.produce("bulk", n, BATCH, queue=queue)
        self.settle_down()
        worker = self.worker()
        self.stack.wait(lambda: self.stack.sql("SELECT count(*) AS n FROM jobs WHERE state = 'done'")[0].n >= n, 600, "a queue's worth is done")
        worker.stop()
        shares = {r.queue: r.n / n for r in self.stack.sql(
            "SELECT queue, count(*) AS n FROM (SELECT queue FROM jobs WHERE ended_at IS NOT NULL ORDER BY started_at, ended_at LIMIT %s) f GROUP BY 1", n)}
        self.bench.forget_jobs()
        total = sum(WEIGHTS.values())
        table(["queue, all full", "weight", f"share of the first {n:,}", "off by"],
              [[q, f"{w / total:.0%}", f"{shares.get(q, 0):.1%}", f"{shares.get(q, 0) / (w / total) - 1:+.1%}"] for q, w in WEIGHTS.items()])

    def fair(self):
        self.beside_a_backlog()
        self.beside_a_throttled_tenant()
        self.weights()

    # -- memory -----------------------------------------------------------------------------------------------------------

    def redis_bytes(self):
        """Redis memory per queued job, nobody taking any."""
        client, n = self.stack.redis_client(), 100000
        before = client.info("memory")["used_memory"]
        self.produce("bulk", n, 5000)
        per_job = (client.info("memory")["used_memory"] - before) / n
        self.bench.forget_jobs()
        return per_job

    def idle_memory(self, slots):
        worker = self.stack.worker(slots=slots)
        self.stack.wait(lambda: len(worker.children()) == slots, 10, "all children run")
        children = [memory(p) for p in worker.children()]
        result = memory(worker.pid), max(children), max(memory(p, "Pss") for p in worker.children())
        worker.stop()
        return result

    def busy_memory(self):
        """The most that a worker and its children have held together, proportionally, after running many jobs."""
        worker = self.worker()
        self.produce("bulk", self.args.jobs, BATCH)
        self.none_left()
        result = sum(memory(p, "Pss") for p in family(worker.pid))
        worker.stop()
        self.bench.forget_jobs()
        return result

    def start_time(self, slots):
        """Seconds from exec to `slots` children."""
        start = time.monotonic()
        worker = self.stack.worker(slots=slots, ready=False)
        self.stack.wait(lambda: len(worker.children()) == slots, 30, "all children run")
        seconds = time.monotonic() - start
        worker.stop()
        return seconds

    def memory(self):
        parent, child, pss = self.idle_memory(self.args.slots)
        table(["what", "value"], [["Redis bytes per queued job", f"{self.redis_bytes():.0f}"], ["idle parent, MB resident", f"{parent:.1f}"],
                                  ["idle child, MB resident", f"{child:.1f}"], ["idle child, MB proportional", f"{pss:.1f}"],
                                  [f"worker with {self.args.slots} children after {self.args.jobs:,} jobs, MB proportional", f"{self.busy_memory():.1f}"],
                                  ["seconds until 64 slots are there", f"{median([self.start_time(64) for _ in range(3)]):.2f}"]])

    # -- where the CPU goes -----------------------------------------------------------------------------------------------

    def perf(self, seconds=5, lines=14):
        """A profile of each process while a preloaded queue is run, by function."""
        rate = self.preloaded()
        self.produce("bulk", int(rate * (seconds + 3) * 1.3), BATCH)
        self.settle_down()
        worker = self.worker()
        data = self.bench.folder.name + "/perf.data"
        names = {"postgres": self.stack.cluster.postgres.proc, "redis": self.stack.redis().proc, "worker": worker, "scheduler": self.scheduler}
        parent, pids = {"worker parent": worker.pid}, {name: family(p.pid) for name, p in names.items()}
        subprocess.run(["perf", "record", "-q", "-F", "997", "-e", "cpu-clock", "-o", data, "-p", ",".join(str(p) for ps in pids.values() for p in ps), "--",
                        "sleep", str(seconds)], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pids = {"postgres": pids["postgres"], "redis": pids["redis"], "worker, its children": [p for p in pids["worker"] if p != worker.pid],
                "worker, the parent": list(parent.values()), "scheduler": pids["scheduler"]}
        for name, those in pids.items():
            said = subprocess.run(["perf", "report", "--stdio", "--percentage", "absolute", "--sort", "dso,symbol", "-i", data, "--pid", ",".join(map(str, those))],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
            found = [line.rstrip() for line in said.splitlines() if re.match(r"\s+\d+\.\d+%", line)]
            share = sum(float(line.split("%")[0]) for line in found)
            print(f"{name}: {share:.1f} % of all samples")
            print("\n".join(found[:lines]), "\n", flush=True)
        worker.stop()
        self.bench.forget_jobs()


SECTIONS = {"rates": QueueBench.rates, "latency": QueueBench.latency, "backlog": QueueBench.backlog, "integrations": QueueBench.integrations_many,
            "fair": QueueBench.fair, "memory": QueueBench.memory, "perf": QueueBench.perf}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--jobs", type=int, default=20000)
    parser.add_argument("--reps", type=int)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--rate", type=int, help="of the open loop, instead of half of what was measured")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--log-level", default="info", choices=["info", "warn"], help="of the worker; stamps need info")
    parser.add_argument("--peers", nargs="*", metavar="NAME", help="the panel, with these or with all")
    for flag in ("--quick", "--kill", "--no-bench"):
        parser.add_argument(flag, action="store_true", help="of the panel")
    for option in ("--modes", "--only"):
        parser.add_argument(option, help="of the panel")
    args = parser.parse_args()
    if unknown := set(args.sections) - set(SECTIONS):
        parser.error(f"{', '.join(sorted(unknown))}: no such section; there are: {' '.join(SECTIONS)}")
    if args.peers is not None:
        options = [f"--{o}" for o in ("quick", "kill", "no-bench") if getattr(args, o.replace("-", "_"))]
        options += [x for o in ("modes", "only", "reps") if getattr(args, o) for x in (f"--{o}", str(getattr(args, o)))]
        return peers.main(args.peers, options)
    args.reps = args.reps or 5
    print(machine(), "\n")
    with Bench() as bench:
        queue = QueueBench(bench, args)
        for name in args.sections or [s for s in SECTIONS if s != "perf"]:
            SECTIONS[name](queue)


if __name__ == "__main__":
    main()
