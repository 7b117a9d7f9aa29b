"""Queues, integrations and workers held back, let go, and run dry: what is paused starts nothing and loses nothing, and nobody else notices."""
import signal

import pytest


def checked(stack, times=2):
    """The scheduler has counted the lists again, so many times, and so had its chance to do something wrong."""
    before = stack.log("queue.checked").count
    stack.wait(lambda: stack.log("queue.checked").count >= before + times, what=f"the lists are counted {times} more times")


def start_scheduler(stack):
    return stack.scheduler(check_ms=200, log_level="debug")


def ran(stack, jobs):
    """Those of them that were ever claimed."""
    return [r.id for r in stack.sql("SELECT id FROM jobs WHERE id = ANY (%s) AND epoch > 0 ORDER BY id", jobs)]


def lists(stack, queue):
    return [k for k in stack.redis_client().scan_iter(f"dm:q:{queue}:*")]


def background(stack, *argv):
    """The command beside the test."""
    stack.api()
    proc = stack.start("deskmill", *argv)
    proc.expected_end = True
    return proc


def test_a_paused_queue_starts_nothing_and_loses_nothing(stack):
    """Over restarts of everything and the loss of Redis. Jobs go on being accepted, those of other queues run, and all of them run once it is resumed."""
    desk = stack.vendor("pylon", issues=40, messages=0)
    scheduler, w = start_scheduler(stack), stack.worker(slots=2)
    stack.wait_job(stack.noop())
    answer = stack.cli("queue", "pause", "default", "--reason", "upgrade")
    assert answer.paused.reason == "upgrade" and answer.paused.whole_queue and "@" in answer.paused.by
    jobs = [stack.noop() for _ in range(30)]
    stack.wait_job(stack.pull(desk))
    checked(stack)
    w.kill(signal.SIGKILL)
    scheduler.kill(signal.SIGKILL)
    stack.redis_client().flushall()
    start_scheduler(stack)
    stack.worker(slots=2)
    jobs += [stack.noop() for _ in range(10)]
    stack.wait(lambda: stack.sql("SELECT 1 FROM queue_state WHERE rebuilds > 0"), what="Redis was rebuilt")
    checked(stack, 3)
    stack.wait_job(stack.pull(desk))
    assert ran(stack, jobs) == [], "nothing of it has started"
    assert stack.log("queue.repaired").count == 0, "and nothing of it counts as missing"
    shown = {q.queue: q for q in stack.cli("queues")["items"]}
    assert shown["default"].paused.reason == "upgrade" and shown["default"].depth >= 40 and shown["live"].paused is None
    assert "paused" in stack.run_cli("queues").stdout
    assert stack.cli("queue", "resume", "default").paused is None
    for job in jobs:
        stack.wait_job(job)
    assert {r.epoch for r in stack.sql("SELECT epoch FROM jobs WHERE id = ANY (%s)", jobs)} == {1}, "each ran once"


def test_a_queue_is_paused_for_one_integration_only(stack):
    """The other one's jobs and queues do not notice; nor do jobs without an integration."""
    one, other = stack.vendor("pylon", issues=30, messages=0), stack.vendor("pylon", issues=30, messages=0)
    stack.cli("queue", "pause", "live", "--integration", one.integration)
    start_scheduler(stack)
    stack.worker(slots=2)
    held, goes = stack.pull(one), stack.pull(other)
    stack.wait_job(goes)
    stack.wait_job(stack.noop())
    checked(stack, 3)
    assert ran(stack, [held]) == []
    assert stack.log("queue.repaired").count == 0
    chunk = stack.enqueue("issue_chunk", one, **{"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"})
    stack.wait_job(chunk)  # its other queues go on
    part = next(p for q in stack.cli("queues")["items"] if q.queue == "live" for p in q.integrations if p.integration == one.integration)
    assert part.paused.reason is None and part.state == "active"
    stack.cli("queue", "pause", "live")
    after = stack.run_cli("queue", "resume", "live", "--integration", one.integration)
    assert after.returncode == 0 and "stays paused with the whole queue" in after.stdout, after.stdout
    stack.cli("queue", "resume", "live")
    stack.wait_job(held)


@pytest.mark.parametrize("what", ["queue", "integration"])
def test_pausing_a_long_backlog_frees_the_workers_at_once(stack, what):
    """20,000 ids are dropped from Redis with the pause: workers do not take them only to be refused. They come back with its end."""
    desk = stack.vendor("pylon", issues=10, messages=0)
    stack.sql("INSERT INTO jobs (kind, queue, state, origin, max_attempts, timeout_s, queued_at, integration_id)"
              " SELECT 'noop', 'bulk', 'queued', 'test', 3, 60, now() - interval '1 minute', %s FROM generate_series(1, 20000)", desk.id)
    start_scheduler(stack)
    stack.wait(lambda: stack.sql("SELECT 1 FROM queue_state WHERE rebuilds > 0"), what="Redis is filled")
    assert len(lists(stack, "bulk")) == 2, "one list and the ring"
    stack.cli(*(("queue", "pause", "bulk") if what == "queue" else ("integration", "pause", desk.integration)))
    assert lists(stack, "bulk") == []
    stack.worker(slots=2)
    stack.wait_job(stack.noop())
    checked(stack, 3)
    assert stack.sql("SELECT count(*) AS n FROM jobs WHERE queue = 'bulk' AND epoch > 0")[0].n == 0
    assert lists(stack, "bulk") == [], "they were not counted as missing either"
    stack.cli(*(("queue", "resume", "bulk") if what == "queue" else ("integration", "resume", desk.integration)))
    stack.wait(lambda: stack.sql("SELECT count(*) AS n FROM jobs WHERE queue = 'bulk' AND state = 'done'")[0].n >= 100, what="it goes on")


def test_with_redis_away_a_paused_queue_starts_nothing(stack):
    """Workers that claim straight from the rows leave it out too."""
    redis = stack.redis()
    stack.scheduler()
    stack.worker(slots=2)
    stack.cli("queue", "pause", "default")
    held = [stack.noop() for _ in range(5)]
    redis.stop(signal.SIGKILL)
    stack.wait_log("server.down", server="redis")
    desk = stack.vendor("pylon", issues=10, messages=0)
    stack.wait_job(stack.pull(desk))
    assert ran(stack, held) == []
    stack.cli("queue", "resume", "default")
    for job in held:
        stack.wait_job(job)


def test_a_queue_is_drained_when_what_ran_has_ended(stack):
    """The command waits for the job that runs, and for it alone; the next one waits for the queue."""
    desk = stack.vendor("pylon", issues=40, messages=0, hold_page=1)
    stack.scheduler()
    stack.worker(slots=2)
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="a page is held")
    late = stack.run_cli("queue", "drain", "live", "--timeout", "1")
    assert late.returncode == 1 and "--timeout: live is not drained after 1 s: 1 of its jobs still run" in late.stderr, late.stderr
    drain = background(stack, "queue", "drain", "live", "--integration", desk.integration)
    stack.wait(lambda: "1 job still runs" in drain.log_text(), what="the command waits")
    stack.wait_job(stack.noop())
    waits = stack.pull(desk)
    assert waits != job and drain.alive
    desk.release()
    assert drain.wait() == 0 and "is drained" in drain.log_text()
    assert stack.job(job).state == "done" and ran(stack, [waits]) == []
    assert stack.cli("queue", "drain", "live").running == 0
    stack.cli("queue", "resume", "live", "--integration", desk.integration)
    stack.wait_job(stack.noop())
    assert ran(stack, [waits]) == []
    stack.cli("queue", "resume", "live")
    stack.wait_job(waits)


def test_an_integration_is_drained(stack):
    desk = stack.vendor("pylon", issues=40, messages=0, hold_page=1)
    stack.scheduler()
    stack.worker(slots=2)
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="a page is held")
    drain = background(stack, "integration", "drain", desk.integration, "--reason", "the vendor moves")
    stack.wait(lambda: "1 job still runs" in drain.log_text(), what="the command waits")
    desk.release()
    assert drain.wait() == 0 and "is drained" in drain.log_text()
    stack.wait_job(job)
    shown = stack.cli("integration", "show", desk.integration)
    assert (shown.state, shown.state_reason) == ("paused", "the vendor moves")


def test_a_worker_is_drained_from_afar(stack):
    """Its job stops at the next page and goes on at the other one, from where it was; no attempt is charged."""
    desk = stack.vendor("pylon", issues=300, messages=0, hold_page=3, settings={"page_size": 50})
    stack.scheduler()
    w1 = stack.worker(slots=1, beat_ms=200)
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="a page is held")
    w2 = stack.worker(slots=1)
    w1.expected_end = True
    drain = background(stack, "worker", "drain", w1.worker_id)
    stack.wait_log("worker.draining", worker=w1.worker_id, why="api")
    desk.release()
    assert drain.wait() == 0 and w1.wait() == 0
    stack.wait_job(job)
    stack.idle()
    assert (stack.job(job).attempt, stack.job(job).epoch) == (0, 2)
    stack.assert_true_to(desk, "issues")
    assert stack.cli("workers", "--state", "stopped")["items"][0].id == w1.worker_id
    again = stack.run_cli("worker", "drain", w1.worker_id)
    assert again.returncode == 1 and "is stopped" in again.stderr, again.stderr
    assert w2.alive


def test_workers_tell_what_they_have_done(stack):
    stack.scheduler()
    w = stack.worker(slots=2, beat_ms=200)
    for _ in range(7):
        stack.wait_job(stack.noop())
    stack.wait_job(stack.noop(fail="on purpose"), "scheduled")

    def told():
        [row] = [r for r in stack.cli("workers")["items"] if r.id == w.worker_id]
        return (row.started, row.done, row.failed) == ({"live": 0, "default": 8, "bulk": 0}, 7, 1)

    stack.wait(told, what="the worker's figures are 8 started, 7 done, 1 failed")


@pytest.mark.parametrize("argv, code, says", [
    (("queue", "pause", "slow"), 4, "queue: there is no queue slow; there are live, default and bulk"),
    (("queue", "resume", "slow"), 4, "queue: there is no queue slow"),
    (("queue", "drain", "slow"), 4, "queue: there is no queue slow"),
    (("queue", "pause", "bulk", "--integration", "nobody/nothing"), 4, "integration: there is no integration nobody/nothing"),
    (("queue", "drain", "bulk", "--timeout", "soon"), 2, "--timeout: soon is not a number of seconds"),
    (("queue", "drain", "bulk", "--timeout", "0"), 2, "--timeout: 0 is not a number of seconds"),
    (("queue", "pause"), 2, "QUEUE: is missing"),
    (("queue", "pause", "bulk", "--reason", "x" * 201), 2, "reason"),
    (("integration", "drain", "nobody/nothing"), 4, "there is no integration nobody/nothing"),
    (("worker", "drain", "99"), 4, "id: there is no worker 99"),
    (("worker", "drain", "w1"), 2, "ID: w1 is not a worker's number"),
], ids=lambda v: " ".join(v)[:40] if isinstance(v, tuple) else None)
def test_bad_input_changes_nothing(stack, argv, code, says):
    done = stack.run_cli(*argv)
    assert done.returncode == code and says in done.stderr, (done.returncode, done.stderr)
    assert stack.sql("SELECT * FROM queue_pauses") == [] and len(done.stderr.splitlines()) == 1
