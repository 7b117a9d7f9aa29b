"""A parent and its children: completed exactly once whatever dies meanwhile, cancelled as one, tried again with one command."""
import datetime
import signal

import pytest

# Every change of a job's state, seen by Postgres itself: with how many children of the job had not ended at that moment.
AUDIT = """
    CREATE TABLE audit (at bigserial, id bigint, was text, became text, open bigint);
    CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO audit (id, was, became, open) SELECT new.id, old.state, new.state, count(*) FROM jobs c
            WHERE c.parent_id = new.id AND c.state IN ('scheduled', 'queued', 'running');
        RETURN new;
    END $$;
    CREATE TRIGGER audit AFTER UPDATE ON jobs FOR EACH ROW WHEN (old.state <> new.state) EXECUTE FUNCTION audit();
"""


@pytest.fixture
def history(stack):
    """history(job): its (state before, state after, children that had not ended), oldest first."""
    stack.sql(AUDIT)
    return lambda job: [(r["was"], r["became"], r["open"]) for r in stack.sql("SELECT was, became, open FROM audit WHERE id = %s ORDER BY at", job)]


def children(stack, parent, *states):
    return stack.sql("SELECT * FROM jobs WHERE parent_id = %s AND (%s OR state::text = ANY (%s)) ORDER BY id", parent, not states, list(states))




def test_a_batch_is_completed_once_though_workers_are_killed_as_its_children_settle(stack, history):
    """Workers get SIGKILL again and again while chunks end. The parent comes to its end once, when no child is left, and has counted them all."""
    desk = stack.vendor("pylon", issues=300, messages=0, days=900, latency_ms=5, settings={"page_size": 20})
    stack.scheduler(lease_ms=2000, check_ms=500)
    workers = [stack.worker(slots=2), stack.worker(slots=2)]
    job = stack.cli("backfill", desk.integration).job
    for kills in range(1, 6):
        stack.wait(lambda: len(children(stack, job, "done")) >= 4 * kills, 60, f"{4 * kills} chunks are done")
        workers.pop(0).kill(signal.SIGKILL)
        workers.append(stack.worker(slots=2))
    stack.wait_job(job, timeout=120)
    stack.idle()
    all_of_them = children(stack, job)
    assert len(all_of_them) >= 24 and {c.state for c in all_of_them} == {"done"}
    ends = [h for h in history(job) if h[1] in ("done", "dead", "cancelled")]
    assert ends == [("running", "done", 0)], "one end, and no child was left"
    progress = stack.job(job).progress
    assert (progress["chunks"], progress["chunks_done"], progress["chunks_left"]) == (len(all_of_them), len(all_of_them), 0)
    shown = stack.cli("job", "show", job)
    assert shown.children.total == shown.children.done == len(all_of_them)
    assert shown.children.progress.pages == sum(c.progress["pages"] for c in all_of_them)
    stack.assert_true_to(desk, "issues")


def test_dead_children_are_tried_again_with_one_command(stack, history):
    """The parent of dead children is dead and says what to do; that command brings parent and children to their end."""
    desk = stack.vendor("pylon", issues=200, messages=0, days=300, hold_page=1, settings={"page_size": 50})
    stack.scheduler()
    stack.worker(slots=2)
    job = stack.cli("backfill", desk.integration, "--from", "2020-01-01").job  # from long before the first issue: no search for it
    stack.wait(lambda: desk.held, what="a chunk's page is held")
    stack.sql("UPDATE jobs SET max_attempts = 1 WHERE parent_id = %s", job)
    desk.fail("status", status=500, count=15)  # a worker tries again at once, twice
    desk.release()
    row = stack.wait_job(job, "dead")
    died = [c.id for c in children(stack, job, "dead")]
    assert 1 <= len(died) <= 7 and f"{len(died)} of" in row.error and f"`deskmill job retry {job} --children`" in row.error
    shown = stack.cli("job", "show", job)
    assert (shown.children.dead, shown.children.done) == (len(died), shown.children.total - len(died))
    desk.mend()
    before = {c.id: c.epoch for c in children(stack, job, "done")}
    answer = stack.cli("job", "retry", job, "--children")
    assert (answer.state, answer.retried) == ("scheduled", len(died) + 1)
    stack.wait_job(job, timeout=60)
    assert {c.id: c.epoch for c in children(stack, job) if c.id in before} == before, "what was done is not done again"
    assert all(c.state == "done" for c in children(stack, job))
    assert [h for h in history(job) if h[1] in ("done", "dead")] == [("running", "dead", 0), ("running", "done", 0)]
    stack.idle()
    stack.assert_true_to(desk, "issues")
    refused = stack.run_cli("job", "retry", job, "--children")
    assert refused.returncode == 1 and "is done" in refused.stderr, refused.stderr


def test_a_cancelled_batch_ends_and_can_go_on(stack, history):
    """Chunks that wait end with their parent, the one that runs ends at its next page, and none of them runs afterwards. Asked for, it goes on."""
    desk = stack.vendor("pylon", issues=600, messages=0, days=300, hold_page=2, settings={"page_size": 3})
    stack.scheduler()
    stack.worker(slots=1)
    start = datetime.date.today() - datetime.timedelta(days=305)
    job = stack.cli("backfill", desk.integration, "--from", start.isoformat()).job  # no search for the first issue
    stack.wait(lambda: desk.held, what="the second of a chunk's many pages is held")
    (runs,) = children(stack, job, "running")
    answer = stack.cli("job", "cancel", job)
    assert (answer.state, answer.ending) == ("cancelled", 1) and answer.cancelled >= 9
    assert [c.id for c in children(stack, job, "scheduled", "queued", "running")] == [runs.id]
    desk.release()
    stack.wait_job(runs.id, "cancelled")
    stack.wait_job(stack.noop())
    assert {c.state for c in children(stack, job)} <= {"cancelled", "done"}
    assert not [h for c in children(stack, job) if c.id != runs.id for h in history(c.id) if h == ("cancelled", "running", 0)]
    refused = stack.run_cli("job", "retry", job, "--children")
    assert refused.returncode == 1 and "--cancelled" in refused.stderr, refused.stderr
    assert stack.job(job).state == "cancelled"
    stack.cli("job", "retry", job, "--children", "--cancelled")
    stack.wait(lambda: stack.job(job).state == "done", 60, "the batch is done after all")
    stack.idle()
    stack.assert_true_to(desk, "issues")


def test_a_parent_that_is_cancelled_before_it_fans_out_gets_no_children(stack):
    """It still searches for the earliest issue when it is cancelled."""
    desk = stack.vendor("pylon", issues=50, messages=0, days=300, hold_page=1)
    stack.scheduler()
    stack.worker()
    job = stack.cli("backfill", desk.integration).job
    stack.wait(lambda: desk.held, what="the search is held")
    assert stack.cli("job", "cancel", job).state == "running"
    again = stack.run_cli("job", "cancel", job)
    assert again.returncode == 1 and "already" in again.stderr, again.stderr
    desk.release()
    stack.wait_job(job, "cancelled")
    assert children(stack, job) == []


def test_a_wrong_retry_says_what_would_be_right(stack):
    stack.api()
    for argv, code, says in (
        (("job", "retry", "12345", "--children"), 4, "id: there is no job 12345"),
        (("job", "retry", "1", "--cancelled"), 2, "--children"),
        (("job", "retry", "one"), 2, "ID: one is not a job's number"),
        (("job", "cancel", "12345"), 4, "id: there is no job 12345"),
    ):
        done = stack.run_cli(*argv)
        assert done.returncode == code and says in done.stderr, done
    answer = stack.http("POST", "/api/v1/jobs/1/retry", {"children": "yes"})
    assert answer.status_code == 400 and answer.json()["field"] == "children"
    answer = stack.http("POST", "/api/v1/jobs/1/retry", {"cancelled": True})
    assert answer.status_code == 400 and answer.json()["field"] == "cancelled"
    answer = stack.http("POST", "/api/v1/jobs/1/retry", {"kids": True})
    assert answer.status_code == 400 and answer.json()["field"] == "kids"
