"""Requests to a decoder, and the images that it gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Request:
    """One image to decode: `index` names it, `seed` fixes its draws.

    `label`: its class, None for a generator without classes. `length`: the ids wanted, None where
    the generator decides (`fixed`: the largest number).
    """

    index: int
    label: int | None = None
    seed: int = 0
    length: int | None = None


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A decoded image: `ids` `[length]`, int64; `steps` predictions were made for it.

    `unended`: it showed no end and was cut at the largest length.
    """

    index: int
    ids: np.ndarray
    unended: bool
    steps: int

    @property
    def length(self) -> int:
        """Number of ids."""
        return len(self.ids)
