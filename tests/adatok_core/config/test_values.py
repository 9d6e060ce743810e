"""Values of all configurations: what is out of range, what is just in it, and the defaults."""

import math
import re
from dataclasses import FrozenInstanceError, fields

import pytest

from adatok_core.config import (
    FSQ,
    KL,
    LFQ,
    OFF,
    PPO,
    VQ,
    Adversarial,
    Annealed,
    ConstraintWeighting,
    DeterministicGroup,
    Distillation,
    FineTuning,
    FixedWeighting,
    GeneratorConfig,
    GeneratorTraining,
    GradientWeighting,
    HypervolumeWeighting,
    LengthSampling,
    LoRA,
    PolicyConfig,
    Reinforce,
    ResidualVQ,
    Reward,
    SampledGroup,
    Sampling,
    Supervised,
    TokenizerConfig,
    TrainingConfig,
)

UNCONDITIONAL = {"class_conditional": False, "class_dropout": 0.0}
CLIPPED = (DeterministicGroup, SampledGroup, PPO)
NONE = {"dimension": 1, "commitment": 0, "usage_decay": 0, "revive_below": 0}
UNTRAINED = {"reference": "untrained"}
FEATURES = Distillation(of="features")
TWO = {"candidates": (2, 4)}

OUT_OF_RANGE = [
    *((GeneratorConfig, {key: 0}, key) for key in ("width", "depth", "attention_heads", "hidden")),
    (GeneratorConfig, {"width": 24, "attention_heads": 5}, "attention_heads"),
    (GeneratorConfig, {"width": 12, "attention_heads": 4}, "attention_heads"),
    (GeneratorConfig, {"class_dropout": -0.1}, "class_dropout"),
    (GeneratorConfig, {"class_dropout": 1.0}, "class_dropout"),
    (GeneratorConfig, {"class_conditional": False}, "class_dropout"),
    *(
        (GeneratorTraining, {key: 0}, key)
        for key in ("steps", "batch", "learning_rate", "gradient_clip", "log_every")
    ),
    (GeneratorTraining, {"checkpoint_every": 0}, "checkpoint_every"),
    (GeneratorTraining, {"warmup_steps": -1}, "warmup_steps"),
    (GeneratorTraining, {"steps": 5, "warmup_steps": 5}, "warmup_steps"),
    (GeneratorTraining, {"weight_decay": -1e-3}, "weight_decay"),
    (GeneratorTraining, {"ema_decay": -0.1}, "ema_decay"),
    (GeneratorTraining, {"ema_decay": 1.0}, "ema_decay"),
    (GeneratorTraining, {"seed": -1}, "seed"),
    (Sampling, {"temperature": -0.1}, "temperature"),
    *((Sampling, {"temperature": value}, "temperature") for value in (math.nan, math.inf)),
    (Sampling, {"top_k": -1}, "top_k"),
    (Sampling, {"top_p": 0.0}, "top_p"),
    (Sampling, {"top_p": 1.1}, "top_p"),
    *((Sampling, {"guidance": value}, "guidance") for value in (0.9, math.nan, math.inf)),
    (Annealed, {"start": -0.1, "end": 0.1}, "start, end"),
    (Annealed, {"start": 0.1, "end": -0.1}, "start, end"),
    (Annealed, {"start": 0.1, "end": 0.0}, "start, end"),
    (Annealed, {"start": 0.0, "end": 0.1}, "start, end"),
    (KL, {"refresh_every": 0}, "refresh_every"),
    *((kind, {"clip": clip}, "clip") for kind in CLIPPED for clip in (0.0, 1.0)),
    *((kind, {"updates_per_batch": 0}, "updates_per_batch") for kind in CLIPPED),
    (SampledGroup, {"draws": 1}, "draws"),
    (Reinforce, {"baseline_decay": -0.1}, "baseline_decay"),
    (Reinforce, {"baseline_decay": 1.0}, "baseline_decay"),
    (PPO, {"value_weight": 0.0}, "value_weight"),
    (FSQ, {"levels": ()}, "levels"),
    (FSQ, {"levels": (8, 1)}, "levels"),
    (LFQ, {"bits": 0}, "bits"),
    (LFQ, {"bits": 49}, "bits"),
    (LFQ, {"commitment": -0.1}, "commitment"),
    (LFQ, {"entropy_weight": -0.1}, "entropy_weight"),
    (LFQ, {"diversity": -0.1}, "diversity"),
    (LFQ, {"temperature": 0.0}, "temperature"),
    (VQ, {"codebook_size": 1}, "codebook_size"),
    (ResidualVQ, {"entries": 1}, "entries"),
    (ResidualVQ, {"depth": 0}, "depth"),
    (ResidualVQ, {"entries": 256, "depth": 8}, "depth"),
    *((kind, {"dimension": 0}, "dimension") for kind in (VQ, ResidualVQ)),
    *((kind, {"commitment": -0.1}, "commitment") for kind in (VQ, ResidualVQ)),
    *(
        (kind, {key: value}, key)
        for kind in (VQ, ResidualVQ)
        for key in ("usage_decay", "revive_below")
        for value in (-0.1, 1.0)
    ),
    (LoRA, {"rank": -1}, "rank"),
    (LoRA, {"alpha": 0.0}, "alpha"),
    (LoRA, {"layers": ("qkv", "out", "qkv")}, "layers"),
    (LoRA, {"layers": ()}, "layers"),
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
    (TokenizerConfig, {"decoders": "per_budget"}, "lora.rank"),
    (TokenizerConfig, {"decoders": "per_budget", "lora": LoRA(rank=1)}, "lora.rank"),
    (TokenizerConfig, {"encoding": "grid"}, "budgets"),
    (TokenizerConfig, {"encoding": "recurrent"}, "rollouts"),
    (TokenizerConfig, {"encoding": "recurrent", "rollouts": 0}, "rollouts"),
    (TokenizerConfig, {"encoding": "recurrent", "rollouts": 3}, "rollouts"),
    (TokenizerConfig, {"encoding": "recurrent", "rollouts": 4}, "budgets"),
    (TokenizerConfig, {"rollouts": 8}, "rollouts"),
    (TokenizerConfig, {"encoding": "told", "rollouts": 8}, "rollouts"),
    *(
        (
            TokenizerConfig,
            {"encoding": encoding, "budgets": (16,), "latent_attention": "patches"},
            "latent_attention",
        )
        for encoding in ("grid", "told", "recurrent", "halting")
    ),
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
    (FixedWeighting, {"efficiency": -0.1}, "efficiency"),
    (FixedWeighting, {"efficiency": 1.1}, "efficiency"),
    (ConstraintWeighting, {}, "mean_budget, quality_drop"),
    (ConstraintWeighting, {"mean_budget": 4, "quality_drop": 0.1}, "mean_budget, quality_drop"),
    (ConstraintWeighting, {"mean_budget": 0.5}, "mean_budget"),
    (ConstraintWeighting, {"quality_drop": 0.0}, "quality_drop"),
    (ConstraintWeighting, {"quality_drop": 1.0}, "quality_drop"),
    (ConstraintWeighting, {"mean_budget": 4, "step_size": 0.0}, "step_size"),
    (HypervolumeWeighting, UNTRAINED | {"efficiency": -0.1}, "efficiency"),
    (HypervolumeWeighting, UNTRAINED | {"efficiency": 1.1}, "efficiency"),
    (HypervolumeWeighting, UNTRAINED | {"every": 0}, "every"),
    (HypervolumeWeighting, UNTRAINED | {"scale": 0.0}, "scale"),
    (GradientWeighting, {"floor": 0.0}, "floor"),
    (GradientWeighting, {"floor": 0.5}, "floor"),
    (GradientWeighting, {"floor": 0.2, "efficiency": 0.1}, "efficiency"),
    (GradientWeighting, {"floor": 0.2, "efficiency": 0.9}, "efficiency"),
    (GradientWeighting, {"step_size": 0.0}, "step_size"),
    (LengthSampling, {"full_share": -0.1}, "full_share"),
    (LengthSampling, {"full_share": 1.1}, "full_share"),
    (LengthSampling, {"distribution": "policy", "share": -0.1}, "share"),
    (LengthSampling, {"distribution": "policy", "share": 1.1}, "share"),
    (LengthSampling, {"share": 0.5}, "share"),
    (LengthSampling, {"distribution": "all", "rest": "all"}, "rest"),
    (LengthSampling, {"drawn": 2}, "drawn"),
    (LengthSampling, {"decodes": "pairs", "drawn": 2}, "drawn"),
    (LengthSampling, {"decodes": "pairs", "full_share": 0.1}, "full_share"),
    (LengthSampling, {"decodes": "sandwich", "full_share": 1.0}, "full_share"),
    (LengthSampling, {"distillation": Distillation()}, "distillation"),
    (LengthSampling, {"self_alignment": 1.0}, "self_alignment"),
    (LengthSampling, {"decodes": "pairs", "self_alignment": -1.0}, "self_alignment"),
    (PolicyConfig, TWO | {"candidates": (4,)}, "candidates"),
    (PolicyConfig, TWO | {"candidates": (0, 4)}, "candidates"),
    (PolicyConfig, TWO | {"candidates": (4, 2)}, "candidates"),
    (PolicyConfig, TWO | {"candidates": (4, 4)}, "candidates"),
    (PolicyConfig, TWO | {"prefix": 0, "input": "quantized"}, "prefix"),
    (PolicyConfig, TWO | {"prefix": 2, "input": "latents"}, "prefix"),
    (PolicyConfig, TWO | {"prefix": 2, "input": "pixels"}, "prefix"),
    (PolicyConfig, TWO | {"pooling_queries": 0}, "pooling_queries"),
    (PolicyConfig, TWO | {"hidden": 0}, "hidden"),
    (PolicyConfig, TWO | {"steps": 0}, "steps"),
    (PolicyConfig, TWO | {"batch": 0}, "batch"),
    (PolicyConfig, TWO | {"learning_rate": 0.0}, "learning_rate"),
    (PolicyConfig, TWO | {"weight_decay": -0.001}, "weight_decay"),
    (PolicyConfig, TWO | {"log_every": 0}, "log_every"),
    (PolicyConfig, TWO | {"checkpoint_every": 0}, "checkpoint_every"),
    (PolicyConfig, TWO | {"seed": -1}, "seed"),
    (
        PolicyConfig,
        TWO | {"weighting": ConstraintWeighting(mean_budget=1.5)},
        "weighting.mean_budget",
    ),
    (
        PolicyConfig,
        TWO | {"weighting": ConstraintWeighting(mean_budget=4.5)},
        "weighting.mean_budget",
    ),
    (
        PolicyConfig,
        TWO | {"steps": 9, "weighting": HypervolumeWeighting(reference="untrained", every=10)},
        "weighting.every",
    ),
    (
        PolicyConfig,
        TWO | {"objective": Supervised(), "weighting": GradientWeighting()},
        "weighting.kind",
    ),
    (
        PolicyConfig,
        TWO | {"objective": Supervised(), "weighting": HypervolumeWeighting(reference="untrained")},
        "weighting.kind",
    ),
    (Distillation, {"weight": 0.0}, "weight"),
    (Distillation, {"weight": -1.0}, "weight"),
    *((Reward, {"perceptual_share": share}, "perceptual_share") for share in (-0.1, 1.1)),
]

ON_THE_EDGE = [
    (GeneratorConfig, {"width": 2, "depth": 1, "attention_heads": 1, "hidden": 1}),
    (GeneratorConfig, {"width": 12, "attention_heads": 4, "positions": "learned"}),
    (GeneratorConfig, {"class_dropout": 0.0}),
    (GeneratorConfig, {"class_dropout": 0.999}),
    (GeneratorConfig, UNCONDITIONAL),
    (GeneratorTraining, {"steps": 2, "warmup_steps": 1, "batch": 1, "log_every": 1}),
    (GeneratorTraining, {"warmup_steps": 0, "weight_decay": 0.0, "ema_decay": 0.0, "seed": 0}),
    (Sampling, {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "guidance": 1.0}),
    (Sampling, {"temperature": 9.0, "top_k": 1, "top_p": 1e-3, "guidance": 9.0}),
    (Annealed, {"start": 0.0, "end": 0.0}),
    (KL, {"refresh_every": 1}),
    *((kind, {"clip": 0.999, "updates_per_batch": 1}) for kind in CLIPPED),
    *((kind, {"clip": 1e-3}) for kind in CLIPPED),
    (SampledGroup, {"draws": 2}),
    (Reinforce, {"baseline_decay": 0}),
    (Reinforce, {"baseline_decay": 0.999}),
    (PPO, {"value_weight": 1e-3}),
    (FSQ, {"levels": (2,)}),
    (LFQ, {"bits": 1, "commitment": 0, "entropy_weight": 0, "diversity": 0, "temperature": 1e-3}),
    (LFQ, {"bits": 48}),
    (VQ, {"codebook_size": 2, **NONE}),
    (ResidualVQ, {"entries": 2, "depth": 1, **NONE}),
    (ResidualVQ, {"entries": 2, "depth": 62}),
    (ResidualVQ, {"entries": 256, "depth": 7}),
    (LoRA, {"rank": 0}),
    (LoRA, {"layers": ("pixels",), "adapters": "shared"}),
    (TokenizerConfig, {"budgets": (1,), "width": 1, "attention_heads": 1, "lora": LoRA(rank=1)}),
    (TokenizerConfig, {"patch_size": 1, "encoder_depth": 1, "decoder_depth": 1}),
    (TokenizerConfig, {"lora": LoRA(rank=128)}),
    (TokenizerConfig, {"decoders": "per_budget", "lora": LoRA(rank=0)}),
    (TokenizerConfig, {"decoders": "shared", "lora": LoRA(rank=0)}),
    (TokenizerConfig, {"encoding": "grid", "budgets": (16,)}),
    (TokenizerConfig, {"encoding": "recurrent", "rollouts": 8}),
    (TokenizerConfig, {"encoding": "recurrent", "rollouts": 1, "budgets": (3,)}),
    (Adversarial, {"weight": 1e-3, "start_step": 0, "width": 1}),
    (TrainingConfig, {"steps": 1, "batch": 2, "accumulate": 2, "warmup_steps": 0}),
    (TrainingConfig, {"steps": 2, "warmup_steps": 1, "log_every": 1, "checkpoint_every": 1}),
    (TrainingConfig, {"weight_decay": 0, "ema_decay": 0, "perceptual": 0, "seed": 0}),
    (TrainingConfig, {"steps": 200, "adversarial": Adversarial(start_step=199)}),
    (FineTuning, {"trainable": "heads", "lora": LoRA(rank=1)}),
    (FixedWeighting, {"efficiency": 0}),
    (FixedWeighting, {"efficiency": 1}),
    (ConstraintWeighting, {"mean_budget": 1, "step_size": 1e-3}),
    (ConstraintWeighting, {"quality_drop": 1e-3}),
    (ConstraintWeighting, {"quality_drop": 0.999}),
    (HypervolumeWeighting, UNTRAINED | {"efficiency": 0, "every": 1, "scale": 1e-3}),
    (HypervolumeWeighting, {"reference": (0.0, -1.0), "efficiency": 1}),
    (GradientWeighting, {"floor": 0.25, "efficiency": 0.25}),
    (GradientWeighting, {"floor": 0.25, "efficiency": 0.75}),
    (LengthSampling, {"full_share": 0}),
    (LengthSampling, {"full_share": 1}),
    (LengthSampling, {"distribution": "policy", "share": 0}),
    (LengthSampling, {"distribution": "policy", "share": 1, "rest": "all"}),
    (
        LengthSampling,
        {"decodes": "pairs", "distillation": Distillation(weight=0.001), "self_alignment": 0},
    ),
    (
        LengthSampling,
        {"decodes": "sandwich", "drawn": 2, "distillation": FEATURES, "self_alignment": 2.0},
    ),
    (PolicyConfig, TWO | {"candidates": (1, 2)}),
    (PolicyConfig, TWO | {"prefix": 1, "input": "quantized"}),
    (PolicyConfig, TWO | {"prefix": None, "input": "quantized"}),
    (PolicyConfig, TWO | {"input": "pixels"}),
    (PolicyConfig, TWO | {"pooling_queries": 1, "hidden": 1, "steps": 1, "batch": 1}),
    (PolicyConfig, TWO | {"log_every": 1, "checkpoint_every": 1, "weight_decay": 0, "seed": 0}),
    (PolicyConfig, TWO | {"weighting": ConstraintWeighting(mean_budget=2)}),
    (PolicyConfig, TWO | {"weighting": ConstraintWeighting(mean_budget=4)}),
    (PolicyConfig, TWO | {"weighting": ConstraintWeighting(quality_drop=0.5)}),
    (
        PolicyConfig,
        TWO | {"steps": 10, "weighting": HypervolumeWeighting(reference="untrained", every=10)},
    ),
    (PolicyConfig, TWO | {"objective": Supervised(), "weighting": FixedWeighting()}),
    (
        PolicyConfig,
        TWO | {"objective": Supervised(), "weighting": ConstraintWeighting(mean_budget=3)},
    ),
    (PolicyConfig, TWO | {"objective": PPO(), "weighting": GradientWeighting()}),
    *((Reward, {"perceptual_share": share, "scale": "relative"}) for share in (0, 1)),
]

DEFAULTS = [
    *(GeneratorConfig(), GeneratorTraining(), Sampling(), LengthSampling(), Distillation()),
    *(OFF, KL(), DeterministicGroup(), SampledGroup(), Reinforce(), PPO(), Supervised()),
    *(FSQ(), LFQ(), VQ(), ResidualVQ(), LoRA(), TokenizerConfig(), PolicyConfig(**TWO), Reward()),
    *(Adversarial(), TrainingConfig(), FineTuning(), FixedWeighting(), GradientWeighting()),
    *(ConstraintWeighting(mean_budget=4), HypervolumeWeighting(reference="untrained")),
]


@pytest.mark.parametrize(("kind", "values", "key"), OUT_OF_RANGE)
def test_a_value_out_of_range_or_without_use_is_refused_by_its_key(kind, values, key):
    with pytest.raises(ValueError, match=rf"^{re.escape(key)}: "):
        kind(**values)


@pytest.mark.parametrize(("kind", "values"), ON_THE_EDGE)
def test_the_ends_of_a_range_are_accepted(kind, values):
    built = kind(**values)
    assert {key: getattr(built, key) for key in values} == values


@pytest.mark.parametrize("config", DEFAULTS, ids=lambda config: type(config).__name__)
def test_defaults_are_valid_frozen_and_strict(config):
    kind = type(config)
    with pytest.raises(FrozenInstanceError):
        setattr(config, fields(kind)[0].name, None)
    with pytest.raises(TypeError):
        kind(unheard_of=1)
    assert kind.__pydantic_config__ == {"extra": "forbid"}
