import pytest

from adatok_core.config import Adversarial, FineTuning, LoRA, TrainingConfig

OUT_OF_RANGE = [
    (Adversarial, {"weight": 0.0}, "weight"),
    (Adversarial, {"start_step": -1}, "start_step"),
    (Adversarial, {"width": 0}, "width"),
    (Adversarial, {"learning_rate": 0.0}, "learning_rate"),
    (TrainingConfig, {"steps": 0}, "steps"),
    (TrainingConfig, {"batch": 0}, "batch"),
    (TrainingConfig, {"accumulate": 0}, "accumulate"),
    (TrainingConfig, {"batch": 64, "accumulate": 3}, "accumulate"),
    (TrainingConfig, {"log_every": 0}, "log_every"),
    (TrainingConfig, {"checkpoint_every": 0}, "checkpoint_every"),
    (TrainingConfig, {"learning_rate": 0.0}, "learning_rate"),
    (TrainingConfig, {"warmup_steps": -1}, "warmup_steps"),
    (TrainingConfig, {"steps": 100, "warmup_steps": 100}, "warmup_steps"),
    (TrainingConfig, {"weight_decay": -1e-4}, "weight_decay"),
    (TrainingConfig, {"gradient_clip": 0.0}, "gradient_clip"),
    (TrainingConfig, {"ema_decay": 1.0}, "ema_decay"),
    (TrainingConfig, {"ema_decay": -0.1}, "ema_decay"),
    (TrainingConfig, {"perceptual": -0.1}, "perceptual"),
    (
        TrainingConfig,
        {"steps": 200, "adversarial": Adversarial(start_step=200)},
        "adversarial.start_step",
    ),
    (TrainingConfig, {"seed": -1}, "seed"),
]

ON_THE_EDGE = [
    (Adversarial, {"weight": 1e-3, "start_step": 0, "width": 1}),
    (TrainingConfig, {"steps": 1, "batch": 2, "accumulate": 2, "warmup_steps": 0}),
    (TrainingConfig, {"steps": 2, "warmup_steps": 1, "log_every": 1, "checkpoint_every": 1}),
    (TrainingConfig, {"weight_decay": 0, "ema_decay": 0, "perceptual": 0, "seed": 0}),
    (TrainingConfig, {"steps": 200, "adversarial": Adversarial(start_step=199)}),
    (FineTuning, {"trainable": "heads", "lora": LoRA(rank=1)}),
]


@pytest.mark.parametrize(("kind", "values", "key"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_its_key(refused, kind, values, key):
    refused(kind, values, key)


@pytest.mark.parametrize(("kind", "values"), ON_THE_EDGE)
def test_the_ends_of_a_range_are_accepted(accepted, kind, values):
    accepted(kind, values)


@pytest.mark.parametrize("kind", [Adversarial, TrainingConfig, FineTuning])
def test_defaults_are_valid_frozen_and_strict(frozen_and_strict, kind):
    frozen_and_strict(kind())


def test_training_has_no_adversary_and_fine_tuning_keeps_the_tokenizer_s_adapters():
    assert TrainingConfig().adversarial is None
    assert FineTuning().lora is None
    assert FineTuning().trainable == "decoder"
    assert FineTuning().training == TrainingConfig()
