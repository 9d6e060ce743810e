"""The trained networks of artifacts: tokenizer, policy and generator, read for use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from adatok_core.build import build_tokenizer
from adatok_core.config import (
    GeneratorConfig,
    PolicyConfig,
    TokenizerConfig,
)
from adatok_core.generator.model import Generator
from adatok_core.generator.sequences import Vocabulary
from adatok_core.policy import BudgetPolicy
from adatok_core.policy_training import build_policy
from adatok_core.protocols import SelfHalting, Tokenizer
from adatok_core.tokenizer import ElasticTokenizer
from bench.artifacts.bank import TOKENIZER_WEIGHTS
from bench.artifacts.foreign import ForeignSettings
from bench.config.settings import parse
from bench.store.checkpoints import load_tensors

POLICY_WEIGHTS = "policy.safetensors"
GENERATOR_WEIGHTS = "generator.safetensors"


def read_trained_lengths(artifact: Path) -> set[int]:
    """Numbers of tokens that the last training of an artifact's tokenizer drew.

    Of one that someone else trained, the budgets that it is used at.
    """
    if not (artifact / TOKENIZER_WEIGHTS).is_file():
        return ForeignSettings.read(artifact).trained_lengths()
    return set(load_tensors(artifact / TOKENIZER_WEIGHTS)[1]["trained_lengths"])


def load_tokenizer(artifact: Path, *, device: str = "cpu") -> Tokenizer:
    """The tokenizer of an artifact, for evaluation, whoever made it."""
    if (artifact / TOKENIZER_WEIGHTS).is_file():
        return load_elastic(artifact, device=device)
    return ForeignSettings.read(artifact).load(device=device)


def load_elastic(artifact: Path, *, device: str = "cpu") -> ElasticTokenizer:
    """The tokenizer of an artifact that was trained here."""
    tensors, about = load_tensors(artifact / TOKENIZER_WEIGHTS)
    config = parse(TokenizerConfig, about["tokenizer"], where=str(artifact))
    tokenizer = build_tokenizer(config, image_size=about["image_size"])
    tokenizer.load_state_dict(tensors)
    return tokenizer.to(device).eval()


def self_halting(tokenizer: Tokenizer) -> SelfHalting:
    """The tokenizer itself, where it chooses budgets; raises `TypeError` where it does not."""
    if not isinstance(tokenizer, SelfHalting):
        raise TypeError(f"{type(tokenizer).__name__} does not choose budgets itself")
    return tokenizer


def load_policy(artifact: Path) -> tuple[BudgetPolicy, PolicyConfig]:
    """The trained policy of an artifact and its configuration."""
    tensors, about = load_tensors(artifact / POLICY_WEIGHTS)
    config = parse(PolicyConfig, about["policy"], where=str(artifact))
    policy = build_policy(config, length=about["length"], width=about["width"])
    policy.load_state_dict(tensors)
    return policy.eval(), config


@dataclass(frozen=True, eq=False)
class TrainedGenerator:
    """A trained generator and what it was trained on.

    `known_classes` are those of its training images, out of all `vocabulary.classes`; `held_out`
    says how well it predicts the validation images.
    """

    generator: Generator
    vocabulary: Vocabulary
    class_kind: Literal["label", "objects"]
    known_classes: tuple[int, ...]
    held_out: dict[str, float]

    @property
    def conditional(self) -> bool:
        """Whether it is told a class."""
        return self.generator.config.class_conditional

    @property
    def budget(self) -> int | None:
        """The one length of its images; None where they differ."""
        return self.vocabulary.budgets[0] if self.vocabulary.lengths == "fixed" else None


def load_generator(artifact: Path, *, device: str = "cpu") -> TrainedGenerator:
    """The generator of an artifact, for sampling."""
    tensors, about = load_tensors(artifact / GENERATOR_WEIGHTS)
    config = parse(GeneratorConfig, about["generator"], where=str(artifact))
    vocabulary = Vocabulary(
        codes=about["codes"],
        budgets=tuple(about["budgets"]),
        lengths=config.lengths,
        classes=about["classes"],
    )
    generator = build_generator(config, vocabulary)
    generator.load_state_dict(tensors)
    return TrainedGenerator(
        generator.to(device).eval(),
        vocabulary,
        about["class_kind"],
        tuple(about["known_classes"]),
        about["held_out"],
    )


def build_generator(config: GeneratorConfig, vocabulary: Vocabulary, *, seed: int = 0) -> Generator:
    """An untrained generator; its weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(
            config,
            vocabulary_size=vocabulary.size,
            classes=vocabulary.classes,
            max_steps=vocabulary.max_steps,
        )
