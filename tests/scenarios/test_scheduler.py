"""Time: each tick is one job, however many schedulers run, and a broken schedule harms only itself."""
import signal

import pytest

ROUNDS = 3


def add_schedules(stack, n, **more):
    """Schedules of noop jobs for an organization; their ids."""
    if not stack.sql("SELECT 1 FROM organizations WHERE slug = 'acme'"):
        stack.post("/api/v1/organizations", slug="acme", name="Acme", timezone="UTC")
    fields = {"organization": "acme", "kind": "noop", "cron": "0 3 * * *", "timezone": "Europe/Berlin", **more}
    before = {r.id for r in stack.sql("SELECT id FROM schedules")}
    for _ in range(n):
        stack.post("/api/v1/schedules", **fields)
    return sorted({r.id for r in stack.sql("SELECT id FROM schedules")} - before)


def make_due(stack, ids):
    """Their next tick came a second ago."""
    stack.sql("UPDATE schedules SET next_tick = date_trunc('second', now()) - interval '1 second' WHERE id = ANY (%s)", ids)
    stack.wake_scheduler()


def test_two_schedulers_fire_each_tick_once(stack):
    """Both lead, so both try every tick; (schedule, tick) is unique, so one wins each."""
    ids = add_schedules(stack, 40)
    stack.scheduler(always_lead=True)
    stack.scheduler(always_lead=True)
    stack.wait(lambda: not stack.sql("SELECT 1 FROM schedules WHERE next_tick IS NULL"), what="the next ticks are worked out")
    stack.worker(slots=2)
    for n in range(1, ROUNDS + 1):
        make_due(stack, ids)
        stack.wait(lambda: len(stack.sql("SELECT 1 FROM schedule_ticks")) == n * len(ids), what=f"the ticks of round {n} are dealt with")  # noqa: B023
        stack.idle()
    jobs = stack.sql("SELECT schedule_id, tick, count(*) AS n FROM jobs GROUP BY 1, 2")
    assert len(jobs) == ROUNDS * len(ids)
    assert all(j.n == 1 for j in jobs)
    assert not stack.sql("SELECT 1 FROM schedules WHERE next_tick < now()")


def test_a_standby_takes_over_when_the_leader_dies(stack):
    """Without --always-lead one of two does the work; kill it, and the other goes on."""
    (first,) = add_schedules(stack, 1)
    one, two = stack.scheduler(), stack.scheduler()
    stack.worker()
    make_due(stack, [first])
    stack.wait(lambda: stack.sql("SELECT 1 FROM jobs WHERE schedule_id = %s AND state = 'done'", first), what="the tick's job is done")
    leader = stack.sql("SELECT leader FROM queue_state")[0].leader
    victim = one if str(one.pid) in leader else two
    assert str(victim.pid) in leader, f"queue_state.leader names a process: {leader}"
    victim.kill(signal.SIGKILL)
    make_due(stack, [first])
    stack.wait(lambda: len(stack.sql("SELECT 1 FROM jobs WHERE schedule_id = %s AND state = 'done'", first)) == 2, 30, "the standby has fired")


def test_a_schedule_pulls_the_desk(stack):
    """Cron to rows: the main job end to end, without a person."""
    desk = stack.vendor("pylon", issues=60, schedule="*/5 * * * *")
    stack.scheduler()
    stack.worker(slots=2)
    make_due(stack, [stack.sql("SELECT id FROM schedules")[0].id])
    stack.wait(lambda: stack.sql("SELECT 1 FROM jobs WHERE kind = 'issue_pull' AND state = 'done' AND origin = 'schedule'"), what="the pull is done")
    stack.idle()
    stack.assert_true_to(desk)


@pytest.mark.parametrize("misfire, jobs", [("run_once", 1), ("run_all", 3), ("skip", 0)])
def test_ticks_missed_while_no_scheduler_ran(stack, misfire, jobs):
    """Three hourly ticks were missed."""
    (s,) = add_schedules(stack, 1, cron="0 * * * *", timezone="UTC", misfire=misfire, misfire_window_s=6 * 3600)
    stack.sql("UPDATE schedules SET next_tick = date_trunc('hour', now()) - interval '2 hours' WHERE id = %s", s)
    if stack.sql("SELECT extract(minute FROM now()) < 2 AS fresh")[0].fresh:
        jobs = {"skip": 1}.get(misfire, jobs)  # the newest tick is not late yet
    stack.scheduler()
    stack.wait(lambda: stack.sql("SELECT 1 FROM schedules WHERE id = %s AND next_tick > now()", s), what="the schedule is up to date")
    assert len(stack.sql("SELECT 1 FROM jobs WHERE schedule_id = %s", s)) == jobs


def test_a_broken_schedule_says_so_and_harms_nobody(stack):
    broken, good = add_schedules(stack, 2)
    stack.sql("UPDATE schedules SET cron = '61 * * * *', next_tick = NULL WHERE id = %s", broken)
    stack.scheduler()
    stack.worker()
    stack.wait(lambda: stack.sql("SELECT error FROM schedules WHERE id = %s", broken)[0].error, what="the broken one has its reason")
    assert "61" in stack.sql("SELECT error FROM schedules WHERE id = %s", broken)[0].error
    make_due(stack, [good])
    stack.wait(lambda: stack.sql("SELECT 1 FROM jobs WHERE schedule_id = %s AND state = 'done'", good), what="the good one fires")


def test_a_job_for_later_waits_for_its_moment(stack):
    stack.scheduler()
    stack.worker()
    moment = stack.sql("SELECT to_char(now() + interval '3 seconds', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS t")[0].t
    job = stack.enqueue("noop", run_at=moment)
    assert stack.job(job).state == "scheduled"
    stack.wait_job(stack.noop())
    row = stack.wait_job(job, timeout=20)
    assert row.started_at >= row.run_at
    assert (row.started_at - row.run_at).total_seconds() < 5
