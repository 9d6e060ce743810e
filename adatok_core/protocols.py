"""Interface of a tokenizer to the harness; shapes as in `adatok_core.tokenizer`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Tokenizer(Protocol):
    """Images to token ids, and any budget of ids back to images.

    Attributes:
        max_tokens: `N`, the largest of the budgets.
        nested: the ids of a smaller budget are the first ones of a larger budget's.
        image_size: side of its images in px.
    """

    max_tokens: int
    nested: bool
    image_size: int

    @property
    def budgets(self) -> Sequence[int]:
        """The lengths it is made for, increasing; others in `1..max_tokens` decode as well."""

    @property
    def patch_size(self) -> int:
        """Side in px of the patches that a policy on pixels looks at."""

    @property
    def bits_per_token(self) -> float:
        """`log2 V`."""

    @property
    def code_sizes(self) -> Sequence[int]:
        """Sizes of the `Q` codes that an id is made of; `V` is their product."""

    def codes(self, ids: Tensor) -> Tensor:
        """The codes `[B, K, Q]` of `ids [B, K]`, each below its size."""

    def encode(self, images: Tensor, budget: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Ids `[B, K]` of `images [B, 3, H, W]`, `K` the budget or `N`, and features `[B, L, D]`.

        Features are what a policy may look at; a tokenizer of others may have none.
        """

    def decode(self, ids: Tensor, kept: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` of the first `kept [B]` of `ids [B, K]`, whatever follows them."""

    def prefix_decoder(self, budget: int) -> Callable[[Tensor], Tensor]:
        """A decoder for one budget, made once: `ids [B, budget]` to images."""

    def parameter_counts(self) -> tuple[int | None, int | None]:
        """Parameters of all of it and of its encoder; None where it is not known."""


@runtime_checkable
class SelfHalting(Protocol):
    """A tokenizer that chooses budgets itself."""

    def own_allocation(self, images: Tensor, target: float) -> tuple[Tensor, Tensor]:
        """Ids `[B, N]` and budgets `[B]` in `1..N` for a mean absolute error of `target`."""
