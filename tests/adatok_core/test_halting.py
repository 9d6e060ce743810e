from dataclasses import replace

import pytest
import torch
from tiny_training import PLAIN, ended, random_images, trainer_of

from adatok_core import training
from adatok_core.config import TrainingConfig
from adatok_core.encoders.halting import target_bins
from adatok_core.halting import HaltingTokenizer

KEPT = torch.tensor([1, 2, 3, 4, 6, 7])
IMAGES = random_images(8, 16)


@pytest.fixture
def model(tokenizer_of):
    return tokenizer_of(encoding="halting")


def bins_seen(model):
    """The targets of each pass of the encoder, filled as it is called."""
    seen = []
    model.encoder.register_forward_pre_hook(
        lambda _, __, options: seen.append(options.get("bins")), with_kwargs=True
    )
    return seen


def test_the_error_of_the_first_pass_is_the_target_of_the_second(model, images):
    seen = bins_seen(model)
    result = model(images, KEPT)
    first, second = result.images.chunk(2)
    assert seen[0] is None
    errors = (first.clamp(0, 1) - images).abs().mean((1, 2, 3))
    assert torch.equal(seen[1], target_bins(errors))
    assert (second - first).abs().max() > 1e-4
    again = model.decode_codes(model.quantizer(model.encoder(images, bins=seen[1])).codes, KEPT)
    torch.testing.assert_close(second, again)


def test_tokens_behind_the_kept_ones_are_to_be_halted(model, images):
    seen = bins_seen(model)
    loss = model(images, KEPT).losses["halting_loss"]
    probability = model.encoder.halting_logits(model.encoder(images, bins=seen[1])).sigmoid()
    kept = torch.arange(7) < KEPT[:, None]
    expected = -torch.where(kept, 1 - probability, probability).log().mean()
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([0.1, 0.2, 0.74, 0.76, 0.1, 0.9, 0.1], 3),
        ([0.0] * 7, 7),
        ([0.9] * 7, 1),
        ([0.76, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], 1),
    ],
)
def test_all_before_the_first_halted_token_are_kept(model, images, probabilities, expected):
    logits = torch.logit(torch.tensor(probabilities), eps=1e-6).expand(6, -1)
    model.encoder.halting_logits = lambda latents: logits
    ids, kept = model.own_allocation(images, 0.1)
    assert kept.tolist() == [expected] * 6
    assert ids.shape == (6, 7)


def test_an_own_allocation_takes_one_pass_with_its_target(model, images):
    seen = bins_seen(model)
    ids, _ = model.own_allocation(images, 0.1)
    assert len(seen) == 1
    assert torch.equal(seen[0], target_bins(torch.full((6,), 0.1)))
    assert torch.equal(ids, model.quantizer(model.encoder(images, bins=seen[0])).ids)


@pytest.mark.parametrize("target", [0.0, -0.1, 1.0, float("nan")])
def test_a_target_is_an_error_between_zero_and_one(model, images, target):
    with pytest.raises(ValueError, match="target: "):
        model.own_allocation(images, target)


def test_it_learns_to_halt_where_the_target_is_met(model, images):
    """With errors that the length alone decides: 0.01 for 7 tokens, and 0.04 more for each less."""
    images = 0.5 + 0.1 * (images - 0.5)
    model._decode_prefixes = lambda _, kept: images + 0.01 + 0.04 * (7 - kept[:, None, None, None])
    optimizer = torch.optim.Adam(model.encoder.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        kept = torch.randint(1, 8, (6,), generator=generator)
        optimizer.zero_grad()
        model(images, kept).losses["halting_loss"].backward()
        optimizer.step()
    for tokens in (2, 4, 6):
        assert model.own_allocation(images, 0.01 + 0.04 * (7 - tokens))[1].tolist() == [tokens] * 6


def trained(steps=1):
    tokenizer = replace(PLAIN, encoding="halting", budgets=(2, 4))
    config = TrainingConfig(steps=steps, batch=8, warmup_steps=0, log_every=1)
    return ended(trainer_of(tokenizer, config, images=IMAGES))


def test_both_reconstructions_count_alike(monkeypatch):
    results = []
    forward = HaltingTokenizer.forward

    def watched(self, images, kept, generator):
        results.append((images, forward(self, images, kept, generator)))
        return results[-1][1]

    monkeypatch.setattr("adatok_core.halting.HaltingTokenizer.forward", watched)
    (row,) = trained().history
    ((images, result),) = results
    errors = [(part - images).square().mean().item() for part in result.images.chunk(2)]
    assert row["pixel_loss"] == pytest.approx(sum(errors) / 2, rel=1e-5)
    assert row["halting_loss"] == pytest.approx(result.losses["halting_loss"].item(), rel=1e-5)


def test_the_weight_of_halting_is_of_effect(monkeypatch):
    usual = trained(steps=3).model.encoder.halt.weight
    monkeypatch.setattr(training, "HALTING_WEIGHT", 0.0)
    assert not torch.allclose(usual, trained(steps=3).model.encoder.halt.weight)
