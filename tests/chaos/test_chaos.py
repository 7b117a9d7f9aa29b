"""Two minutes of faults, always the same ones, around a Deskmill at work: nothing is lost, doubled, regressed or run twice."""
import pytest

import chaos

SEED, MINUTES = 1, 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_minutes_of_faults(stack, record_property):
    stack.own_postgres()
    result = chaos.run(stack, SEED, MINUTES, rate=4, settle_s=300)
    print(result.report())
    for line in result.recovery():
        record_property("recovery", line)
    assert not result.violations, "\n".join([f"./dev chaos --seed {SEED} --minutes {MINUTES}", *result.story, result.report()])
    assert len(result.faults) > 25 and len(result.history.accepted) > 100, "there was something to lose, and something to lose it by"
