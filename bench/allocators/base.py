"""The protocol of an allocator: budgets from what it may see, and what that costs.

An allocator that has been built is ready: whatever it was fitted on lies behind it, and what it
sees of new images is only what it declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

PARTS = ("pixels", "latents", "ids", "curves")


@dataclass(frozen=True)
class Seen:
    """Parts of `count` images that can be seen; a part that is None is hidden.

    `pixels` uint8 `[n, 3, H, W]`; the encoder's `latents [n, N, D]` and token `ids [n, N]`; `curves
    [n, M]`, the image's own distortion at every candidate budget. `nested` says whether the tokens
    of a shorter budget are a prefix of those of a longer one, or None where that is not known.
    """

    count: int
    nested: bool | None = True
    pixels: np.ndarray | None = None
    latents: np.ndarray | None = None
    ids: np.ndarray | None = None
    curves: np.ndarray | None = None

    def only(self, parts: frozenset[str]) -> Seen:
        """The same images with all but these parts hidden."""
        hidden: dict[str, Any] = {part: None for part in PARTS if part not in parts}
        return replace(self, **hidden)

    def part(self, name: str) -> np.ndarray:
        """One of the parts.

        Raises:
            ValueError: it is hidden.
        """
        found: np.ndarray | None = getattr(self, name)
        if found is None:
            raise ValueError(f"the images' {name} are hidden; declare what the allocator sees")
        return found


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """Images that allocators over `budgets [M]` are fitted on, all with curves.

    `training` images teach, `calibration` images (the training images, when null) fix the mean
    budget; `judged` are those that the allocation will be judged on, for what is known in hindsight
    only. `seed` draws what is random.
    """

    budgets: np.ndarray
    judged: Seen
    training: Seen | None = None
    calibration: Seen | None = None
    seed: int = 0

    @property
    def teaching(self) -> Seen:
        """The training images.

        Raises:
            ValueError: there are none.
        """
        if self.training is None:
            raise ValueError("fitting: there are no images; declare what the allocator needs")
        return self.training

    @property
    def calibrating(self) -> Seen:
        """Images on which a mean budget is made to hold.

        Raises:
            ValueError: there are none.
        """
        return self.teaching if self.calibration is None else self.calibration


@dataclass(frozen=True)
class Allocation:
    """The budget of each image: `chosen [n]`, columns of the candidates.

    The passes are what choosing the budget *and* producing its tokens costs, mean per image; None
    where it is not known.
    `about` is what else is worth recording, such as a threshold.
    """

    chosen: np.ndarray
    encoder_passes: float | None = 1.0
    decoder_passes: float = 0.0
    about: Mapping[str, float] = field(default_factory=dict)


class Allocator(Protocol):
    """Gives each image one of the candidate budgets.

    `sees` names the parts of `Seen` that it reads; one that sees nothing draws its budgets at
    random, in shares that are fixed.
    """

    @property
    def name(self) -> str:
        """Its name in records."""

    @property
    def sees(self) -> frozenset[str]:
        """Parts of `Seen`."""

    def allocate(self, seen: Seen) -> Allocation:
        """The budgets of these images; the same images get the same budgets."""


NOTHING: frozenset[str] = frozenset()


def encoder_passes(sees: frozenset[str], *, nested: bool | None) -> float | None:
    """Encoder passes per image of an allocator that decodes nothing.

    Unless tokens are nested, an image that was encoded to be looked at is encoded again for the
    budget that it got.
    """
    return passes_if(nested, not_nested=2.0 if sees & {"latents", "ids"} else 1.0)


def passes_if(nested: bool | None, *, not_nested: float) -> float | None:
    """One pass where tokens are nested, else `not_nested`; None where that has to be known."""
    if nested or not_nested == 1:
        return 1.0
    return None if nested is None else not_nested


def generator(seed: int, name: str) -> np.random.Generator:
    """Random numbers of their own for each `name` under one seed."""
    return np.random.default_rng([seed, *name.encode()])
