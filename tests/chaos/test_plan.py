"""A plan follows from its seed, deals out every fault, and lets none last beyond the end."""
import pytest

import plan


def test_the_same_seed_is_the_same_plan():
    assert plan.make(7, 2) == plan.make(7, 2) != plan.make(8, 2)


def test_three_minutes_hold_every_fault():
    for seed in range(20):
        assert {s.fault for s in plan.make(seed, 3)} == plan.FAULTS.keys()


def test_nothing_lasts_beyond_the_end_and_nobody_is_hit_twice_at_once():
    for seed in range(20):
        until = {}
        for s in plan.make(seed, 2):
            assert plan.WARM_UP <= s.at and s.until <= 120
            assert until.get(s.args["on"], 0) <= s.at
            until[s.args["on"]] = s.until


def test_only_is_only():
    assert {s.fault for s in plan.make(1, 1, ["redis_flush", "kill_child"])} == {"redis_flush", "kill_child"}
    with pytest.raises(ValueError, match="nonsense.*there are: kill_child"):
        plan.make(1, 1, ["nonsense"])
