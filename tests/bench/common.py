"""common - what the benches share: a durable stack of release binaries, medians, memory, tables."""
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

# fsync and synchronous_commit stay on: a bench that is not durable measures something else. What a small server would be given.
POSTGRES = ("shared_buffers=1GB", "max_wal_size=8GB", "checkpoint_timeout=30min", "wal_compression=off")


class Bench:
    """`with Bench() as b:` b.stack is a Stack on a durable Postgres of its own and a Redis with an append-only file."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="deskmill-bench.")
        cluster = stacks.Cluster.__new__(stacks.Cluster)
        cluster.postgres, cluster.has_template = services.Postgres(durable=True, settings=POSTGRES), False
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
