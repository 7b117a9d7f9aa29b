#!/usr/bin/python3
"""chaos - a Deskmill at work, faults drawn from a seed, and a checker that reads the history afterwards. ./dev chaos calls it after building.

    ./dev chaos --seed 7 --minutes 10
    ./dev chaos --seed 7 --minutes 2 --only redis_flush,kill_worker
    ./dev chaos --seed 7 --minutes 2 --plan                           # only prints what would be done

The same seed is the same plan. A failure prints the seed, what was done, what was violated with the history of the rows concerned, and where the logs are.
"""
import argparse
import dataclasses
import datetime
import heapq
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True
if __name__ == "__main__":
    os.environ.setdefault("DESKMILL_BUILD", "build/release")  # before the harness looks for it
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "scenarios"), str(HERE.parent)]
import checker  # noqa: E402
import faults  # noqa: E402
import history  # noqa: E402
import load as load_module  # noqa: E402
import plan  # noqa: E402
import rig as rig_module  # noqa: E402
import stack as stack_module  # noqa: E402

MINUTE = datetime.timedelta(minutes=1)
MISFIRES = [("run_once", "keep_one"), ("run_once", "skip"), ("run_all", "keep_one"), ("run_all", "skip"), ("skip", "keep_one")]
STORIES_SHOWN = 10


@dataclasses.dataclass
class Result:
    seed: int
    violations: list
    history: history.History
    faults: list  # that were done: (name, began, ended, ids of workers that were its victims)
    story: list
    refused: int

    def report(self):
        """For a person: what was violated and its story, then how long recovery took."""
        lines = [f"seed {self.seed}: {len(self.faults)} faults, {len(self.history.accepted)} jobs accepted ({self.refused} requests refused), "
                 f"{len(self.history.edits)} changes at the vendors, {sum(e.op == 'insert' for e in self.history.rows)} rows inserted, "
                 f"{len(self.history.jobs)} events of jobs, {sum(e.stream == 'issues' for e in self.history.cursors)} watermarks committed, "
                 f"{len(self.violations)} violations"]
        lines += [f"{limit.integration}: {len(limit.calls)} calls of {limit.endpoint}, at most {checker.most_in_a_minute(limit.calls)} in a minute; "
                  f"its limit is {limit.per_minute}" for limit in self.history.limits]
        for number, violation in enumerate(self.violations):
            lines.append(f"VIOLATED {violation}")
            if number < STORIES_SHOWN:
                lines += checker.story_of(self.history, violation)
        return "\n".join([*lines, *self.recovery()])

    def recovery(self):
        """Seconds, by kind of fault."""
        found = checker.recoveries(self.history, self.faults)
        lines = [f"{'fault':20} {'times':>5}  {'until a new job was done':>26}  {'until the jobs ran elsewhere':>29}"]
        for name, (again, elsewhere) in sorted(found.items()):
            lines.append(f"{name:20} {len(again):5}  {spread(again):>26}  {spread(elsewhere):>29}")
        everything = [s for again, _ in found.values() for s in again], [s for _, elsewhere in found.values() for s in elsewhere]
        return [*lines, f"{'all':20} {len(everything[0]):5}  {spread(everything[0]):>26}  {spread(everything[1]):>29}"]


def spread(seconds):
    if not seconds:
        return "-"
    return f"p50 {checker.quantile(seconds, 50):.2f} s  p99 {checker.quantile(seconds, 99):.2f} s"


class Schedules:
    """Cron schedules that tick each minute, one of each policy, and one pull of each desk."""

    def __init__(self, rig):
        self.rig = rig
        self.known = [(self._add(misfire=m, overlap=o, organization="acme", kind="noop"), m) for m, o in MISFIRES]
        self.known += [(self._add(misfire="run_once", overlap="keep_one", integration=d.integration, kind="issue_pull"), "run_once") for d in rig.desks]

    def _add(self, **body):
        return self.rig.stack.post("/api/v1/schedules", cron="* * * * *", timezone="UTC", **body).id

    def begin(self):
        """From when on each must tick."""
        self.rig.wait(lambda: not self.rig.sql("SELECT 1 FROM schedules WHERE next_tick IS NULL"), 60, "each schedule has its first tick")
        self.first = {r.id: r.next_tick for r in self.rig.sql("SELECT id, next_tick FROM schedules")}

    def end(self):
        """Waits until nothing is due, and ends them: the ticks that must have been dealt with."""
        stop = ("WITH s AS (UPDATE schedules SET enabled = false WHERE NOT EXISTS (SELECT FROM schedules WHERE enabled AND next_tick <= now())"
                " RETURNING 1) SELECT now() AS at FROM s LIMIT 1")
        rows = self.rig.wait(lambda: self.rig.sql(stop), 60, "no tick is due")
        return [history.Schedule(i, misfire, self._between(self.first[i], rows[0].at)) for i, misfire in self.known]

    @staticmethod
    def _between(first, end):
        return [first + n * MINUTE for n in range(int((end - first) / MINUTE) + 1)] if first <= end else []


def do_plan(rig, steps, minutes):
    """Begins and ends each step at its moment; what has ended by itself is started again meanwhile."""
    queue = [(step.at, step.number, "begin", step) for step in steps] + [(minutes * 60, 0, "over", None)]
    done, start = [], rig.begun
    heapq.heapify(queue)
    while queue:
        at, number, verb, what = heapq.heappop(queue)
        while time.monotonic() - start < at:
            rig.supervise()
            time.sleep(0.02)
        if verb == "begin":
            fault = faults.make(rig, what)
            fault.run()
            done.append(fault)
            rig.tell(f"{what}: {fault.log}" if fault.log else str(what))
            heapq.heappush(queue, (time.monotonic() - start + what.hold, number, "end", fault))
        elif verb == "end":
            what.finish()
            if what.step.hold:
                rig.tell(f"end of {what.step.fault} on {what.step.args['on']}")
    return done


def run(stack, seed, minutes, only=None, rate=10, settle_s=240):
    """The whole thing on a stack that has its own Postgres and nothing else yet; a Result."""
    steps = plan.make(seed, minutes, only)
    rig = rig_module.Rig(stack)
    try:
        return Run(rig, seed, rate, settle_s).go(steps, minutes)
    finally:
        rig.close()


class Run:
    def __init__(self, rig, seed, rate, settle_s):
        self.rig, self.seed, self.rate, self.settle_s = rig, seed, rate, settle_s

    def go(self, steps, minutes):
        rig = self.rig
        rig.build()
        for sim, settings in rig_module.DESK_OPTIONS:
            rig.add_desk(sim, settings)
        schedules = Schedules(rig)
        rig.start_all()
        schedules.begin()
        rig.begun = time.monotonic()
        load = load_module.Load(rig, self.seed, self.rate)
        load.start()
        faults.keep_aof(rig)
        try:
            done = do_plan(rig, steps, minutes)
        finally:
            load.stop()
        rig.tell("all faults are over, the load has ended")
        rig.heal()
        return self.judge(load, schedules.end(), done)

    def judge(self, load, schedules, done):
        rig = self.rig
        left = rig.settle(self.settle_s)
        rig.tell(f"settled; {len(left)} jobs have not ended")
        if not left:
            left = rig.pull_all(self.settle_s)
            rig.tell("each desk has been pulled once more")
        made = rig.read()
        made.accepted, made.edits, made.schedules = load.accepted, load.edits, schedules
        found = checker.check(made)
        found += [checker.Violation("lost", f"job {job} has not ended within {self.settle_s} s of the last fault", (job,)) for job in left
                  if not any(job in v.jobs for v in found)]
        ills = [(f.step.fault, f.began, f.ended, rig.worker_ids(f.victim)) for f in done]
        return Result(self.seed, found, made, ills, rig.story, sum(e.refused for e in load.enqueuers))


# ---- the command ----


def options():
    p = argparse.ArgumentParser(prog="./dev chaos", description="Draws faults around a Deskmill at work, and checks its history.")
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31), help="the same seed is the same plan; drawn if not given")
    p.add_argument("--minutes", type=float, default=10, help="how long faults are drawn (%(default)s)")
    p.add_argument("--only", metavar="FAULT,...", type=lambda text: text.split(","), help="only these: " + ", ".join(plan.FAULTS))
    p.add_argument("--rate", type=float, default=20, help="jobs enqueued a second (%(default)s)")
    p.add_argument("--settle", type=float, default=300, metavar="S", help="how long everything may take to end afterwards (%(default)s)")
    p.add_argument("--plan", action="store_true", help="only print the plan")
    p.add_argument("--keep", action="store_true", help="keep the logs also when nothing was violated")
    opts = p.parse_args()
    if opts.minutes <= 0 or opts.rate <= 0 or opts.settle <= 0:
        p.error("--minutes, --rate and --settle: expected more than 0")
    try:
        opts.steps = plan.make(opts.seed, opts.minutes, opts.only)
    except ValueError as error:
        p.error(f"--only: {error}")
    return opts


def main():
    opts = options()
    print(f"seed {opts.seed}, {len(opts.steps)} faults in {opts.minutes:g} minutes:", *(f"{s.at:6.1f} s  {s}" for s in opts.steps), "", sep="\n", flush=True)
    if opts.plan:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="deskmill-chaos."))
    folder.chmod(0o711)
    stack = None
    wrong, result = ["it did not come to its end"], None
    cluster = stack_module.Cluster(durable=True)
    try:
        stack = stack_module.Stack(cluster, folder, "chaos")
        result = run(stack, opts.seed, opts.minutes, opts.only, opts.rate, opts.settle)
        wrong = []
    finally:
        wrong += stack.close() if stack else []
        cluster.destroy()
        return_code = tell(opts, result, wrong)
        if return_code == 0 and not opts.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"logs: {folder}")
    return return_code


def tell(opts, result, wrong):
    if result:
        print(result.report())
    for text in wrong:
        print(f"WRONG {text}")
    good = result is not None and not result.violations and not wrong
    again = f"./dev chaos --seed {opts.seed} --minutes {opts.minutes:g}" + (f" --only {','.join(opts.only)}" if opts.only else "")
    print("nothing was violated" if good else f"to run this again: {again}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
