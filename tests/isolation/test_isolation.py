"""Races between statements: each is run in every order that can happen, and in each the rows must end up right.

A transaction that stays open between two steps stands for a statement that is not yet through when the other one comes.
"""
import itertools
import pathlib
import sys

import psycopg
import pytest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import services  # noqa: E402
from spec import Race, commit, hold, insert, rollback, run, statement  # noqa: E402

TESTER = services.PG_BIN.parent / "lib/pgxs/src/test/isolation/isolationtester"
pytestmark = pytest.mark.skipif(not TESTER.exists(), reason=f"no {TESTER}; it is in Debian's postgresql-client-15")

KINDS = ["noop"]
CLEAN = [*(f"DELETE FROM {t}" for t in ("sync_log", "stream_cursors", "job_claims", "jobs", "workers", "integrations", "organizations")),
         "ALTER TABLE jobs ALTER id RESTART WITH 1000"]
JOBS = ("SELECT id, state, epoch, worker_id AS worker, attempt, losses, lock_key, dedupe_key, checkpoint->>'page' AS page, folded_into AS folded,"
        " error FROM jobs ORDER BY id")


@pytest.fixture(scope="session")
def database():
    """The URL of a database with the schema in it."""
    pg = services.Postgres()
    try:
        with psycopg.connect(pg.url("postgres"), autocommit=True) as db:
            db.execute("CREATE DATABASE isolation")
        with psycopg.connect(pg.url("isolation"), autocommit=True) as db:
            db.execute("CREATE SCHEMA deskmill")
            for path in sorted((HERE.parents[1] / "schema").glob("*.sql")):
                db.execute(path.read_text())
        yield pg.url("isolation")
    finally:
        pg.destroy()


@pytest.fixture
def race(database):
    """race(given, session=[steps], ...): one Run per order; show= is done, and looked at, when all are through."""

    def every_order(given, show=None, **sessions):
        r = Race(given, {**(show or {}), "jobs": JOBS}, CLEAN)
        for name, steps in sessions.items():
            r.session(name, *steps)
        return r.run(TESTER, database)

    return every_order


# ---- rows and statements by what they mean ---------------------------------------------------------------------------------------------


def worker(number):
    return insert("workers", id=number, host="test", pid=number, slots=1, version="test")


def integration(number):
    return "; ".join([insert("organizations", id=number, slug="test", name="test"),
                      insert("integrations", id=number, organization_id=number, name="desk", vendor="pylon", base_url="", credentials="")])


def job(number, state, **columns):
    return insert("jobs", **{"id": number, "kind": KINDS[0], "queue": "default", "state": state, "origin": "test", "max_attempts": 8,
                             "timeout_s": 60, **columns})


def running(number, by, **columns):
    return "; ".join([job(number, "running", **{"worker_id": by, "epoch": 1, "started_at": "now", **columns}),
                      insert("job_claims", worker_id=by, batch=number, job_ids=f"{{{number}}}")])


BATCH = itertools.count(1000)  # a worker gives each claim a number of its own


def claim(by, *ids):
    return statement("job_claim", by, ids, KINDS, next(BATCH))


def claim_rows(by, want):
    return statement("job_claim_rows", by, want, KINDS, next(BATCH))


def settle(by, number, state, charged=False, run_at=None):
    """`scheduled` without a run_at waits for its children."""
    return statement("job_settle", by, [number], [1], [state], [charged], [False], [run_at], [None], ["retry" if charged else "done"], [False], [])


def enqueue(dedupe_key):
    return statement("job_enqueue", KINDS, ["default"], [1], [0], [0], [0], [None], ["test"], ["{}"], [None], [dedupe_key], [8], [60], [None])


def page_log(pages):
    """The row of the attempt (10, 1) in the log, as a page writes it."""
    return statement("ctx_log", 10, 1, None, None, *[0] * 2, pages, *[0] * 6, None)


def unblock(lock_keys=(), parents=()):
    return statement("job_unblock", lock_keys, parents)


def row(rows, number):
    """The row of one job."""
    return next(r for r in rows if r["id"] == str(number))


def ids(result):
    return [r["id"] for r in result.rows or []]


# ---- claims ----------------------------------------------------------------------------------------------------------------------------


def test_a_job_claimed_twice_runs_once(race):
    """Two workers took overlapping batches of ids: the one in both is the first one's, and costs the second nothing else."""
    for r in race(
        [worker(1), worker(2), job(10, "queued"), job(11, "queued"), job(12, "queued")],
        one=[hold("claim", claim(1, 10, 11), takes="job 11"), commit("end")],
        two=[hold("claim", claim(2, 11, 12), takes="job 11"), commit("end")],
    ):
        first = 1 if r.before("one_claim", "two_claim") else 2
        assert sorted(ids(r["one_claim"])) == (["10", "11"] if first == 1 else ["10"]), r.text
        assert sorted(ids(r["two_claim"])) == (["11", "12"] if first == 2 else ["12"]), r.text
        assert [(j["state"], j["epoch"], j["worker"]) for j in r.shown["jobs"]] == [
            ("running", "1", "1"), ("running", "1", str(first)), ("running", "1", "2")], r.text


def test_a_claim_that_is_lost_leaves_the_job_to_the_next(race):
    """The first claimer's connection dies before its commit."""
    for r in race(
        [worker(1), worker(2), job(10, "queued")],
        lost=[hold("claim", claim(1, 10), takes=lambda done: None if "other_end" in done else "job 10"), rollback("end")],
        other=[hold("claim", claim(2, 10), takes="job 10"), commit("end")],
    ):
        assert ids(r["other_claim"]) == ["10"], r.text
        assert [(j["state"], j["epoch"], j["worker"]) for j in r.shown["jobs"]] == [("running", "1", "2")], r.text


def test_two_jobs_of_one_lock_key_never_run_together(race):
    """Whoever comes second sees the other running and leaves its job out; or meets it in the index and is refused, batch and all, and then
    claims one by one, as workers do."""
    for r in race(
        [worker(1), worker(2), job(10, "queued", lock_key="k"), job(11, "queued", lock_key="k"), job(12, "queued")],
        one=[hold("claim", claim(1, 10), takes="lock k"), commit("end")],
        two=[hold("claim", claim(2, 11, 12), takes="lock k"), commit("end"), run("again_11", claim(2, 11)), run("again_12", claim(2, 12))],
    ):
        first, second = ("one", "two") if r.before("one_claim", "two_claim") else ("two", "one")
        refused = 'duplicate key value violates unique constraint "jobs_lock"' if r[f"{second}_claim"].waited else None
        assert r[f"{first}_claim"].error is None and r[f"{second}_claim"].error == refused, r.text
        held, free = ("10", "11") if first == "one" else ("11", "10")
        assert row(r.shown["jobs"], held)["state"] == "running", r.text
        assert (row(r.shown["jobs"], free)["state"], row(r.shown["jobs"], free)["epoch"]) == ("queued", "0"), r.text
        assert (row(r.shown["jobs"], 12)["state"], row(r.shown["jobs"], 12)["epoch"]) == ("running", "1"), r.text
        assert ids(r["two_again_11"]) == [], r.text


def test_with_redis_away_each_job_is_claimed_once(race):
    """Workers that claim straight from the rows keep out of each other's way: none waits for the other."""
    for r in race(
        [worker(1), worker(2), job(10, "queued"), job(11, "queued"), job(12, "queued")],
        one=[hold("claim", claim_rows(1, 2)), commit("end")],
        two=[hold("claim", claim_rows(2, 2)), commit("end")],
    ):
        first, second = ("one", "two") if r.before("one_claim", "two_claim") else ("two", "one")
        assert (sorted(ids(r[f"{first}_claim"])), ids(r[f"{second}_claim"])) == (["10", "11"], ["12"]), r.text
        assert [(j["state"], j["epoch"]) for j in r.shown["jobs"]] == [("running", "1")] * 3, r.text


def test_with_redis_away_two_jobs_of_one_lock_key_never_run_together(race):
    """The first to claim takes the key; the other is refused in the index, or is not even shown the second job; and finds the rest at its
    next look."""
    for r in race(
        [worker(1), worker(2), job(10, "queued", lock_key="k"), job(11, "queued", lock_key="k"), job(12, "queued")],
        one=[hold("claim", claim_rows(1, 1), takes=lambda done: None if "two_claim" in done else "lock k"), commit("end")],
        two=[hold("claim", claim_rows(2, 2), takes="lock k"), commit("end"), run("again", claim_rows(2, 2))],
    ):
        refused = 'duplicate key value violates unique constraint "jobs_lock"' if r["two_claim"].waited else None
        assert r["one_claim"].error is None and r["two_claim"].error == refused and r["two_again"].error is None, r.text
        states = {j["id"]: (j["state"], j["epoch"]) for j in r.shown["jobs"]}
        assert states == {"10": ("running", "1"), "11": ("queued", "0"), "12": ("running", "1")}, r.text


def test_a_lock_keys_next_job_is_not_forgotten(race):
    """The holder ends while another worker looks at the next one in line: that one takes it, or the settler is told of it."""
    for r in race(
        [worker(1), worker(2), running(10, 1, lock_key="k"), job(11, "queued", lock_key="k")],
        settler=[hold("settle", settle(1, 10, "done")), commit("end"), run("unblock", unblock(["k"]))],
        claimer=[hold("claim", claim(2, 11)), commit("end")],
    ):
        claimed, told = ids(r["claimer_claim"]) == ["11"], ids(r["settler_unblock"]) == ["11"]
        assert claimed or told, r.text
        assert row(r.shown["jobs"], 10)["state"] == "done", r.text
        assert row(r.shown["jobs"], 11)["state"] == ("running" if claimed else "queued"), r.text


# ---- the fence -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first_page", [True, False], ids=["first page", "later page"])
def test_a_page_is_committed_before_its_job_is_taken_back_or_not_at_all(race, first_page):
    """A worker given up for dead writes a page while its job is taken back. The reaper leaves a row alone that is held, and comes again. The
    next attempt goes on from the page if, and only if, its rows are there; and the log says that the attempt was lost."""
    reap, reap_log = statement("job_reap", 1), statement("job_reap_log", 1)
    for r in race(
        [integration(1), worker(1), worker(2), running(10, 1, integration_id=1, losses=3, progress_at=None if first_page else "now"),
         *([] if first_page else [page_log(1)])],
        writer=[
            hold("rows", statement("cursor_advance", 1, "issues", "2030-01-01T00:00:00Z", False, 10)),
            run("fence", statement("ctx_fence", 10, 1, 1, '{"page": 2}', "{}"), takes="job 10"),
            run("log", page_log(2)),
            commit("end"),
        ],
        reaper=[
            hold("reap", reap, takes=lambda done: None if "writer_fence" in done and "writer_end" not in done else "job 10"),
            run("reap_log", reap_log),
            commit("end"),
            run("claim", claim(2, 10)),
        ],
        show={"reap": reap, "reap_log": reap_log, "claim": claim(2, 10), "rows": "SELECT watermark FROM stream_cursors",
              "log": "SELECT epoch, outcome, pages FROM sync_log"},
    ):
        page_first = r.before("writer_fence", "reaper_reap")
        held = page_first and r.before("reaper_reap", "writer_end")
        assert r["writer_fence"].error == (None if page_first else "job 10: epoch 1 of worker 1 is not current"), r.text
        assert len(r.shown["rows"]) == (1 if page_first else 0), r.text
        assert [ids(r["reaper_reap"]), ids(r["reaper_claim"])] == ([[], []] if held else [["10"], ["10"]]), r.text
        [j] = r.shown["jobs"]
        assert (j["state"], j["epoch"], j["worker"], j["attempt"]) == ("running", "2", "2", "0"), r.text
        assert (j["page"], j["losses"]) == (("2", "1") if page_first else ("", "4")), r.text
        pages = "2" if page_first else "1"
        assert r.shown["log"] == ([{"epoch": "1", "outcome": "lost", "pages": pages}] if page_first or not first_page else []), r.text


# ---- dedupe keys -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["retry", "drain", "loss"])
def test_a_job_that_goes_back_to_waiting_meets_its_new_twin(race, how):
    """A job waits again while a job with the same dedupe key is enqueued: one of them waits with the key. A settler folds the new one into
    its own, a reaper lets it have the key. Who was refused tries again, as both do, and a second try after a good one changes nothing."""
    back, state, attempt = {
        "retry": (settle(1, 10, "scheduled", charged=True, run_at="2100-01-01T00:00:00Z"), "scheduled", "1"),
        "drain": (settle(1, 10, "queued"), "queued", "0"),
        "loss": (statement("job_reap", 1), "queued", "0"),
    }[how]
    for r in race(
        [worker(1), running(10, 1, dedupe_key="d")],
        owner=[hold("back", back, takes="key d"), commit("end"), run("again", back)],
        caller=[hold("enqueue", enqueue("d"), takes="key d"), run("waiting", statement("job_waiting", ["d"])), commit("end")],
    ):
        old, *new = r.shown["jobs"]
        refused = 'duplicate key value violates unique constraint "jobs_dedupe"' if r["owner_back"].waited else None
        created = r.before("caller_enqueue", "owner_back")
        assert [r[s].error for s in ("owner_back", "owner_again", "caller_enqueue")] == [refused, None, None], r.text
        assert (old["id"], old["state"], old["worker"], old["attempt"]) == ("10", state, "", attempt), r.text
        assert old["losses"] == ("1" if how == "loss" else "0"), r.text
        if created:
            assert ids(r["caller_enqueue"]) == ids(r["caller_waiting"]) == [new[0]["id"]], r.text
            assert (new[0]["state"], new[0]["folded"]) == (("queued", "") if how == "loss" else ("cancelled", "10")), r.text
            assert old["dedupe_key"] == ("" if how == "loss" else "d"), r.text
        else:
            assert (ids(r["caller_enqueue"]), ids(r["caller_waiting"]), new) == ([""], ["10"], []), r.text
            assert old["dedupe_key"] == "d", r.text


@pytest.mark.parametrize("cancel", [False, True], ids=["queued", "cancelled"])
def test_a_settler_that_has_lost_its_job_folds_nothing_into_it(race, cancel):
    """A job is taken back while its worker settles it, and a twin waits. Only who still owns the job may fold the twin into it: a cancelled job
    would take the twin's work with it."""
    for r in race(
        [worker(1), running(10, 1, dedupe_key="d", cancel_requested=cancel), job(11, "queued", dedupe_key="d")],
        settler=[hold("back", settle(1, 10, "queued"), takes="job 10"), commit("end")],
        reaper=[hold("reap", statement("job_reap", 1),
                     takes=lambda done: None if "settler_back" in done and "settler_end" not in done else "job 10"), commit("end")],
    ):
        old, twin = r.shown["jobs"]
        settled = r.before("settler_back", "reaper_reap")
        assert [ids(r["settler_back"]), ids(r["reaper_reap"])] == ([["10"], []] if settled else [[], ["10"]]), r.text
        assert old["state"] == ("queued" if settled or not cancel else "cancelled"), r.text
        assert (twin["state"], twin["folded"]) == (("cancelled", "10") if settled else ("queued", "")), r.text


def test_a_twin_is_folded_or_claimed(race):
    """A worker gives a job back while another claims its twin: the twin runs and leaves the key behind, or it is folded and is not claimed."""
    for r in race(
        [worker(1), worker(2), running(10, 1, dedupe_key="d"), job(11, "queued", dedupe_key="d")],
        settler=[hold("back", settle(1, 10, "queued"), takes="job 11"), commit("end")],
        claimer=[hold("claim", claim(2, 11), takes="job 11"), commit("end")],
    ):
        old, twin = r.shown["jobs"]
        claimed = r.before("claimer_claim", "settler_back")
        assert (ids(r["settler_back"]), ids(r["claimer_claim"])) == (["10"], ["11"] if claimed else []), r.text
        assert (twin["state"], twin["folded"]) == (("running", "") if claimed else ("cancelled", "10")), r.text
        assert old["state"] == "queued", r.text


def test_twins_that_both_go_back_to_waiting_share_one_key(race):
    """Two workers give back jobs with one dedupe key: the second gives the key up."""
    first, second = settle(1, 10, "queued"), settle(2, 11, "queued")
    for r in race(
        [worker(1), worker(2), running(10, 1, dedupe_key="d"), running(11, 2, dedupe_key="d")],
        one=[hold("settle", first, takes="key d"), commit("end"), run("again", first)],
        two=[hold("settle", second, takes="key d"), commit("end"), run("again", second)],
    ):
        keys = {j["id"]: j["dedupe_key"] for j in r.shown["jobs"]}
        assert [j["state"] for j in r.shown["jobs"]] == ["queued", "queued"], r.text
        assert keys == ({"10": "d", "11": ""} if r.before("one_settle", "two_settle") else {"10": "", "11": "d"}), r.text


# ---- parents ---------------------------------------------------------------------------------------------------------------------------


def test_the_last_two_children_wake_their_parent_once(race):
    """Two workers settle the last two children, and each then asks whether the parent may go on."""

    def wakes(done):  # only the statement that sees no child left touches the parent
        return "parent" if {"one_end", "two_end"} <= done else None

    def settler(by, child):
        return [hold("settle", settle(by, child, "done")), commit("end"), hold("unblock", unblock((), [1]), takes=wakes), commit("woken")]

    for r in race(
        [worker(1), worker(2), job(1, "scheduled", run_at=None), running(2, 1, parent_id=1), running(3, 2, parent_id=1)],
        one=settler(1, 2),
        two=settler(2, 3),
    ):
        assert sorted(ids(r["one_unblock"]) + ids(r["two_unblock"])) == ["1"], r.text
        assert [j["state"] for j in r.shown["jobs"]] == ["queued", "done", "done"], r.text


def test_a_parent_that_comes_to_wait_as_its_last_child_ends_is_woken_once(race):
    """The parent's worker writes that it waits for its children, the child's that it has ended: neither may miss the other."""

    def wakes(done):
        return "parent" if {"parent_end", "child_end"} <= done else None

    for r in race(
        [worker(1), worker(2), running(1, 1), running(2, 2, parent_id=1)],
        parent=[hold("settle", settle(1, 1, "scheduled")), commit("end"),
                hold("unblock", unblock((), [1]), takes=wakes), commit("woken")],
        child=[hold("settle", settle(2, 2, "done")), commit("end"), hold("unblock", unblock((), [1]), takes=wakes), commit("woken")],
    ):
        assert sorted(ids(r["parent_unblock"]) + ids(r["child_unblock"])) == ["1"], r.text
        assert [j["state"] for j in r.shown["jobs"]] == ["queued", "done"], r.text


# ---- batches ---------------------------------------------------------------------------------------------------------------------------


def test_a_cancel_meets_a_parent_that_fans_out(race):
    """Either the cancel sees the child that was being made, or the parent sees the cancel before it makes one. The cancel goes on until a pass
    finds nothing, as batch.c does."""
    cancel = statement("batch_cancel", 1)
    child = ("INSERT INTO jobs (id, kind, queue, state, origin, max_attempts, timeout_s, parent_id) SELECT 2, 'noop', 'default', 'queued', 'test', 8, 60, 1"
             " WHERE NOT (SELECT cancel_requested FROM jobs WHERE id = 1)")  # what ctx_enqueue() makes of batch_own's answer
    for r in race(
        [worker(1), running(1, 1)],
        parent=[hold("own", statement("batch_own", 1, 1, 1), takes="job 1"), run("enqueue", child), commit("end")],
        canceller=[hold("pass", cancel, takes="job 1"), run("again", cancel), run("last", cancel), commit("end")],
    ):
        first = r.before("parent_own", "canceller_pass")
        assert r["parent_own"].rows == [{"cancel_requested": "f" if first else "t"}], r.text
        late = r["canceller_pass"].waited  # its first pass began before the child was there
        passes = [["1"], ["2"], []] if late else [["1", "2"] if first else ["1"], [], []]
        assert [ids(r[f"canceller_{s}"]) for s in ("pass", "again", "last")] == passes, r.text
        assert [(j["id"], j["state"]) for j in r.shown["jobs"]] == [("1", "running"), *([("2", "cancelled")] if first else [])], r.text


def test_children_are_retried_while_their_parent_is_woken(race):
    """The last child that was under way ends just as a dead one is let loose again: the parent waits for it, or goes on and looks again; it is never
    left waiting for nobody."""

    for r in race(
        [worker(1), job(1, "scheduled", run_at=None), running(2, 1, parent_id=1), job(3, "dead", parent_id=1, ended_at="now")],
        settler=[run("settle", settle(1, 2, "done")), hold("unblock", unblock((), [1]), takes=lambda done: None if "retrier_end" in done else "parent"),
                 commit("woken")],
        retrier=[hold("hold", statement("batch_hold", 1), takes="parent"), run("retry", statement("batch_retry", 1, False)), commit("end")],
    ):
        up, _, child = r.shown["jobs"]
        assert child["state"] == "queued" and child["attempt"] == "0", r.text
        assert up["state"] in ("scheduled", "queued"), r.text


def test_children_are_not_retried_behind_a_parent_that_counts_them(race):
    """A parent that was woken is claimed just then: it is held for the retry and counts afterwards, or the retry sees it run, and refuses."""
    for r in race(
        [worker(1), job(1, "queued"), job(2, "dead", parent_id=1, ended_at="now")],
        claimer=[hold("claim", claim(1, 1), takes="parent"), commit("end")],
        retrier=[hold("hold", statement("batch_hold", 1), takes="parent"), commit("end")],
    ):
        [seen] = r["retrier_hold"].rows
        assert seen == {"id": "1", "state": "running" if r.before("claimer_claim", "retrier_hold") else "queued"}, r.text
        assert ids(r["claimer_claim"]) == ["1"], r.text
