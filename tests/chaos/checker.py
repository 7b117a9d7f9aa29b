"""checker - what must be true of a history, whatever was done to the system meanwhile. Pure: a History goes in, violations come out.

A rule is one function in RULES; each is shown to fail, and to be the only one that fails, by a doctored history in test_checker.py.
"""
import bisect
import collections
import dataclasses
import datetime

ENDED = {"done", "dead", "cancelled"}
WAITING = {"scheduled", "queued"}
ON_TIME = datetime.timedelta(seconds=60)  # a tick dealt with no later than this was not missed
WINDOW = 60.0  # the vendor's minute
TOKEN_BACK = 61.0  # a token that was spent comes back after this
ALONE_SHARE = 4  # without Redis, each caller goes at this part of the limit
LATEST_DELAY = datetime.timedelta(minutes=20)  # backoff is capped at 15 minutes, a wait for budget at one
MOST_EPOCHS_LISTED = 40

# (from, to) -> whether the epoch moves. None: there was no row.
MOVES = {
    (None, "queued"), (None, "scheduled"),
    ("scheduled", "queued"), ("scheduled", "scheduled"), ("scheduled", "cancelled"),
    ("queued", "running"), ("queued", "queued"), ("queued", "cancelled"),
    ("running", "running"), ("running", "scheduled"), ("running", "queued"), ("running", "done"), ("running", "dead"), ("running", "cancelled"),
    ("dead", "queued"), ("cancelled", "queued"),  # somebody let it try again
}


@dataclasses.dataclass
class Violation:
    rule: str
    text: str
    jobs: tuple = ()  # whose history a person will want to read
    issues: tuple = ()  # (integration, issue)

    def __str__(self):
        return f"{self.rule}: {self.text}"


def job_lives(history):
    """Events of each job, in order."""
    lives = collections.defaultdict(list)
    for e in history.jobs:
        lives[e.id].append(e)
    return lives


# ---- 1: nothing accepted is lost ----


def accepted_jobs_end(history):
    """Each job that was accepted is there, and done; or dead for a reason that counts; or folded into one of which the same is true."""
    for job, what in sorted(history.accepted.items()):
        seen, row = {job}, history.final_jobs.get(job)
        while row is not None and row.state == "cancelled" and row.folded_into is not None and row.folded_into not in seen:
            seen.add(row.folded_into)
            row = history.final_jobs.get(row.folded_into)
        if row is None:
            yield Violation("lost", f"job {job} ({what}) was accepted and is not there", tuple(seen))
        elif row.state == "dead" and not may_be_dead(row):
            yield Violation("lost", f"job {job} ({what}) is dead without having used up its attempts: {row.get('error')}", tuple(seen))
        elif row.state == "cancelled":
            yield Violation("lost", f"job {job} ({what}) was cancelled, by whom?", tuple(seen))
        elif row.state not in ENDED:
            yield Violation("lost", f"job {job} ({what}) has not ended: it is {row.state}", tuple(seen))


def may_be_dead(row):
    return row.attempt >= row.max_attempts or row.crashes >= 3 or row.losses >= 10


def moves_are_known(history):
    """Jobs go from state to state as schema/README.md draws it; only a claim raises the epoch (by one, or by more if its worker has lost Postgres since it began)."""
    for job, life in sorted(job_lives(history).items()):
        was = None
        for e in life:
            before = was.state if was else None
            claim = (before, e.state) == ("queued", "running")
            if (before, e.state) not in MOVES:
                yield Violation("moves", f"job {job} went from {before} to {e.state} (event {e.seq})", (job,))
            elif was and (e.epoch <= was.epoch if claim else e.epoch != was.epoch):
                yield Violation("moves", f"job {job} went from {before} to {e.state} and from epoch {was.epoch} to {e.epoch} (event {e.seq})", (job,))
            was = e


def delays_are_sane(history):
    """What goes back to wait for a moment waits no longer than the longest backoff, and not into the past: no host's clock decides."""
    for job, life in sorted(job_lives(history).items()):
        for was, e in zip(life, life[1:]):
            if (was.state, e.state) != ("running", "scheduled") or e.run_at is None:
                continue
            if not -ON_TIME < e.run_at - e.at < LATEST_DELAY:
                yield Violation("delays", f"job {job} went back at {e.at:%H:%M:%S} to wait until {e.run_at:%H:%M:%S} (event {e.seq})", (job,))


# ---- 2: effects, once ----


def tables_are_true(history):
    """What the tables hold is what the vendors hold."""
    for integration, table, held, true in history.tables:
        if held != true:
            yield Violation("truth", f"integration {integration}: " + "\n".join(held.difference(true)))


def counts_add_up(history):
    """Per integration, rows that were ever inserted and changed are as many as the sync log counts; each attempt's counts add up; each job's
    progress is the sum of its attempts."""
    made = collections.Counter((e.integration_id, e.op) for e in history.rows)
    said = collections.Counter()
    for row in history.final_log:
        said[row.integration_id, "insert"] += row.inserted
        said[row.integration_id, "update"] += row.updated
        if row.fetched != row.inserted + row.updated + row.unchanged + row.stale + row.rejected:
            yield Violation("counts", f"job {row.job_id} epoch {row.epoch}: fetched is not the sum of what became of it: {dict(row)}", (row.job_id,))
    for integration, op in sorted(made.keys() | said.keys()):
        if made[integration, op] != said[integration, op]:
            yield Violation("counts", f"integration {integration}: {made[integration, op]} rows saw an {op}, the sync log counts {said[integration, op]}")
    yield from progress_adds_up(history)


def progress_adds_up(history):
    names = ("pages", "fetched", "inserted", "updated", "unchanged", "stale", "rejected")
    sums = collections.defaultdict(collections.Counter)
    for row in history.final_log:
        for name in names:
            sums[row.job_id][name] += row[name]
    for job, counted in sorted(sums.items()):
        row = history.final_jobs.get(job)
        if row is None or row.kind == "issue_backfill":  # which sums up its children
            continue
        progress = row.get("progress") or {}
        wrong = {n: (progress.get(n, 0), counted[n]) for n in names if progress.get(n, 0) != counted[n]}
        if wrong:
            yield Violation("counts", f"job {job}: progress and the sum of its attempts differ: {wrong}", (job,))


def inserted_once(history):
    """Each record comes into being once."""
    seen = collections.Counter((e.tab, e.integration_id, e.id) for e in history.rows if e.op == "insert")
    for (table, integration, record), n in sorted(seen.items()):
        if n > 1:
            yield Violation("once", f"{table} {record} of integration {integration} was inserted {n} times")


# ---- 3: never back in time ----


def rows_never_go_back(history):
    """No version of a record overwrites a newer one."""
    for e in history.rows:
        if e.op == "update" and e.was is not None and e.version is not None and e.version < e.was:
            yield Violation("regressed", f"{e.tab} {e.id} of integration {e.integration_id} went from {e.was} back to {e.version} (event {e.seq})",
                            issues=((e.integration_id, e.id),))


def watermark_is_kept(history):
    """Once history has been read, a watermark that is committed means: every change that the vendor made up to it is in the table, in that version
    or a newer one. The watermark itself never moves back."""
    edits = collections.defaultdict(list)
    for integration, issue, updated in history.edits:
        edits[integration].append((updated, issue))
    for integration, due in edits.items():
        yield from _watermark_of(history, integration, sorted(due))


def _watermark_of(history, integration, due):
    held, complete, mark, at = {}, False, None, 0
    events = sorted([e for e in history.rows if e.tab == "issues" and e.integration_id == integration]
                    + [e for e in history.cursors if e.integration_id == integration], key=lambda e: e.seq)
    for e in events:
        if "tab" in e:
            held[e.id] = e.version
        elif e.stream == "issues_history":
            complete = complete or e.completed
        elif e.stream == "issues" and e.watermark is not None:
            if mark is not None and e.watermark < mark:
                yield Violation("watermark", f"integration {integration}: it went back from {mark} to {e.watermark} (event {e.seq})")
            mark = e.watermark
            while complete and at < len(due) and due[at][0] <= mark:
                updated, issue = due[at]
                at += 1
                if issue not in held or held[issue] < updated:
                    yield Violation("watermark", f"integration {integration}: at {mark} (event {e.seq}) issue {issue} is of {held.get(issue)}, "
                                    f"though the vendor changed it at {updated}", issues=((integration, issue),))


# ---- 4: ticks ----


def ticks_run_once(history):
    """Each (schedule, tick) was dealt with once and became one job at most."""
    rows = collections.Counter((e.schedule_id, e.tick) for e in history.ticks if e.op == "insert")
    for (schedule, tick), n in sorted(rows.items()):
        if n > 1:
            yield Violation("ticks", f"schedule {schedule}: the tick {tick} was dealt with {n} times")
    jobs = collections.defaultdict(list)
    for e in history.jobs:
        if e.op == "insert" and e.schedule_id is not None and e.tick is not None:
            jobs[e.schedule_id, e.tick].append(e.id)
    for (schedule, tick), ids in sorted(jobs.items()):
        if len(ids) > 1:
            yield Violation("ticks", f"schedule {schedule}: the tick {tick} became the jobs {ids}", tuple(ids))


def ticks_are_not_missed(history):
    """Each tick that came due was dealt with, unless the misfire policy lets it go: nobody dealt with the schedule until a minute after."""
    dealt = collections.defaultdict(list)
    for e in history.ticks:
        dealt[e.schedule_id].append((e.tick, e.at))
    for s in history.schedules:
        have = {tick for tick, _ in dealt[s.id]}
        for tick in s.ticks:
            if tick in have:
                continue
            later = min((at for t, at in dealt[s.id] if t > tick), default=None)
            excused = s.misfire != "run_all" and later is not None and later - tick > ON_TIME
            if not excused:
                yield Violation("missed", f"schedule {s.id} ({s.misfire}): the tick {tick} was never dealt with; the next one was, at {later}")


# ---- 5: one owner ----


def lock_keys_exclude(history):
    """From the claim's event to the one that ends it, no other job with the lock key runs."""
    holder, state = {}, {}
    for e in history.jobs:
        was, state[e.id] = state.get(e.id), e.state
        if e.lock_key is None:
            continue
        if e.state == "running" and was != "running":
            if holder.get(e.lock_key, e.id) != e.id:
                yield Violation("overlap", f"job {e.id} began to run with the lock key {e.lock_key} while job {holder[e.lock_key]} did (event {e.seq})",
                                (e.id, holder[e.lock_key]))
            holder[e.lock_key] = e.id
        elif e.state != "running" and holder.get(e.lock_key) == e.id:
            del holder[e.lock_key]


def effects_have_an_owner(history):
    """A transaction of a child that changes rows, a cursor or a job is that of the job's owner at that moment: the job runs, under the worker that
    the session belongs to, and the attempt it counts for is the current one."""
    fences, counted, wrote = collections.defaultdict(list), collections.defaultdict(list), set()
    for e in history.jobs:
        if e.op == "update" and e.app.startswith("deskmill-child/"):
            fences[e.xid].append(e)
    for e in history.log:
        if e.app.startswith("deskmill-child/"):
            counted[e.xid].append(e)
    for e in history.rows:
        wrote.add(e.xid)
    touched = wrote | {e.xid for e in history.cursors if e.op in ("insert", "update")}
    for xid, events in sorted(fences.items()):
        for e in events:
            if e.state != "running" or e.worker_id != worker_of(e):
                yield Violation("owner", f"a child of worker {worker_of(e)} wrote on job {e.id}, which was {e.state} under worker {e.worker_id} "
                                f"(event {e.seq}, transaction {xid})", (e.id,))
    for xid in sorted(touched):
        if not fences[xid]:
            yield Violation("owner", f"the transaction {xid} changed rows and no job says that it was its own")
    for xid in sorted(wrote):
        for e in fences[xid]:
            if not any(c.job_id == e.id and c.epoch == e.epoch for c in counted[xid]):
                yield Violation("owner", f"the transaction {xid} changed rows for job {e.id} and does not count for its epoch {e.epoch}", (e.id,))


def owners_exist(history):
    """Who runs a job is a worker that has registered: for nobody else does anyone look when it is lost."""
    for e in history.jobs:
        if e.state == "running" and e.worker_id not in history.workers:
            yield Violation("nobody", f"job {e.id} ran under {e.worker_id}, which is no worker (event {e.seq})", (e.id,))


def worker_of(event):
    """The worker whose child's session it was."""
    number = event.app.rpartition("/")[2]
    return int(number) if number.isdigit() else None


# ---- 6: budgets ----


def budgets_are_kept(history):
    """In no minute, wherever it begins, does the vendor see more calls than the limit, and one limit more for each time that the count of what was
    spent was lost within reach; plus, where callers may have been on their own, what they may do then; plus, where calls may have been held up on
    their way and come with later ones, those that can be on their way at a time."""
    for limit in history.limits:
        worst = None
        for i, last in enumerate(limit.calls):
            first = bisect.bisect_right(limit.calls, last - WINDOW)
            n, bound = i + 1 - first, bound_of(limit, last - WINDOW, last)
            if n > bound and (worst is None or n - bound > worst[0] - worst[1]):
                worst = n, bound, last
        if worst:
            yield Violation("budget", f"{limit.integration}: {worst[0]} calls of {limit.endpoint} in the minute before {worst[2]:.1f}, at most {worst[1]} "
                            f"may be, of which {limit.per_minute} are its limit")


def most_in_a_minute(calls):
    """The most calls in any minute."""
    return max((i + 1 - bisect.bisect_right(calls, last - WINDOW) for i, last in enumerate(calls)), default=0)


def bound_of(limit, begin, end):
    """How many calls there may be in [begin, end]."""
    bound = limit.per_minute * (1 + sum(begin - TOKEN_BACK <= t <= end for t in limit.resets))
    if any(a <= end and b >= begin - TOKEN_BACK for a, b in limit.away):
        bound += limit.callers * (limit.per_minute // ALONE_SHARE + 1)
    if any(a <= end and b >= begin for a, b in limit.held_up):
        bound += limit.in_flight
    return bound


# ---- and the processes ----


def processes_live(history):
    """Nothing that we did not end has ended."""
    for name, how in history.crashed:
        yield Violation("process", f"{name} ended by itself: {how}")


RULES = (accepted_jobs_end, moves_are_known, delays_are_sane, tables_are_true, counts_add_up, inserted_once, rows_never_go_back, watermark_is_kept,
         ticks_run_once, ticks_are_not_missed, lock_keys_exclude, effects_have_an_owner, owners_exist, budgets_are_kept, processes_live)


def check(history):
    return [violation for rule in RULES for violation in rule(history)]


def story_of(history, violation):
    """Lines that say what happened to whom the violation is about."""
    lines = []
    lives = job_lives(history) if violation.jobs else {}
    for job in violation.jobs:
        lines.append(f"  job {job}:")
        events = lives.get(job, []) + [e for e in history.log if e.job_id == job]
        lines += [f"    {e}" for e in sorted(events, key=lambda e: e.seq)[-MOST_EPOCHS_LISTED:]]
    for integration, issue in violation.issues:
        lines.append(f"  issue {issue} of integration {integration}:")
        lines += [f"    vendor {u}" for i, n, u in history.edits if (i, n) == (integration, issue)]
        lines += [f"    {e}" for e in history.rows if (e.tab, e.integration_id, e.id) == ("issues", integration, issue)]
    return lines


# ---- 7: recovery ----


def quantile(values, q):
    """The smallest value that is not below the q-th part of all."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * q // 100) - 1))]


def recoveries(history, faults):
    """{fault: ([seconds until a job that was claimed after its end was done], [seconds until each job of the victim ran elsewhere or ended])}.
    A fault is (name, began, ended, workers that were its victims)."""
    found = collections.defaultdict(lambda: ([], []))
    state, claimed, done = {}, {}, []
    for e in history.jobs:
        if e.state == "running" and state.get(e.id, (None,))[0] != "running":
            claimed[e.id] = e.at
        elif e.state == "done" and e.id in claimed:
            done.append((e.at, claimed[e.id]))
        state[e.id] = (e.state, e.worker_id)
    for name, began, ended, workers in faults:
        first = next((at for at, claim in done if claim > ended), None)
        if first is not None:
            found[name][0].append((first - ended).total_seconds())
        if workers:
            found[name][1].extend(_elsewhere(history, began, workers))
    return dict(found)


def _elsewhere(history, began, workers):
    running, taken = {}, {}
    for e in history.jobs:
        if e.at <= began:
            running[e.id] = e
        elif e.id in running and running[e.id].state == "running" and running[e.id].worker_id in workers and e.id not in taken:
            if e.state in ENDED or (e.state == "running" and e.epoch > running[e.id].epoch):
                taken[e.id] = (e.at - began).total_seconds()
    return taken.values()
