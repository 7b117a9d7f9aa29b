"""faults - what each kind of fault of plan.FAULTS does: a class of that name with begin(), and end() where it lasts."""
import os
import shutil
import signal
import time

import plan
import rig as rig_module

LINGERING = 6.0  # seconds after a link or a server is back in which its callers may not have noticed


class Fault:
    """One step of the plan, done to a rig."""

    victim = None  # pid of the worker that loses its jobs by it
    log = ""

    def __init__(self, rig, step):
        self.rig, self.step, self.args = rig, step, step.args
        self.role = rig.roles.get(step.args["on"])

    def run(self):
        self.began, self.began_mono = rig_module.now(), time.monotonic()
        self.log = self.begin() or ""
        self.ended, self.ended_mono = rig_module.now(), time.monotonic()

    def finish(self):
        self.end()
        self.ended, self.ended_mono = rig_module.now(), time.monotonic()
        self.explain()

    def begin(self):
        raise NotImplementedError

    def end(self):
        pass

    def explain(self):
        """What this fault excuses in the budgets."""

    def span(self):
        return self.began_mono, self.ended_mono + LINGERING


# ---- processes ----


class kill(Fault):
    def begin(self):
        pid = self.role.proc.pid
        self.victim = pid if self.args["on"].startswith("worker") else None
        self.role.again_at = time.monotonic() + self.step.hold
        self.role.proc.kill(signal.SIGKILL)
        return f"SIGKILL to pid {pid}"


class kill_worker(kill):
    pass


class kill_scheduler(kill):
    pass


class kill_api(kill):
    pass


class one_child(Fault):
    def child(self):
        children = self.role.proc.children() if self.role.proc.alive else []
        return children[self.args["child"] % len(children)] if children else None


class kill_child(one_child):
    def begin(self):
        pid = self.child()
        if pid:
            os.kill(pid, signal.SIGKILL)
        return f"SIGKILL to pid {pid}" if pid else "it has none"


class drain_worker(Fault):
    def begin(self):
        self.role.proc.ask(signal.SIGTERM)
        return f"SIGTERM to pid {self.role.proc.pid}"


class stop(Fault):
    """SIGSTOP for two leases, then SIGCONT: whoever wakes up believes that no time has passed."""

    def begin(self):
        self.pids = self.pids_to_stop()
        if self.args["on"].startswith("worker") and len(self.pids) > 1:
            self.victim = self.pids[0]
        self.rig.signal_all(self.pids, signal.SIGSTOP)
        return f"SIGSTOP to {self.pids}"

    def pids_to_stop(self):
        return self.role.family() if self.role.proc.alive else []

    def end(self):
        self.rig.signal_all(self.pids, signal.SIGCONT)

    def explain(self):
        self.rig.held_up.append(self.span())


class stop_worker(stop):
    pass


class stop_scheduler(stop):
    pass


class stop_child(stop, one_child):
    def pids_to_stop(self):
        pid = self.child()
        return [pid] if pid else []


class clock_jump(Fault):
    def begin(self):
        self.role.shift(self.args["seconds"])

    def end(self):
        self.role.shift(0)


# ---- Redis ----


class redis(Fault):
    @property
    def server(self):
        return self.rig.stack.redis()

    def client(self):
        return self.rig.stack.redis_client()

    def explain(self):
        self.rig.away.append(self.span())


class redis_flush(redis):
    def begin(self):
        self.client().flushall()
        self.rig.resets.append(time.monotonic())


class redis_restart(redis):
    """SIGKILL, and a start with what the log on disk holds."""

    def begin(self):
        self.server.stop(signal.SIGKILL)
        self.rig.resets.append(time.monotonic())

    def end(self):
        self.server.start()
        self.rig.stack.procs.append(self.server.proc)


class redis_old_aof(redis_restart):
    """The log on disk is one from earlier: ids of jobs that have long ended, an old generation, tokens that seem unspent."""

    def end(self):
        live, old = self.server.folder / "appendonlydir", self.server.folder / "old"
        shutil.rmtree(live)
        if old.exists():
            shutil.copytree(old, live)
        super().end()
        self.rig.resets.append(time.monotonic())
        keep_aof(self.rig)


def keep_aof(rig):
    """The copy that redis_old_aof will bring back."""
    folder = rig.stack.redis().folder
    shutil.rmtree(folder / "old", ignore_errors=True)
    shutil.copytree(folder / "appendonlydir", folder / "old")


class redis_full(redis):
    """maxmemory is reached: with noeviction, writes are refused."""

    def begin(self):
        self.client().config_set("maxmemory", 1)

    def end(self):
        self.client().config_set("maxmemory", 0)


class redis_stop(redis):
    """It hangs: connections stay, nothing answers."""

    def begin(self):
        os.kill(self.server.proc.pid, signal.SIGSTOP)

    def end(self):
        os.kill(self.server.proc.pid, signal.SIGCONT)


# ---- Postgres ----


class postgres_fast(Fault):
    how = signal.SIGINT

    def begin(self):
        self.rig.stack.cluster.postgres.stop(self.how)

    def end(self):
        self.rig.stack.cluster.postgres.start()
        self.rig.stack._conn = None

    def explain(self):
        self.rig.held_up.append(self.span())


class postgres_immediate(postgres_fast):
    how = signal.SIGQUIT


class postgres_backend(Fault):
    """kill -9 of one backend: the server ends all the others and recovers."""

    def begin(self):
        rows = self.rig.sql("SELECT pid, application_name AS app FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                            " ORDER BY application_name LIKE %s DESC, pid", self.args["whose"] + "%")
        if not rows:
            return "there is none"
        row = rows[self.args["nth"] % max(1, sum(r.app.startswith(self.args["whose"]) for r in rows))]
        os.kill(row.pid, signal.SIGKILL)
        self.rig.stack._conn = None
        return f"SIGKILL to the backend {row.pid} of {row.app}"


# ---- links ----


class link(Fault):
    ms = 0

    def begin(self):
        self.rig.links[self.args["on"]].set(self.step.fault.removeprefix("link_"), self.args.get("ms", 0))

    def end(self):
        self.rig.links[self.args["on"]].set("pass")

    def explain(self):
        self.rig.held_up.append(self.span())
        if self.args["on"].endswith("redis"):
            self.rig.away.append(self.span())


class link_cut(link):
    pass


class link_half_open(link):
    pass


class link_stall(link):
    pass


class link_delay(link):
    pass


# ---- vendors ----


class vendor_fails(Fault):
    def begin(self):
        how = {k: v for k, v in self.args.items() if k != "on"}
        self.desk().fail(**{"count": 1, **how})

    def desk(self):
        return self.rig.desks[int(self.args["on"].rpartition("-")[2]) - 1]

    def end(self):
        self.desk().mend()

    def explain(self):
        self.rig.held_up.append(self.span())


def make(rig, step):
    return globals()[step.fault](rig, step)


assert all(name in globals() for name in plan.FAULTS), "each fault of the plan is a class here"
