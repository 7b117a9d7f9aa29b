# Executed inside the frame of the peers' bench (PEERS_EXTRA), which then measures Deskmill as one of them: what it calls the server, how to produce,
# how to work, when nothing is left. The names SERVERS and PEERS are the frame's.
#
# In whatever mode the others run, ours is durable: fsync and synchronous_commit on, the append-only file flushed every second.
import os as _os
import pathlib as _pathlib
import sys as _sys

_HERE = _pathlib.Path(_os.environ["PEERS_EXTRA"]).resolve().parent
_sys.path.insert(0, str(_HERE))


class DeskmillServer:
    """Postgres, Redis and a scheduler of Deskmill's own."""

    def __init__(self, mode, folder):
        from common import Bench

        self.bench = Bench(postgres=("shared_buffers=512MB", "max_wal_size=4GB", "checkpoint_timeout=15min"))  # as the others' Postgres
        self.stack = self.bench.__enter__().stack
        self.redis = self.stack.redis_client()
        self.procs = [self.stack.cluster.postgres.proc, self.stack.redis().proc, self.stack.scheduler()]
        # A Postgres that has just started says nothing yet about who is gone (the first lease of 10 s): it has run for a while.
        self.stack.wait(lambda: self.stack.sql("SELECT now() > pg_postmaster_start_time() + interval '11 s' AS yes")[0].yes, 30, "Postgres has run for a lease")

    def env(self):
        return self.stack.env(PYTHONDONTWRITEBYTECODE="1")

    def flush(self):
        self.bench.forget_jobs()

    def cpu(self):
        from common import cpu_seconds

        return sum(cpu_seconds(p) for p in self.procs)

    def mem(self):
        """Redis's memory and the tables' size together."""
        rows = self.stack.sql("SELECT sum(pg_total_relation_size(oid))::bigint AS n FROM pg_class WHERE relname IN ('jobs', 'sync_log') AND relkind = 'r'")
        return self.redis.info("memory")["used_memory"] + rows[0].n

    def left(self):
        """Not 0 while a job is not done. The rows are asked only when the lists are empty."""
        if any(self.redis.exists(f"dm:q:{queue}:ring") for queue in ("live", "default", "bulk")):
            return 1
        return len(self.stack.sql("SELECT 1 FROM jobs WHERE state <> 'done' LIMIT 1"))

    def stop(self):
        for proc in self.stack.procs:  # workers are the frame's
            proc.expected_end = True
        self.bench.__exit__()


def _side(*argv):
    return ["/usr/bin/python3", "-B", str(_HERE / "peers_side.py"), *argv]


SERVERS["deskmill"] = DeskmillServer  # noqa: F821
PEERS["deskmill"] = dict(  # noqa: F821
    server="deskmill", prod=_side("produce"), work=_side("work"), pending=lambda server: server.left(), poll=0.05,
    conc=int(_os.environ.get("DESKMILL_BENCH_SLOTS", "4")), pilot=5000, gap=8, kill=[("default", {}, 10, 1)],
    version=_os.environ.get("DESKMILL_BENCH_VERSION", "deskmill"))
