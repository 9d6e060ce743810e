import pytest
import torch

from adatok_core.encoders.halting import TARGETS, target_bins


@pytest.fixture
def encoder(tokenizer_of):
    return tokenizer_of(encoding="halting").encoder


def test_an_error_belongs_to_the_first_bin_that_does_not_end_below_it():
    assert target_bins(torch.tensor([0.0, 1e-6, 0.02, 0.0201, 0.04, 0.32, 0.9])).tolist() == [
        0,
        1,
        1,
        2,
        9,
        33,
        33,
    ]


def test_bins_are_an_eighth_of_a_doubling_wide():
    steps = torch.tensor(TARGETS[1:]).log2().diff()
    torch.testing.assert_close(steps, torch.full((32,), 1 / 8), atol=1e-5, rtol=0)


def test_the_target_reaches_every_latent_and_is_each_image_s_own(encoder, images):
    before = encoder(images, bins=torch.full((6,), 3))
    after = encoder(images, bins=torch.tensor([3, 9, 3, 9, 3, 9]))
    moved = ((after - before).abs() > 1e-5).any(-1)
    assert torch.equal(moved, torch.tensor([False, True] * 3)[:, None].expand(6, 7))


def test_without_a_target_the_error_shall_be_near_zero(encoder, images):
    near_zero = encoder(images, bins=torch.zeros(6, dtype=torch.int64))
    assert torch.equal(encoder(images), near_zero)
    assert torch.equal(encoder(images, torch.full((6,), 2)), near_zero)


def test_each_latent_has_a_logit(encoder, images):
    latents = encoder(images)
    logits = encoder.halting_logits(latents)
    assert logits.shape == (6, 7)
    torch.testing.assert_close(
        logits, (latents @ encoder.halt.weight.T)[..., 0] + encoder.halt.bias
    )
