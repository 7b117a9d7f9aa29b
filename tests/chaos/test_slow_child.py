"""A child that does not come to begin what it was given: the job is not stuck with it, and neither is the slot."""
import os
import signal

import pytest


@pytest.mark.parametrize("slots", [1, 2])
def test_a_child_that_is_slow_to_wake_keeps_its_slot(stack, slots):
    """Every child is stopped while idle, gets a job, and wakes after the parent has taken the job back. From then on each slot works as before."""
    stack.scheduler()
    w = stack.worker(slots=slots, log_level="debug")
    stack.wait_job(stack.noop())
    children = w.children()
    for child in children:
        os.kill(child, signal.SIGSTOP)
    jobs = [stack.noop() for _ in range(slots)]
    stack.wait(lambda: len(set(stack.log("slot.taken_back").column("child"))) == slots, what="each child's job was taken back")
    for child in children:
        os.kill(child, signal.SIGCONT)
    for job in jobs:
        stack.wait_job(job, timeout=20)
    together = [stack.noop(sleep_ms=60000) for _ in range(slots)]
    stack.wait(lambda: {stack.job(job).state for job in together} == {"running"}, 20, "every slot runs a job")
    w.kill(signal.SIGTERM)
    assert w.wait(10) == 0, "nothing holds up a drain"
