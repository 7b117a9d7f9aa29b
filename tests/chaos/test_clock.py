"""A host's clock is wrong by an hour, or jumps by one while a job runs: nothing is lost, nothing waits an hour, nothing is done over and over."""
import datetime

import pytest

import history
import rig as rig_module

HOUR = 3600


@pytest.fixture
def clocked(stack):
    """A worker whose clock can be shifted, and the function that does it."""
    role = rig_module.Role(rig_module.Rig(stack), "worker-1")
    env = stack.env(LD_PRELOAD=str(rig_module.CLOCKSHIFT), DESKMILL_CLOCKSHIFT=str(role.clock))
    env["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
    yield env, role.shift
    role.rig.close()


@pytest.mark.parametrize("before, after", [(0, -HOUR), (HOUR, 0), (-HOUR, 0)])
def test_a_jump_during_a_walk_loses_no_change(stack, clocked, before, after):
    """The clock jumps while the second page is on its way. An issue of the first page changes after it was read, one of the last before it is:
    the watermark must not go beyond the first of the two."""
    env, shift = clocked
    desk = stack.vendor("pylon", issues=100, messages=0, settings={"page_size": 20, "lookback_s": 1})
    stack.scheduler()
    stack.worker(slots=1, env=env)
    stack.pulled(desk)
    for second in range(2):  # so that the watermark leaves the time of the first pull behind
        desk.door("POST", "clock", {"advance_s": 60})
        for issue in (i["id"] for i in desk.raw("issues")["issues"][:60]):
            desk.edit(issue, title=f"Edited {second}")
    issues = sorted((i for i in desk.raw("issues")["issues"] if i["title"] == "Edited 1"), key=lambda i: i["created_at"], reverse=True)
    shift(before)
    desk.hold(page=2)
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="the second page is held")
    desk.door("POST", "clock", {"advance_s": 60})
    desk.edit(issues[0]["id"], title="changed behind the reader's back")
    desk.door("POST", "clock", {"advance_s": 60})
    desk.edit(issues[-1]["id"], title="changed before the reader came")
    shift(after)
    desk.release()
    stack.wait_job(job)
    stack.pulled(desk)
    stack.assert_true_to(desk, "issues")


@pytest.mark.xfail(strict=True, reason="fate_of() in common/job.c takes the moment of the next attempt from the worker's clock")
@pytest.mark.parametrize("hours", [1, -1])
def test_a_retry_waits_by_the_databases_clock(stack, clocked, hours):
    env, shift = clocked
    history.install(stack.sql)
    desk = stack.vendor("pylon", issues=10, messages=0)
    stack.scheduler()
    shift(hours * HOUR)
    stack.worker(slots=1, env=env)
    desk.fail("status", status=500, count=100)
    job = stack.pull(desk)
    stack.wait(lambda: stack.sql("SELECT 1 FROM chaos.jobs WHERE id = %s AND state = 'scheduled'", job), what="the job waits for its next attempt")
    (wait,) = stack.sql("SELECT run_at - at AS wait FROM chaos.jobs WHERE id = %s AND state = 'scheduled' ORDER BY seq LIMIT 1", job)
    assert datetime.timedelta(0) < wait.wait < datetime.timedelta(minutes=1)
