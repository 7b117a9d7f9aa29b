"""What changes at the desk, before, between and during pulls, arrives; what is older never overwrites what is newer."""
import datetime

UTC = datetime.timezone.utc


def ids(desk):
    return [i["id"] for i in desk.raw("issues")["issues"]]


def test_edits_while_pulling_are_not_lost(stack):
    """Five issues change after each page, so pages shift under the walk; the next pull brings what the first one missed."""
    desk = stack.vendor("pylon", issues=400, messages=400, settings={"page_size": 40, "lookback_s": 300})
    desk.churn(per_page=5, until_pages=10)
    stack.scheduler()
    stack.worker(slots=2)
    stack.pulled(desk)
    assert desk.stats().edits > 0
    desk.churn(per_page=0)
    stack.pulled(desk)
    stack.assert_true_to(desk)


def test_edits_with_offset_cursors_are_not_lost(stack):
    """The same where a cursor is a mere offset: issues created meanwhile push others onto the next page."""
    desk = stack.vendor("pylon", issues=200, messages=0, cursor="offset", hold_page=3, settings={"page_size": 20, "lookback_s": 300})
    stack.scheduler()
    stack.worker()
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="the third page is held")
    for n in range(30):
        desk.create(title=f"came meanwhile {n}")
    desk.release()
    stack.wait_job(job)
    stack.pulled(desk)
    stack.assert_true_to(desk, "issues")


def test_a_changed_new_reopened_and_quiet_issue(stack):
    """Only what changed is written."""
    desk = stack.vendor("pylon", issues=100, messages=0)
    stack.scheduler()
    stack.worker(slots=2)
    stack.pulled(desk)
    rows = stack.fingerprint()["issues"]
    all_ids = ids(desk)
    closed = next(i["id"] for i in desk.raw("issues")["issues"] if i["state"] == "closed")
    others = [i for i in all_ids if i != closed]
    desk.edit(closed, state="waiting_on_you")
    desk.edit(others[0], title="Änderung 🚀 \\N \"quoted\"\ttab", custom_fields={"priority": {"value": "urgent"}, "new.slug": {"value": "x"}})
    desk.edit(others[1], custom_fields_shape="array", tags=["a", "b,c", "NULL", "\"q\""])
    desk.edit(others[2], assignee=None, account=None, requester=None, team=None)
    created = desk.create(title="brand new", state="new")["id"]
    log = stack.sync_log(stack.pulled(desk))[0]
    stack.assert_true_to(desk)
    changed = {closed, *others[:3]}
    now = stack.fingerprint()["issues"]
    assert {i for i in now if rows.get(i) != now[i]} == changed | {created}
    assert (log.inserted, log.updated) == (1, 4)
    assert stack.sql("SELECT resolution_at FROM issues WHERE id = %s", closed)[0].resolution_at is None


def test_new_messages_arrive_and_only_their_issues_are_asked_for(stack):
    desk = stack.vendor("pylon", issues=60, messages=200)
    stack.scheduler()
    stack.worker(slots=2)
    stack.pulled(desk)
    asked = desk.calls("messages")
    chosen = ids(desk)[:3]
    for issue in chosen:
        desk.add_message(issue, author="contact", message_html="<p>still&nbsp;broken &lt;here&gt;</p><ul><li>one</li><li>two</li></ul>")
    stack.pulled(desk)
    stack.assert_true_to(desk)
    assert desk.calls("messages") == asked + len(chosen)


def test_many_issues_on_one_timestamp_are_all_brought(stack):
    """Ties on the watermark: sixty issues changed in the same instant, more arrive in that instant after a pull has passed it."""
    desk = stack.vendor("pylon", issues=150, messages=0, settings={"page_size": 20, "lookback_s": 60})
    stack.scheduler()
    stack.worker()
    stack.pulled(desk)
    moment = (datetime.datetime.now(UTC) + datetime.timedelta(seconds=1)).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    some = ids(desk)[:60]
    for issue in some[:40]:
        desk.edit(issue, title="tied", updated_at=moment)
    stack.pulled(desk)
    stack.assert_true_to(desk, "issues")
    for issue in some[40:]:
        desk.edit(issue, title="tied, late", updated_at=moment)
    stack.pulled(desk)
    stack.assert_true_to(desk, "issues")


def test_an_older_page_never_overwrites_a_newer_row(stack):
    """The row in the table is newer than what the page brings, as after a webhook: it stays, and counts as stale."""
    desk = stack.vendor("pylon", issues=30, messages=0)
    stack.scheduler()
    stack.worker()
    stack.pulled(desk)
    victim = ids(desk)[0]
    stack.sql("UPDATE issues SET title = 'from a webhook', updated_at = now() + interval '1 day' WHERE id = %s", victim)
    desk.edit(victim, title="older than the webhook")
    log = stack.sync_log(stack.pulled(desk))[0]
    assert stack.sql("SELECT title FROM issues WHERE id = %s", victim)[0].title == "from a webhook"
    assert log.stale == 1


def test_a_full_pull_mends_rows_that_were_damaged_or_lost(stack):
    desk = stack.vendor("pylon", issues=80, messages=0)
    stack.scheduler()
    stack.worker()
    stack.pulled(desk)
    stack.sql("DELETE FROM issues WHERE id IN (SELECT id FROM issues ORDER BY id LIMIT 7)")
    job = stack.post("/api/v1/pulls", integration=desk.integration, full=True).job
    stack.wait_job(job)
    stack.assert_true_to(desk, "issues")
