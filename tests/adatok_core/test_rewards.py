import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.config import Reward
from adatok_core.rewards import MIN_DISTORTION, RewardTable

deterministic = settings(deadline=None, derandomize=True, max_examples=50)
CANDIDATES = (2, 4, 8)
MSE = torch.tensor([[4.0, 3.0, 1.0], [6.0, 2.0, 1.0]])  # falls by 4 on average
PERCEPTUAL = torch.tensor([[0.6, 0.4, 0.2], [0.4, 0.3, 0.2]])  # falls by 0.3
SCALES = ("absolute", "relative", "per_image")


def table(mse=MSE, *, perceptual=None, **options):
    return RewardTable.of(
        mse, CANDIDATES, max_tokens=16, config=Reward(**options), perceptual=perceptual
    )


def random_distortion(seed, *, count=20):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    return noise + torch.tensor([3.0, 2.0, 1.0])


def test_known_rewards():
    rewards = table()
    expected = (5 - MSE) / 4  # mean of the smallest budget, mean gain of the full one
    torch.testing.assert_close(rewards.fidelity, expected)
    torch.testing.assert_close(rewards.efficiency, torch.tensor([0.875, 0.75, 0.5]))


def test_known_relative_rewards():
    mean = (math.log(4) + math.log(6)) / 2
    ratios = torch.tensor([[4.0, 3.0, 1.0], [6.0, 2.0, 1.0]])
    torch.testing.assert_close(table(scale="relative").fidelity, 1 - ratios.log() / mean)


def test_known_rewards_of_every_image_s_own_scale():
    expected = torch.tensor([[0, 1 / 3, 1], [0, 4 / 5, 1]])
    torch.testing.assert_close(table(scale="per_image").fidelity, expected)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_distortions_are_mixed_in_units_of_their_mean_gains(share):
    rewards = table(perceptual=PERCEPTUAL, perceptual_share=share)
    expected = (1 - share) * (5 - MSE) / 4 + share * (0.5 - PERCEPTUAL) / 0.3
    torch.testing.assert_close(rewards.fidelity, expected)


def test_ratios_and_own_scales_are_of_the_mixture():
    mixed = 0.5 * MSE / 4 + 0.5 * PERCEPTUAL / 0.3
    options = {"perceptual": PERCEPTUAL, "perceptual_share": 0.5}
    logs = (mixed / mixed[:, -1:]).log()
    relative = 1 - logs / logs[:, 0].mean()
    torch.testing.assert_close(table(scale="relative", **options).fidelity, relative)
    own = (mixed[:, :1] - mixed) / (mixed[:, :1] - mixed[:, -1:])
    torch.testing.assert_close(table(scale="per_image", **options).fidelity, own)


@pytest.mark.parametrize("scale", SCALES)
@deterministic
@given(seed=st.integers(0, 1000), factor=st.floats(0.01, 100))
def test_mean_fidelity_runs_from_zero_to_one_in_any_unit(scale, seed, factor):
    distortion = random_distortion(seed)
    fidelity = table(distortion, scale=scale).fidelity
    assert fidelity.dtype == torch.float32
    assert fidelity.mean(0)[[0, -1]].tolist() == pytest.approx([0, 1], abs=1e-5)
    # Less distortion is more fidelity, image by image.
    assert torch.equal(fidelity.argsort(-1), distortion.argsort(-1, descending=True))
    other = table(distortion * factor, scale=scale).fidelity
    torch.testing.assert_close(other, fidelity, rtol=1e-4, atol=1e-5)


@deterministic
@given(seed=st.integers(0, 1000), factor=st.floats(0.1, 10))
def test_relative_and_own_scales_make_little_of_an_image_s_own_units(seed, factor):
    # An image with all its distortions doubled: ratios and its own range do not notice.
    distortion = random_distortion(seed)
    louder = distortion.clone()
    louder[0] *= factor
    for scale in ("relative", "per_image"):
        torch.testing.assert_close(
            table(louder, scale=scale).fidelity,
            table(distortion, scale=scale).fidelity,
            rtol=1e-4,
            atol=1e-5,
        )
    assert table(louder).fidelity[0].tolist() != pytest.approx(table(distortion).fidelity[0])


def test_an_exact_reconstruction_has_a_finite_relative_reward():
    mse = torch.tensor([[4.0, 3.0, 0.0], [6.0, 2.0, 0.0], [5.0, 4.0, 0.0]])
    fidelity = table(mse, scale="relative").fidelity
    logs = (mse / 5).clamp(min=MIN_DISTORTION).log() - math.log(MIN_DISTORTION)
    torch.testing.assert_close(fidelity, 1 - logs / logs[:, 0].mean())


def test_images_that_gain_next_to_nothing_do_not_explode():
    # The mean gain is 2.5; of the four images three gain 10/3, one nothing, noise apart.
    mse = torch.tensor([[10 / 3, 1.0, 0.0]] * 3 + [[1.0, 1.01, 0.99999]])
    fidelity = table(mse, scale="per_image").fidelity
    gain = mse[:, 0].mean() - mse[:, -1].mean()
    expected = (mse[3, 0] - mse[3]) / (0.05 * gain)
    torch.testing.assert_close(fidelity[3], expected, rtol=1e-3, atol=1e-5)
    assert fidelity[3].abs().max() < 0.1
    assert fidelity[:3, -1].tolist() == pytest.approx([1, 1, 1])


def test_an_image_that_gets_worse_with_tokens_loses_fidelity_on_every_scale():
    mse = torch.cat([MSE, torch.tensor([[1.0, 1.1, 1.2]])])
    for scale in SCALES:
        first, second, last = table(mse, scale=scale).fidelity[2].tolist()
        assert first > second > last


def test_the_scales_differ():
    fidelity = [table(scale=scale).fidelity for scale in SCALES]
    assert not torch.allclose(fidelity[0], fidelity[1])
    assert not torch.allclose(fidelity[1], fidelity[2])
    assert not torch.allclose(fidelity[0], fidelity[2])


@pytest.mark.parametrize("last", [5.0, 6.0, float("nan")])
def test_a_tokenizer_that_does_not_use_its_tokens_is_refused(last):
    flat = torch.tensor([[5.0, 1.0, last]]).expand(3, -1)
    falling = torch.tensor([[5.0, 1.0, 0.5]]).expand(3, -1)
    with pytest.raises(ValueError, match=r"^squared distortion does not fall from budget 2 to 8"):
        table(flat)
    with pytest.raises(ValueError, match=r"^perceptual distortion does not fall from budget 2 to"):
        table(falling, perceptual=flat, perceptual_share=0.5)
    # A table that has no share is not looked at.
    table(falling, perceptual=flat)
    table(flat, perceptual=falling, perceptual_share=1.0)


def test_ratios_that_do_not_fall_on_average_are_refused():
    # The mean falls by the first image alone, and not by much of a ratio.
    mse = torch.tensor([[100.0, 95.0, 90.0], [0.1, 0.5, 1.0], [0.1, 0.5, 1.0]])
    table(mse)
    with pytest.raises(ValueError, match="relative distortion does not fall from budget 2 to 8"):
        table(mse, scale="relative")


def test_a_missing_perceptual_table_is_named():
    with pytest.raises(ValueError, match=r"^perceptual_share: 0\.5 needs a table .*$"):
        table(perceptual_share=0.5)


@pytest.mark.parametrize("shape", [(2, 2), (1, 3), (2,)])
def test_tables_of_another_shape_are_refused(shape):
    wrong = torch.linspace(2, 1, math.prod(shape)).view(shape)
    with pytest.raises(ValueError, match=r"perceptual distortion: .* is not images by candidates"):
        table(perceptual=wrong, perceptual_share=0.5)
    if shape != (1, 3):
        with pytest.raises(ValueError, match=r"squared distortion: .* is not images by candidates"):
            table(wrong)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("scale", SCALES)
def test_memory_mapped_tables_of_any_floating_type_are_only_read(dtype, scale, tmp_path):
    stored = np.lib.format.open_memmap(tmp_path / "mse.npy", "w+", dtype, (2, 5))
    stored[:, ::2] = MSE.numpy()
    before = stored.copy()
    mapped = torch.from_numpy(stored)[:, ::2]
    rewards = table(mapped, perceptual=mapped, perceptual_share=0.5, scale=scale)
    assert rewards.fidelity.dtype == rewards.efficiency.dtype == torch.float32
    torch.testing.assert_close(rewards.fidelity, table(scale=scale).fidelity)
    rewards.fidelity.zero_()
    assert np.array_equal(stored, before)


def test_the_scalar_reward_is_the_weighted_sum_of_the_chosen_images():
    rewards = table()
    images = torch.tensor([1, 0, 1])
    scalar = rewards.scalar(images, torch.tensor([0.7, 0.3]))
    expected = [
        [0.7 * q + 0.3 * e for q, e in zip(rewards.fidelity[i], rewards.efficiency, strict=True)]
        for i in images
    ]
    torch.testing.assert_close(scalar, torch.tensor(expected))
