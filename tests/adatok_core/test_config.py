from dataclasses import FrozenInstanceError

import pytest

from adatok_core.config import (
    FSQ,
    OFF,
    VQ,
    Annealed,
    ConstraintWeighting,
    FixedWeighting,
    LoRA,
    Objective,
    PolicyConfig,
    TokenizerConfig,
    TrainingConfig,
)

OUT_OF_RANGE = [
    (FSQ, {"levels": ()}, "levels"),
    (FSQ, {"levels": (8, 1)}, "levels"),
    (VQ, {"codebook_size": 1}, "codebook_size"),
    (VQ, {"dimension": 0}, "dimension"),
    (VQ, {"commitment": -0.1}, "commitment"),
    (VQ, {"usage_decay": 1.0}, "usage_decay"),
    (VQ, {"usage_decay": -0.1}, "usage_decay"),
    (VQ, {"revive_below": 1.0}, "revive_below"),
    (VQ, {"revive_below": -0.1}, "revive_below"),
    (LoRA, {"rank": -1}, "rank"),
    (LoRA, {"alpha": 0.0}, "alpha"),
    (TokenizerConfig, {"budgets": ()}, "budgets"),
    (TokenizerConfig, {"budgets": (0, 4)}, "budgets"),
    (TokenizerConfig, {"budgets": (2, 8, 4)}, "budgets"),
    (TokenizerConfig, {"budgets": (2, 4, 4)}, "budgets"),
    (TokenizerConfig, {"patch_size": 0}, "patch_size"),
    (TokenizerConfig, {"width": 0}, "width"),
    (TokenizerConfig, {"encoder_depth": 0}, "encoder_depth"),
    (TokenizerConfig, {"decoder_depth": 0}, "decoder_depth"),
    (TokenizerConfig, {"attention_heads": 0}, "attention_heads"),
    (TokenizerConfig, {"width": 130}, "attention_heads"),
    (TokenizerConfig, {"lora": LoRA(rank=129)}, "lora.rank"),
    (TrainingConfig, {"steps": 0}, "steps"),
    (TrainingConfig, {"batch": 0}, "batch"),
    (TrainingConfig, {"accumulate": 0}, "accumulate"),
    (TrainingConfig, {"accumulate": 3}, "accumulate"),
    (TrainingConfig, {"log_every": 0}, "log_every"),
    (TrainingConfig, {"checkpoint_every": 0}, "checkpoint_every"),
    (TrainingConfig, {"learning_rate": 0.0}, "learning_rate"),
    (TrainingConfig, {"warmup_steps": -1}, "warmup_steps"),
    (TrainingConfig, {"weight_decay": -1e-4}, "weight_decay"),
    (TrainingConfig, {"gradient_clip": 0.0}, "gradient_clip"),
    (TrainingConfig, {"ema_decay": 1.0}, "ema_decay"),
    (TrainingConfig, {"ema_decay": -0.1}, "ema_decay"),
    (TrainingConfig, {"full_budget_share": -0.1}, "full_budget_share"),
    (TrainingConfig, {"full_budget_share": 1.1}, "full_budget_share"),
    (TrainingConfig, {"seed": -1}, "seed"),
    (Annealed, {"start": -0.1, "end": 0.1}, "start, end"),
    (Annealed, {"start": 0.1, "end": -0.1}, "start, end"),
    (Annealed, {"start": 0.1, "end": 0.0}, "start, end"),
    (Annealed, {"start": 0.0, "end": 0.1}, "start, end"),
    (Objective, {"clip": 0.0}, "clip"),
    (Objective, {"clip": 1.0}, "clip"),
    (Objective, {"updates_per_batch": 0}, "updates_per_batch"),
    (FixedWeighting, {"efficiency": -0.1}, "efficiency"),
    (FixedWeighting, {"efficiency": 1.1}, "efficiency"),
    (ConstraintWeighting, {}, "mean_budget, quality_drop"),
    (ConstraintWeighting, {"mean_budget": 4, "quality_drop": 0.1}, "mean_budget, quality_drop"),
    (ConstraintWeighting, {"mean_budget": 0.5}, "mean_budget"),
    (ConstraintWeighting, {"quality_drop": 0.0}, "quality_drop"),
    (ConstraintWeighting, {"quality_drop": 1.0}, "quality_drop"),
    (ConstraintWeighting, {"mean_budget": 4, "step_size": 0.0}, "step_size"),
    (PolicyConfig, {"candidates": (4,)}, "candidates"),
    (PolicyConfig, {"candidates": (0, 4)}, "candidates"),
    (PolicyConfig, {"candidates": (4, 2)}, "candidates"),
    (PolicyConfig, {"candidates": (4, 4)}, "candidates"),
    (PolicyConfig, {"candidates": (2, 4), "pooling_queries": 0}, "pooling_queries"),
    (PolicyConfig, {"candidates": (2, 4), "hidden": 0}, "hidden"),
    (PolicyConfig, {"candidates": (2, 4), "steps": 0}, "steps"),
    (PolicyConfig, {"candidates": (2, 4), "batch": 0}, "batch"),
    (PolicyConfig, {"candidates": (2, 4), "log_every": 0}, "log_every"),
    (PolicyConfig, {"candidates": (2, 4), "learning_rate": 0.0}, "learning_rate"),
    (PolicyConfig, {"candidates": (2, 4), "seed": -1}, "seed"),
    (
        PolicyConfig,
        {"candidates": (2, 4), "weighting": ConstraintWeighting(mean_budget=1.5)},
        "weighting.mean_budget",
    ),
    (
        PolicyConfig,
        {"candidates": (2, 4), "weighting": ConstraintWeighting(mean_budget=4.5)},
        "weighting.mean_budget",
    ),
]

ON_THE_EDGE = [
    (FSQ, {"levels": (2,)}),
    (
        VQ,
        {"codebook_size": 2, "dimension": 1, "commitment": 0, "usage_decay": 0, "revive_below": 0},
    ),
    (LoRA, {"rank": 0}),
    (TokenizerConfig, {"budgets": (1,), "width": 1, "attention_heads": 1, "lora": LoRA(rank=1)}),
    (TrainingConfig, {"steps": 1, "batch": 2, "accumulate": 2, "warmup_steps": 0}),
    (TrainingConfig, {"weight_decay": 0, "ema_decay": 0, "full_budget_share": 1, "seed": 0}),
    (FixedWeighting, {"efficiency": 0}),
    (FixedWeighting, {"efficiency": 1}),
    (PolicyConfig, {"candidates": (1, 2), "weighting": ConstraintWeighting(mean_budget=1)}),
    (PolicyConfig, {"candidates": (1, 2), "weighting": ConstraintWeighting(mean_budget=2)}),
]


@pytest.mark.parametrize(("kind", "values", "key"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_its_key(kind, values, key):
    with pytest.raises(ValueError, match=rf"^{key}: "):
        kind(**values)


@pytest.mark.parametrize(("kind", "values"), ON_THE_EDGE)
def test_the_ends_of_a_range_are_accepted(kind, values):
    built = kind(**values)
    assert {key: getattr(built, key) for key in values} == values


@pytest.mark.parametrize(
    "kind", [FSQ, VQ, LoRA, TokenizerConfig, TrainingConfig, Objective, FixedWeighting]
)
def test_defaults_are_valid_frozen_and_strict(kind):
    config = kind()
    key = next(iter(kind.__dataclass_fields__))
    with pytest.raises(FrozenInstanceError):
        setattr(config, key, None)
    with pytest.raises(TypeError):
        kind(unheard_of=1)
    assert kind.__pydantic_config__ == {"extra": "forbid"}


@pytest.mark.parametrize("field", ["quantizer", "lora"])
def test_configurations_of_one_tokenizer_compare_by_value(field):
    assert getattr(TokenizerConfig(), field) == getattr(TokenizerConfig(), field)
    assert TokenizerConfig() != TokenizerConfig(quantizer=VQ())


def test_codebook_size_of_fsq_is_the_product_of_its_levels():
    assert FSQ(levels=(8, 5, 5, 5)).codebook_size == 1000
    assert FSQ(levels=(3, 2)).codebook_size == 6


def test_max_tokens_is_the_largest_budget():
    assert TokenizerConfig(budgets=(3, 7)).max_tokens == 7


def test_an_annealed_coefficient_is_geometric():
    schedule = Annealed(start=0.4, end=0.1)
    assert [schedule.at(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([0.4, 0.2, 0.1])
    rising = Annealed(start=0.1, end=0.4)
    assert rising.at(0.5) == pytest.approx(0.2)
    assert [OFF.at(p) for p in (0.0, 0.5, 1.0)] == [0, 0, 0]
