import pytest
import tiny_training
import torch
from tiny_training import run_to

from adatok_core.config import Adversarial, TrainingConfig
from adatok_core.lecam import DECAY, LeCam

IMAGES = tiny_training.random_images(16, 8)


def trainer_of(*, lecam, start_step=0, **options):
    adversarial = Adversarial(width=4, start_step=start_step, lecam=lecam)
    settings = {"steps": 4, "batch": 8, "warmup_steps": 1, "log_every": 1, "gradient_clip": 1e9}
    training = TrainingConfig(adversarial=adversarial, **(settings | options))
    return tiny_training.trainer_of(tiny_training.TOKENIZER, training, images=IMAGES)


def discriminator(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.adversary.discriminator.parameters()])


def test_each_score_is_held_near_the_other_side_s_mean():
    lecam = LeCam()
    lecam.anchors.copy_(torch.tensor([2.0, -1.0]))
    real, fake = torch.tensor([1.0, -3.0]), torch.tensor([0.0, 3.0])
    # max(0, real + 1)^2 is 4 and 0; max(0, 2 - fake)^2 is 4 and 0.
    assert lecam(real, fake) == 4


def test_anchors_move_once_for_all_scores_since_the_last_time():
    once, twice = LeCam(), LeCam()
    real, fake = torch.randn(2, 4, 1, 2, 2)
    once(real, fake)
    for half in (slice(2), slice(2, 4)):
        twice(real[half], fake[half])
    for lecam in (once, twice):
        assert not lecam.anchors.any()
        lecam.move()
    expected = (1 - DECAY) * torch.stack([real.mean(), fake.mean()])
    torch.testing.assert_close(once.anchors, expected)
    torch.testing.assert_close(twice.anchors, expected)
    once(real + 1, fake)
    once.move()
    torch.testing.assert_close(
        once.anchors, DECAY * expected + (1 - DECAY) * torch.stack([real.mean() + 1, fake.mean()])
    )


def test_it_trains_the_discriminator_by_its_weight_and_nothing_else():
    def gradients(lecam):
        trainer = run_to(trainer_of(lecam=lecam), 1)
        sides = trainer.model, trainer.adversary.discriminator
        return [
            torch.cat([p.grad.flatten() for p in side.parameters() if p.grad is not None])
            for side in sides
        ]

    (plain, none), (same, one), (_, three) = map(gradients, (0.0, 1.0, 3.0))
    assert torch.equal(plain, same)
    assert (one - none).norm() > 1e-4
    torch.testing.assert_close(three - none, 3 * (one - none), rtol=1e-3, atol=1e-6)


def test_it_starts_with_the_adversary_and_its_anchors_are_part_of_the_state():
    trainer = trainer_of(lecam=0.5, start_step=2)
    run_to(trainer, 2)
    assert not trainer.adversary.lecam.anchors.any()
    run_to(trainer, 3)
    assert trainer.adversary.lecam.anchors.all()
    assert [row["lecam_loss"] != 0 for row in trainer.history] == [False, False, True]
    again = trainer_of(lecam=0.5, start_step=2)
    again.load_state(trainer.state())
    assert torch.equal(again.adversary.lecam.anchors, trainer.adversary.lecam.anchors)
    run_to(trainer, 4), run_to(again, 4)
    assert torch.equal(discriminator(trainer), discriminator(again))


def test_without_a_weight_there_is_none():
    trainer = run_to(trainer_of(lecam=0.0), 1)
    assert "lecam" not in trainer.modules
    assert "lecam_loss" not in trainer.history[0]


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match=r"^lecam: must not be negative$"):
        Adversarial(lecam=-0.1)
