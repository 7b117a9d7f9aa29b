"""Who waits for whom: tenants take turns within a queue, queues by their weights, and who cannot go on for lack of budget is in nobody's way.

Nothing here is timed. A single job joins while the worker is held still, so that what counts is how many of the other tenant's jobs go before it. Who
started when is what the handlers said (noop.started), in the order in which they said it.
"""
import contextlib
import datetime
import os
import signal

import pytest

SLOTS = 2
AHEAD = 4 * SLOTS  # of the other's jobs: those in the slots and on their way there, and a turn. One job's duration and 10 ms, with 20 ms each, is half of that.


def tenant(stack, name):
    """An integration that no vendor stands behind; its id."""
    org = stack.sql("INSERT INTO organizations (slug, name) VALUES (%s, %s) RETURNING id", name, name)[0].id
    return stack.sql("INSERT INTO integrations (organization_id, name, vendor, base_url, credentials) VALUES (%s, 'desk', 'pylon', 'http://127.0.0.1:9', '')"
                     " RETURNING id", org)[0].id


def put_in(stack, n, integration, queue, args="{}", later=False):
    """n noops, as rows, for the scheduler to find: now, or when they are hastened. Their ids."""
    return [r.id for r in stack.sql(
        "INSERT INTO jobs (kind, queue, state, integration_id, origin, args, max_attempts, timeout_s, run_at, queued_at)"
        " SELECT 'noop', %s, %s::job_state, %s, 'test', %s::jsonb, 3, 300, now() + %s * interval '1 day', CASE WHEN %s THEN NULL ELSE now() END"
        " FROM generate_series(1, %s) RETURNING id", queue, "scheduled" if later else "queued", integration, args, int(later), later, n)]


def started(stack):
    """Ids of the noops that have started, in order."""
    return [int(line["job"]) for line in stack.log("noop.started")]


@contextlib.contextmanager
def held_still(worker):
    """The worker and its children do nothing meanwhile."""
    family = [worker.pid, *worker.children()]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in family:
            os.kill(pid, signal.SIGCONT)


def waits_in_redis(stack, queue, integration):
    return any(stack.redis_client().llen(f"dm:q:{queue}:{integration}:{priority}") for priority in range(3))


def drop_the_rest(stack):
    stack.sql("UPDATE jobs SET state = 'cancelled', ended_at = now() WHERE state IN ('queued', 'scheduled')")


@pytest.mark.parametrize("queue", ["live", "default", "bulk"])
def test_a_single_job_goes_before_another_tenants_backlog(stack, queue):
    """Two thousand bulk jobs of 20 ms wait and run; a single one of someone else starts after a handful of them, in whatever queue it is."""
    big, small = tenant(stack, "big"), tenant(stack, "small")
    put_in(stack, 2000, big, "bulk", '{"sleep_ms": 20, "stamp": true}')
    single, = put_in(stack, 1, small, queue, '{"stamp": true}', later=True)
    stack.scheduler(lease_ms=60000)  # longer than it is held still
    worker = stack.worker(slots=SLOTS)
    stack.wait(lambda: len(started(stack)) >= 30, what="the backlog is worked on")
    with held_still(worker):
        before = len(started(stack))
        stack.hasten()
        stack.wait(lambda: waits_in_redis(stack, queue, small), what="the single job is in its list")
    stack.wait(lambda: single in started(stack), what="the single job has started")
    ahead = started(stack)[before:].index(single)
    assert ahead <= AHEAD, f"{ahead} jobs of the other tenant went first"
    assert len(stack.sql("SELECT 1 FROM jobs WHERE integration_id = %s AND state = 'queued'", big)) > 1000, "the backlog was still there"
    drop_the_rest(stack)


def test_many_tenants_take_turns_however_much_each_has(stack):
    """One with 400 jobs, seven with 10: while all have some, each starts as many as any other."""
    big, small = tenant(stack, "big"), [tenant(stack, f"small{n}") for n in range(7)]
    of = {job: big for job in put_in(stack, 400, big, "default", '{"stamp": true}')}
    for one in small:
        of.update({job: one for job in put_in(stack, 10, one, "default", '{"stamp": true}')})
    stack.scheduler()
    stack.wait_log("queue.rebuilt")
    stack.worker(slots=1)
    stack.wait(lambda: len(started(stack)) >= 90, what="ninety have started")
    first = [of[job] for job in started(stack)[:80]]
    assert {t: first.count(t) for t in set(first)} == {t: 10 for t in [big, *small]}
    drop_the_rest(stack)


def test_queues_share_by_their_weights_when_all_are_full(stack):
    """live 6, default 3, bulk 1 of ten: within 5 %."""
    want = {"live": 120, "default": 60, "bulk": 20}
    one = tenant(stack, "one")
    of = {job: queue for queue in want for job in put_in(stack, 300, one, queue, '{"stamp": true}')}
    stack.scheduler()
    stack.wait_log("queue.rebuilt")
    stack.worker(slots=1)
    stack.wait(lambda: len(started(stack)) >= 200, 60, what="two hundred have started")
    first = [of[job] for job in started(stack)[:200]]
    for queue, n in want.items():
        assert abs(first.count(queue) - n) <= 0.05 * n, f"{queue}: {first.count(queue)} of 200, not {n}"
    drop_the_rest(stack)


def test_no_queue_starves_while_a_better_one_stays_full(stack):
    """Bulk gets its tenth, though live never runs dry."""
    one = tenant(stack, "one")
    live = set(put_in(stack, 600, one, "live", '{"stamp": true}'))
    bulk = set(put_in(stack, 10, one, "bulk", '{"stamp": true}'))
    stack.scheduler()
    stack.wait_log("queue.rebuilt")
    stack.worker(slots=1)
    stack.wait(lambda: bulk <= set(started(stack)), 60, what="all of bulk has started")
    order = started(stack)
    last = max(order.index(job) for job in bulk)
    assert len(live & set(order[:last])) < len(live), "live was still full when the last of bulk started"
    drop_the_rest(stack)


def test_a_tenant_without_budget_is_in_nobodys_way(stack):
    """Fifty chunks look for a budget that is empty, give their slots back uncharged, and a single job of someone else does not wait for them."""
    desk = stack.vendor("pylon", issues=300, messages=0, settings={"limits": {"search": 1}})
    small = tenant(stack, "small")
    stack.scheduler(lease_ms=60000)
    worker = stack.worker(slots=SLOTS)
    since = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    for day in range(50):
        span = {"from": since + datetime.timedelta(days=day), "to": since + datetime.timedelta(days=day + 3000)}
        stack.enqueue("issue_chunk", desk, **{name: t.isoformat() for name, t in span.items()})
    stack.wait(lambda: not stack.sql("SELECT 1 FROM jobs WHERE epoch = 0 OR state IN ('queued', 'running')"), 60, "one chunk has spent the budget, the others wait")
    single, = put_in(stack, 1, small, "default", '{"stamp": true}', later=True)
    with held_still(worker):
        stack.hasten()
        stack.wait(lambda: waits_in_redis(stack, "bulk", desk.id) and waits_in_redis(stack, "default", small), what="all of them are in their lists")
        since = stack.sql("SELECT clock_timestamp() AS t")[0].t
    at = stack.wait_job(single).started_at
    ahead = len(stack.sql("SELECT 1 FROM jobs WHERE kind = 'issue_chunk' AND started_at > %s AND started_at < %s", since, at))
    assert ahead <= AHEAD, f"{ahead} chunks went first"
    stack.wait(lambda: not stack.sql("SELECT 1 FROM jobs WHERE kind = 'issue_chunk' AND (state IN ('queued', 'running') OR run_at < now() AND state = 'scheduled')"), 60, "all chunks wait again")
    assert not stack.sql("SELECT 1 FROM jobs WHERE attempt > 0 OR crashes > 0 OR losses > 0"), "nobody was charged"
    minutes = stack.sql("SELECT extract(epoch FROM now() - min(created_at)) / 60 AS n FROM jobs")[0].n
    assert desk.calls("search") <= 1 + minutes, "nobody asked the vendor without budget"
    drop_the_rest(stack)
