"""A history in which all is well passes every rule; each doctored one breaks exactly the rule it is meant to break."""
import copy
import datetime

import pytest

import checker
import history as h
import oracle

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
KEYS = ("kind", "worker_id", "lock_key", "dedupe_key", "schedule_id", "tick", "run_at", "folded_into")


def at(seconds):
    return NOON + datetime.timedelta(seconds=seconds)


class Book:
    """Writes events as the triggers would."""

    def __init__(self):
        self.history, self.seq = h.History(), 0

    def event(self, what, op="update", app="deskmill-worker", xid=None, **fields):
        self.seq += 1
        event = h.Event(seq=self.seq, at=at(self.seq), xid=xid or self.seq, app=app, op=op, **fields)
        getattr(self.history, what).append(event)
        return event

    def job(self, job, state, epoch, op="update", **fields):
        given = {**dict.fromkeys(KEYS), "kind": "noop", "attempt": 0, "crashes": 0, "losses": 0, **fields}
        extra = {k: given.pop(k) for k in ("app", "xid") if k in given}
        return self.event("jobs", op, id=job, state=state, epoch=epoch, **extra, **given)

    def final(self, job, state="done", **fields):
        self.history.final_jobs[job] = h.Event({"id": job, "kind": "noop", "state": state, "attempt": 0, "max_attempts": 3, "crashes": 0, "losses": 0,
                                                "folded_into": None, "progress": {}, "error": None, **fields})

    def counted(self, job, epoch, **counts):
        names = ("pages", "fetched", "inserted", "updated", "unchanged", "stale", "rejected")
        self.history.final_log.append(h.Event({"job_id": job, "epoch": epoch, "integration_id": 1, **dict.fromkeys(names, 0), **counts}))


def page(book, job, epoch, worker, changes, watermark=None, complete=None):
    """One page of a pull: rows, cursors, the fence, and the count, in one transaction."""
    xid, app = 1000 + book.seq, f"deskmill-child/{worker}"
    for issue, was, version in changes:
        book.event("rows", "update" if was else "insert", app, xid, tab="issues", integration_id=1, id=issue, was=was, version=version)
    if complete:
        book.event("cursors", "update", app, xid, integration_id=1, stream="issues_history", watermark=at(-999), completed=True)
    if watermark:
        book.event("cursors", "update", app, xid, integration_id=1, stream="issues", watermark=watermark, completed=True)
    book.job(job, "running", epoch, worker_id=worker, kind="issue_pull", lock_key="issue_pull:1", app=app, xid=xid)
    book.event("log", "insert", app, xid, job_id=job, epoch=epoch, outcome="running", was=None)


def pull(book):
    """Job 1: a page by worker 7, which is lost, and a page by worker 8."""
    key = {"kind": "issue_pull", "lock_key": "issue_pull:1"}
    book.job(1, "queued", 0, "insert", **key)
    book.job(1, "running", 1, worker_id=7, **key)
    page(book, 1, 1, 7, [("a", None, at(-50)), ("b", None, at(-40))], complete=True)
    book.job(1, "queued", 1, **key)
    book.job(1, "running", 2, worker_id=8, **key)
    page(book, 1, 2, 8, [("a", at(-50), at(-30))], watermark=at(-30))
    book.job(1, "done", 2, **key)
    book.final(1, kind="issue_pull", progress={"pages": 2, "fetched": 3, "inserted": 2, "updated": 1})
    book.counted(1, 1, pages=1, fetched=2, inserted=2)
    book.counted(1, 2, pages=1, fetched=1, updated=1)
    book.history.edits = [(1, "b", at(-40)), (1, "a", at(-30)), (1, "a", at(500))]


def retried(book):
    """Job 2 fails once, and waits."""
    book.job(2, "queued", 0, "insert")
    book.job(2, "running", 1, worker_id=7)
    book.job(2, "scheduled", 1, attempt=1, run_at=at(book.seq + 6))
    book.job(2, "queued", 1, attempt=1)
    book.job(2, "running", 2, worker_id=8, attempt=1)
    book.job(2, "done", 2, attempt=1)
    book.final(2, attempt=1)


def ticked(book):
    """Schedule 5: two ticks, of which the second is folded into the job that waits for the first."""
    book.job(3, "queued", 0, "insert", schedule_id=5, tick=at(60))
    book.event("ticks", "insert", schedule_id=5, tick=at(60), job_id=3)
    book.event("ticks", "insert", schedule_id=5, tick=at(120), job_id=3)
    book.job(3, "running", 1, worker_id=7, schedule_id=5, tick=at(60))
    book.job(3, "done", 1, schedule_id=5, tick=at(60))
    book.final(3)
    book.history.schedules = [h.Schedule(5, "run_once", [at(60), at(120)])]


def good():
    book = Book()
    pull(book)
    retried(book)
    ticked(book)
    book.final(4, "cancelled", folded_into=3)
    book.final(6, "dead", attempt=3)
    book.history.workers = {7, 8}
    book.history.accepted = {1: "pull", 2: "noop", 4: "pull", 6: "noop"}
    book.history.tables = [(1, "users", rows("u1", "u2"), rows("u1", "u2"))]
    book.history.limits = [h.Limit("acme/desk", "search", 3, [0.0, 1.0, 2.0, 61.5, 62.0], [], [], [], callers=2, in_flight=2)]
    return book


def rows(*ids):
    return oracle.Rows("users", [{"id": i, "name": "N", "email": None, "role": "agent", "account_id": None} for i in ids])


def test_a_good_history_passes():
    assert checker.check(good().history) == []


# ---- doctored ones: what is done to it, and the one rule that it breaks ----


def gone(book):
    del book.history.final_jobs[2]


def never_ended(book):
    book.history.final_jobs[2]["state"] = "queued"


def folded_into_nothing(book):
    book.history.final_jobs[4]["folded_into"] = 99


def dead_too_early(book):
    book.history.final_jobs[6]["attempt"] = 1


def cancelled_by_nobody(book):
    book.history.final_jobs[2]["state"] = "cancelled"


def done_twice(book):
    book.job(2, "done", 2, attempt=1)


def epoch_stands_still(book):
    life = [e for e in book.history.jobs if e.id == 2]
    for e in life[4:]:
        e["epoch"] = 1


def an_hour_late(book):
    waits = next(e for e in book.history.jobs if e.id == 2 and e.state == "scheduled")
    waits["run_at"] = waits.at + datetime.timedelta(hours=1)


def an_hour_ago(book):
    waits = next(e for e in book.history.jobs if e.id == 2 and e.state == "scheduled")
    waits["run_at"] = waits.at - datetime.timedelta(hours=1)


def row_missing(book):
    book.history.tables = [(1, "users", rows("u1"), rows("u1", "u2"))]


def row_too_many(book):
    book.history.tables = [(1, "users", rows("u1", "u2", "u3"), rows("u1", "u2"))]


def counted_twice(book):
    book.history.final_log[1]["inserted"] += 1
    book.history.final_log[1]["fetched"] += 1
    book.history.final_jobs[1]["progress"].update(inserted=3, fetched=4)


def sum_is_wrong(book):
    book.history.final_log[1]["fetched"] += 1
    book.history.final_jobs[1]["progress"]["fetched"] += 1


def progress_overwritten(book):
    book.history.final_jobs[1]["progress"]["pages"] = 1


def inserted_again(book):
    first = next(e for e in book.history.rows if e.op == "insert")
    book.history.rows.append(h.Event(first))
    book.history.final_log[0].update(inserted=3, fetched=3)
    book.history.final_jobs[1]["progress"].update(inserted=3, fetched=4)


def older_over_newer(book):
    last = book.history.rows[-1]
    last.update(was=at(-20))


def version_missed(book):
    book.history.edits.append((1, "b", at(-35)))


def watermark_back(book):
    page(book, 1, 2, 8, [], watermark=at(-31))
    book.history.jobs.sort(key=lambda e: (e.state == "done" and e.id == 1, e.seq))


def tick_twice(book):
    book.event("ticks", "insert", schedule_id=5, tick=at(120), job_id=3)


def two_jobs_for_a_tick(book):
    book.job(9, "queued", 0, "insert", schedule_id=5, tick=at(60))


def tick_missed(book):
    book.history.schedules[0].ticks.insert(1, at(90))
    book.history.ticks[1]["at"] = at(121)


def tick_missed_at_the_end(book):
    book.history.schedules[0].ticks.append(at(180))


def run_all_missed(book):
    book.history.schedules[0] = h.Schedule(5, "run_all", [at(30), at(60), at(120)])
    book.history.ticks[0]["at"] = at(600)


def overlapping(book):
    book.job(8, "queued", 0, "insert", lock_key="k")
    book.job(9, "queued", 0, "insert", lock_key="k")
    book.job(8, "running", 1, worker_id=7, lock_key="k")
    book.job(9, "running", 1, worker_id=8, lock_key="k")


def written_by_the_old_owner(book):
    """Worker 7's child writes when worker 8 has the job; what it counts goes nowhere."""
    fence = next(e for e in book.history.jobs if e.app == "deskmill-child/8")
    fence["app"] = "deskmill-child/7"


def written_on_anothers_job(book):
    """The owner of this moment writes on a row that says it is the other one's."""
    fence = next(e for e in book.history.jobs if e.app == "deskmill-child/8")
    fence["worker_id"] = 7


def run_by_nobody(book):
    next(e for e in book.history.jobs if e.id == 2 and e.state == "running")["worker_id"] = 0


def counted_for_the_old_epoch(book):
    book.history.log[1]["epoch"] = 1


def written_without_a_fence(book):
    book.event("cursors", "update", "deskmill-child/7", 5000, integration_id=1, stream="users", watermark=None, completed=True)


def too_many_calls(book):
    book.history.limits[0].calls[:] = [0.0, 1.0, 2.0, 59.0]


def more_than_a_lost_count_explains(book):
    limit = book.history.limits[0]
    limit.resets.append(10.0)
    limit.calls[:] = [0.0, 1.0, 2.0, 11.0, 12.0, 13.0, 14.0]


def ended_by_itself(book):
    book.history.crashed.append(("worker-1", "signal 11"))


DOCTORED = {
    "lost": [gone, never_ended, folded_into_nothing, dead_too_early, cancelled_by_nobody],
    "moves": [done_twice, epoch_stands_still],
    "delays": [an_hour_late, an_hour_ago],
    "truth": [row_missing, row_too_many],
    "counts": [counted_twice, sum_is_wrong, progress_overwritten],
    "once": [inserted_again],
    "regressed": [older_over_newer],
    "watermark": [version_missed, watermark_back],
    "ticks": [tick_twice, two_jobs_for_a_tick],
    "missed": [tick_missed, tick_missed_at_the_end, run_all_missed],
    "overlap": [overlapping],
    "owner": [written_by_the_old_owner, written_on_anothers_job, counted_for_the_old_epoch, written_without_a_fence],
    "nobody": [run_by_nobody],
    "budget": [too_many_calls, more_than_a_lost_count_explains],
    "process": [ended_by_itself],
}


@pytest.mark.parametrize("rule, doctor", [(r, d) for r, ds in DOCTORED.items() for d in ds], ids=lambda x: getattr(x, "__name__", x))
def test_a_doctored_history_breaks_one_rule(rule, doctor):
    book = good()
    doctor(book)
    found = checker.check(book.history)
    assert {v.rule for v in found} == {rule}, "\n".join(map(str, found))
    assert all(checker.story_of(book.history, v) for v in found if v.jobs or v.issues)


def test_every_rule_is_shown_to_fail():
    assert len(DOCTORED) == len(checker.RULES)


def test_what_explains_calls_above_the_limit():
    limit = good().history.limits[0]
    calls = [0.0, 1.0, 2.0, 30.0, 31.0, 32.0]
    for explained in ({"resets": [10.0]}, {"away": [(20.0, 40.0)], "callers": 3}, {"held_up": [(25.0, 30.5)], "in_flight": 3}):
        one = copy.deepcopy(limit)
        for key, value in {"calls": calls, **explained}.items():
            setattr(one, key, value)
        assert list(checker.budgets_are_kept(h.History(limits=[one]))) == []
        one.calls = [*calls, 33.0]
        assert [v.rule for v in checker.budgets_are_kept(h.History(limits=[one]))] == ["budget"]


def test_a_missed_tick_is_excused_when_nobody_dealt_with_the_schedule_for_a_minute():
    book = good()
    book.history.schedules[0].ticks.insert(1, at(90))
    book.history.ticks[1]["at"] = at(151)
    assert checker.check(book.history) == []


def test_recovery_is_measured_from_the_end_of_the_fault():
    book = good()
    began = next(e for e in book.history.jobs if e.id == 1 and e.state == "running").at
    found = checker.recoveries(book.history, [("kill_worker", began + datetime.timedelta(seconds=1), began + datetime.timedelta(seconds=1), {7})])
    (again,), (elsewhere,) = found["kill_worker"]
    claims = [e for e in book.history.jobs if e.id == 1 and e.epoch == 2]
    assert elsewhere == (claims[0].at - began).total_seconds() - 1
    assert again == (claims[-1].at - began).total_seconds() - 1


def test_the_most_calls_in_a_minute():
    assert checker.most_in_a_minute([]) == 0
    assert checker.most_in_a_minute([0.0, 1.0, 59.9, 60.5, 61.5, 200.0]) == 3


@pytest.mark.parametrize("q, want", [(50, 2), (99, 4), (100, 4), (1, 1)])
def test_quantiles(q, want):
    assert checker.quantile([4, 1, 3, 2], q) == want
