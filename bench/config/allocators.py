"""Configurations of the allocators that are not learned."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from adatok_core.choices import Choice, OneOf
from adatok_core.config import PolicyConfig
from adatok_core.config.checks import Strict
from adatok_core.registry import Registry


@dataclass(frozen=True, kw_only=True)
class _Candidates(Strict):
    """`candidates` are budgets of the bank to choose from: those that were trained, when null."""

    candidates: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.candidates is None:
            return
        if len(self.candidates) < 2 or self.candidates[0] < 1:
            raise ValueError("candidates: needs 2 or more budgets, each 1 or more")
        if any(low >= high for low, high in itertools.pairwise(self.candidates)):
            raise ValueError(f"candidates: {list(self.candidates)} must increase strictly")


@dataclass(frozen=True, kw_only=True)
class AgnosticConfig(_Candidates):
    """The best mixture of budgets that ignores the image, known in hindsight, at `mean_budget`."""

    kind: Literal["agnostic"] = "agnostic"
    mean_budget: float


@dataclass(frozen=True, kw_only=True)
class OracleConfig(_Candidates):
    """Equal slope on the images' true curves, at `mean_budget` tokens per image."""

    kind: Literal["oracle"] = "oracle"
    mean_budget: float


@dataclass(frozen=True, kw_only=True)
class PngSizeConfig(_Candidates):
    """Budgets by how many bytes an image takes as a PNG, at `mean_budget`."""

    kind: Literal["png_size"] = "png_size"
    mean_budget: float


@dataclass(frozen=True, kw_only=True)
class EdgeDensityConfig(_Candidates):
    """Budgets by the mean magnitude of an image's gradient, at `mean_budget`."""

    kind: Literal["edge_density"] = "edge_density"
    mean_budget: float


@dataclass(frozen=True, kw_only=True)
class CodebookEntropyConfig(_Candidates):
    """Budgets by the mean surprisal of the first `prefix` tokens (all, when null)."""

    kind: Literal["codebook_entropy"] = "codebook_entropy"
    mean_budget: float
    prefix: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prefix is not None and self.prefix < 1:
            raise ValueError("prefix: must be 1 or more")


@dataclass(frozen=True, kw_only=True)
class ThresholdConfig(_Candidates):
    """The smallest budget whose MSE is at most `distortion`, or what comes to `mean_budget`.

    `search` is by `scan` from the smallest budget up, or by `bisection`.
    """

    kind: Literal["threshold"] = "threshold"
    search: Literal["scan", "bisection"]
    mean_budget: float | None = None
    distortion: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.mean_budget is None) == (self.distortion is None):
            raise ValueError("mean_budget, distortion: give exactly one of them")
        if self.distortion is not None and self.distortion <= 0:
            raise ValueError("distortion: must be positive")


@dataclass(frozen=True, kw_only=True)
class OwnConfig(_Candidates):
    """The tokenizer's own allocation at `target`, one of those that it was decoded for.

    Its skill is told against mixtures of the `candidates`.
    """

    kind: Literal["own"] = "own"
    target: float


Need = Literal["training", "pixels", "ids", "calibration"]


class AllocatorSettings(Protocol):
    """A frozen dataclass with the settings of an allocator.

    Those that spend a mean number of tokens have a `mean_budget` too.
    """

    @property
    def kind(self) -> str:
        """The name that the allocator is registered under."""

    @property
    def candidates(self) -> tuple[int, ...] | None:
        """Budgets of the bank to choose from; those that were trained, when null."""


@dataclass(frozen=True, kw_only=True)
class AllocatorChoice(Choice):
    """`build(config, fitting)` gives a `bench.allocators.base.Allocator`, fitted.

    `needs` is what it is fitted on: `training` images, their `pixels` too, or the token `ids`; for
    `calibration`, those set aside for it, or else training images, are what it spends its mean
    budget on. Each of the `controls` is settings, without the mean budget, with which it stands
    beside allocations.
    """

    needs: frozenset[Need] = frozenset()
    controls: tuple[Mapping[str, Any], ...] = ()


ALLOCATORS: Registry[AllocatorChoice] = Registry(
    "allocator", group="adatok_bench.allocators", expects=AllocatorChoice
)
ALLOCATORS.add(
    "agnostic",
    AllocatorChoice(config=AgnosticConfig, build="bench.allocators.mixture:fit_agnostic"),
)
ALLOCATORS.add(
    "oracle", AllocatorChoice(config=OracleConfig, build="bench.allocators.oracle:fit_oracle")
)
ALLOCATORS.add(
    "png_size",
    AllocatorChoice(
        config=PngSizeConfig,
        build="bench.allocators.heuristic:fit_png_size",
        needs=frozenset({"training", "pixels", "calibration"}),
        controls=({},),
    ),
)
ALLOCATORS.add(
    "edge_density",
    AllocatorChoice(
        config=EdgeDensityConfig,
        build="bench.allocators.heuristic:fit_edge_density",
        needs=frozenset({"training", "pixels", "calibration"}),
        controls=({},),
    ),
)
ALLOCATORS.add(
    "codebook_entropy",
    AllocatorChoice(
        config=CodebookEntropyConfig,
        build="bench.allocators.heuristic:fit_codebook_entropy",
        needs=frozenset({"training", "ids", "calibration"}),
        controls=({},),
    ),
)
ALLOCATORS.add(
    "threshold",
    AllocatorChoice(
        config=ThresholdConfig,
        build="bench.allocators.threshold:fit_threshold",
        needs=frozenset({"calibration"}),
        controls=({"search": "scan"}, {"search": "bisection"}),
    ),
)
# It has no candidates to choose from: the evaluation reads its lengths from the bank.
ALLOCATORS.add("own", AllocatorChoice(config=OwnConfig, build="bench.allocators.own:OwnBank"))

AllocatorConfig = Annotated[AllocatorSettings, OneOf(ALLOCATORS)]

# The learned allocator has settings of its own in a suite, under `policy`.
LEARNED: Registry[type[PolicyConfig]] = Registry("learned allocator", group="")
LEARNED.add("policy", PolicyConfig)


def fitting_needs(config: AllocatorSettings) -> frozenset[Need]:
    """Needs of an allocator; without a mean budget there is nothing to calibrate."""
    needs = ALLOCATORS[config.kind].needs
    return needs if getattr(config, "mean_budget", None) else needs - {"calibration"}


def looks_at_ids(config: AllocatorSettings) -> bool:
    """Whether an allocator needs the token ids."""
    return "ids" in ALLOCATORS[config.kind].needs


def controls_at(mean_budget: float) -> tuple[AllocatorSettings, ...]:
    """Controls that need training images and no training, at a mean budget.

    Those of plug-ins are left out: a result must not depend on what else is installed.
    """
    return tuple(
        choice.config(mean_budget=mean_budget, **settings)
        for choice in ALLOCATORS.own()
        for settings in choice.controls
    )
