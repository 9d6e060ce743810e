from dataclasses import replace

import pytest
import tiny_training
import torch
from tiny_training import run_to

from adatok_core.adversarial import Adversary, Discriminator
from adatok_core.config import Adversarial, TrainingConfig
from adatok_core.losses import discriminator_hinge
from adatok_core.training_state import DivergedError

ADVERSARIAL = Adversarial(weight=0.5, width=4)
TRAINING = TrainingConfig(steps=4, batch=8, warmup_steps=1, log_every=1)
IMAGES = tiny_training.random_images(16, 16)
TOKENIZER = replace(tiny_training.TOKENIZER, budgets=(1, 4), patch_size=8)


def trainer_of(adversarial=ADVERSARIAL, **options):
    training = replace(TRAINING, adversarial=adversarial, **options)
    return tiny_training.trainer_of(TOKENIZER, training, images=IMAGES)


def snapshot(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def random_images(count, size, *, seed=0):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("size", "scores"), [(16, 2), (32, 4), (48, 6), (64, 8)])
def test_patches_of_any_image_are_scored(size, scores):
    assert Discriminator(4)(random_images(2, size)).shape == (2, 1, scores, scores)


def test_the_width_is_that_of_the_first_layer():
    assert [Discriminator(width).layers[0].out_channels for width in (1, 6)] == [1, 6]
    assert trainer_of().adversary.discriminator.layers[0].out_channels == 4


def test_scores_do_not_depend_on_the_batch():
    torch.manual_seed(0)
    network, images = Discriminator(4), random_images(4, 32)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]))


def test_a_score_sees_one_patch():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        *(m for m in Discriminator(2).layers if not isinstance(m, torch.nn.GroupNorm))
    )
    images = random_images(1, 96).requires_grad_()
    layers(images)[0, 0, 6, 6].backward()
    seen = images.grad.abs().sum((0, 1)).nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [38, 38]


def test_each_side_s_loss_leaves_the_other_without_gradients():
    torch.manual_seed(0)
    adversary = Adversary(ADVERSARIAL, device="cpu")
    parameters = list(adversary.discriminator.parameters())
    fake = random_images(2, 32, seed=1).requires_grad_()
    adversary.generator_loss(fake).backward()
    assert fake.grad.abs().sum() > 0
    assert all(p.grad is None for p in parameters)
    fake.grad = None
    adversary.discriminator_losses(random_images(2, 32), fake)["discriminator_loss"].backward()
    assert fake.grad is None
    # The last bias's gradients of both batches cancel while all scores lie within the margins.
    assert all(p.grad.abs().sum() > 0 for p in parameters[:-1])


def test_a_discriminator_learns_to_tell_two_sets_apart():
    torch.manual_seed(0)
    adversary = Adversary(Adversarial(width=4, learning_rate=1e-2), device="cpu")
    real, fake = random_images(4, 16), random_images(4, 16, seed=1) ** 2
    for _ in range(40):
        adversary.optimizer.zero_grad()
        loss = adversary.discriminator_losses(real, fake)["discriminator_loss"]
        loss.backward()
        adversary.optimizer.step()
    assert loss < 0.5
    # The other side's loss is lower the better a batch passes as real.
    assert adversary.generator_loss(real) < adversary.generator_loss(fake) - 1


def test_training_gives_both_sides_their_own_gradients():
    trainer = trainer_of(gradient_clip=1e9)
    fresh = trainer_of()
    outputs = []
    forward = trainer.model.forward
    trainer.model.forward = lambda *args: outputs.append(forward(*args)) or outputs[-1]
    batches = []
    load = trainer.load
    trainer.load = lambda indices: batches.append(load(indices)) or batches[-1]
    run_to(trainer, 1)
    images, output = batches[0].float() / 255, outputs[0].images.detach()
    network = fresh.adversary.discriminator
    loss = discriminator_hinge(network(images), network(output))
    expected = torch.autograd.grad(loss, list(network.parameters()))
    for parameter, gradient in zip(
        trainer.adversary.discriminator.parameters(), expected, strict=True
    ):
        torch.testing.assert_close(parameter.grad, gradient)
    row = trainer.history[0]
    assert row["discriminator_loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert row["adversarial_loss"] == pytest.approx(-network(output).mean().item(), rel=1e-5)
    norm = torch.stack([gradient.norm() for gradient in expected]).norm()
    assert row["discriminator_gradient_norm"] == pytest.approx(norm.item(), rel=1e-5)


def test_the_weight_scales_the_gradient_of_the_tokenizer():
    def gradient(adversarial):
        trainer = run_to(trainer_of(adversarial, gradient_clip=1e9), 1)
        return trainer.model.decoder.pixels.weight.grad

    none, one, three = (
        gradient(adversarial)
        for adversarial in (
            None,
            replace(ADVERSARIAL, weight=1.0),
            replace(ADVERSARIAL, weight=3.0),
        )
    )
    assert (one - none).norm() > 1e-4
    torch.testing.assert_close(three - none, 3 * (one - none), rtol=1e-3, atol=1e-6)


def test_both_sides_start_at_the_start_step():
    late = trainer_of(replace(ADVERSARIAL, start_step=2))
    without, initial = trainer_of(None), snapshot(late.adversary.discriminator)
    for step in (1, 2):
        run_to(late, step)
        run_to(without, step)
    assert same(snapshot(late.model), snapshot(without.model))
    assert same(snapshot(late.adversary.discriminator), initial)
    run_to(late, 3)
    run_to(without, 3)
    assert not same(snapshot(late.model), snapshot(without.model))
    assert not same(snapshot(late.adversary.discriminator), initial)
    for name in ("adversarial_loss", "discriminator_loss"):
        started = [row[name] != 0 for row in late.history]
        assert started == [False, False, True]


def test_the_discriminator_s_learning_rate_and_moments_are_its_own():
    rate = 3e-3
    trainer = trainer_of(replace(ADVERSARIAL, learning_rate=rate))
    before = snapshot(trainer.adversary.discriminator)
    run_to(trainer, 1)
    moved = [
        (value - before[name]).abs().max().item()
        for name, value in snapshot(trainer.adversary.discriminator).items()
    ]
    assert max(moved) == pytest.approx(rate, rel=1e-3)  # Adam's first step
    assert trainer.optimizers["discriminator_optimizer"] is trainer.adversary.optimizer
    (group,) = trainer.adversary.optimizer.param_groups
    assert (group["betas"], group["weight_decay"]) == ((0.5, 0.9), 0.0)


def test_the_discriminator_s_gradient_is_clipped_too():
    trainer = run_to(trainer_of(gradient_clip=1e-3), 1)
    norms = torch.stack([p.grad.norm() for p in trainer.adversary.discriminator.parameters()])
    assert norms.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_initial_weights_come_from_the_seed_and_leave_the_tokenizer_s_alone():
    first = trainer_of()
    torch.manual_seed(5)
    again, other = trainer_of(), trainer_of(seed=1)
    initial = snapshot(first.adversary.discriminator)
    assert same(initial, snapshot(again.adversary.discriminator))
    assert not same(initial, snapshot(other.adversary.discriminator))
    assert same(snapshot(first.model), snapshot(trainer_of(None).model))


def test_bf16_trains_the_discriminator_in_mixed_precision():
    half, full = (run_to(trainer_of(precision=p), 1).history[0] for p in ("bf16", "fp32"))
    assert half["discriminator_loss"] == pytest.approx(full["discriminator_loss"], rel=0.05)
    assert half["discriminator_loss"] != full["discriminator_loss"]


def test_a_diverged_discriminator_is_an_error_that_names_the_step():
    trainer = trainer_of(replace(ADVERSARIAL, learning_rate=1e30))
    with pytest.raises(DivergedError, match=r"step 2\b"):
        [*trainer.run()]


def test_a_discriminator_s_gradient_that_is_not_finite_spares_all_weights():
    trainer = trainer_of(replace(ADVERSARIAL, start_step=1))
    run_to(trainer, 1)
    before = snapshot(trainer.model), snapshot(trainer.adversary.discriminator)
    bias = trainer.adversary.discriminator.layers[0].bias
    bias.register_hook(lambda gradient: gradient * torch.nan)
    with pytest.raises(DivergedError, match=r"step 2\b.*discriminator_gradient_norm': nan"):
        [*trainer.run()]
    after = snapshot(trainer.model), snapshot(trainer.adversary.discriminator)
    assert all(same(a, b) for a, b in zip(before, after, strict=True))
