"""Decoded images at any budget, whoever made them: a tokenizer now, or someone elsewhere before.

Letters: `B` images, `N` tokens of the largest budget, `D` width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from adatok_core.protocols import Tokenizer
from adatok_core.tokenizer import to_float, to_uint8


class Facts(Protocol):
    """Facts of a tokenizer, as `adatok_core.protocols.Tokenizer` has them; None: not known."""

    @property
    def budgets(self) -> Sequence[int]:
        """The lengths it is used at, increasing."""

    @property
    def max_tokens(self) -> int:
        """The largest of them."""

    @property
    def nested(self) -> bool | None:
        """Whether ids of a smaller budget are the first ones of a larger one's."""

    @property
    def image_size(self) -> int:
        """Side of its images in px."""

    @property
    def patch_size(self) -> int:
        """Side in px of the patches that a policy on pixels looks at."""

    @property
    def bits_per_token(self) -> float | None:
        """`log2 V`."""

    @property
    def code_sizes(self) -> Sequence[int] | None:
        """Sizes of the codes that an id is made of."""

    def codes(self, ids: Tensor) -> Tensor:
        """The codes `[B, K, Q]` of `ids [B, K]`."""

    def parameter_counts(self) -> tuple[int | None, int | None]:
        """Parameters of all of it and of its encoder."""


@dataclass(frozen=True, eq=False)
class Originals:
    """Images of a set: their ids, and their pixels uint8 `[B, 3, H, W]`."""

    names: Sequence[str]
    pixels: Tensor


class Decodings(Protocol):
    """Images as they come back at a budget, uint8 `[B, 3, H, W]`.

    `tokenizer` is None where there is none to encode or decode anything else with.
    """

    @property
    def facts(self) -> Facts:
        """The tokenizer that made them, as far as it is known."""

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer itself."""

    def encoded(self, images: Originals) -> tuple[Tensor | None, Tensor | None]:
        """Ids `[B, N]` of the largest budget and features `[B, L, D]`, where there are such."""

    def pictures(
        self, images: Originals, ids: Tensor | None, budgets: Iterable[int]
    ) -> list[Tensor]:
        """The images at each of the budgets; `ids` are what `encoded` gave of them."""

    def again(self, images: Originals, ids: Tensor | None, budget: int) -> Tensor:
        """The images at a budget by another way, for a check of what `pictures` gave."""


@dataclass(frozen=True, eq=False)
class TokenizerDecodings:
    """Those that a tokenizer makes.

    Tokens that are not nested are encoded again for every budget.
    """

    tokenizer: Tokenizer
    _decoders: dict[int, Callable[[Tensor], Tensor]] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        """The tokenizer's own."""
        return self.tokenizer

    def encoded(self, images: Originals) -> tuple[Tensor, Tensor | None]:
        """Ids and features of one pass of the encoder."""
        return self.tokenizer.encode(to_float(images.pixels))

    def pictures(
        self, images: Originals, ids: Tensor | None, budgets: Iterable[int]
    ) -> list[Tensor]:
        """Each by a decoder for its budget."""
        budgets = list(budgets)
        prefixes = self._prefixes(images, ids, budgets)
        return [
            to_uint8(self._decoder(budget)(prefix))
            for budget, prefix in zip(budgets, prefixes, strict=True)
        ]

    def again(self, images: Originals, ids: Tensor | None, budget: int) -> Tensor:
        """By the decoder that takes any budget."""
        (prefix,) = self._prefixes(images, ids, [budget])
        kept = torch.full((len(prefix),), budget, device=prefix.device)
        return to_uint8(self.tokenizer.decode(prefix, kept))

    def _prefixes(self, images: Originals, ids: Tensor | None, budgets: list[int]) -> list[Tensor]:
        if self.tokenizer.nested:
            if ids is None:
                raise ValueError("ids: a nested tokenizer decodes those of the largest budget")
            return [ids[:, :budget] for budget in budgets]
        pixels = to_float(images.pixels)
        return [self.tokenizer.encode(pixels, budget)[0] for budget in budgets]

    def _decoder(self, budget: int) -> Callable[[Tensor], Tensor]:
        if budget not in self._decoders:
            self._decoders[budget] = self.tokenizer.prefix_decoder(budget)
        return self._decoders[budget]
