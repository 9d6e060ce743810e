import pytest

from adatok_core.config import DeterministicGroup, FixedWeighting, PolicyConfig, Reward

TWO = {"candidates": (2, 4)}


def test_candidates_have_no_default():
    with pytest.raises(TypeError, match="candidates"):
        PolicyConfig()


def test_a_policy_learns_by_the_deterministic_group_unless_told():
    config = PolicyConfig(**TWO)
    assert config.objective == DeterministicGroup()
    assert config.weighting == FixedWeighting()
    assert config.reward == Reward()
    assert config.input == "latents"
