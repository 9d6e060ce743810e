import pytest

from adatok_core.config import (
    KL,
    OFF,
    PPO,
    Annealed,
    DeterministicGroup,
    Reinforce,
    SampledGroup,
    Supervised,
)

CLIPPED = (DeterministicGroup, SampledGroup, PPO)

OUT_OF_RANGE = [
    (Annealed, {"start": -0.1, "end": 0.1}, "start, end"),
    (Annealed, {"start": 0.1, "end": -0.1}, "start, end"),
    (Annealed, {"start": 0.1, "end": 0.0}, "start, end"),
    (Annealed, {"start": 0.0, "end": 0.1}, "start, end"),
    (KL, {"refresh_every": 0}, "refresh_every"),
    *((kind, {"clip": clip}, "clip") for kind in CLIPPED for clip in (0.0, 1.0)),
    *((kind, {"updates_per_batch": 0}, "updates_per_batch") for kind in CLIPPED),
    (SampledGroup, {"draws": 1}, "draws"),
    (Reinforce, {"baseline_decay": -0.1}, "baseline_decay"),
    (Reinforce, {"baseline_decay": 1.0}, "baseline_decay"),
    (PPO, {"value_weight": 0.0}, "value_weight"),
]

ON_THE_EDGE = [
    (Annealed, {"start": 0.0, "end": 0.0}),
    (KL, {"refresh_every": 1}),
    *((kind, {"clip": 0.999, "updates_per_batch": 1}) for kind in CLIPPED),
    *((kind, {"clip": 1e-3}) for kind in CLIPPED),
    (SampledGroup, {"draws": 2}),
    (Reinforce, {"baseline_decay": 0}),
    (Reinforce, {"baseline_decay": 0.999}),
    (PPO, {"value_weight": 1e-3}),
]


@pytest.mark.parametrize(("kind", "values", "key"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_its_key(refused, kind, values, key):
    refused(kind, values, key)


@pytest.mark.parametrize(("kind", "values"), ON_THE_EDGE)
def test_the_ends_of_a_range_are_accepted(accepted, kind, values):
    accepted(kind, values)


@pytest.mark.parametrize(
    "config",
    [OFF, KL(), DeterministicGroup(), SampledGroup(), Reinforce(), PPO(), Supervised()],
    ids=lambda config: type(config).__name__,
)
def test_defaults_are_valid_frozen_and_strict(frozen_and_strict, config):
    frozen_and_strict(config)


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
