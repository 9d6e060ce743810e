import pytest

from adatok_core.config import (
    OFF,
    PPO,
    Annealed,
    DeterministicGroup,
    Reinforce,
    SampledGroup,
    Supervised,
)


def test_each_kind_has_its_own_name():
    kinds = (DeterministicGroup, SampledGroup, Reinforce, PPO, Supervised)
    names = [kind().kind for kind in kinds]
    assert names == ["deterministic_group", "sampled_group", "reinforce", "ppo", "supervised"]


@pytest.mark.parametrize("kind", [DeterministicGroup, SampledGroup, Reinforce, PPO])
def test_an_entropy_bonus_is_the_default_and_no_penalty_is(kind):
    assert kind().entropy.start > kind().entropy.end > 0
    assert kind().kl.coefficient == OFF


def test_an_annealed_coefficient_is_geometric():
    schedule = Annealed(start=0.4, end=0.1)
    assert [schedule.at(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([0.4, 0.2, 0.1])
    assert Annealed(start=0.1, end=0.4).at(0.5) == pytest.approx(0.2)
    assert [OFF.at(p) for p in (0.0, 0.5, 1.0)] == [0, 0, 0]
