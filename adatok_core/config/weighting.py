"""Configurations of how fidelity and efficiency are weighed while a policy trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from adatok_core.choices import Choice, OneOf
from adatok_core.config.checks import Strict, require
from adatok_core.registry import Registry


@dataclass(frozen=True, kw_only=True)
class FixedWeighting(Strict):
    """Weights `(1 - efficiency, efficiency)` of fidelity and efficiency, all through training."""

    kind: Literal["fixed"] = "fixed"
    efficiency: float = 0.5

    def __post_init__(self) -> None:
        require(0 <= self.efficiency <= 1, "efficiency: must lie in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class ConstraintWeighting(Strict):
    """Dual ascent on the efficiency weight until a constraint holds.

    Either the mean budget comes to `mean_budget` tokens, or the fidelity given up against the full
    budget comes to `quality_drop`, as a share of what the smallest budget gives up.
    """

    kind: Literal["constraint"] = "constraint"
    mean_budget: float | None = None
    quality_drop: float | None = None
    step_size: float = 0.1

    def __post_init__(self) -> None:
        require(
            (self.mean_budget is None) != (self.quality_drop is None),
            "mean_budget, quality_drop: give exactly one of them",
        )
        require(self.mean_budget is None or self.mean_budget >= 1, "mean_budget: must be >= 1")
        drop = self.quality_drop
        require(drop is None or 0 < drop < 1, "quality_drop: must lie in (0, 1)")
        require(self.step_size > 0, "step_size: must be positive")


@dataclass(frozen=True, kw_only=True)
class HypervolumeWeighting(Strict):
    """Hypervolume-guided meta-reward (Lu et al. 2025, arXiv 2509.11452) on fixed weights.

    Every `every` steps the policy's mean fidelity and efficiency are a point; the more hypervolume
    it adds over `reference` (a point `[fidelity, efficiency]`, or `untrained`, the untrained
    policy's), the larger the factor on the advantages: `0.5 + 1.5 tanh(gain / scale)`.
    """

    kind: Literal["hypervolume"] = "hypervolume"
    reference: Literal["untrained"] | tuple[float, float]
    efficiency: float = 0.5
    every: int = 25
    scale: float = 0.01

    def __post_init__(self) -> None:
        require(0 <= self.efficiency <= 1, "efficiency: must lie in [0, 1]")
        require(self.every >= 1, "every: must be 1 or more")
        require(self.scale > 0, "scale: must be positive")


@dataclass(frozen=True, kw_only=True)
class GradientWeighting(Strict):
    """Multiplicative update of the weights by gradient influence (arXiv 2509.11452).

    `w_i` grows by `exp(step_size * <g_i, sum_j g_j>)`, `g_i` the policy gradient of objective `i`
    alone; no weight falls below `floor`. `efficiency` is the start.
    """

    kind: Literal["gradient"] = "gradient"
    efficiency: float = 0.5
    step_size: float = 0.1
    floor: float = 0.05

    def __post_init__(self) -> None:
        require(0 < self.floor < 0.5, "floor: must lie in (0, 0.5)")
        require(
            self.floor <= self.efficiency <= 1 - self.floor,
            "efficiency: must leave both weights at or above the floor",
        )
        require(self.step_size > 0, "step_size: must be positive")


class WeightingSettings(Protocol):
    """A frozen dataclass with the settings of a weighting."""

    @property
    def kind(self) -> str:
        """The name that the weighting is registered under."""


@dataclass(frozen=True, kw_only=True)
class WeightingChoice(Choice):
    """`build(config, candidates)` gives an `adatok_core.weighting.Weighting`.

    `needs_gradient`: it works with objectives that have a policy gradient alone.
    """

    needs_gradient: bool = False


WEIGHTINGS: Registry[WeightingChoice] = Registry(
    "weighting", group="adatok_bench.weightings", expects=WeightingChoice
)
WEIGHTINGS.add(
    "fixed", WeightingChoice(config=FixedWeighting, build="adatok_core.weighting.fixed:Fixed")
)
WEIGHTINGS.add(
    "constraint",
    WeightingChoice(
        config=ConstraintWeighting, build="adatok_core.weighting.constraint:Constraint"
    ),
)
WEIGHTINGS.add(
    "hypervolume",
    WeightingChoice(
        config=HypervolumeWeighting,
        build="adatok_core.weighting.hypervolume:Hypervolume",
        needs_gradient=True,
    ),
)
WEIGHTINGS.add(
    "gradient",
    WeightingChoice(
        config=GradientWeighting,
        build="adatok_core.weighting.gradient:Gradient",
        needs_gradient=True,
    ),
)

WeightingConfig = Annotated[WeightingSettings, OneOf(WEIGHTINGS)]
