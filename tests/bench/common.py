"""common - what the benches share: a durable stack of release binaries, medians, memory, tables."""
import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("DESKMILL_BUILD", str(ROOT / "build" / "release"))
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "scenarios")]

import services  # noqa: E402
import stack as stacks  # noqa: E402

PRODUCER = stacks.BUILD / "tests" / "bench-producer"

# fsync and synchronous_commit stay on: a bench that is not durable measures something else. What a small server would be given.
POSTGRES = ("shared_buffers=1GB", "max_wal_size=8GB", "checkpoint_timeout=30min", "wal_compression=off")


class Bench:
    """`with Bench() as b:` b.stack is a Stack on a durable Postgres of its own and a Redis with an append-only file."""

    def __init__(self, postgres=POSTGRES):
        self.postgres = postgres

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="deskmill-bench.")
        cluster = stacks.Cluster.__new__(stacks.Cluster)
        cluster.postgres, cluster.has_template = services.Postgres(durable=True, settings=self.postgres), False
        self.cluster = cluster
        self.stack = stacks.Stack(cluster, self.folder.name, "bench")
        self.stack.redis(keep=True)
        return self

    def __exit__(self, *_):
        wrong = self.stack.close()
        self.cluster.destroy()
        self.folder.cleanup()
        for line in wrong:
            print(line, file=sys.stderr)

    def forget_jobs(self):
        """No job was ever there; what they left behind is on the disk, and is nobody's burden later."""
        self.stack.sql("TRUNCATE jobs, sync_log CASCADE")
        client = self.stack.redis_client()
        client.unlink("dm:wake", *client.scan_iter("dm:q:*", count=1000))
        self.stack.sql("CHECKPOINT")


def family(pid):
    """The process and all that descend from it."""
    found, look = [], [pid]
    while look:
        found.append(look.pop())
        for task in pathlib.Path(f"/proc/{found[-1]}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                look += [int(p) for p in task.read_text().split()]
    return found


def cpu_seconds(proc):
    """CPU time that a process (of services) and its descendants have used, with those that have ended."""
    total = 0
    for pid in family(proc.pid):
        with contextlib.suppress(OSError):
            total += sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


class PeakMemory:
    """Peak of the summed proportional memory (PSS) of a process and its children, in MB, sampled while the block runs."""

    def __init__(self, proc):
        self.proc, self.peak = proc, 0.0

    def __enter__(self):
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _watch(self):
        while not self._end.wait(0.02):
            self.peak = max(self.peak, sum(memory(p, "Pss") for p in [self.proc.pid, *self.proc.children()]))


def memory(pid, what="Rss"):
    """MB of this process: Rss or Pss."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def median(values):
    return statistics.median(values) if values else float("nan")


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def table(head, rows):
    """Prints a Markdown table with numbers to the right."""
    cells = [[str(c) for c in row] for row in [head, *rows]]
    width = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for n, row in enumerate(cells):
        print("| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, width))) + " |")
        if n == 0:
            print("|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(width)) + "|")
    print(flush=True)


def machine():
    """One line about where this ran."""
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    version = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return f"{os.cpu_count()} cores ({cpu}), Postgres 15 with fsync on, Redis 7 with appendonly everysec, deskmill {version}"
