import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.rewards import RewardTable

deterministic = settings(deadline=None, derandomize=True, max_examples=50)
DISTORTION = torch.tensor([[4.0, 3.0, 1.0], [6.0, 2.0, 1.0]])


def test_known_rewards():
    table = RewardTable.of(DISTORTION, (2, 4, 8), max_tokens=16)
    expected = (5 - DISTORTION) / 4  # mean of the smallest budget, mean gain of the full one
    torch.testing.assert_close(table.fidelity, expected)
    torch.testing.assert_close(table.efficiency, torch.tensor([0.875, 0.75, 0.5]))


@deterministic
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-5, 5))
def test_mean_fidelity_runs_from_zero_to_one_in_any_unit(seed, scale, shift):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(20, 4, generator=generator, dtype=torch.float64)
    distortion = noise + torch.tensor([3.0, 2.0, 1.5, 1.0])
    table = RewardTable.of(distortion, (1, 2, 4, 8), max_tokens=8)
    assert table.fidelity.mean(0)[[0, -1]].tolist() == pytest.approx([0, 1], abs=1e-9)
    # Less distortion is more fidelity, image by image.
    assert torch.equal(table.fidelity.argsort(-1), distortion.argsort(-1, descending=True))
    other = RewardTable.of(distortion * scale + shift, (1, 2, 4, 8), max_tokens=8)
    torch.testing.assert_close(other.fidelity, table.fidelity)


@pytest.mark.parametrize("last", [5.0, 6.0, float("nan")])
def test_a_tokenizer_that_does_not_use_its_tokens_is_refused(last):
    distortion = torch.tensor([[5.0, 1.0, last]]).expand(3, -1)
    with pytest.raises(ValueError, match="distortion does not fall from budget 2 to 8"):
        RewardTable.of(distortion, (2, 4, 8), max_tokens=8)


def test_the_scalar_reward_is_the_weighted_sum_of_the_chosen_images():
    table = RewardTable.of(DISTORTION, (2, 4, 8), max_tokens=16)
    images = torch.tensor([1, 0, 1])
    scalar = table.scalar(images, torch.tensor([0.7, 0.3]))
    expected = [
        [0.7 * q + 0.3 * e for q, e in zip(table.fidelity[i], table.efficiency, strict=True)]
        for i in images
    ]
    torch.testing.assert_close(scalar, torch.tensor(expected))
