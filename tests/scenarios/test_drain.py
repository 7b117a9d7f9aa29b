"""SIGTERM: a worker stops at the next page, gives its jobs back uncharged and ends with 0; another one goes on where it was."""
import signal
import time


def test_a_drained_job_goes_on_elsewhere_from_its_checkpoint(stack):
    desk = stack.vendor("pylon", issues=300, messages=0, days=25, hold_page=3, settings={"page_size": 50})
    stack.scheduler()
    w1 = stack.worker(slots=1)
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="a page is held")
    w1.kill(signal.SIGTERM)
    stack.wait(lambda: stack.sql("SELECT 1 FROM workers WHERE id = %s AND state = 'draining'", w1.worker_id), what="the worker drains")
    desk.release()
    assert w1.wait() == 0
    row = stack.job(job)
    assert row.state == "queued" and row.attempt == 0
    assert row.checkpoint
    assert len(stack.rows("issues")) >= 100
    assert stack.sql("SELECT state FROM workers WHERE id = %s", w1.worker_id)[0].state == "stopped"
    stack.worker(slots=1)
    stack.wait_job(job)
    stack.idle()
    stack.assert_true_to(desk, "issues")
    assert [a.outcome for a in stack.sync_log(job)] == ["drained", "done"]
    assert stack.job(job).attempt == 0
    assert sum(a.inserted for a in stack.sync_log(job)) == 300 and stack.sync_log(job)[1].inserted <= 200, "it did not begin anew"


def test_a_draining_worker_takes_nothing_new(stack):
    stack.scheduler()
    w1 = stack.worker(slots=1)
    long = stack.noop(sleep_ms=2000)
    stack.wait(lambda: stack.job(long).state == "running", what="the long job runs")
    w1.kill(signal.SIGTERM)
    waiting = stack.noop()
    assert w1.wait() == 0
    assert stack.job(waiting).state == "queued"
    stack.worker(slots=1)
    stack.wait_job(waiting)
    stack.wait_job(long)
    assert stack.job(long).attempt == 0


def test_a_second_sigterm_ends_at_once(stack):
    """The page is never released; the job is taken back all the same, uncharged."""
    desk = stack.vendor("pylon", issues=200, messages=0, hold_page=2, settings={"page_size": 50})
    stack.scheduler()
    w1 = stack.worker(slots=1, drain_ms=60000)
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="a page is held")
    w1.kill(signal.SIGTERM)
    stack.wait(lambda: stack.sql("SELECT 1 FROM workers WHERE id = %s AND state = 'draining'", w1.worker_id), what="the worker drains")
    begun = time.monotonic()
    w1.kill(signal.SIGTERM)
    w1.wait(10)
    assert time.monotonic() - begun < 5
    desk.release()
    stack.worker(slots=1)
    stack.wait_job(job)
    assert stack.job(job).attempt == 0
    stack.assert_true_to(desk, "issues")


def test_the_drain_timeout_ends_what_does_not_stop(stack):
    desk = stack.vendor("pylon", issues=200, messages=0, hold_page=2, settings={"page_size": 50})
    stack.scheduler()
    w1 = stack.worker(slots=1, drain_ms=1000)
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="a page is held")
    w1.kill(signal.SIGTERM)
    w1.wait(10)
    desk.release()
    stack.worker(slots=1)
    stack.wait_job(job)
    assert stack.job(job).attempt == 0
    stack.assert_true_to(desk, "issues")
