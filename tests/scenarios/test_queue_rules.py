"""Lock keys, cancelling, retrying, dead jobs, and tenants taking turns."""


def overlaps(jobs):
    spans = sorted((j.started_at, j.ended_at) for j in jobs)
    return sum(b[0] < a[1] for a, b in zip(spans, spans[1:]))


def test_jobs_with_one_lock_key_never_overlap(stack):
    """Two workers of four slots; eight jobs on one key and eight on keys of their own, of which many run at a time."""
    stack.scheduler()
    stack.worker(slots=4)
    stack.worker(slots=4)
    locked = [stack.noop(lock="a", sleep_ms=150) for _ in range(8)]
    free = [stack.noop(lock=f"b{n}", sleep_ms=300) for n in range(8)]
    for job in locked + free:
        stack.wait_job(job)
    rows = {j.id: j for j in stack.sql("SELECT * FROM jobs")}
    assert overlaps(rows[j] for j in locked) == 0
    assert overlaps(rows[j] for j in free) > 0
    assert all(rows[j].attempt == 0 for j in locked)


def test_a_lock_outlives_a_stopped_holder_only_until_its_job_is_taken_back(stack):
    """The holder is killed: its lock goes with its job, and the one that waited runs."""
    import signal
    stack.scheduler()
    w1 = stack.worker(slots=1)
    first = stack.noop(lock="k", sleep_ms=1500)
    stack.wait(lambda: stack.job(first).state == "running", what="the first holds the key")
    second = stack.noop(lock="k")
    stack.worker(slots=2)
    w1.kill(signal.SIGKILL)
    stack.wait_job(first)
    stack.wait_job(second)
    assert overlaps([stack.job(first), stack.job(second)]) == 0


def test_a_waiting_job_is_cancelled_at_once(stack):
    job = stack.noop()
    stack.cli("job", "cancel", job)
    assert stack.job(job).state == "cancelled"
    stack.scheduler()
    stack.worker()
    stack.wait_job(stack.noop())
    assert stack.job(job).state == "cancelled" and stack.job(job).epoch == 0


def test_a_running_job_is_cancelled_at_its_next_page(stack):
    desk = stack.vendor("pylon", issues=300, messages=0, hold_page=3, settings={"page_size": 50})
    stack.scheduler()
    stack.worker()
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="a page is held")
    stack.wait(lambda: len(stack.rows("issues")) == 100, what="two pages are committed")
    stack.cli("job", "cancel", job)
    desk.release()
    stack.wait_job(job, "cancelled")
    assert [a.outcome for a in stack.sync_log(job)] == ["cancelled"]
    assert 100 <= len(stack.rows("issues")) <= 200, "what was committed stays, the rest is not fetched"
    stack.pulled(desk)
    stack.assert_true_to(desk, "issues")


def test_a_backfill_is_cancelled_with_its_chunks(stack):
    desk = stack.vendor("pylon", issues=300, messages=0, days=300, hold_page=2, settings={"page_size": 50})
    stack.scheduler()
    stack.worker(slots=1)
    job = stack.cli("backfill", desk.integration).job
    stack.wait(lambda: stack.sql("SELECT 1 FROM jobs WHERE parent_id = %s", job) and desk.held, what="chunks wait")
    stack.cli("job", "cancel", job)
    desk.release()
    stack.wait_job(job, "cancelled")
    stack.wait(lambda: not stack.sql("SELECT 1 FROM jobs WHERE parent_id = %s AND state <> 'cancelled' AND state <> 'done'", job), what="no chunk is left")


def test_a_job_that_fails_is_retried_then_dead_then_retried_by_hand(stack):
    """noop has three attempts; each failure is charged and waits longer."""
    stack.scheduler()
    stack.worker()
    job = stack.noop(fail="as asked")
    for attempt in (1, 2):
        stack.wait(lambda: stack.job(job).attempt == attempt and stack.job(job).state == "scheduled", what=f"attempt {attempt} has failed")  # noqa: B023
        assert stack.job(job).run_at > stack.sql("SELECT now() AS t")[0].t
        stack.hasten()
    row = stack.wait_job(job, "dead")
    assert row.attempt == 3 and "as asked" in row.error
    stack.cli("job", "retry", job)
    stack.wait(lambda: stack.job(job).attempt == 1 and stack.job(job).state == "scheduled", what="it has failed anew")


def test_a_short_job_does_not_wait_for_another_tenants_backlog(stack):
    """Ten thousand waiting ids of one tenant delay another's single job by a turn."""
    one = stack.vendor("pylon", issues=1, messages=0)
    two = stack.vendor("pylon", issues=1, messages=0)
    for n in range(300):
        stack.enqueue("noop", one, sleep_ms=20)
    single = stack.enqueue("noop", two)
    stack.scheduler()
    stack.worker(slots=1)
    stack.wait_job(single)
    done = len(stack.sql("SELECT 1 FROM jobs WHERE integration_id = %s AND state = 'done'", one.id))
    assert done < 30, f"{done} jobs of the other tenant went first"
    stack.sql("UPDATE jobs SET state = 'cancelled', ended_at = now() WHERE state = 'queued'")
