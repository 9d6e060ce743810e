"""Parts of a record of a generator's samples: their lengths, distances by length, classes."""

from __future__ import annotations

from typing import Any, Literal

from bench.records.parts import MetricRow, Part


class LengthDistance(Part):
    """A distance of two distributions of lengths, its interval, and what chance would give."""

    value: float
    low: float
    high: float
    chance: float
    p: float


class LengthRow(MetricRow):
    """Distances of images cut to `tokens` tokens: `n` samples from `n_reference` real images."""

    tokens: int
    mean_tokens: float
    n: int
    n_reference: int


class GroupRow(MetricRow):
    """Distances of the `n` samples whose length is `tokens` from `n_reference` real images."""

    tokens: int
    n: int
    n_reference: int


class ClassRow(Part):
    """Mean tokens of the samples of a class, and of its real images."""

    label: int
    name: str
    n: int
    mean_tokens: float
    n_data: int
    mean_tokens_data: float


class Generation(Part):
    """A generator's samples: their lengths, and rows of values by length and class.

    `lengths` are shares of images by tokens, of the data, the samples and the training images;
    `unended` counts samples without an end.
    """

    lengths: dict[Literal["data", "generated", "training"], dict[str, float]]
    unended: int
    distance: dict[Literal["total_variation", "wasserstein_1"], LengthDistance]
    by_length: tuple[LengthRow, ...]
    by_group: tuple[GroupRow, ...]
    by_class: tuple[ClassRow, ...]
    sampling: dict[str, Any]
