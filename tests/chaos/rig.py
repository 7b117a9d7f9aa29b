"""rig - a whole Deskmill around which faults can be drawn: every process in a role that is filled again when it ends, every connection through a
link that can fail, every clock one that can jump.
"""
import contextlib
import datetime
import os
import signal
import struct
import time

import history
import plan
import proxy
import services
import stack as stack_module

CLOCKSHIFT = stack_module.BUILD / "tests" / "chaos" / "libclockshift.so"
YOUNG = 10.0  # a process that ends with an error before this has not found its servers; whoever supervises it starts it again
LIMITED = 60  # calls a minute of the desk that has a limit

DESK_OPTIONS = [  # of the simulator, and of the integration
    ({"issues": 150, "messages": 300, "latency_ms": 20}, {"page_size": 20}),
    ({"issues": 90, "messages": 150}, {"page_size": 40, "limits": {**stack_module.NO_LIMITS, "search": LIMITED, "messages": 4 * LIMITED}}),
    ({"issues": 60, "messages": 120, "days": 100}, {"page_size": 10}),
]


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Role:
    """Something that must run: one process at a time, each with a log of its own."""

    def __init__(self, rig, name):
        self.rig, self.name, self.number = rig, name, 0
        self.proc, self.started = None, 0.0
        self.again_at = None  # monotonic: not before this
        self.pids = []
        self.clock = rig.stack.folder / f"{name}.clock"
        self.shift(0)

    @property
    def program(self):
        return f"deskmill-{self.name.partition('-')[0]}"

    def shift(self, seconds):
        """Its clock is off by so much, from now on."""
        with open(self.clock, "r+b" if self.clock.exists() else "wb") as f:
            f.write(struct.pack("q", int(seconds * 1_000_000)))

    def env(self):
        pg, cache = (self.rig.links[f"{self.name}:{server}"].port for server in ("postgres", "redis"))
        stack = self.rig.stack
        env = stack.env(DATABASE_URL=stack.database_url.replace(f":{stack.cluster.postgres.port}/", f":{pg}/"), REDIS_URL=f"redis://127.0.0.1:{cache}/0",
                        LD_PRELOAD=str(CLOCKSHIFT), DESKMILL_CLOCKSHIFT=str(self.clock))
        env["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
        return env

    def start(self):
        self.number += 1
        self.proc = self.rig.stack.start(self.program, name=f"{self.name}.{self.number}", env=self.env(), **self.rig.options_of(self.name))
        self.started, self.again_at = time.monotonic(), None
        self.pids.append(self.proc.pid)

    def family(self):
        """The process and its children."""
        return [self.proc.pid, *self.proc.children()]

    def supervise(self):
        """Starts it again when it has ended; what ended by itself is told."""
        if self.proc.alive:
            return
        if self.again_at is None:
            self.again_at = time.monotonic() + 0.3
            if not self.proc.expected_end:
                self._ended_by_itself()
        elif time.monotonic() >= self.again_at:
            self.start()

    def _ended_by_itself(self):
        code, lived = self.proc.returncode, time.monotonic() - self.started
        self.proc.expected_end = True
        self.rig.tell(f"{self.proc.name} ended by itself with {code} after {lived:.1f} s")
        if code != 1 or lived > YOUNG:
            self.rig.crashed.append((self.proc.name, f"exit code {code} after {lived:.1f} s\n{self.proc.tail(12)}"))


class Rig:
    def __init__(self, stack):
        self.stack, self.begun = stack, time.monotonic()
        self.story, self.crashed = [], []
        self.proxies = proxy.Proxies()
        self.links = self.proxies.links
        self.roles, self.desks = {}, []
        self.resets, self.away, self.held_up = [], [], []  # what explains calls above a budget, by the monotonic clock
        self.options = {
            "worker": {"slots": plan.SLOTS, "beat_ms": plan.BEAT_MS, "vendor_timeout_ms": 4000, "vendor_connect_ms": 2000},
            "scheduler": {"lease_ms": plan.LEASE_MS, "check_ms": 2000},
        }

    # -- building -------------------------------------------------------------------------------------------------------

    def build(self, roles=tuple(plan.ROLES)):
        stack = self.stack
        stack.redis(keep=True)
        history.install(stack.sql)
        for role in roles:
            for server, port in (("postgres", stack.cluster.postgres.port), ("redis", stack.redis().port)):
                self.proxies.link(f"{role}:{server}", port)
            self.roles[role] = Role(self, role)
        self.api_port = services.free_port()
        self.roles["api"].start()
        stack._api = self.roles["api"].proc
        stack._api.url = f"http://127.0.0.1:{self.api_port}"
        services.wait_until(self._api_answers, 60, "the api answers")

    def _api_answers(self):
        with contextlib.suppress(OSError):
            return self.stack.http("GET", "/healthz").ok
        return False

    def options_of(self, role):
        return {"port": self.api_port} if role == "api" else self.options[role.partition("-")[0]]

    def start_all(self):
        for role in self.roles.values():
            if role.proc is None:
                role.start()

    def add_desk(self, sim, settings, **more):
        """A desk behind a link."""
        number = len(self.desks) + 1
        desk = self.stack.vendor("pylon", settings={"lookback_s": 1, **settings}, seed=number, **sim, **more)
        link = self.proxies.link(f"desk-{number}:vendor", int(desk.url.rpartition(":")[2]))
        self.stack.sql("UPDATE integrations SET base_url = %s WHERE id = %s", f"http://127.0.0.1:{link.port}", desk.id)
        desk.limits_set = settings.get("limits", {})
        self.desks.append(desk)
        return desk

    # -- while it runs ---------------------------------------------------------------------------------------------------

    def tell(self, text):
        line = f"{time.monotonic() - self.begun:6.1f} s  {text}"
        self.story.append(line)
        print(line, flush=True)

    def supervise(self):
        for role in self.roles.values():
            role.supervise()

    def sql(self, text, *params):
        """As stack.sql, and again for as long as Postgres may take to come back."""
        end = time.monotonic() + 60
        while True:
            try:
                return self.stack.sql(text, *params)
            except stack_module.psycopg.Error:
                if time.monotonic() > end:
                    raise
                self.stack._conn = None
                time.sleep(0.1)  # between two attempts to reach a server

    def wait(self, condition, timeout, what):
        """Waits as stack.wait does, and goes on supervising."""
        def met():
            self.supervise()
            with contextlib.suppress(OSError, stack_module.requests.RequestException):
                return condition()
            return False
        return services.wait_until(met, timeout, what)

    def worker_ids(self, pid):
        """Under which ids the process has registered."""
        return {r.id for r in self.sql("SELECT id FROM workers WHERE pid = %s", pid)} if pid else set()

    def signal_all(self, pids, sig):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)

    def heal(self):
        """Whatever may still be broken is whole again."""
        for link in self.links.values():
            if link.mode != "pass":
                link.set("pass")
        for desk in self.desks:
            desk.mend()
        for role in self.roles.values():
            role.shift(0)
            self.signal_all(role.family() if role.proc.alive else [], signal.SIGCONT)

    # -- the end ----------------------------------------------------------------------------------------------------------

    def settle(self, timeout):
        """Waits until every job has ended; those that wait for a moment need not wait for it. The ids of those that have not, at the deadline."""
        def done():
            self.sql("UPDATE jobs SET run_at = now() WHERE state = 'scheduled' AND run_at < 'infinity' AND run_at > now()")
            self.stack.wake_scheduler()
            return not open_jobs()

        def open_jobs():
            return self.sql("SELECT id FROM jobs WHERE state IN ('queued', 'running', 'scheduled') LIMIT 20")

        with contextlib.suppress(AssertionError):
            self.wait(done, timeout, "every job has ended")
        return [r.id for r in open_jobs()]

    def pull_all(self, timeout):
        """One pull of every desk, and what follows from it: from then on the tables must be true."""
        for desk in self.desks:
            self.wait(lambda: self.stack.post("/api/v1/pulls", integration=desk.integration), 60, f"a pull of {desk.integration} is accepted")  # noqa: B023
        return self.settle(timeout)

    def read(self):
        """The history, as the checker wants it. What was accepted, edited and scheduled is for whoever did it to add."""
        made = history.History(crashed=self.crashed)
        history.read(self.sql, made)
        for desk in self.desks:
            for table in stack_module.oracle.TABLES:
                made.tables.append((desk.id, table, self.stack.rows(table, desk), desk.truth(table)))
            made.limits += [self._limit(desk, endpoint, n) for endpoint, n in desk.limits_set.items() if n < 100000]
        return made

    def _limit(self, desk, endpoint, per_minute):
        calls = [at / 1e6 for at, name, _ in desk.door("GET", "calls")["calls"] if name == endpoint]
        callers = plan.WORKERS * plan.SLOTS
        # Only one job reads messages, several calls at a time; searches are one call a job.
        return history.Limit(desk.integration, endpoint, per_minute, calls, self.resets, self.away, self.held_up, callers=callers, in_flight=max(callers, 8))

    def close(self):
        """Its processes end before its links do: who drains has something to write back. What does not stop is for the stack to report."""
        running = [r.proc for r in self.roles.values() if r.proc is not None and r.proc.alive]
        for proc in running:
            proc.ask(signal.SIGTERM)
        for proc in running:
            with contextlib.suppress(AssertionError):
                proc.wait(15)
        self.proxies.close()
