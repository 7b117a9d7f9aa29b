"""Processes die or stop at the worst moment; nothing is lost, doubled or written by one who no longer owns the job."""
import os
import signal
import time

import pytest


def start_and_hold(stack, page=3, **worker):
    """A worker in the middle of a pull, its third page kept back."""
    desk = stack.vendor("pylon", issues=300, messages=0, hold_page=page, settings={"page_size": 50})
    stack.scheduler(lease_ms=worker.pop("lease_ms", 10000))
    w = stack.worker(slots=1, **worker)
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what=f"page {page} is held")
    stack.wait(lambda: len(stack.rows("issues")) == 50 * (page - 1), what="the pages before it are committed")
    return desk, w, job


def test_a_killed_child_costs_one_page_and_one_attempt(stack):
    """The child gets SIGKILL mid-page; the parent forks another, the job goes on from its last committed page."""
    desk, w, job = start_and_hold(stack)
    (child,) = w.children()
    os.kill(child, signal.SIGKILL)
    desk.release()
    stack.wait_job(job)
    stack.idle()
    assert w.alive and w.children() and child not in w.children()
    stack.assert_true_to(desk, "issues")
    assert [a.outcome for a in stack.sync_log(job)] == ["crashed", "done"]
    assert stack.job(job).attempt == 1
    assert [a.inserted for a in stack.sync_log(job)] == [100, 200 + stack.directory()], "it went on from the last committed page"


def test_a_job_that_crashes_three_children_is_dead(stack):
    """With the signal as its reason; the worker lives on and does other work."""
    stack.scheduler()
    w = stack.worker(slots=1)
    job = stack.noop(sleep_ms=60000, stamp=True)
    for n in range(1, 4):
        stack.hasten()
        stack.wait(lambda: len(stack.log("noop.started", job=job)) == n, what=f"run {n} has begun")
        epoch = stack.job(job).epoch
        os.kill(w.children()[0], signal.SIGKILL)
        stack.wait(lambda: stack.job(job).state != "running" or stack.job(job).epoch > epoch, what=f"crash {n} is settled")
    row = stack.wait_job(job, "dead")
    assert "9" in row.error or "KILL" in row.error.upper(), row.error
    stack.wait_job(stack.noop())
    assert w.alive


def test_a_killed_workers_job_runs_again_elsewhere(stack, record_property):
    """The parent gets SIGKILL mid-page; its child ends by itself; another worker goes on within seconds."""
    desk, w1, job = start_and_hold(stack)
    (child,) = w1.children()
    w2 = stack.worker(slots=1)
    # After a start of Postgres everybody's connections are new, and a missing one proves nothing until a lease has passed.
    stack.wait(lambda: stack.sql("SELECT 1 WHERE pg_postmaster_start_time() < now() - interval '10 s'"), what="Postgres has run for a lease")
    begun = time.monotonic()
    w1.kill(signal.SIGKILL)
    stack.wait(lambda: stack.job(job).worker_id == w2.worker_id or stack.job(job).state == "done", 20, "the other worker has the job")
    took = time.monotonic() - begun
    record_property("seconds from kill -9 to running elsewhere", round(took, 3))
    print(f"kill -9 to running elsewhere: {took:.2f} s")
    assert took < 10
    desk.release()
    stack.wait_job(job)
    stack.wait(lambda: not os.path.exists(f"/proc/{child}"), what="the orphaned child has ended")
    stack.idle()
    stack.assert_true_to(desk, "issues")
    assert stack.log("job.done", job=job).count == 1
    assert [a.outcome for a in stack.sync_log(job)] == ["lost", "done"]
    assert stack.job(job).attempt == 0, "a lost worker is not charged"


def test_a_stopped_worker_that_wakes_up_can_do_no_harm(stack, record_property):
    """SIGSTOP past the lease: another worker finishes the job. Then the first one's child wakes up with its page in hand and is refused."""
    desk, w1, job = start_and_hold(stack, lease_ms=2000, beat_ms=300)
    (child,) = w1.children()
    w1.kill(signal.SIGSTOP)
    os.kill(child, signal.SIGSTOP)
    begun = time.monotonic()
    desk.release()
    w2 = stack.worker(slots=1, beat_ms=300)
    stack.wait(lambda: stack.job(job).worker_id == w2.worker_id or stack.job(job).state == "done", 30, "the other worker has the job")
    print(f"SIGSTOP to running elsewhere with a lease of 2 s: {time.monotonic() - begun:.2f} s")
    stack.wait_job(job)
    stack.idle()
    rows = stack.fingerprint()
    row = stack.job(job)
    os.kill(child, signal.SIGCONT)
    refused = stack.wait_log("job.refused", job=job)
    assert refused.count == 1
    assert stack.fingerprint() == rows, "the late page has changed nothing"
    assert stack.job(job) == row
    w1.kill(signal.SIGCONT)
    stack.wait(lambda: stack.sql("SELECT 1 FROM workers WHERE pid = %s AND state = 'active'", w1.pid), what="the first worker is back under a new id")
    assert len(stack.sql("SELECT 1 FROM workers WHERE pid = %s", w1.pid)) == 2
    stack.assert_true_to(desk, "issues")
    assert [a.outcome for a in stack.sync_log(job)] == ["lost", "done"]
    w2.kill(signal.SIGSTOP)
    stack.wait_job(stack.noop())
    w2.kill(signal.SIGCONT)


@pytest.mark.slow
def test_random_kills_lose_nothing(stack):
    """Children and parents are killed at whatever moment comes, ten times over, while a desk is being pulled."""
    desk = stack.vendor("pylon", issues=600, messages=600, latency_ms=20, settings={"page_size": 20})
    stack.scheduler()
    workers = [stack.worker(slots=2) for _ in range(2)]
    job = stack.pull(desk)
    for n in range(10):
        served = desk.pages_served
        stack.wait(lambda: desk.pages_served >= served + 2 or stack.job(job).state == "done", 60, "two more pages")  # noqa: B023
        stack.hasten()
        if n % 2:
            victim = workers.pop(0)
            victim.kill(signal.SIGKILL)
            workers.append(stack.worker(slots=2))
        elif workers[-1].children():
            os.kill(workers[-1].children()[0], signal.SIGKILL)
    stack.wait_job(job, timeout=120)
    stack.pulled(desk, timeout=120)
    stack.assert_true_to(desk)


def test_a_child_that_does_not_begin_its_job_gives_it_back_and_is_of_use_again(stack):
    """Stopped while idle: the job that it is given waits for no one, and afterwards the slot is a slot again."""
    stack.scheduler()
    w = stack.worker(slots=1)
    stack.wait_job(stack.noop())
    (child,) = w.children()
    os.kill(child, signal.SIGSTOP)
    job = stack.noop()
    stack.wait(lambda: stack.job(job).epoch > 1, what="the job was given back and has been claimed again")
    os.kill(child, signal.SIGCONT)
    stack.wait_job(job)
    assert stack.job(job).attempt == 0 and stack.log("job.done", job=job).count == 1
    stack.wait_job(stack.noop())
    assert w.children() == [child]
