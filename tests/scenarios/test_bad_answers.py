"""A hostile or broken vendor: the page fails with its reason in the sync log, and everything committed before it stays."""
import pytest

BAD = [
    ("truncate", {}),
    ("garbage", {}),
    ("wrong_shape", {}),
    ("reset", {}),
    ("html", {}),
    ("repeat_cursor", {}),
    ("status", {"status": 500}),
    ("status", {"status": 400}),
    pytest.param("hang", {}),
]


@pytest.mark.parametrize("mode, how", BAD, ids=["truncate", "garbage", "wrong_shape", "reset", "html", "repeat_cursor", "500", "400", "hang"])
def test_a_bad_page_fails_with_its_reason_and_keeps_the_rest(stack, mode, how):
    desk = stack.vendor("pylon", issues=200, messages=0, days=20, settings={"page_size": 50})
    desk.fail(mode, after=2, count=1, **how)
    stack.scheduler()
    stack.worker(slots=1, vendor_timeout_ms=2000)
    job = stack.pull(desk)
    (attempt,) = stack.wait(lambda: [a for a in stack.sync_log(job) if a.outcome != "running"], 30, "the first attempt has ended")
    assert attempt.outcome in ("retry", "dead")
    assert attempt.error and "\n" not in attempt.error, "one line says why"
    assert "sim-token" not in attempt.error
    assert len(stack.rows("issues")) == 100, "two pages were committed"
    assert (attempt.pages, attempt.inserted) == (2, 100)
    assert not stack.sql("SELECT 1 FROM stream_cursors WHERE stream = 'issues' AND watermark IS NOT NULL AND completed_at IS NOT NULL"), \
        "the watermark moves only after a window's last page"
    if attempt.outcome == "dead":
        stack.cli("job", "retry", job)
    stack.hasten()
    stack.wait_job(job)
    stack.assert_true_to(desk, "issues")
    assert stack.job(job).attempt in (0, 1)


def test_an_empty_answer_is_an_empty_list(stack):
    """Just {"request_id": ...}: neither data nor pagination."""
    desk = stack.vendor("pylon", issues=0, messages=0)
    desk.fail("empty", count=1)
    stack.scheduler()
    stack.worker()
    stack.pulled(desk)
    assert len(stack.rows("issues")) == 0


def test_messages_that_fail_do_not_hold_up_issues(stack):
    desk = stack.vendor("pylon", issues=50, messages=100)
    desk.fail("status", endpoint="messages", status=500, count=5)
    stack.scheduler()
    stack.worker(slots=2)
    stack.wait_job(stack.pull(desk))
    stack.assert_true_to(desk, "issues")
    stack.wait(lambda: stack.hasten() or stack.rows("messages") == desk.truth("messages"), 60, "the messages have come in the end")


def test_odd_records_are_counted_and_the_rest_is_kept(stack):
    """Values of the wrong type, times that are none, custom fields of both shapes and of neither."""
    desk = stack.vendor("pylon", issues=40, messages=0)
    some = [i["id"] for i in desk.raw("issues")["issues"]][:6]
    desk.edit(some[0], title=None, link=17, tags="not-a-list")
    desk.edit(some[1], number_of_touches="many", first_response_time="yesterday")
    desk.edit(some[2], never_heard_of={"deep": [1, 2, {"x": None}]})
    desk.edit(some[3], created_at="2026-02-30T25:00:00Z", state=7)
    desk.edit(some[4], custom_fields={"deep": {"value": {"a": 1}}, "zahl": {"value": 5}})
    desk.edit(some[5], title="x" * 200000)
    stack.scheduler()
    stack.worker()
    job = stack.pulled(desk)
    assert len(stack.rows("issues")) == 40
    (log,) = stack.sync_log(job)
    assert log.outcome == "done" and log.unknown, "what has no place is counted"
    assert any("never_heard_of" in k for k in log.unknown), log.unknown
    assert len(stack.sql("SELECT title FROM issues WHERE id = %s", some[5])[0].title) == 200000
    untouched = oracle_without(stack, desk, set(some))
    assert untouched[0] == untouched[1]


def oracle_without(stack, desk, ids):
    have, want = stack.rows("issues", desk), desk.truth("issues")
    for rows in (have, want):
        for i in ids:
            rows.by_id.pop(i)
    return have, want
