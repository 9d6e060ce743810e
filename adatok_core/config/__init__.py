"""Frozen configurations of the method. `ValueError`s of `__post_init__` name the offending key."""

from adatok_core.config.generator import GeneratorConfig, Sampling
from adatok_core.config.lengths import Distillation, LengthSampling
from adatok_core.config.objective import (
    KL,
    OFF,
    PPO,
    Annealed,
    DeterministicGroup,
    ObjectiveConfig,
    Reinforce,
    SampledGroup,
    Supervised,
)
from adatok_core.config.policy import PolicyConfig, Reward
from adatok_core.config.quantizer import FSQ, LFQ, VQ, Quantizer, ResidualVQ
from adatok_core.config.tokenizer import LoRA, TokenizerConfig
from adatok_core.config.training import (
    Adversarial,
    FineTuning,
    GeneratorTraining,
    TrainingConfig,
)
from adatok_core.config.weighting import (
    ConstraintWeighting,
    FixedWeighting,
    GradientWeighting,
    HypervolumeWeighting,
    WeightingConfig,
)

__all__ = [
    "FSQ",
    "KL",
    "LFQ",
    "OFF",
    "PPO",
    "VQ",
    "Adversarial",
    "Annealed",
    "ConstraintWeighting",
    "DeterministicGroup",
    "Distillation",
    "FineTuning",
    "FixedWeighting",
    "GeneratorConfig",
    "GeneratorTraining",
    "GradientWeighting",
    "HypervolumeWeighting",
    "LengthSampling",
    "LoRA",
    "ObjectiveConfig",
    "PolicyConfig",
    "Quantizer",
    "Reinforce",
    "ResidualVQ",
    "Reward",
    "SampledGroup",
    "Sampling",
    "Supervised",
    "TokenizerConfig",
    "TrainingConfig",
    "WeightingConfig",
]
