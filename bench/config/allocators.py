"""Configurations of the allocators that are not learned."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class _Candidates:
    """`candidates` are budgets of the bank to choose from: those that were trained, when null."""

    __pydantic_config__ = _STRICT

    candidates: tuple[int, ...] | None = None

    def __post_init__(self):
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

    def __post_init__(self):
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

    def __post_init__(self):
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


AllocatorConfig = (
    AgnosticConfig
    | OracleConfig
    | PngSizeConfig
    | EdgeDensityConfig
    | CodebookEntropyConfig
    | ThresholdConfig
    | OwnConfig
)
PixelScoreConfig = PngSizeConfig | EdgeDensityConfig
HeuristicConfig = PixelScoreConfig | CodebookEntropyConfig
