"""A job that no worker should have got: of a kind that only a later version knows, or one that crashes whoever runs it."""
import time


def jobs_of(stack, kind):
    return stack.sql("SELECT * FROM jobs WHERE kind = %s ORDER BY id", kind)


def test_a_job_of_an_unknown_kind_waits_untouched_for_a_worker_that_knows_it(stack):
    """A newer producer, an older worker: the job goes by it unharmed, holds up nobody, says what it waits for, and a worker of the later version has it at once."""
    stack.scheduler(check_ms=200)
    stack.worker(slots=2)
    strange = stack.insert_jobs("future_kind", 3)
    stack.wait(lambda: len(stack.sql("SELECT 1 FROM kind_waits")) == 3, what="the worker has met them and left them")
    for job in [stack.noop() for _ in range(20)]:
        stack.wait_job(job, timeout=10)
    for job in jobs_of(stack, "future_kind"):
        assert (job.state, job.epoch, job.attempt, job.worker_id, job.started_at) == ("queued", 0, 0, None, None)

    shown = stack.cli("job", "show", strange[0])
    assert shown.waiting_for == "a worker that knows kind future_kind"
    listed = stack.run_cli("jobs", "--state", "queued").stdout
    assert listed.count("a worker that knows kind future_kind") == 3, listed
    assert stack.cli("job", "show", stack.noop()).waiting_for is None

    # It does not go round in circles: the scheduler, which checks five times a second here, has not pushed it again and again.
    checks = stack.sql("SELECT now() + interval '4 s' AS t")[0].t
    stack.wait(lambda: stack.sql("SELECT now() > %s AS late", checks)[0].late, what="a dozen checks have gone by")
    assert stack.log("queue.repaired").count <= 2
    assert stack.redis_client().keys("dm:q:*") == []

    stack.worker(slots=1, program="deskmill-worker-next")
    began = time.monotonic()
    for job in strange:
        stack.wait_job(job, timeout=10)
    assert time.monotonic() - began < 8
    assert all(job.epoch == 1 and job.attempt == 0 for job in jobs_of(stack, "future_kind"))
    stack.wait(lambda: not stack.sql("SELECT 1 FROM kind_waits"), what="nothing is noted any more")


def test_versions_side_by_side_share_the_work(stack):
    """Three older workers and one of the later version: whoever takes an id off the list, each job is done, once, and the strange ones only by the later version."""
    stack.scheduler(check_ms=200)
    for _ in range(3):
        stack.worker(slots=1)
    later = stack.worker(slots=1, program="deskmill-worker-next")
    strange = []
    for _ in range(10):
        strange += stack.insert_jobs("future_kind", 3)
        stack.insert_jobs("noop", 10)
    stack.wait(lambda: not stack.sql("SELECT 1 FROM jobs WHERE state <> 'done'"), 60, "all are done")
    rows = stack.sql("SELECT * FROM jobs")
    assert len(rows) == 130 and all(job.epoch == 1 and job.attempt == 0 for job in rows)
    for job in strange:
        started = stack.log("job.started", job=job)
        assert started.column("pid") == [str(later.pid)]


def test_a_poison_job_is_dead_after_three_crashes_and_harms_no_other(stack):
    """Two slots. Each crash costs its own slot a fork; two hundred other jobs go on between and after the crashes, and run exactly once, none charged, none lost."""
    stack.scheduler(check_ms=200)
    w = stack.worker(slots=2, program="deskmill-worker-next")
    others = stack.insert_jobs("noop", 200, args='{"sleep_ms": 50}')
    (poison,) = stack.insert_jobs("poison", max_attempts=8, priority=0)

    def done():
        return len(stack.sql("SELECT 1 FROM jobs WHERE id = ANY (%s) AND state = 'done'", others))

    for n in (1, 2, 3):
        stack.wait(lambda: stack.job(poison).crashes == n, 60, f"it has crashed {n} times")  # noqa: B023
        before = done()
        stack.wait(lambda: done() >= before + 10, 30, "the others go on")  # noqa: B023
        stack.hasten()  # the wait before the next attempt is the same as after any failure
    row = stack.job(poison)
    assert (row.crashes, row.attempt, row.epoch) == (3, 3, 3)
    assert "signal 6 (Aborted)" in row.error, row.error
    stack.idle()
    rows = stack.sql("SELECT * FROM jobs WHERE id = ANY (%s)", others)
    assert len(rows) == 200
    assert all((job.state, job.epoch, job.attempt, job.crashes, job.losses) == ("done", 1, 0, 0, 0) for job in rows)
    assert stack.log("job.crashed").count == 3 and {line["job"] for line in stack.log("job.crashed")} == {str(poison)}
    assert w.alive and len(w.children()) == 2
    assert not stack.log("worker.lost")

    stack.cli("job", "retry", poison)
    stack.wait(lambda: stack.job(poison).crashes == 1, what="a person may try it again, and it crashes anew")
