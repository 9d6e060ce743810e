import math
from dataclasses import replace

import pytest
import torch
from tiny_training import (
    IMAGES,
    TOKENIZER,
    assert_same_but_for_rounding,
    assert_same_state,
    differs,
    ended,
    perceptual_loss,
    plainly_trained,
    run_to,
    trained,
    weights,
)
from tiny_training import varied as trainer_of

from adatok_core.batches import batch_indices
from adatok_core.config import FSQ, VQ, Adversarial, LengthSampling
from adatok_core.schedule import learning_rate
from adatok_core.tokenizer import to_float
from adatok_core.training_state import DivergedError

COUNT = len(IMAGES)
# A code is dead after one step without a draw: every step revives some.
REVIVING = VQ(codebook_size=32, dimension=4, usage_decay=0.5, revive_below=0.6)
FULL = LengthSampling(full_share=1.0)


def test_training_lowers_the_loss():
    trainer = trained(steps=60, log_every=1, learning_rate=3e-3)
    losses = [row["pixel_loss"] for row in trainer.history]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    ("quantizer", "options"),
    [
        (FSQ(levels=(5, 3)), {"lengths": LengthSampling(per="batch", full_share=0.1)}),
        (REVIVING, {"perceptual": 0.5, "precision": "bf16"}),
        (REVIVING, {"adversarial": Adversarial(width=4, start_step=1)}),
        (FSQ(levels=(5, 3)), {"adversarial": Adversarial(width=4, start_step=4)}),
    ],
    ids=["fsq", "vq_revival", "adversarial_before", "adversarial_after"],
)
def test_stop_and_resume_equals_an_uninterrupted_run(quantizer, options, accumulate):
    tokenizer, options = replace(TOKENIZER, quantizer=quantizer), options | {"log_every": 1}
    whole = trained(tokenizer, accumulate=accumulate, **options)
    stopped = run_to(trainer_of(tokenizer, accumulate=accumulate, **options), 3)
    saved = stopped.state()
    resumed = trainer_of(tokenizer, accumulate=accumulate, **options)
    torch.manual_seed(99)  # where the resuming process happens to be
    resumed.load_state(saved)
    assert_same_state(resumed.state(), saved)
    assert [*resumed.run()] == [4, 5, 6]
    assert_same_state(resumed.state(), whole.state())
    parts = {name.split(".")[0] for name in whole.state().tensors}
    adversarial = (
        {"discriminator", "discriminator_optimizer"} if "adversarial" in options else set()
    )
    assert parts == {"model", "ema", "optimizer"} | adversarial


def test_revival_takes_place_in_training():
    tokenizer = replace(TOKENIZER, quantizer=REVIVING)
    off = replace(TOKENIZER, quantizer=replace(REVIVING, revive_below=0.0))
    assert differs(trained(tokenizer), trained(off))


def test_a_state_is_a_snapshot_that_can_be_loaded_twice():
    trainer = run_to(trainer_of(), 3)
    saved = trainer.state()
    copies = {name: tensor.clone() for name, tensor in saved.tensors.items()}
    first = trainer_of()
    first.load_state(saved)
    for each in (trainer, first):
        ended(each)
    assert saved.step == 3
    assert [row["step"] for row in saved.history] == [2]
    assert all(torch.equal(tensor, copies[name]) for name, tensor in saved.tensors.items())
    assert_same_state(first.state(), trainer.state())


def test_a_state_of_another_shape_is_refused():
    saved = run_to(trainer_of(), 1).state()
    with pytest.raises(RuntimeError):
        trainer_of(replace(TOKENIZER, width=32)).load_state(saved)


def test_a_finished_run_has_nothing_left_to_do():
    trainer = trained()
    assert trainer.step == 6
    assert [*trainer.run()] == []


def test_the_learning_rate_of_the_schedule_is_used():
    trainer = trained(log_every=1)
    expected = [learning_rate(step, trainer.config) for step in range(6)]
    assert [row["learning_rate"] for row in trainer.history] == expected
    assert {group["lr"] for group in trainer.optimizers["optimizer"].param_groups} == {expected[-1]}
    assert differs(trained(learning_rate=2e-2), trainer)


def test_the_quantizer_loss_is_trained_too():
    heavy = replace(TOKENIZER, quantizer=replace(REVIVING, commitment=5.0))
    light = replace(TOKENIZER, quantizer=replace(REVIVING, commitment=0.0))
    assert differs(run_to(trainer_of(heavy), 2), run_to(trainer_of(light), 2))
    losses = [trained(t, log_every=1).history[0]["quantizer_loss"] for t in (light, heavy)]
    assert 0 < losses[0] == pytest.approx(losses[1] / 6)  # 1 + commitment


def test_the_average_follows_at_its_decay_but_starts_short():
    for decay, expected in ((0.9, 0.1), (0.05, 0.05), (0.0, 0.0)):
        trainer = trainer_of(ema_decay=decay)
        before = weights(trainer)
        run_to(trainer, 1)
        after = weights(trainer)
        for name, average in trainer.ema.named_parameters():
            blend = expected * before[name] + (1 - expected) * after[name]
            torch.testing.assert_close(average, blend, atol=1e-6, rtol=0)
            assert not average.requires_grad
    slow, fast = trained(ema_decay=0.9), trained(ema_decay=0.1)
    assert not differs(slow, fast)
    pairs = zip(slow.ema.parameters(), fast.ema.parameters(), strict=True)
    assert max((a - b).abs().max().item() for a, b in pairs) > 1e-3


def test_buffers_of_the_average_are_the_model_s():
    trainer = trained(replace(TOKENIZER, quantizer=REVIVING))
    assert not torch.equal(trainer.model.quantizer.usage, torch.ones(32))
    assert torch.equal(trainer.ema.quantizer.usage, trainer.model.quantizer.usage)


def test_gradients_are_clipped_to_their_norm():
    clip = 1e-3
    trainer = run_to(trainer_of(gradient_clip=clip, log_every=1), 1)
    norms = torch.stack([p.grad.norm() for p in trainer.model.parameters()])
    assert norms.norm().item() == pytest.approx(clip, rel=1e-3)
    free = run_to(trainer_of(gradient_clip=1e9, log_every=1), 1)
    # The norm before clipping is logged, the same for both.
    assert trainer.history == free.history
    assert free.history[0]["gradient_norm"] > 10 * clip


@pytest.mark.parametrize("quantizer", [FSQ(levels=(5, 3, 2)), VQ(codebook_size=16, dimension=5)])
def test_bf16_trains_nearly_like_fp32(quantizer):
    tokenizer = replace(TOKENIZER, quantizer=quantizer)
    half, full = (trained(tokenizer, precision=p, log_every=1) for p in ("bf16", "fp32"))
    first = [trainer.history[0]["pixel_loss"] for trainer in (half, full)]
    assert first[0] == pytest.approx(first[1], rel=0.02)
    assert first[0] != first[1]
    assert differs(half, full)
    assert all(p.dtype == torch.float32 for p in half.model.parameters())


def test_divergence_is_an_error_that_names_the_step():
    trainer = trainer_of(learning_rate=1e30)
    with pytest.raises(DivergedError, match=r"step 2\b"):
        [*trainer.run()]
    assert trainer.step == 1


def test_the_seed_decides_weights_batches_and_nothing_else():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = trained()
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(6)
    assert_same_state(first.state(), trained().state())
    first, other = (weights(trainer_of(seed=seed)) for seed in (0, 1))
    for name in ("encoder.queries", "encoder.embed.weight", "decoder.pixels.down"):
        assert not torch.allclose(first[name], other[name], atol=1e-2)


def test_accumulated_micro_batches_equal_one_batch():
    sizes = []

    def load(indices):
        sizes.append(len(indices))
        return IMAGES[indices]

    def run(accumulate):
        adversarial = Adversarial(width=4, start_step=2)
        trainer = plainly_trained(
            accumulate=accumulate, load=load, adversarial=adversarial, perceptual=0.5
        )
        return trainer, sizes[-6 * accumulate :]

    one, of_one = run(1)
    two, of_two = run(2)
    assert (of_one, of_two) == ([8] * 6, [4] * 12)
    assert_same_but_for_rounding(one, two)
    assert differs(one, trainer_of())


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_pixel_loss_is_the_mean_error_of_the_batch(kind):
    trainer = trainer_of(pixel_loss=kind, lengths=FULL, log_every=1)
    with torch.no_grad():
        trainer.model.decoder.pixels.bias += 3  # out of range: the error is not clamped
        images = to_float(IMAGES[batch_indices(0, count=COUNT, batch=8, seed=0)])
        output = trainer.model(images, torch.full((8,), 4)).images
    run_to(trainer, 1)
    error = output - images
    expected = error.abs().mean() if kind == "l1" else error.square().mean()
    assert expected > 1
    assert trainer.history[0]["pixel_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_the_perceptual_loss_is_the_mean_of_the_distances():
    trainer = trainer_of(perceptual=0.5, lengths=FULL, log_every=1)
    with torch.no_grad():
        images = to_float(IMAGES[batch_indices(0, count=COUNT, batch=8, seed=0)])
        output = trainer.model(images, torch.full((8,), 4)).images
        expected = perceptual_loss(output, images).mean()
    run_to(trainer, 1)
    assert trainer.history[0]["perceptual_loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert differs(trained(perceptual=0.5), trained(perceptual=5.0))
    assert differs(trained(perceptual=0.5), trained(perceptual=0.0))
    heavy = trained(perceptual=10.0, steps=60, log_every=1, learning_rate=3e-3)
    losses = [row["perceptual_loss"] for row in heavy.history]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_without_a_perceptual_weight_no_network_is_needed():
    assert "perceptual_loss" not in trained(loss=None).history[0]
    with pytest.raises(ValueError, match="perceptual_loss"):
        trainer_of(perceptual=0.5, loss=None)


@pytest.mark.parametrize(("every", "steps"), [(1, [1, 2, 3, 4, 5, 6]), (4, [4, 6]), (99, [6])])
def test_every_so_many_steps_and_the_last_are_logged(every, steps):
    always = {"step", "pixel_loss", "quantizer_loss", "gradient_norm", "learning_rate"}
    adversarial = {"adversarial_loss", "discriminator_loss", "discriminator_gradient_norm"}
    full = {"perceptual": 1.0, "adversarial": Adversarial(width=4)}
    for options, fields in ({}, always), (full, always | adversarial | {"perceptual_loss"}):
        history = trained(log_every=every, **options).history
        assert [row["step"] for row in history] == steps
        assert all(row.keys() == fields for row in history)
        assert all(math.isfinite(value) for row in history for value in row.values())


def test_a_gradient_that_is_not_finite_spares_the_weights():
    trainer = trainer_of()
    before = weights(trainer)
    trainer.model.decoder.pixels.bias.register_hook(lambda gradient: gradient * torch.nan)
    with pytest.raises(DivergedError, match=r"step 1\b"):
        [*trainer.run()]
    assert all(torch.equal(before[name], value) for name, value in weights(trainer).items())


def test_the_quantizer_is_calibrated_on_the_first_images_in_chunks():
    sizes = []

    def load(indices):
        sizes.append(len(indices))
        return IMAGES[indices]

    trainer = trainer_of(load=load)
    assert set(sizes) == {8}
    assert sum(sizes) == len(IMAGES) < 256  # Each once, though they are repeated.
    model = trainer.model
    with torch.no_grad():
        points = model.quantizer.project(model.encoder(to_float(IMAGES)))
    spread = points.std(0).square().mean(0).sqrt() / model.quantizer.calibrated_spread
    torch.testing.assert_close(spread, torch.ones(2), atol=0.1, rtol=0)
    assert points.mean(0).abs().max() < 0.1
    pairs = zip(model.parameters(), trainer.ema.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_stream_gives_the_micro_batches_from_any_step_on():
    begun = []

    def stream(first):
        begun.append(first)
        for step in range(first, 6):
            indices = batch_indices(step, count=COUNT, batch=8, seed=0)
            yield from (IMAGES[part] for part in indices.chunk(2))

    def trained(state=None, **options):
        trainer = trainer_of(accumulate=2, **options)
        if state is not None:
            trainer.load_state(state)
        states = [trainer.state() for _ in trainer.run()]
        return trainer.ema.state_dict(), states

    expected, _ = trained()
    found, states = trained(stream=stream)
    resumed, _ = trained(states[3], stream=stream)
    assert begun == [0, 4]
    for one in (found, resumed):
        assert all(torch.equal(one[name], expected[name]) for name in expected)
    shifted, _ = trained(stream=lambda first: (255 - part for part in stream(first)))
    assert any(not torch.equal(shifted[name], expected[name]) for name in expected)
