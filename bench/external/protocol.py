"""The protocol of a tokenizer that someone else wrote, and what it says of itself.

A factory gives an object with three methods; letters as in `adatok_core.tokenizer`:

    describe() -> mapping                the keys of `Description`
    encode(images) -> ids                `[B, 3, R, R]` float32 in [0, 1] to integers `[B, N]`, or
                                         `(ids, features)`, features `[B, L, D]` or `[B, D]`
    decode(ids) -> images                `[B, K]` to `[B, 3, R, R]` in the range it describes

One that is not nested and has several budgets is called as `encode(images, budget=k)`, and gives
`[B, k]`. Arrays are torch tensors on the device, or numpy arrays, as it describes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from adatok_core.config.checks import Strict, require, require_budgets
from bench.config.tokenizers import require_codebook

MOST_TOKENS = 2**20


@dataclass(frozen=True, kw_only=True)
class Description(Strict):
    """Description of a tokenizer by itself.

    `resolution` is the side of its images in px. Give `max_tokens`, or the `budgets` that it is
    meant for; a `nested` one, the ids of whose smaller budgets are the first ones of its larger
    budgets, is otherwise used at powers of two. Give `codebook_size`, or `bits_per_token`.

    `range` is that of the images that `decode` gives, uint8 apart; `rounding` how 255 times their
    part of the range becomes uint8. `patch_size` is for policies that look at pixels.
    """

    resolution: int
    max_tokens: int | None = None
    budgets: tuple[int, ...] | None = None
    codebook_size: int | None = None
    bits_per_token: float | None = None
    nested: bool = False
    range: tuple[float, float] = (0.0, 1.0)
    rounding: Literal["nearest", "truncate"] = "nearest"
    arrays: Literal["torch", "numpy"] = "torch"
    name: str | None = None
    parameters: int | None = None
    encoder_parameters: int | None = None
    patch_size: int | None = None

    def __post_init__(self) -> None:
        require(self.resolution >= 1, "resolution: must be 1 or more")
        require(
            self.max_tokens is not None or self.budgets is not None,
            "max_tokens: missing; give it, or budgets",
        )
        if self.budgets is not None:
            require_budgets("budgets", self.budgets, at_least=1)
            require(
                self.max_tokens in (None, self.budgets[-1]) or self.nested,
                f"max_tokens: {self.max_tokens} is not the largest of {list(self.budgets)}",
            )
        require(1 <= self.largest <= MOST_TOKENS, f"max_tokens: must lie in 1..{MOST_TOKENS}")
        require(
            self.budgets is None or self.budgets[-1] <= self.largest,
            f"budgets: exceed the {self.largest} tokens",
        )
        require(
            self.codebook_size is not None or self.bits_per_token is not None,
            "codebook_size: missing; give it, or bits_per_token",
        )
        require_codebook(self.codebook_size, self.bits_per_token)
        low, high = self.range
        require(low < high, f"range: {list(self.range)} must increase")
        for key in ("parameters", "encoder_parameters", "patch_size"):
            value = getattr(self, key)
            require(value is None or value >= 1, f"{key}: must be 1 or more")
        if self.patch_size is not None:
            require(
                self.resolution % self.patch_size == 0,
                f"patch_size: {self.patch_size} must divide the resolution {self.resolution}",
            )

    @property
    def largest(self) -> int:
        """`N`, the most tokens."""
        if self.max_tokens is not None:
            return self.max_tokens
        return (self.budgets or (0,))[-1]

    @property
    def codes(self) -> int:
        """`V`, the number of codes."""
        return self.codebook_size or round(2 ** (self.bits_per_token or 0))

    @property
    def bits(self) -> float:
        """Bits of a token."""
        return math.log2(self.codes)

    @property
    def meant_for(self) -> tuple[int, ...]:
        """Budgets to use it at where nobody says which."""
        if self.budgets is not None:
            return self.budgets
        if not self.nested:
            return (self.largest,)
        powers = [2**n for n in range(self.largest.bit_length()) if 2**n < self.largest]
        return (*powers, self.largest)

    def serves(self, budget: int) -> bool:
        """Whether it can be used at this many tokens."""
        return 1 <= budget <= self.largest if self.nested else budget in self.meant_for
