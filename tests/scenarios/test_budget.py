"""The vendor's request budget: 429s are obeyed and not charged, and within the budget there are none."""
import pytest


@pytest.mark.parametrize("x_header", [False, True], ids=["Retry-After", "X-Retry-After"])
def test_a_429_gives_the_slot_back_and_is_not_charged(stack, x_header):
    """Three refusals in a row, each with a wait; meanwhile the only slot does other work."""
    desk = stack.vendor("pylon", issues=200, messages=0, settings={"page_size": 50})
    desk.fail("status", status=429, retry_after=3, x_header=x_header, after=2, count=2)
    stack.scheduler()
    stack.worker(slots=1)
    job = stack.pull(desk)
    stack.wait(lambda: stack.job(job).state == "scheduled", what="the pull is snoozed")
    assert len(stack.rows("issues")) == 100, "what came before the refusal is committed"
    stack.wait_job(stack.noop(), timeout=10)
    row = stack.wait_job(job)
    assert row.attempt == 0
    outcomes = [a.outcome for a in stack.sync_log(job)]
    assert set(outcomes[:-1]) == {"snoozed"} and outcomes[-1] == "done"
    stack.assert_true_to(desk, "issues")


def test_a_storm_of_429s_ends_well(stack):
    """Limits that nobody announced: 5 searches and 10 message reads in 2 s, a dozen pages. Nothing beyond the limit is ever accepted."""
    desk = stack.vendor("pylon", issues=240, messages=240, settings={"page_size": 20})
    desk.limits("search", per_min=5, window_s=2)
    desk.limits("messages", per_min=100, window_s=2)
    stack.scheduler()
    stack.worker(slots=2)
    job = stack.pull(desk)
    row = stack.wait_job(job, timeout=120)
    assert row.attempt == 0, "a 429 is not charged"
    stack.idle(timeout=120)
    stats = desk.stats()
    assert stats.max_in_window["search"] <= 5 and stats.max_in_window["messages"] <= 100
    stack.assert_true_to(desk)


@pytest.mark.slow
def test_within_the_old_limits_no_call_is_refused(stack):
    """20 searches a minute; a walk of 26 pages needs a second minute, and not one 429."""
    desk = stack.vendor("pylon", issues=260, messages=0, days=25, profile="old", settings={"page_size": 10, "limits": {}})
    stack.scheduler()
    stack.worker(slots=2)
    job = stack.pull(desk)
    stack.wait_job(job, timeout=150)
    stack.assert_true_to(desk, "issues")
    stats = desk.stats()
    assert stats.rejected.get("429", 0) == 0
    assert stats.max_in_60s["search"] <= 20
    assert stack.job(job).attempt == 0


def test_a_throttled_desk_costs_the_others_nothing(stack):
    """One slot; the first desk refuses everything for a minute; the second one's pull is done at once."""
    slow = stack.vendor("pylon", issues=60, messages=0)
    fast = stack.vendor("pylon", issues=60, messages=0)
    slow.fail("status", status=429, retry_after=60, count=1000)
    stack.scheduler()
    stack.worker(slots=1)
    waiting = stack.pull(slow)
    stack.wait(lambda: stack.job(waiting).state == "scheduled", what="the throttled pull has given its slot back")
    stack.wait_job(stack.pull(fast), timeout=20)
    stack.assert_true_to(fast, "issues")
    assert stack.job(waiting).state == "scheduled"
