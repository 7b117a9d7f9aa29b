"""Redis is the speed, not the truth: it may forget everything, go away or come back at any moment."""
import contextlib
import signal

import pytest


def test_flushall_in_the_middle_of_a_backfill(stack):
    desk = stack.vendor("pylon", issues=500, messages=0, days=200, hold_page=3, settings={"page_size": 50})
    stack.scheduler()
    stack.worker(slots=2)
    job = stack.cli("backfill", desk.integration).job
    stack.wait(lambda: desk.held, what="a page is held")
    stack.redis_client().flushall()
    desk.release()
    stack.wait_job(job, timeout=90)
    stack.idle()
    stack.assert_true_to(desk, "issues")


def test_flushall_while_idle(stack):
    """Jobs that wait in rows only are found again, and so is the worker that waited on a key that is gone."""
    stack.redis()
    early = [stack.noop() for _ in range(20)]
    stack.redis_client().flushall()
    stack.scheduler()
    stack.worker(slots=2)
    for job in early:
        stack.wait_job(job, timeout=20)
    stack.idle()
    stack.redis_client().flushall()
    for job in [stack.noop() for _ in range(5)]:
        stack.wait_job(job, timeout=20)
    rebuilds = stack.sql("SELECT rebuilds FROM queue_state")[0].rebuilds
    stack.redis_client().flushall()
    stack.wait(lambda: stack.sql("SELECT rebuilds FROM queue_state")[0].rebuilds > rebuilds, 20, "the scheduler has rebuilt")


def test_partial_loss_is_found_by_counting(stack):
    """One list is gone, the generation is not."""
    stack.scheduler()
    stack.wait(lambda: queue_trusted(stack), what="the scheduler's first rebuild is over")
    job = stack.noop()
    client = stack.redis_client()
    lists = [k for k in client.scan_iter("dm:q:*") if not k.endswith(":ring")]
    assert lists, "the job's id was pushed"
    client.delete(*lists)
    stack.worker()
    stack.wait_job(job, timeout=60)


@pytest.mark.parametrize("keep", [False, True], ids=["forgetful", "appendonly"])
def test_redis_restarts_during_a_pull(stack, keep):
    redis = stack.redis(keep=keep)
    desk = stack.vendor("pylon", issues=300, messages=300, hold_page=3, settings={"page_size": 50})
    stack.scheduler()
    w = stack.worker(slots=2)
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="a page is held")
    redis.restart(signal.SIGKILL)
    desk.release()
    stack.wait_job(job)
    stack.pulled(desk)
    stack.assert_true_to(desk)
    assert w.alive


def test_without_redis_work_goes_on_from_postgres(stack):
    """Enqueueing succeeds (the row is the promise), workers claim from the rows; when Redis is back, so is the speed."""
    redis = stack.redis()
    desk = stack.vendor("pylon", issues=120, messages=120)
    stack.scheduler()
    stack.worker(slots=2)
    stack.wait_job(stack.noop())
    redis.stop(signal.SIGKILL)
    during = [stack.noop() for _ in range(3)]
    for job in during:
        stack.wait_job(job, timeout=30)
    pull = stack.pull(desk)
    stack.wait_job(pull, timeout=90)
    redis.start()
    stack.wait(lambda: queue_trusted(stack), 30, "the lists are trusted again")
    stack.wait_job(stack.noop(), timeout=20)
    stack.pulled(desk)
    stack.assert_true_to(desk)


def queue_trusted(stack):
    with contextlib.suppress(Exception):
        return stack.redis_client().get("dm:gen") == str(stack.sql("SELECT generation FROM queue_state")[0].generation)
    return False


@pytest.mark.parametrize("process", ["deskmill-worker", "deskmill-scheduler"])
def test_a_redis_that_evicts_is_refused(stack, process):
    """The reason names the policy that was found and the one that is needed."""
    stack.redis(policy="allkeys-lru")
    opts = {"slots": 1} if process == "deskmill-worker" else {}
    proc = stack.start(process, **opts)
    proc.expected_end = True
    assert proc.wait() != 0
    said = proc.log_text()
    assert "allkeys-lru" in said and "noeviction" in said, said
