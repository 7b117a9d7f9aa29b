"""A span of history in chunks of 30 days, beside live pulls, summed up in one parent."""
import datetime
import signal

UTC = datetime.timezone.utc


def test_a_backfill_brings_all_of_history(stack):
    """Without --from it starts at the earliest issue; the parent sums its chunks up. (Accounts and people are the pull's.)"""
    desk = stack.vendor("pylon", issues=400, messages=800, days=365, settings={"page_size": 50})
    stack.scheduler()
    stack.worker(slots=4)
    job = stack.cli("backfill", desk.integration).job
    stack.wait_job(job, timeout=120)
    stack.idle()
    stack.assert_true_to(desk, "issues", "messages")
    chunks = stack.sql("SELECT * FROM jobs WHERE parent_id = %s ORDER BY id", job)
    assert 12 <= len(chunks) <= 14 and all(c.state == "done" for c in chunks)
    spans = sorted((c.args["from"], c.args["to"]) for c in chunks)
    assert all(a[1] == b[0] for a, b in zip(spans, spans[1:])), "the chunks leave no gap"
    assert stack.cli("job", "show", job).children.progress.fetched >= 400
    assert stack.job(job).attempt == 0


def test_a_backfill_of_a_span_brings_that_span(stack):
    desk = stack.vendor("pylon", issues=300, messages=0, days=300, settings={"page_size": 50})
    issues = desk.raw("issues")["issues"]
    now = datetime.datetime.now(UTC)
    start, end = now - datetime.timedelta(days=120), now - datetime.timedelta(days=40)
    stack.scheduler()
    stack.worker(slots=2)
    job = stack.cli("backfill", desk.integration, "--from", start.date().isoformat(), "--to", end.date().isoformat()).job
    stack.wait_job(job, timeout=60)
    stack.idle()
    midnight = lambda d: datetime.datetime.combine(d.date(), datetime.time(), UTC)  # noqa: E731
    within = {i["id"] for i in issues if midnight(start) <= datetime.datetime.fromisoformat(i["created_at"]) < midnight(end)}
    have = stack.rows("issues")
    assert have.by_id.keys() == within, "those that were created in it"
    want = desk.truth("issues")
    assert all(have.by_id[i] == want.by_id[i] for i in have.by_id)
    assert len(have) < len(issues), "the rest of history was left alone"


def test_a_backfill_beside_live_pulls_and_changes(stack):
    """Both write the same rows; the newest version wins, and nothing is doubled."""
    desk = stack.vendor("pylon", issues=300, messages=0, days=200, latency_ms=10, settings={"page_size": 20, "lookback_s": 300})
    desk.churn(per_page=3, until_pages=25)
    stack.scheduler()
    stack.worker(slots=3)
    backfill = stack.cli("backfill", desk.integration).job
    for _ in range(3):
        stack.wait_job(stack.pull(desk))
    stack.wait_job(backfill, timeout=120)
    desk.churn(per_page=0)
    stack.pulled(desk)
    stack.assert_true_to(desk, "issues")


def test_a_killed_backfill_worker_loses_nothing(stack):
    desk = stack.vendor("pylon", issues=300, messages=0, days=300, hold_page=4, settings={"page_size": 20})
    stack.scheduler()
    w1 = stack.worker(slots=2)
    job = stack.cli("backfill", desk.integration).job
    stack.wait(lambda: desk.held, what="a page is held")
    w1.kill(signal.SIGKILL)
    desk.release()
    stack.worker(slots=2)
    stack.wait_job(job, timeout=90)
    stack.idle()
    stack.assert_true_to(desk, "issues")
