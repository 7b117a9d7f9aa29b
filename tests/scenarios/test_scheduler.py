"""Time: each tick is one job, however many schedulers run, and a broken schedule harms only itself."""
import signal

import psycopg
import pytest


def add_schedules(stack, n, **more):
    """Schedules of noop jobs for an organization; their ids."""
    if not stack.sql("SELECT 1 FROM organizations WHERE slug = 'acme'"):
        stack.post("/api/v1/organizations", slug="acme", name="Acme", timezone="UTC")
    fields = {"organization": "acme", "kind": "noop", "cron": "* * * * *", "timezone": "Europe/Berlin", **more}
    before = {r.id for r in stack.sql("SELECT id FROM schedules")}
    for _ in range(n):
        stack.post("/api/v1/schedules", **fields)
    return sorted({r.id for r in stack.sql("SELECT id FROM schedules")} - before)


def make_due(stack, ids, minutes=0):
    """Their next tick is the minute that has begun, or one `minutes` earlier."""
    stack.wait(lambda: not stack.sql("SELECT 1 FROM schedules WHERE id = ANY (%s) AND next_tick IS NULL", ids), what="the next ticks are worked out")
    stack.sql("UPDATE schedules SET next_tick = date_trunc('minute', now()) - %s * interval '1 minute' WHERE id = ANY (%s)", minutes, ids)
    stack.wake_scheduler()


def done_by(stack, schedule):
    return stack.sql("SELECT 1 FROM jobs WHERE schedule_id = %s AND state = 'done'", schedule)


def test_two_schedulers_fire_each_tick_once(stack):
    """Both lead, so both try every tick of thirty schedules, ten late ones each; (schedule, tick) is unique, so one wins each."""
    ids = add_schedules(stack, 30, misfire="run_all", misfire_window_s=3600)
    stack.scheduler(always_lead=True)
    stack.scheduler(always_lead=True)
    stack.worker(slots=2)
    make_due(stack, ids, minutes=9)
    stack.wait(lambda: not stack.sql("SELECT 1 FROM schedules WHERE next_tick <= now()"), 60, what="all ticks are dealt with")
    stack.idle()
    ticks = {(t.schedule_id, t.tick): t.job_id for t in stack.sql("SELECT * FROM schedule_ticks")}
    jobs = stack.sql("SELECT * FROM jobs")
    assert len(ticks) >= 10 * len(ids)
    assert len(jobs) == len(ticks) == len({(j.schedule_id, j.tick) for j in jobs})
    assert {(j.schedule_id, j.tick): j.id for j in jobs} == ticks
    assert all(j.state == "done" and j.epoch == 1 for j in jobs)
    both = [p.pid for p in stack.procs if p.name.startswith("scheduler")]
    assert len(both) == 2 and all(p.alive for p in stack.procs if p.pid in both)


def test_a_standby_takes_over_when_the_leader_dies(stack):
    """Without --always-lead one of two does the work; kill it, and the other goes on."""
    first, second = add_schedules(stack, 2, cron="0 3 * * *")
    one, two = stack.scheduler(), stack.scheduler()
    stack.worker()
    stack.sql("UPDATE schedules SET cron = '* * * * *' WHERE id = %s", first)
    make_due(stack, [first])
    stack.wait(lambda: done_by(stack, first), what="the first schedule's job is done")
    leader = stack.sql("SELECT leader FROM queue_state")[0].leader
    victim = one if str(one.pid) in leader else two
    assert str(victim.pid) in leader, f"queue_state.leader names a process: {leader}"
    victim.kill(signal.SIGKILL)
    stack.sql("UPDATE schedules SET cron = '* * * * *' WHERE id = %s", second)
    make_due(stack, [second])
    stack.wait(lambda: done_by(stack, second), 30, "the standby has fired")


def add_many(stack, n):
    """n schedules in all zones by turns, written straight into the table; none is due by itself within the next minutes."""
    stack.post("/api/v1/organizations", slug="many", name="Many", timezone="UTC")
    stack.sql("INSERT INTO schedules (organization_id, kind, cron, timezone, next_tick)"
              " SELECT o.id, 'noop', CASE i %% 3 WHEN 0 THEN '@yearly' WHEN 1 THEN '0 0 29 2 *' ELSE '30 3 1 1 *' END, z.name, now() + interval '1 day'"
              " FROM organizations o, generate_series(1, %s) i JOIN (SELECT name, row_number() OVER () - 1 AS k, count(*) OVER () AS zones"
              " FROM pg_timezone_names WHERE name LIKE '%%/%%' AND name !~ '^(posix|right)') z ON z.k = i %% z.zones WHERE o.slug = 'many'", n)


def lists(stack):
    """All ids that wait in Redis."""
    client = stack.redis_client()
    return [int(i) for key in client.scan_iter("dm:q:*") if not key.endswith(":ring") for i in client.lrange(key, 0, -1)]


def test_a_full_minute_of_ticks_survives_the_leader(stack):
    """Five thousand are due at once, and the leader is killed between them. Some cannot be dealt with before that: a lock is on them. Each tick is one job,
    and each job's id is in Redis."""
    n, kept = 5000, 500
    add_many(stack, n)
    procs = [stack.scheduler(), stack.scheduler()]
    leader = stack.wait(lambda: stack.sql("SELECT leader FROM queue_state WHERE leader <> ''"), what="one leads")[0].leader
    victim = next(p for p in procs if f":{p.pid}:" in leader)
    with psycopg.connect(stack.database_url) as holder:
        stack.sql("UPDATE schedules SET next_tick = date_trunc('minute', now())")
        holder.execute("SELECT 1 FROM deskmill.schedules WHERE id > (SELECT max(id) FROM deskmill.schedules) - %s FOR UPDATE", (kept,))
        stack.wake_scheduler()
        stack.wait(lambda: stack.sql("SELECT 1 FROM schedule_ticks LIMIT 1"), what="the first batch has been fired")
        victim.kill(signal.SIGKILL)
    stack.wait(lambda: not stack.sql("SELECT 1 FROM schedules WHERE next_tick <= now() LIMIT 1"), 60, "all have been fired")
    ticks = {t.schedule_id: t.job_id for t in stack.sql("SELECT * FROM schedule_ticks")}
    jobs = {j.schedule_id: j.id for j in stack.sql("SELECT id, schedule_id FROM jobs")}
    assert len(ticks) == n and ticks == jobs
    assert [r.n for r in stack.sql("SELECT (SELECT count(*) FROM schedule_ticks) AS n UNION ALL SELECT count(*) FROM jobs")] == [n, n]
    stack.wait(lambda: set(lists(stack)) == set(jobs.values()), 30, "each job's id is in Redis, also those that the leader took with it")


def test_a_standby_lends_a_hand(stack):
    """A leader that does not get on (it is stopped, and its lease runs on) delays no tick: late ones are the standby's too."""
    ids = add_schedules(stack, 3, cron="0 3 * * *")
    procs = [stack.scheduler(), stack.scheduler()]
    leader = stack.wait(lambda: stack.sql("SELECT leader, leader_term FROM queue_state WHERE leader <> ''"), what="one leads")[0]
    stack.wait(lambda: not stack.sql("SELECT 1 FROM schedules WHERE next_tick IS NULL"), what="the next ticks are worked out")
    victim = next(p for p in procs if f":{p.pid}:" in leader.leader)
    victim.kill(signal.SIGSTOP)
    stack.sql("UPDATE queue_state SET leader_until = now() + interval '1 hour'")
    make_due(stack, ids)
    stack.wait(lambda: not stack.sql("SELECT 1 FROM schedules WHERE next_tick <= now()"), what="all have been fired")
    assert stack.sql("SELECT leader_term FROM queue_state")[0].leader_term == leader.leader_term, "the stopped one led all the while"
    assert len(stack.sql("SELECT 1 FROM jobs")) == len(ids)
    victim.kill(signal.SIGCONT)


def test_a_schedule_pulls_the_desk(stack):
    """Cron to rows: the main job end to end, without a person."""
    desk = stack.vendor("pylon", issues=60, schedule="* * * * *")
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
    stack.wait(lambda: done_by(stack, good), what="the good one fires")


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
