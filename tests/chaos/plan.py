"""plan - which faults, on whom, and when: drawn from a seed and nothing else, so that the same seed is the same plan.

A kind of fault is a row of FAULTS; what it does is the method of the same name in faults.py.
"""
import dataclasses
import random

WARM_UP, QUIET_END = 5.0, 6.0  # seconds without new faults at the beginning and at the end
GAP = (1.0, 5.0)
LEASE_MS, BEAT_MS = 4000, 500  # of the stack under test; a stop lasts two leases

WORKERS, SCHEDULERS, DESKS, SLOTS = 3, 2, 3, 2
ROLES = [*(f"worker-{n + 1}" for n in range(WORKERS)), *(f"scheduler-{n + 1}" for n in range(SCHEDULERS)), "api"]
LINKS = [*(f"{role}:{server}" for role in ROLES for server in ("postgres", "redis")), *(f"desk-{n + 1}:vendor" for n in range(DESKS))]


def _role(prefix):
    return lambda rng: {"on": rng.choice([r for r in ROLES if r.startswith(prefix)])}


def _child(rng):
    return {**_role("worker")(rng), "child": rng.randrange(SLOTS)}


def _server(name):
    return lambda rng: {"on": name}


def _backend(rng):
    return {"on": "postgres", "whose": rng.choice(["deskmill-child", "deskmill-worker", "deskmill-scheduler", "deskmill"]), "nth": rng.randrange(16)}


def _link(rng):
    # The links to Postgres, to Redis and to the vendors get the same share each, however many there are of them.
    server = rng.choice(["postgres", "redis", "vendor"])
    return {"on": rng.choice([link for link in LINKS if link.endswith(server)])}


def _slow_link(rng):
    return {**_link(rng), "ms": rng.choice([20, 100, 400])}


VENDOR_FAILURES = [
    {"mode": "status", "status": 500, "count": 3}, {"mode": "status", "status": 503, "count": 8}, {"mode": "status", "status": 429, "retry_after": 2},
    {"mode": "status", "status": 429, "retry_after": 1, "x_header": True, "count": 3}, {"mode": "hang", "count": 1}, {"mode": "truncate", "count": 2},
    {"mode": "reset", "count": 4}, {"mode": "garbage", "count": 2}, {"mode": "empty", "count": 2}, {"mode": "html", "count": 2},
    {"mode": "repeat_cursor", "count": 1},
]


def _vendor(rng):
    return {"on": f"desk-{rng.randrange(DESKS) + 1}", "endpoint": rng.choice(["search", "messages", "*"]), **rng.choice(VENDOR_FAILURES)}


def _jump(rng):
    return {"on": rng.choice(ROLES), "seconds": rng.choice([-3600, 3600])}


STOPPED = (2 * LEASE_MS / 1000, 2 * LEASE_MS / 1000)
FAULTS = {  # name: (how long it lasts, from and to, in seconds; what else is drawn)
    "kill_child": ((0, 0), _child),
    "kill_worker": ((0.2, 2), _role("worker")),
    "kill_scheduler": ((0.2, 3), _role("scheduler")),
    "kill_api": ((0.2, 2), _role("api")),
    "drain_worker": ((0, 0), _role("worker")),
    "stop_worker": (STOPPED, _role("worker")),
    "stop_child": (STOPPED, _child),
    "stop_scheduler": (STOPPED, _role("scheduler")),
    "redis_restart": ((0.2, 3), _server("redis")),
    "redis_flush": ((0, 0), _server("redis")),
    "redis_old_aof": ((0.2, 1), _server("redis")),
    "redis_full": ((1, 4), _server("redis")),
    "redis_stop": ((1, 5), _server("redis")),
    "postgres_fast": ((0.2, 2), _server("postgres")),
    "postgres_immediate": ((0.2, 2), _server("postgres")),
    "postgres_backend": ((0, 0), _backend),
    "link_cut": ((0.2, 4), _link),
    "link_half_open": ((1, 8), _link),
    "link_stall": ((0.5, 8), _link),
    "link_delay": ((2, 8), _slow_link),
    "vendor_fails": ((1, 5), _vendor),
    "clock_jump": ((3, 10), _jump),
}


@dataclasses.dataclass
class Step:
    number: int
    at: float  # seconds from the beginning
    fault: str
    hold: float
    args: dict

    @property
    def until(self):
        return self.at + self.hold

    def __str__(self):
        what = " ".join(f"{k}={v}" for k, v in self.args.items())
        return f"{self.fault} {what}" + (f" for {self.hold:.1f} s" if self.hold else "")


def make(seed, minutes, only=None):
    """The steps, by time. Kinds are dealt like cards, so that each comes once before any comes twice; what is under a fault gets no second one."""
    unknown = set(only or ()) - FAULTS.keys()
    if unknown:
        raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; there are: {', '.join(FAULTS)}")
    rng, deck, steps, busy = random.Random(seed), [], [], {}
    kinds = [name for name in FAULTS if not only or name in only]
    end, at = minutes * 60 - QUIET_END, WARM_UP + rng.uniform(0, 2)
    while at < end:
        if not deck:
            deck = rng.sample(kinds, len(kinds))
        fault = deck.pop()
        (low, high), draw = FAULTS[fault]
        args, hold = draw(rng), rng.uniform(low, high)
        if busy.get(args["on"], 0) <= at and at + hold <= end + QUIET_END:
            steps.append(Step(len(steps) + 1, round(at, 2), fault, round(hold, 2), args))
            busy[args["on"]] = at + hold + 1
        else:
            deck.insert(0, fault)  # its turn comes later
        at += rng.uniform(*GAP)
    return steps
