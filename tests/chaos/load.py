"""load - what goes on while things fail: jobs enqueued through the api, and people at work at the vendors. Notes what was confirmed, and only that."""
import datetime
import random
import threading

import requests

LOCKS = 5


class Worker(threading.Thread):
    """Does one thing after another until it is told to stop."""

    def __init__(self, name, seed, rate):
        super().__init__(name=name, daemon=True)
        self.rng, self.rate = random.Random(f"{seed}/{name}"), rate
        self.enough = threading.Event()
        self.refused = 0

    def run(self):
        while not self.enough.wait(self.rng.expovariate(self.rate)):
            try:
                self.once()
            except requests.RequestException:
                self.refused += 1

    def stop(self):
        self.enough.set()
        self.join(60)
        assert not self.is_alive(), f"{self.name} has not stopped"


class Enqueuer(Worker):
    """Jobs of all kinds. `accepted` has those that the api has confirmed."""

    def __init__(self, rig, name, seed, rate):
        super().__init__(name, seed, rate)
        self.rig, self.accepted = rig, {}

    def once(self):
        what, path, body = self.draw()
        stack = self.rig.stack
        answer = requests.post(f"http://127.0.0.1:{self.rig.api_port}{path}", json=body, headers={"Authorization": f"Bearer {stack.api_key}"}, timeout=20)
        if answer.ok:
            self.accepted[answer.json()["job"]] = what
        else:
            assert answer.status_code in (500, 503, 504), f"{path} {body}: {answer.status_code} {answer.text}"
            self.refused += 1

    def draw(self):
        rng = self.rng
        desk = rng.choice(self.rig.desks).integration
        kind = rng.choices(["noop", "lock", "long", "later", "pull", "full", "backfill"], [50, 18, 4, 8, 16, 1, 2])[0]
        if kind == "pull" or kind == "full":
            return f"{kind} of {desk}", "/api/v1/pulls", {"integration": desk, **({"full": True} if kind == "full" else {})}
        if kind == "backfill":
            to = datetime.datetime.now(datetime.timezone.utc).date()
            return f"backfill of {desk}", "/api/v1/backfills", {"integration": desk, "from": str(to - datetime.timedelta(days=70)), "to": str(to)}
        args, run_at = {"sleep_ms": rng.randrange(100)}, {}
        if kind == "lock":
            args = {"sleep_ms": rng.randrange(300), "lock": f"lock-{rng.randrange(LOCKS)}"}
        elif kind == "long":
            args = {"sleep_ms": rng.randrange(1500, 5000)}
        elif kind == "later":
            run_at = {"run_at": (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=rng.uniform(0.2, 4))).isoformat()}
        return f"noop ({kind})", "/api/v1/jobs", {"kind": "noop", "args": args, **run_at}


class Editor(Worker):
    """Somebody who works at the help desks. `edits` has each change of an issue with the version that the vendor gave it."""

    def __init__(self, rig, name, seed, rate):
        super().__init__(name, seed, rate)
        self.desks, self.edits = rig.desks, []
        self.issues = {desk.id: [i["id"] for i in desk.raw("issues")["issues"]] for desk in self.desks}

    def once(self):
        rng, n = self.rng, len(self.edits)
        desk = rng.choice(self.desks)
        issue = rng.choice(self.issues[desk.id])
        kind = rng.choices(["edit", "close", "message", "new"], [6, 2, 2, 1])[0]
        if kind == "message":
            desk.add_message(issue, author=rng.choice(["contact", "user"]), message_html=f"<p>And now number {n}?</p>")
            return
        if kind == "new":
            made = desk.create(title=f"Fresh {n}")
            self.issues[desk.id].append(made["id"])
        else:
            made = desk.edit(issue, **({"title": f"Edited {n}"} if kind == "edit" else {"state": rng.choice(["closed", "waiting_on_you"])}))
        self.edits.append((desk.id, made["id"], datetime.datetime.fromisoformat(made["updated_at"])))


class Load:
    def __init__(self, rig, seed, rate):
        self.enqueuers = [Enqueuer(rig, f"enqueuer-{n + 1}", seed, rate / 2) for n in range(2)]
        self.editors = [Editor(rig, "editor", seed, rate / 2)]

    @property
    def all(self):
        return [*self.enqueuers, *self.editors]

    def start(self):
        for worker in self.all:
            worker.start()

    def stop(self):
        for worker in self.all:
            worker.stop()

    @property
    def accepted(self):
        return {job: what for e in self.enqueuers for job, what in e.accepted.items()}

    @property
    def edits(self):
        return [edit for e in self.editors for edit in e.edits]
