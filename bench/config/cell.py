"""The settings of one cell, checked against each other before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from adatok_core.config import (
    FineTuning,
    PolicyConfig,
    TokenizerConfig,
    TrainingConfig,
)
from adatok_core.config.checks import Strict
from bench.config.allocators import (
    AllocatorConfig,
    AllocatorSettings,
    Need,
    controls_at,
    fitting_needs,
)
from bench.config.bank import BankConfig
from bench.config.cell_checks import RECONSTRUCTION
from bench.config.codesign import CoDesign, codesign_problem
from bench.config.evaluation import EvaluationConfig
from bench.config.generation import GenerationConfig, ThroughputConfig
from bench.config.generation_checks import generation_problem, throughput_problem
from bench.config.tokenizers import AnyTokenizer
from bench.data.datasets import DatasetConfig


@dataclass(frozen=True, kw_only=True)
class CellConfig(Strict):
    """All settings of one cell.

    With neither a policy nor an allocator it is the tokenizer's curve over its budgets. With a
    `codesign` the tokenizer is trained again, and a `finetuning` starts from the last round. With a
    `generation` the cell ends in images sampled from a generator, with a `throughput` in its speed.
    `extra` holds the settings of stages that other packages bring. A tokenizer that is not trained
    here leaves `training` unheeded.
    """

    data: DatasetConfig
    tokenizer: AnyTokenizer = field(default_factory=TokenizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    codesign: CoDesign | None = None
    finetuning: FineTuning | None = None
    bank: BankConfig = field(default_factory=BankConfig)
    policy: PolicyConfig | None = None
    allocator: AllocatorConfig | None = None
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    generation: GenerationConfig | None = None
    throughput: ThroughputConfig | None = None
    extra: dict[str, dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        for problem_of in (
            *RECONSTRUCTION, codesign_problem, generation_problem, throughput_problem
        ):  # fmt: skip
            problem = problem_of(self)
            if problem:
                raise ValueError(problem)

    @property
    def kind(self) -> Literal["reconstruction", "generation", "throughput"]:
        """Subject of the cell's record."""
        if self.throughput is not None:
            return "throughput"
        return "reconstruction" if self.generation is None else "generation"

    @property
    def trained_here(self) -> TokenizerConfig | None:
        """The settings of our own tokenizer; None where it is someone else's."""
        return self.tokenizer if isinstance(self.tokenizer, TokenizerConfig) else None

    @property
    def bank_budgets(self) -> tuple[int, ...]:
        """Lengths that the bank decodes at."""
        return self.bank.budgets or self.tokenizer.budgets or ()

    @property
    def allocates(self) -> bool:
        """Whether images get budgets, by a policy or another allocator."""
        return self.policy is not None or self.allocator is not None

    @property
    def fitting_needs(self) -> frozenset[Need]:
        """Needs of the cell's allocator, unless it is learned, and of its controls."""
        fitted: tuple[AllocatorSettings, ...] = () if self.allocator is None else (self.allocator,)
        if self.allocates and self.evaluation.heuristics:
            fitted += controls_at(self.bank_budgets[-1])
        return frozenset[Need]().union(*map(fitting_needs, fitted))

    @property
    def final_tokenizer(self) -> TokenizerConfig:
        """Our own tokenizer after fine-tuning, which may add adapters.

        Raises:
            ValueError: it is someone else's.
        """
        trained = self.trained_here
        if trained is None:
            raise ValueError("tokenizer: is not trained here")
        if self.finetuning is None or self.finetuning.lora is None:
            return trained
        return replace(trained, lora=self.finetuning.lora)

    @property
    def trainings(self) -> dict[str, TrainingConfig]:
        """The trainings of the tokenizer by their key; that of `codesign` stands for its rounds."""
        found = {"training": self.training}
        if self.codesign is not None:
            found["codesign.training"] = self.codesign.training
        if self.finetuning is not None:
            found["finetuning.training"] = self.finetuning.training
        return found

    @property
    def policies(self) -> dict[str, PolicyConfig]:
        """The policies by their key."""
        found = {} if self.policy is None else {"policy": self.policy}
        if self.codesign is not None and self.codesign.policy is not None:
            found["codesign.policy"] = self.codesign.policy
        return found

    @property
    def codesign_policy(self) -> PolicyConfig | None:
        """The policy whose choices the tokenizer is trained again at, if it is."""
        if self.codesign is None or not self.codesign.chooses:
            return None
        return self.codesign.policy or self.policy
