"""Configurations of the budget policy and its training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from adatok_core.config.checks import Strict, require, require_budgets
from adatok_core.config.objective import OBJECTIVES, DeterministicGroup, ObjectiveConfig
from adatok_core.config.weighting import (
    WEIGHTINGS,
    ConstraintWeighting,
    FixedWeighting,
    HypervolumeWeighting,
    WeightingConfig,
)


@dataclass(frozen=True, kw_only=True)
class Reward(Strict):
    """Meaning of fidelity: `q = 0` on average at the smallest budget, `q = 1` at the full one.

    The distortion is MSE mixed with the share `perceptual_share` of the perceptual distance, each
    in units of its mean gain. `scale`: `absolute`; `relative`, the logarithm of the ratio to the
    image's own distortion at the full budget; or `per_image`, every image from its own 0 to its
    own 1.
    """

    perceptual_share: float = 0.0
    scale: Literal["absolute", "relative", "per_image"] = "absolute"

    def __post_init__(self) -> None:
        require(0 <= self.perceptual_share <= 1, "perceptual_share: must lie in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class PolicyConfig(Strict):
    """The budget policy over `candidates` (budgets of the bank) and how it is trained.

    It looks at the encoder's `latents`, at the codes of the first `prefix` tokens (all, when null;
    `input: quantized`), or at the image's `pixels`.
    """

    candidates: tuple[int, ...]
    input: Literal["latents", "quantized", "pixels"] = "latents"
    prefix: int | None = None
    pooling_queries: int = 4
    hidden: int = 32
    objective: ObjectiveConfig = field(default_factory=DeterministicGroup)
    weighting: WeightingConfig = field(default_factory=FixedWeighting)
    reward: Reward = field(default_factory=Reward)
    steps: int = 1500
    batch: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    log_every: int = 25
    checkpoint_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        require_budgets("candidates", self.candidates, at_least=2)
        for key in (
            "pooling_queries", "hidden", "steps", "batch", "log_every", "checkpoint_every"
        ):  # fmt: skip
            require(getattr(self, key) >= 1, f"{key}: must be 1 or more")
        require(self.learning_rate > 0, "learning_rate: must be positive")
        require(self.weight_decay >= 0, "weight_decay: must not be negative")
        require(self.seed >= 0, "seed: must not be negative")
        require(
            self.prefix is None or self.input == "quantized",
            f"prefix: the input is {self.input}; only the quantized input has a prefix",
        )
        require(self.prefix is None or self.prefix >= 1, "prefix: must be 1 or more")
        self._check_weighting()

    def _check_weighting(self) -> None:
        if OBJECTIVES[self.objective.kind].predicts:
            others = [name for name, one in WEIGHTINGS.items() if not one.needs_gradient]
            require(
                not WEIGHTINGS[self.weighting.kind].needs_gradient,
                f"weighting.kind: {self.weighting.kind} needs an objective with a policy gradient; "
                f"{self.objective.kind} works with {' and '.join(others)}",
            )
        if isinstance(self.weighting, ConstraintWeighting):
            target = self.weighting.mean_budget
            low, high = self.candidates[0], self.candidates[-1]
            require(
                target is None or low <= target <= high,
                f"weighting.mean_budget: {target} lies outside the candidates {low}..{high}",
            )
        if isinstance(self.weighting, HypervolumeWeighting):
            require(
                self.weighting.every <= self.steps,
                f"weighting.every: {self.weighting.every} exceeds the {self.steps} steps",
            )
