"""The main job: everything a desk holds ends up in the tables, every column; and a second pull finds nothing to do."""
import pytest


@pytest.mark.parametrize("profile", ["old", "new"])
def test_a_first_pull_brings_exactly_what_the_desk_holds(stack, profile):
    """Both ages of the api: pages of 100, unicode, nulls, missing keys, both shapes of custom fields."""
    desk = stack.vendor("pylon", issues=400, accounts=40, users=12, messages=1500, days=365, profile=profile)
    for group in ("search", "messages", "accounts", "contacts", "users"):
        desk.limits(group, per_min=0)
    stack.scheduler()
    stack.worker(slots=2)
    job = stack.pulled(desk)
    stack.assert_true_to(desk)
    log = stack.sync_log(job)
    assert [a.outcome for a in log] == ["done"]
    assert log[0].inserted == 400 + stack.directory() and log[0].updated == log[0].rejected == 0
    assert log[0].fetched == log[0].inserted + log[0].updated + log[0].unchanged + log[0].stale + log[0].rejected


def test_a_large_page_is_one_request(stack):
    """999 is the most a page may have."""
    desk = stack.vendor("pylon", issues=900, accounts=20, messages=0, settings={"page_size": 999})
    stack.scheduler()
    stack.worker()
    (log,) = stack.sync_log(stack.pulled(desk))
    stack.assert_true_to(desk, "issues")
    assert log.inserted == 900 + stack.directory()
    assert desk.pages_served <= 4, "history, what changed meanwhile, and looking for what is older"


def test_a_second_pull_writes_nothing(stack):
    """Not one row version: neither in the rows themselves nor by Postgres's own statistics; and it costs one request."""
    desk = stack.vendor("pylon", issues=300, messages=900)
    stack.scheduler()
    first = stack.worker(slots=2)
    stack.pulled(desk)
    stack.retire(first)
    rows, searches, writes = stack.fingerprint(), desk.calls("search"), stack.writes()
    assert writes["issues"][0] == 300 and writes["messages"][0] == 900, "Postgres counts every write"
    second = stack.worker(slots=2)
    again = stack.pulled(desk)
    stack.retire(second)
    assert stack.fingerprint() == rows
    assert desk.calls("search") == searches + 1
    assert stack.writes() == writes
    log = stack.sync_log(again)
    assert [a.outcome for a in log] == ["done"]
    assert log[0].inserted == log[0].updated == 0
    stack.assert_true_to(desk)


def test_two_desks_do_not_mix(stack):
    """The same ids at two desks, as two companies on one seed have them, are two rows."""
    one = stack.vendor("pylon", issues=60, seed=7)
    two = stack.vendor("pylon", issues=60, seed=7, org="other")
    two.edit(two.raw("issues")["issues"][0]["id"], title="only here")
    stack.scheduler()
    stack.worker(slots=2)
    stack.pulled(one)
    stack.pulled(two)
    stack.assert_true_to(one)
    stack.assert_true_to(two)
    assert stack.rows("issues", one) != stack.rows("issues", two)


def test_a_pull_twice_at_once_is_one_job(stack):
    """A second request for what waits already gets the first one's id."""
    desk = stack.vendor("pylon")
    first = stack.pull(desk)
    assert stack.pull(desk) == first
    stack.scheduler()
    stack.worker()
    stack.wait_job(first)
    assert len(stack.sql("SELECT 1 FROM jobs WHERE kind = 'issue_pull'")) == 1


def test_an_empty_desk_is_no_error(stack):
    desk = stack.vendor("pylon", issues=0, messages=0)
    stack.scheduler()
    stack.worker()
    stack.pulled(desk)
    stack.assert_true_to(desk, "issues", "messages")
