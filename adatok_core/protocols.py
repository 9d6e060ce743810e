"""Interface of a tokenizer to the harness; shapes as in `adatok_core.tokenizer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Tokenizer(Protocol):
    """Images to token ids, and any budget of ids back to images.

    Attributes:
        max_tokens: `N`, the largest of the budgets.
        nested: the ids of a smaller budget are the first ones of a larger budget's.
    """

    max_tokens: int
    nested: bool

    @property
    def budgets(self) -> Sequence[int]:
        """The lengths it is made for, increasing; others in `1..max_tokens` decode as well."""

    @property
    def bits_per_token(self) -> float:
        """`log2 V`."""

    def encode(self, images: Tensor, budget: int | None = None) -> tuple[Tensor, Tensor]:
        """Ids `[B, K]` and latents `[B, K, D]` of `images [B, 3, H, W]`, `K` the budget or `N`."""

    def decode(self, ids: Tensor, kept: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` of the first `kept [B]` of `ids [B, K]`, whatever follows them."""


@runtime_checkable
class SelfHalting(Tokenizer, Protocol):
    """A tokenizer that chooses budgets itself."""

    def own_allocation(self, images: Tensor, target: float) -> tuple[Tensor, Tensor]:
        """Ids `[B, N]` and budgets `[B]` in `1..N` for a mean absolute error of `target`."""
