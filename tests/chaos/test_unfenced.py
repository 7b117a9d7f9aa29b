"""The checker sees damage when there is some: a worker whose statements have lost their fence is driven to do it, and the same schedule with the
worker as it is leaves nothing to report.

Two things stand between a stopped worker and the rows: the reaper ends its sessions, and the fence refuses what it writes in new ones. So the
schedule lets the child wake up with a page in hand, find its session gone, and do what it does after any lost connection: the page once more.
"""
import os
import signal

import pytest

import checker
import history
import rig as rig_module

UNFENCED = "../tests/chaos/deskmill-worker-unfenced"


def start(stack, program, name):
    worker = stack.start(program, name=name, slots=1, beat_ms=300)
    stack.wait(lambda: stack.sql("SELECT 1 FROM workers WHERE pid = %s AND state = 'active'", worker.pid), what=f"{name} is registered")
    worker.worker_id = stack.sql("SELECT id FROM workers WHERE pid = %s", worker.pid)[0].id
    return worker


def stopped_with_a_page_in_hand(stack, program):
    """w1 is stopped for longer than its lease while the vendor answers; w2 takes the job over and ends it."""
    history.install(stack.sql)
    desk = stack.vendor("pylon", issues=300, messages=0, hold_page=3, settings={"page_size": 50})
    stack.scheduler(lease_ms=2000)
    w1 = start(stack, program, "w1")
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="the third page is held")
    stack.wait(lambda: len(stack.rows("issues")) == 100, what="two pages are committed")
    (child,) = w1.children()
    w1.kill(signal.SIGSTOP)
    os.kill(child, signal.SIGSTOP)
    desk.release()
    start(stack, program, "w2")
    stack.wait_job(job)
    stack.idle()
    return desk, w1, child, job


def judge(stack, desk, job):
    rig = rig_module.Rig(stack)
    try:
        desk.limits_set = {}
        rig.desks.append(desk)
        made = rig.read()
    finally:
        rig.close()
    made.accepted = {job: "pull"}
    found = checker.check(made)
    for violation in found:
        print(violation, *checker.story_of(made, violation), sep="\n")
    return {v.rule for v in found}


def test_with_the_fence_nothing_is_damaged(stack):
    desk, w1, child, job = stopped_with_a_page_in_hand(stack, "deskmill-worker")
    os.kill(child, signal.SIGCONT)
    stack.wait_log("job.refused", job=job)
    w1.kill(signal.SIGCONT)
    stack.wait(lambda: len(stack.sql("SELECT 1 FROM workers WHERE pid = %s", w1.pid)) == 2, what="w1 is back under a new id")
    stack.idle()
    assert judge(stack, desk, job) == set()


@pytest.mark.skipif(not (rig_module.stack_module.BIN / UNFENCED).exists(), reason="a release build has no worker without its fence")
def test_without_the_fence_the_checker_reports_the_damage(stack):
    desk, w1, child, job = stopped_with_a_page_in_hand(stack, UNFENCED)
    os.kill(child, signal.SIGCONT)
    stack.wait(lambda: stack.sql("SELECT 1 FROM chaos.jobs WHERE id = %s AND app = %s AND state = 'done'", job, f"deskmill-child/{w1.worker_id}"),
               what="the child has written on the job that another has ended")
    w1.kill(signal.SIGCONT)
    stack.wait(lambda: stack.sql("SELECT count(*) AS n FROM chaos.jobs WHERE id = %s AND app = 'deskmill-worker' AND state = 'done'", job)[0].n >= 2,
               what="its parent has ended the job once more")
    stack.idle()
    # It wrote as one who is not the owner, ended what had ended, and left counts that are not the sum of what was done.
    assert judge(stack, desk, job) == {"owner", "moves", "counts"}
